"""Nearest neighbours on the CPU where few points came: every query against every point of its event, and nothing to prepare.

A single jet waits for this and not for the making of a forest, which takes longer than the search.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.neighbors.reference import TURN
from pcloud.neighbors.search import Found, Search

FARTHEST = 3.4028235e38  # the largest finite float32
ROUND = np.float32(TURN)


def search(asked: Search) -> Found:
    """As :func:`pcloud.neighbors.reference.search`, on CPU tensors; time grows with queries times points of an event."""
    out = Found.nothing(asked)
    points, queries = asked.points.numpy(), asked.queries.numpy()
    offsets, query_offsets = asked.offsets.numpy(), asked.query_offsets.numpy()
    for bounds, rows in ((offsets, points), (query_offsets, queries)):
        if bounds[0] != 0 or bounds[-1] != len(rows) or (bounds[1:] < bounds[:-1]).any():
            raise ValueError(f"offsets end at {bounds[-1]} for {len(rows)} rows; they must rise from 0 to that number")
    reach, tell = np.float32(min(asked.reach2, FARTHEST)), asked.reach2 < np.inf
    azimuth = points.shape[1] - 1 if asked.wrap else -1
    best = np.empty(asked.k, np.int64)
    answer = out.index.numpy(), out.distance2.numpy().view(np.int32), out.truncated.numpy()
    _search(points, offsets, queries, query_offsets, reach, tell, asked.skip_self, azimuth, best, *answer)
    return out


@compiled()
def _search(
    points: Any, offsets: Any, queries: Any, query_offsets: Any, reach: Any, tell: bool, skip_self: bool, azimuth: int,
    best: Any, index: Any, distance2_bits: Any, truncated: Any,
) -> None:  # fmt: skip
    """A neighbour is one int64, the bits of its distance above its row: numbers order as (distance, row) do."""
    bits = np.empty(1, np.float32).view(np.int32)
    total, k = bits.view(np.float32), len(best)
    for event in range(len(offsets) - 1):
        for query in range(query_offsets[event], query_offsets[event + 1]):
            found, within = 0, 0
            for row in range(offsets[event], offsets[event + 1]):
                if skip_self and row == query:
                    continue
                total[0] = np.float32(0.0)
                for x in range(points.shape[1]):
                    step = points[row, x] - queries[query, x]
                    if x == azimuth:
                        step = min(abs(step), ROUND - abs(step))
                    total[0] += step * step
                if not total[0] <= reach:  # a NaN is not near either
                    continue
                within += 1
                key = (np.int64(bits[0]) << 32) | row
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
            truncated[query] = tell and within > k
