"""Nearest neighbours in plain torch: slow, obviously right, on any device; the truth every fast path is tested against.

Squared distances are differences squared and summed in axis order, in float32, so that every path can agree to the bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BLOCK = 1 << 24  # distances held at once: 64 MB in float32


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Sum over the last axis of (a - b)^2, added in axis order: [..., dim], [..., dim] -> [...]."""
    total = (a[..., :1] - b[..., :1]).square().sum(-1)
    for axis in range(1, a.shape[-1]):
        total = total + (a[..., axis] - b[..., axis]).square()
    return total


def knn(
    pos: Tensor,
    offsets: Tensor,
    k: int,
    query: Tensor,
    query_offsets: Tensor,
    skip_self: bool,
    reach: float = math.inf,
) -> Tensor:
    """Indices [queries, k] of the k nearest points by (float32 squared distance, index); -1 where there are fewer.

    pos [points, dim], query [queries, dim] float32 and finite. ``skip_self``: the queries are the points, none its own
    neighbour. Points farther than ``reach`` need not be found; a path may use this to be faster, and this one does not.
    """
    out = torch.full((len(query), k), -1, dtype=torch.int64, device=pos.device)
    bounds, query_bounds = offsets.tolist(), query_offsets.tolist()
    for event in range(len(offsets) - 1):
        low, high = bounds[event], bounds[event + 1]
        rows = max(1, BLOCK // max(high - low, 1))
        for first in range(query_bounds[event], query_bounds[event + 1], rows):
            last = min(first + rows, query_bounds[event + 1])
            out[first:last] = _nearest(pos[low:high], query[first:last], k, low, first if skip_self else None)
    return out


def _nearest(points: Tensor, queries: Tensor, k: int, first_point: int, first_query: int | None) -> Tensor:
    """A block of :func:`knn`: all points of one event, some of its queries; ``first_query`` is given to skip self."""
    distance = squared_distance(queries[:, None], points[None])
    width = min(k, len(points))
    if first_query is not None:
        own = torch.arange(first_query, first_query + len(queries), device=points.device) - first_point
        distance[torch.arange(len(queries), device=points.device), own] = torch.inf
        width = min(k, len(points) - 1)  # its own place is the last, as the only one that is not finite
    order = distance.sort(dim=1, stable=True).indices[:, :width]
    index = torch.full((len(queries), k), -1, dtype=torch.int64, device=points.device)
    index[:, :width] = order + first_point
    return index
