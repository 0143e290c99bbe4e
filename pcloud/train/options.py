"""What a user may choose about training, each with its default; a config's ``train:`` section holds just these keys.

A frozen dataclass, so that the checkpoint can keep it and a resumed run can be held to it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

# What may differ in a resumed run without a change to what it computes.
FREE = ("device", "loader_workers", "checkpoint_every")
FLAT = 0.7  # share of the steps before "flat-decay" falls


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of one training run."""

    steps: int = 2000
    """Optimiser steps of the whole run."""
    optimizer: Literal["adamw", "ranger"] = "adamw"
    """AdamW, or RAdam with Lookahead."""
    rate: float = 1e-3
    """Highest learning rate."""
    head_rate: float = 1.0
    """Rate of all that is not the encoder, as a multiple of ``rate``: for fine-tuning."""
    warmup: int = 50
    """Steps over which the rate rises linearly from near zero."""
    schedule: Literal["cosine", "constant", "flat-decay"] = "cosine"
    """After the warm-up: fall to zero along half a cosine; stay; or stay for 70 % of the steps and fall exponentially to 1 %."""
    weight_decay: float = 1e-4
    """Decoupled decay of the weight matrices; biases and scales are left alone."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 clips nothing."""
    accumulate: int = 1
    """Batches summed into one optimiser step."""
    budget: int = 100_000
    """Points in a batch; a larger event is a batch of its own."""
    events: int = 0
    """Events in a batch, at most; 0: as many as the budget allows."""
    average: float = 0.0
    """Decay, per step, of the running mean of the weights that is validated and saved; 0: the weights themselves are."""
    compile: bool = False
    """Let torch.compile make the network faster; needs a C++ compiler, and a minute at the start."""
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
        for name in ("warmup", "weight_decay", "clip", "seed", "loader_workers", "events", "head_rate"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "0 or more")
        self._check("rate", 0 < self.rate < math.inf, "more than 0")
        self._check("average", 0 <= self.average < 1, "0 or more and below 1")

    def _check(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise ValueError(f"train.{name}: {getattr(self, name)} came, {expected} expected")

    def rate_at(self, step: int) -> float:
        """Learning rate of optimiser step ``step``, counted from 0: a function of the step alone."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        if self.schedule == "constant":
            return self.rate * rise
        if self.schedule == "flat-decay":
            return self.rate * rise * float(0.01 ** max(0.0, (step / self.steps - FLAT) / (1 - FLAT)))
        part = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * rise * (1 + math.cos(math.pi * min(1.0, part))) / 2

    def binding(self) -> dict[str, Any]:
        """The options that decide what is computed: a resumed run must have the same."""
        return {name: value for name, value in asdict(self).items() if name not in FREE}
