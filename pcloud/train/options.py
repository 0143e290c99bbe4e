"""What a user may choose about training, each with its default; a config's ``train:`` section holds just these keys.

A frozen dataclass, so that the checkpoint can keep it and a resumed run can be held to it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

# What may differ in a resumed run without a change to what it computes.
FREE = ("device", "loader_workers", "checkpoint_every")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of one training run."""

    steps: int = 2000
    """Optimiser steps of the whole run."""
    rate: float = 1e-3
    """Highest learning rate (AdamW)."""
    warmup: int = 50
    """Steps over which the rate rises linearly from near zero."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: fall to zero along half a cosine, or stay."""
    weight_decay: float = 1e-4
    """Decoupled decay of the weight matrices; biases and scales are left alone."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 clips nothing."""
    accumulate: int = 1
    """Batches summed into one optimiser step."""
    budget: int = 100_000
    """Points in a batch; a larger event is a batch of its own."""
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    """Number format of the forward pass; 16-mixed needs a CUDA device."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes cuda, then mps, then cpu."""
    seed: int = 0
    """Decides order, dropout and all other chance."""
    loader_workers: int = 0
    """Processes that read events beside the training process."""
    validate_every: int = 200
    """Steps between validations; the last step is always validated."""
    checkpoint_every: int = 200
    """Steps between checkpoints; the first, the last and an interrupted step always write one."""

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "budget", "validate_every", "checkpoint_every"):
            self._check(name, getattr(self, name) >= 1, "1 or more")
        for name in ("warmup", "weight_decay", "clip", "seed", "loader_workers"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "0 or more")
        self._check("rate", 0 < self.rate < math.inf, "more than 0")

    def _check(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise ValueError(f"train.{name}: {getattr(self, name)} came, {expected} expected")

    def rate_at(self, step: int) -> float:
        """Learning rate of optimiser step ``step``, counted from 0: a function of the step alone."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        if self.schedule == "constant":
            return self.rate * rise
        part = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * rise * (1 + math.cos(math.pi * min(1.0, part))) / 2

    def binding(self) -> dict[str, Any]:
        """The options that decide what is computed: a resumed run must have the same."""
        return {name: value for name, value in asdict(self).items() if name not in FREE}
