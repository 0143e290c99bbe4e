"""A running mean of the weights along training: often better than the last weights, and steadier from step to step.

``average.update(step)`` after each step; ``with average.shown():`` the task has the mean; ``state`` goes into checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


class Average:
    """mean += (1 - d) (weights - mean) with d = min(decay, (1 + step) / (10 + step)); statistics of batches alike, counts copied.

    ``state``: the mean so far, from a checkpoint; None begins with the weights as they are.
    """

    def __init__(self, task: nn.Module, decay: float, state: State | None = None) -> None:
        self.task, self.decay = task, decay
        own = task.state_dict()
        self.state = {name: (state or own)[name].detach().to(value.device, copy=True) for name, value in own.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        part = 1 - min(self.decay, (1 + step) / (10 + step))
        own = self.task.state_dict()
        for name, mean in self.state.items():
            if mean.is_floating_point():
                mean.lerp_(own[name], part)
            else:
                mean.copy_(own[name])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Inside, the task's weights are the mean."""
        own = {name: value.clone() for name, value in self.task.state_dict().items()}
        self.task.load_state_dict(self.state)
        try:
            yield
        finally:
            self.task.load_state_dict(own)
