"""Nearest neighbours in plain torch: slow, obviously right, on any device; the truth every fast path is tested against.

Squared distances are differences squared and summed in axis order, in float32, so that every path can agree to the bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 1 << 24  # distances held at once: 64 MB in float32


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Sum over the last axis of (a - b)^2, added in axis order: [..., dim], [..., dim] -> [...]."""
    total = torch.zeros(torch.broadcast_shapes(a.shape[:-1], b.shape[:-1]), dtype=a.dtype, device=a.device)
    for axis in range(a.shape[-1]):
        total = total + (a[..., axis] - b[..., axis]).square()
    return total


def knn(pos: Tensor, offsets: Tensor, k: int, query: Tensor, query_offsets: Tensor, skip_self: bool) -> Tensor:
    """Indices [queries, k] of the k nearest points by (float32 squared distance, index); -1 where there are fewer."""
    out = torch.full((len(query), k), -1, dtype=torch.int64, device=pos.device)
    starts, stops = offsets.tolist(), query_offsets.tolist()
    for event in range(len(offsets) - 1):
        low, high = starts[event], starts[event + 1]
        rows = max(1, BLOCK // max(high - low, 1))
        for first in range(stops[event], stops[event + 1], rows):
            last = min(first + rows, stops[event + 1])
            out[first:last] = nearest(pos[low:high], query[first:last], k, low, first if skip_self else None)
    return out


def nearest(points: Tensor, queries: Tensor, k: int, first_point: int, first_query: int | None) -> Tensor:
    """The block of :func:`knn` between the points and some queries of one event."""
    distance = squared_distance(queries[:, None], points[None])
    here = torch.arange(len(points), device=points.device)
    if first_query is not None:
        own = torch.arange(first_query, first_query + len(queries), device=points.device) - first_point
        distance = distance.masked_fill(own[:, None] == here, torch.inf)
    order = distance.sort(dim=1, stable=True)
    index = torch.full((len(queries), k), -1, dtype=torch.int64, device=points.device)
    width = min(k, len(points))
    found = torch.isfinite(order.values[:, :width])
    index[:, :width] = torch.where(found, order.indices[:, :width] + first_point, -1)
    return index
