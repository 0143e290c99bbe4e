"""The one Lightning module: it turns any task's named loss terms into optimiser steps and knows no single task.

All chance is a function of (seed, batch number), so a resumed run computes what an unbroken run does.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn

from pcloud.cloud import PointCloud
from pcloud.train.options import TrainOptions
from pcloud.train.ranger import Ranger


def seed_of(*parts: int) -> int:
    """64 bits that differ for any other parts, on every machine the same."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big")


class Learner(lightning.LightningModule):
    """``step`` counts finished optimiser steps over the whole run; ``figures`` are those of the step under way."""

    def __init__(self, task: nn.Module, options: TrainOptions, step: int) -> None:
        super().__init__()
        self.task, self.options, self.step = task, options, step
        self.figures: dict[str, float] = {}
        self._terms: list[dict[str, Tensor]] = []
        self._points = 0
        self._compiled = torch.compile(task.forward, dynamic=True) if options.compile else None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        learned = [(name.startswith("encoder."), p) for name, p in self.task.named_parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = []
        for encoder, factor in ((True, 1.0), (False, self.options.head_rate)):
            mine = [p for inside, p in learned if inside == encoder]
            groups.append({"params": [p for p in mine if p.dim() > 1], "factor": factor})
            groups.append({"params": [p for p in mine if p.dim() <= 1], "factor": factor, "weight_decay": 0.0})
        kind = Ranger if self.options.optimizer == "ranger" else torch.optim.AdamW
        some = [group for group in groups if group["params"]]
        return kind(some, lr=self.options.rate, weight_decay=self.options.weight_decay)

    def transfer_batch_to_device(self, batch: PointCloud, device: torch.device, dataloader_idx: int) -> PointCloud:
        return batch.to(device, non_blocking=True)

    def on_train_batch_start(self, batch: PointCloud, batch_idx: int) -> None:
        part = batch_idx % self.options.accumulate
        torch.manual_seed(seed_of(self.options.seed, self.step * self.options.accumulate + part))
        if part == 0:
            self._terms, self._points = [], 0
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = self.options.rate_at(self.step) * group["factor"]

    def training_step(self, batch: PointCloud, batch_idx: int) -> Tensor:
        output = (self._compiled or self.task)(batch)
        terms: dict[str, Tensor] = self.task.loss(output, batch)  # type: ignore[operator]
        self._terms.append({name: value.detach().float() for name, value in terms.items()})
        self._points += batch.points
        return torch.stack(list(terms.values())).sum()

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: Any, **__: Any) -> None:
        """Clip, and refuse to step on numbers that are none: the weights stay good."""
        norm = nn.utils.clip_grad_norm_(self.task.parameters(), self.options.clip or math.inf)
        names = list(self._terms[0])
        means = torch.stack([torch.stack([terms[name] for name in names]) for terms in self._terms]).mean(0)
        *values, length = torch.cat([means, norm.float().reshape(1)]).tolist()  # the one wait for the device in a step
        for name, value in zip(names, values, strict=True):
            self._require_finite(f"loss term {name!r}", value)
        if self.options.precision != "16-mixed":  # there the scaler skips such a step and lowers its scale
            self._require_finite("norm of the gradient", length)
        self.figures = {
            "points": self._points,
            "rate": self.options.rate_at(self.step),
            "gradient": length,
            "train/loss": sum(values),
            **{f"train/{name}": value for name, value in zip(names, values, strict=True)},
        }

    def _require_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise ValueError(
                f"training stopped at step {self.step + 1}: the {what} is {value}; "
                "the last checkpoint is good: lower train.rate or train.clip, or look at the input"
            )
