"""Samples of a density known by its energy alone: Langevin steps downhill with noise, for energy-based training.

``langevin(energy, [z], widths=[0.1], temperature=t, steps=10)`` returns moved copies, without gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

MOST = 3.0  # longest step downhill of one number, in widths of the noise: where the energy is steep a step would overshoot


def langevin(
    energy: Callable[..., Tensor], start: Sequence[Tensor], *, widths: Sequence[Tensor | float], temperature: Tensor, steps: int
) -> list[Tensor]:
    """x <- x - w^2 / (2 T) dE/dx + w n, ``steps`` times, n standard normal: samples of exp(-E(x) / T) as w -> 0.

    energy(*x) [events] of tensors like those of ``start``; ``widths`` w of each, a number or of its shape; ``temperature`` T in
    the unit of the energy. Source: Roberts and Tweedie 1996; without their rejection step, as is usual in energy-based training.
    """
    now = [one.detach() for one in start]
    for _ in range(steps):
        with torch.enable_grad():
            now = [one.requires_grad_() for one in now]
            slopes = torch.autograd.grad(energy(*now).sum(), now)
        now = [_moved(x.detach(), slope, w, temperature) for x, slope, w in zip(now, slopes, widths, strict=True)]
    return now


def _moved(x: Tensor, slope: Tensor, width: Tensor | float, temperature: Tensor) -> Tensor:
    downhill = width * slope / (2 * temperature)  # in widths
    return x + width * (torch.randn_like(x) - downhill.clamp(-MOST, MOST))
