"""Clouds on which neighbour searches go wrong: coincident, collinear, tied, far away, tiny, crowded, empty.

``TROUBLE[name]`` is (pos, offsets); ``brute(...)`` is the definition, written as slow loops in numpy's float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pcloud import segments

Cloud = tuple[Tensor, Tensor]


def _sizes(pos: Tensor, sizes: list[int] | None = None) -> Cloud:
    return pos, segments.offsets_of(torch.tensor([len(pos)] if sizes is None else sizes))


def _noise(points: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(points, dim, generator=torch.Generator().manual_seed(seed))


def _lattice(side: int, dim: int) -> Tensor:
    return torch.cartesian_prod(*[torch.arange(float(side))] * dim).reshape(-1, dim)


def _circle(points: int) -> Tensor:
    """A centre, and a circle whose points are equally far from it but for the rounding."""
    angle = 2 * torch.pi * torch.arange(points) / points
    return torch.cat([torch.zeros(1, 2), torch.stack([angle.cos(), angle.sin()], 1)])


TROUBLE: dict[str, Callable[[], Cloud]] = {
    "random": lambda: _sizes(_noise(80, 3), [30, 1, 0, 49]),
    "one dimension": lambda: _sizes(_noise(40, 1)),
    "many dimensions": lambda: _sizes(_noise(60, 64)),
    "empty first": lambda: _sizes(_noise(12, 3), [0, 0, 12]),
    "empty last": lambda: _sizes(_noise(12, 3), [12, 0]),
    "singles": lambda: _sizes(_noise(5, 3), [1, 1, 0, 1, 2]),
    "no point": lambda: _sizes(torch.zeros(0, 3), [0, 0]),
    "no event": lambda: (torch.zeros(0, 3), torch.tensor([0])),
    "coincident": lambda: _sizes(torch.zeros(40, 3), [25, 15]),
    "coincident far out": lambda: _sizes(torch.full((30, 3), 1e4)),
    "crowds": lambda: _sizes(torch.randint(0, 2, (70, 3), generator=torch.Generator().manual_seed(1)).float(), [40, 30]),
    "crowd and stray": lambda: _sizes(torch.cat([torch.ones(30, 2), _noise(10, 2)])),
    "collinear": lambda: _sizes(torch.arange(40.0)[:, None] * torch.tensor([[1.0, 2.0, -1.0]])),
    "lattice": lambda: _sizes(_lattice(5, 3)),
    "two lattices": lambda: _sizes(torch.cat([_lattice(4, 2), _lattice(5, 2)]), [16, 25]),
    "circle": lambda: _sizes(_circle(60)),
    "same in every event": lambda: _sizes(_noise(10, 3).repeat(4, 1), [10] * 4),
    "near ties": lambda: _sizes(_lattice(4, 3) * 0.1 + 1e-8 * _noise(64, 3)),
    "far out": lambda: _sizes(_noise(50, 3) + 1e6),
    "huge": lambda: _sizes(_noise(40, 3) * 1e16),
    "tiny": lambda: _sizes(_noise(40, 3) * 1e-12),
    "vanishing": lambda: _sizes(_noise(40, 3) * 1e-22),
    "wide and narrow": lambda: _sizes(torch.cat([_noise(20, 2) * 1e-6, _noise(20, 2) * 1e6]), [20, 20]),
    "signed zeros": lambda: _sizes(torch.tensor([[0.0, 1.0], [-0.0, 1.0]]).repeat(12, 1)),
}


def brute(pos: Tensor, offsets: Tensor, k: int, *, r_max: float | None = None) -> list[list[int]]:
    """The k nearest others by (float32 squared distance, index), a list per point."""
    points, out = pos.numpy(), []
    for low, high in zip(offsets.tolist(), offsets.tolist()[1:], strict=False):
        for i in range(low, high):
            ranked = sorted((distance2(points[i], points[j]), j) for j in range(low, high) if j != i)
            out.append([j for d, j in ranked[:k] if r_max is None or d <= np.float32(r_max) * np.float32(r_max)])
    return out


def distance2(a: np.ndarray, b: np.ndarray) -> np.float32:
    total = np.float32(0)
    for x, y in zip(a, b, strict=True):
        total += (x - y) * (x - y)
    return total
