"""Nearest neighbours in plain torch: slow, obviously right, on any device; the truth every fast path is tested against.

Squared distances are differences squared and summed in axis order, in float32, so that every path can agree to the bit.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from pcloud.neighbors.search import Found, Search

BLOCK = 1 << 24  # distances held at once: 64 MB in float32
TURN = float(np.float32(2 * math.pi))  # once round the cylinder, as float32 holds it


def squared_distance(a: Tensor, b: Tensor, wrap: bool = False) -> Tensor:
    """Sum over the last axis of (a - b)^2, added in axis order: [..., dim], [..., dim] -> [...].

    ``wrap``: the last axis is an azimuth in [-pi, pi]; its difference is min(|a - b|, 2 pi - |a - b|).
    """
    total: Tensor | None = None
    for axis in range(a.shape[-1]):
        step = a[..., axis] - b[..., axis]
        if wrap and axis == a.shape[-1] - 1:
            step = torch.minimum(step.abs(), TURN - step.abs())
        total = step * step if total is None else total + step * step
    assert total is not None, "points without a coordinate"
    return total


def search(asked: Search) -> Found:
    """Event by event, a block of queries against all of its points: every distance, one stable sort."""
    out = Found.nothing(asked)
    bounds, query_bounds = asked.offsets.tolist(), asked.query_offsets.tolist()
    for event in range(len(bounds) - 1):
        low, high = bounds[event], bounds[event + 1]
        rows = max(1, BLOCK // max(high - low, 1))
        for first in range(query_bounds[event], query_bounds[event + 1], rows):
            _fill(out, asked, low, high, first, min(first + rows, query_bounds[event + 1]))
    return out


def _fill(out: Found, asked: Search, low: int, high: int, first: int, last: int) -> None:
    """Answer queries first to last from the points low to high, all of one event."""
    distance2 = squared_distance(asked.queries[first:last, None], asked.points[None, low:high], asked.wrap)
    distance2 = distance2.masked_fill(~(distance2 <= asked.reach2), math.inf)  # NaN compares false
    if asked.skip_self:
        own = torch.arange(first - low, last - low, device=distance2.device)
        distance2[torch.arange(last - first, device=distance2.device), own] = math.inf
    nearest, order = distance2.sort(dim=1, stable=True)
    width = min(asked.k, high - low)
    near = nearest[:, :width] < math.inf
    out.index[first:last, :width] = torch.where(near, order[:, :width] + low, -1).int()
    out.distance2[first:last, :width] = nearest[:, :width]
    if asked.reach2 < math.inf and width < high - low:
        out.truncated[first:last] = nearest[:, width] < math.inf
