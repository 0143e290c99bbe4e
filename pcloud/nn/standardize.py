"""Standardisation as a layer, so that the numbers it uses travel with the weights.

``Standardize(channels)`` is the identity until ``set(mean, width)`` gives it the statistics of the training store.
"""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn


class Standardize(nn.Module):
    """x -> (x - mean) / width, channel by channel: [..., channels] -> [..., channels]."""

    mean: Tensor
    width: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("width", torch.ones(channels))

    def set(self, mean: ArrayLike, width: ArrayLike) -> None:
        """Take mean and width [channels], tensors or arrays; a channel without spread keeps width 1."""
        self.mean.copy_(torch.as_tensor(mean))
        self.width.copy_(torch.as_tensor(width))
        self.width[self.width <= 0] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.width
