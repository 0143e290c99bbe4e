"""Losses of all pairs, without a solver: energy distance and maximum mean discrepancy of weighted sets.

``energy(x, x_offsets, y, y_offsets)`` and ``mmd(..., bandwidth=0.1)``, in padded blocks of events of like sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pcloud.losses.sets.sides import blocks, gathered, settled, sides

CELLS = {"cpu": 2**17, "cuda": 2**24}  # pairs of points looked at together: what fits the cache, and what fills the device


def energy(
    x: Tensor,
    x_offsets: Tensor,
    y: Tensor,
    y_offsets: Tensor,
    *,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    empty: float = 1.0,
) -> Tensor:
    """2 sum_ij a_i b_j |x_i - y_j| - sum_ij a_i a_j |x_i - x_j| - sum_ij b_i b_j |y_i - y_j|, in x's unit: [events].

    a, b: the weights, normalised in each event. ``empty``: what an event costs where one set has no weight (a constant, without
    gradient); 0 where neither has. Not negative; zero for equal weighted sets alone.

    Cost: N^2, no solver. Gradient: exact; a pair of coincident points adds none. Bias: as samples of densities the sets give too
    much, as a point is its own pair (V-statistic); as weighted sets none. Source: Szekely and Rizzo 2013; halved, this is the
    maximum mean discrepancy of the kernel -|x - y| (Sejdinovic et al., arXiv 1207.6076).
    """
    return _discrepancy((x, x_offsets, y, y_offsets, x_weight, y_weight), lambda distance: -distance, empty)


def mmd(
    x: Tensor,
    x_offsets: Tensor,
    y: Tensor,
    y_offsets: Tensor,
    *,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    bandwidth: float | Sequence[float] = 0.1,
    empty: float = 1.0,
) -> Tensor:
    """sum_ij a_i a_j k(x_i, x_j) + sum_ij b_i b_j k(y_i, y_j) - 2 sum_ij a_i b_j k(x_i, y_j): the square of the MMD, [events].

    k = exp(-|x - y|^2 / 2 h^2), h = ``bandwidth`` in x's unit; of several, the mean of their kernels. No unit; from 0 to 2. a, b,
    ``empty``: as in :func:`energy`. Zero for equal weighted sets alone.

    Cost: N^2, no solver. Gradient: exact, but nearly none from points many bandwidths from all others. Bias: as samples of
    densities too much (V-statistic); as weighted sets none. Source: Gretton et al., JMLR 13 (2012).
    """
    widths = [float(one) for one in ([bandwidth] if isinstance(bandwidth, int | float) else bandwidth)]
    if not widths or not all(0 < width < float("inf") for width in widths):
        raise ValueError(f"bandwidth = {bandwidth} came; one or more positive numbers were expected")

    def kernel(distance: Tensor) -> Tensor:
        square = distance.square()
        each = [torch.exp(square * (-0.5 / width**2)) for width in widths]
        return torch.stack(each).mean(0) if each[1:] else each[0]

    return _discrepancy((x, x_offsets, y, y_offsets, x_weight, y_weight), kernel, empty)


def _discrepancy(
    given: tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None], kernel: Callable[[Tensor], Tensor], empty: float
) -> Tensor:
    left, right = (side.normalised() for side in sides(*given))
    event, value = [], []
    for block in blocks(left, right, CELLS["cpu" if left.points.device.type == "cpu" else "cuda"]):
        within = _mean(kernel, block.x, block.a, block.x, block.a) + _mean(kernel, block.y, block.b, block.y, block.b)
        value.append(within - 2 * _mean(kernel, block.x, block.a, block.y, block.b))
        event.append(block.event)
    return settled(gathered(event, value, left.weight, len(left.offsets) - 1), left, right, empty)


def _mean(kernel: Callable[[Tensor], Tensor], x: Tensor, a: Tensor, y: Tensor, b: Tensor) -> Tensor:
    """sum_ij a_i b_j k(|x_i - y_j|) of each event."""
    return ((kernel(distance(x, y)) * b[:, None]).sum(2) * a).sum(1)


def distance(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j| [events, n, m] from differences: exactly 0, with gradient 0, where points coincide."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
