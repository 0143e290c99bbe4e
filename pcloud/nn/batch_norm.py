"""Batch normalisation over rows that exist: missing neighbours and padding take no part in the statistics.

``BatchNorm(channels)(x, mask)``; as torch's layer, but at ease with no row, with one, and with a mask.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BatchNorm(nn.Module):
    """x -> (x - mean) / sqrt(var + eps) * weight + bias, by channel (Ioffe and Szegedy, arXiv 1502.03167).

    x [..., channels], mask [...] or none: all rows. In training mean and var are the batch's over the rows in the mask, and the
    running ones follow with ``momentum``; in evaluation, and in training where fewer than two rows are there, the running ones
    are used. Rows outside the mask get some finite number.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        rows = x.numel() // x.shape[-1]
        if self.training and mask is None and isinstance(rows, int) and rows > 1 and x.dtype == self.weight.dtype:
            flat = x.reshape(rows, x.shape[-1])  # torch's own takes fewer walks over the rows
            y = nn.functional.batch_norm(flat, self.mean, self.var, self.weight, self.bias, True, self.momentum, self.eps)
            return y.view(x.shape)
        mean, var = self.moments(x, mask) if self.training else (self.mean, self.var)
        scale = torch.rsqrt(var + self.eps) * self.weight
        return torch.addcmul((self.bias - mean * scale).to(x.dtype), x, scale.to(x.dtype))

    def into(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(W', b') with W' x + b' = norm(W x) of the running statistics: weight [channels, in] -> the same shape, [channels]."""
        scale = torch.rsqrt(self.var + self.eps) * self.weight
        return weight * scale[:, None], self.bias - self.mean * scale

    def moments(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance [channels] of the rows in the mask, which the running ones are moved towards."""
        rows = x.reshape(-1, x.shape[-1]).to(torch.promote_types(x.dtype, torch.float32))
        if mask is None:
            count = torch.as_tensor(rows.shape[0], device=x.device)
            mean = rows.sum(0) / count.clamp(min=1)
            var = (rows - mean).square().sum(0) / count.clamp(min=1)
        else:
            there = mask.reshape(-1, 1).to(rows.dtype)
            count = mask.sum()
            mean = (rows * there).sum(0) / count.clamp(min=1)
            var = ((rows - mean) * there).square().sum(0) / count.clamp(min=1)
        return self.known(mean, var, count)

    def known(self, mean: Tensor, var: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """A batch's mean and variance of ``count`` rows, or the running ones where that is too few; moves the running ones."""
        enough = count > 1
        with torch.no_grad():
            unbiased = var * (count / (count - 1).clamp(min=1))
            for running, new in ((self.mean, mean), (self.var, unbiased)):
                running.lerp_(torch.where(enough, new.to(running.dtype), running), self.momentum)
        return torch.where(enough, mean, self.mean), torch.where(enough, var, self.var)
