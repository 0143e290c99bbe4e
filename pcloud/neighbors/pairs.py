"""Nearest neighbours on the CPU where few points came: every query against every point of its event, and nothing to prepare.

A single jet waits for this and not for the making of a forest, which takes longer than the search.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pcloud.neighbors.lanes import compiled
from pcloud.neighbors.reference import TURN
from pcloud.neighbors.search import Found, Search

FARTHEST = 3.4028235e38  # the largest finite float32
ROUND = np.float32(TURN)
INFINITY = 0x7F800000  # the bits of a float32


def search(asked: Search) -> Found:
    """As :func:`pcloud.neighbors.reference.search`, on CPU tensors; time grows with queries times points of an event."""
    points, queries = asked.points.numpy(), asked.queries.numpy()
    offsets, query_offsets = asked.offsets.numpy(), asked.query_offsets.numpy()
    sides = [(offsets, points)]
    if asked.queries is not asked.points or asked.query_offsets is not asked.offsets:
        sides.append((query_offsets, queries))
    for bounds, rows in sides:
        if bounds[0] != 0 or bounds[-1] != len(rows) or (len(bounds) > 2 and (bounds[1:] < bounds[:-1]).any()):
            raise ValueError(f"offsets end at {bounds[-1]} for {len(rows)} rows; they must rise from 0 to that number")
    reach, tell = np.float32(min(asked.reach2, FARTHEST)), asked.reach2 < np.inf
    azimuth = points.shape[1] - 1 if asked.wrap else -1
    best, far = np.empty(asked.k, np.int64), np.empty(len(points), np.float32)
    shape = len(queries), asked.k
    out = Found(torch.empty(shape, dtype=torch.int32), torch.empty(shape), torch.empty(shape[0], dtype=torch.bool))
    answer = out.index.numpy(), out.distance2.numpy().view(np.int32), out.truncated.numpy()
    axes = np.ascontiguousarray(points.T)
    _search(axes, offsets, queries, query_offsets, reach, tell, asked.skip_self, azimuth, best, far, far.view(np.int32), *answer)
    return out


@compiled()
def _search(
    axes: Any, offsets: Any, queries: Any, query_offsets: Any, reach: Any, tell: bool, skip_self: bool, azimuth: int,
    best: Any, far: Any, far_bits: Any, index: Any, distance2_bits: Any, truncated: Any,
) -> None:  # fmt: skip
    """axes [dim, points]. A neighbour is one int64, the bits of its distance above its row: they order as (distance, row) do."""
    k = len(best)
    for event in range(len(offsets) - 1):
        low, high = offsets[event], offsets[event + 1]
        for query in range(query_offsets[event], query_offsets[event + 1]):
            _distances(axes, low, high, queries[query], azimuth, far)
            found, within = 0, 0
            for row in range(low, high):
                if not far[row] <= reach or (skip_self and row == query):  # a NaN is not near either
                    continue
                within += 1
                key = (np.int64(far_bits[row]) << 32) | row
                if found == k and key >= best[k - 1]:
                    continue
                at = found if found < k else k - 1
                while at > 0 and best[at - 1] > key:
                    best[at] = best[at - 1]
                    at -= 1
                best[at] = key
                found += found < k
            for at in range(found):
                index[query, at] = best[at] & 0xFFFFFFFF
                distance2_bits[query, at] = best[at] >> 32
            for at in range(found, k):
                index[query, at], distance2_bits[query, at] = -1, INFINITY
            truncated[query] = tell and within > k


@compiled()
def _distances(axes: Any, low: int, high: int, query: Any, azimuth: int, far: Any) -> None:
    """Squared distances of the points low to high, added up axis by axis: loops over points, done several at a time."""
    within = far[low:high]
    within[:] = np.float32(0.0)
    for x in range(len(axes)):
        there, at = axes[x, low:high], query[x]
        if x == azimuth:
            for row in range(len(within)):
                step = abs(there[row] - at)
                step = min(step, ROUND - step)
                within[row] += step * step
        else:
            for row in range(len(within)):
                step = there[row] - at
                within[row] += step * step
