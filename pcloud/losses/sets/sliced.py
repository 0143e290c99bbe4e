"""Sliced Wasserstein distance: sets projected on lines, where optimal transport is sorting.

``sliced(x, x_offsets, y, y_offsets, projections=16)``. On the CPU float32 goes to compiled loops (``quantiles``), all else
through padded blocks in torch, which the compiled loops are tested against.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from pcloud.losses.sets.known import known
from pcloud.losses.sets.sides import Block, Side, blocks, gathered, settled, sides
from pcloud.losses.sets.spread import spread

CELLS = {"cpu": 2**17, "cuda": 2**24}  # pairs of points of a block


def sliced(
    x: Tensor,
    x_offsets: Tensor,
    y: Tensor,
    y_offsets: Tensor,
    *,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    projections: int = 16,
    power: int = 2,
    seed: int | torch.Generator | None = None,
    directions: Tensor | None = None,
    empty: float = 1.0,
) -> Tensor:
    """Mean over lines of W_p^p, W_p^p = int_0^1 |F_x^-1(q) - F_y^-1(q)|^p dq, p = ``power`` 1 or 2, in x's unit^p: [events].

    F: the distribution of a set's weights, normalised in each event, along the line; sets may differ in size. No root is taken:
    the gradient stays finite at equal sets. ``empty``: what an event costs where one set has no weight (a constant, without
    gradient); 0 where neither has.
    projections  how many lines, the same for all events of the call, uniform on the sphere; on a plane evenly spaced from a
                 random angle on
    seed         of the lines: a number gives the same ones at each call, None and a generator give new ones
    directions   [projections, d] unit vectors, in place of drawn ones

    Cost: projections x N log N, no solver. Gradient: exact for the lines drawn, but where points change places on one. Bias:
    none about the mean over all lines, only noise; for power 2 that mean is at most W_2^2 / d, which it is for single points.
    Source: Rabin et al. 2012; Bonneel et al. 2015.
    """
    if power not in (1, 2) or projections < 1:
        raise ValueError(f"power = {power}, projections = {projections} came; power 1 or 2 and at least one line were expected")
    left, right = sides(x, x_offsets, y, y_offsets, x_weight, y_weight)
    dim = left.points.shape[1]
    if directions is None:
        directions = lines(projections, dim, seed)
    elif directions.dim() != 2 or directions.shape[1] != dim:
        raise ValueError(f"directions {list(directions.shape)} came; [projections, d] = [projections, {dim}] was expected")
    directions = directions.detach().to(left.points)
    if left.points.device.type == "cpu" and left.points.dtype == torch.float32:
        return settled(_compiled(left, right, directions, power), left, right, empty)
    left, right = left.normalised(), right.normalised()
    event, value = [], []
    for block in blocks(left, right, CELLS["cpu" if left.points.device.type == "cpu" else "cuda"]):
        event.append(block.event)
        value.append(_wasserstein(block, directions, power))
    return settled(gathered(event, value, left.weight, len(x_offsets) - 1), left, right, empty)


def lines(count: int, dim: int, seed: int | torch.Generator | None) -> Tensor:
    """Unit vectors [count, dim]; on a plane at equal angles from a random one on, half a turn in all."""
    draw = torch.Generator().manual_seed(seed) if isinstance(seed, int) else seed
    device = "cpu" if draw is None else draw.device
    if dim == 2:
        angle = (torch.arange(count, device=device) + torch.rand(1, generator=draw, device=device)) * math.pi / count
        return torch.stack([angle.cos(), angle.sin()], 1)
    return torch.nn.functional.normalize(torch.randn(count, dim, generator=draw, dtype=torch.float64, device=device), dim=1)


def _compiled(x: Side, y: Side, directions: Tensor, power: int) -> Tensor:
    from pcloud.losses.sets import quantiles  # numba is heavy

    one, two = (
        (side.points.detach().contiguous().numpy(), side.weight.detach().contiguous().numpy(), side.offsets.contiguous().numpy())
        for side in (x, y)
    )
    out = (np.zeros(len(x.offsets) - 1, np.float32), *(np.zeros_like(side[part]) for part in (0, 1) for side in (one, two)))
    along = directions.contiguous().numpy()
    spread(lambda first, last: quantiles.compare(first, last, one, two, along, power, out), len(out[0]))
    value, gx, gy, ga, gb = (torch.from_numpy(part) for part in out)
    return known(value, x, y, (gx, gy, ga, gb))


def _wasserstein(block: Block, directions: Tensor, power: int) -> Tensor:
    """Mean over lines of W_p^p of each event: both quantile functions at the middle of every step of either."""
    x, a = _along(block.x, block.a, directions)
    y, b = _along(block.y, block.b, directions)
    ends = torch.cat([a, b], 2).sort(2).values
    width = torch.diff(ends, dim=2, prepend=torch.zeros_like(ends[:, :, :1]))
    middle = (ends - width / 2).detach()
    here, there = (
        place.gather(2, torch.searchsorted(level.detach().contiguous(), middle).clamp(max=place.shape[2] - 1))
        for place, level in ((x, a), (y, b))
    )
    gap = here - there
    return (width * (gap.abs() if power == 1 else gap.square())).sum(2).mean(1)


def _along(points: Tensor, weight: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Positions on each line in rising order, and the summed weight up to each: [events, lines, points]."""
    place, order = (points[:, None] * directions[:, None]).sum(3).sort(2)
    return place, weight[:, None].expand_as(place).gather(2, order).cumsum(2)
