"""Nearest neighbours on the CPU where few points came: every query against every point of its event, and nothing to plant.

A single jet waits for this and not for the making of a forest, which takes longer than the search. What depends on the
coordinates is computed and not branched on: a processor that guesses each of a jet's comparisons anew is several times slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcloud.neighbors.coordinates import LARGEST
from pcloud.neighbors.forest import merge
from pcloud.neighbors.lanes import BLOCK, block_distances, block_nearest, compiled
from pcloud.neighbors.search import Found, Search

FARTHEST = 3.4028235e38  # the largest finite float32
INFINITY = 0x7F800000  # the bits of a float32


def search(asked: Search) -> Found:
    """As :func:`pcloud.neighbors.reference.search`, on CPU tensors; time grows with queries times points of an event."""
    points, offsets = asked.points.numpy(), asked.offsets.numpy()
    queries, query_offsets = points, offsets
    _shared(offsets, len(points))
    if asked.queries is not asked.points or asked.query_offsets is not asked.offsets:
        queries, query_offsets = asked.queries.numpy(), asked.query_offsets.numpy()
        _shared(query_offsets, len(queries))
    azimuth = points.shape[1] - 1 if asked.wrap else -1
    out, reach, answer = _paper(len(queries), asked.k, asked.reach2)
    _search(points, offsets, queries, query_offsets, reach, asked.reach2 < np.inf, asked.skip_self, azimuth, *answer)
    return out


def at_once(points: Tensor, offsets: Tensor, k: int, reach2: float, skip_self: bool) -> Found | None:
    """:func:`search` of points [points, dim] float32 that nobody has looked at yet; None where one of them is not finite or too
    far out, or offsets don't share out the rows."""
    out, reach, answer = _paper(len(points), k, reach2)
    sound = _search_sound(points.numpy(), offsets.numpy(), LARGEST, reach, reach2 < np.inf, skip_self, *answer)
    return out if sound else None


def _paper(queries: int, k: int, reach2: float) -> tuple[Found, Any, tuple[Any, Any, Any]]:
    """The answer yet to be filled in, the bits of the reach, and the answer's arrays."""
    index = torch.empty(queries, k, dtype=torch.int32, device="cpu")
    distance2 = torch.empty(queries, k, dtype=torch.float32, device="cpu")
    truncated = torch.empty(queries, dtype=torch.bool, device="cpu")
    reach = np.float32(min(reach2, FARTHEST)).view(np.int32)
    return Found(index, distance2, truncated), reach, (index.numpy(), distance2.numpy().view(np.int32), truncated.numpy())


def _shared(bounds: Any, rows: int) -> None:
    if bounds[0] != 0 or bounds[-1] != rows or (len(bounds) > 2 and (bounds[1:] < bounds[:-1]).any()):
        raise ValueError(f"offsets end at {bounds[-1]} for {rows} rows; they must rise from 0 to that number")


@compiled()
def _search_sound(
    points: Any, offsets: Any, largest: float, reach: Any, tell: bool, skip_self: bool, index: Any, bits: Any, truncated: Any
) -> bool:
    sound = offsets[0] == 0 and offsets[-1] == len(points)
    for event in range(len(offsets) - 1):
        sound &= offsets[event] <= offsets[event + 1]
    for row in range(len(points)):
        for axis in range(points.shape[1]):
            sound &= abs(points[row, axis]) <= largest
    if sound:
        _search(points, offsets, points, offsets, reach, tell, skip_self, -1, index, bits, truncated)
    return sound


@compiled()
def _search(
    points: Any, offsets: Any, queries: Any, query_offsets: Any, reach: Any, tell: bool, skip_self: bool, azimuth: int,
    index: Any, distance2_bits: Any, truncated: Any,
) -> None:  # fmt: skip
    """A neighbour is one int64, the bits of its distance above its row: they order as (distance, row) do."""
    k = index.shape[1]
    blocks = np.empty((_blocks(len(points)), points.shape[1], BLOCK), np.float32)
    best, spare, fresh = np.empty(k + 1, np.int64), np.empty(k + 1, np.int64), np.empty(k + 1, np.int64)
    far = np.empty(BLOCK, np.float32)
    far_bits = far.view(np.int32)
    for event in range(len(offsets) - 1):
        low, high = offsets[event], offsets[event + 1]
        _fill(points, low, high, blocks)
        for query in range(query_offsets[event], query_offsets[event + 1]):
            at = queries[query]
            found, within, bound = 0, 0, reach
            for block in range(_blocks(high - low) if _finite(at) else 0):
                own = query - low - block * BLOCK if skip_self else -1
                block_distances(blocks, block, at, azimuth, far)
                if tell:
                    for lane in range(BLOCK):
                        within += far_bits[lane] <= reach and lane != own
                if block == 0:
                    found = block_nearest(far_bits, own, bound, low, k, best)
                else:
                    count = block_nearest(far_bits, own, bound, low + block * BLOCK, k, fresh)
                    found = merge(best, spare, fresh, k, found, count)
                if found == k:
                    bound = np.int32(best[k - 1] >> 32)
            for place in range(found):
                index[query, place] = best[place] & 0xFFFFFFFF
                distance2_bits[query, place] = best[place] >> 32
            for place in range(found, k):
                index[query, place], distance2_bits[query, place] = -1, INFINITY
            truncated[query] = tell and within > k


@compiled()
def _blocks(points: int) -> int:
    return (points + BLOCK - 1) // BLOCK


@compiled()
def _finite(row: Any) -> bool:
    for value in row:
        if not value - value == 0:
            return False
    return True


@compiled()
def _fill(points: Any, low: int, high: int, blocks: Any) -> None:
    """Lay an event's points out in blocks [dim, BLOCK]; what is not there, or not finite, is infinitely far."""
    for row in range(low, low + _blocks(high - low) * BLOCK):
        block, lane = (row - low) // BLOCK, (row - low) % BLOCK
        there = row < high and _finite(points[row])
        for axis in range(points.shape[1]):
            blocks[block, axis, lane] = points[row, axis] if there else np.float32(np.inf)
