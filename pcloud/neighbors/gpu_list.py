"""The list of a query's nearest points as the grid's kernel keeps it: sorted, in registers, and cut in parts of 16 keys.

``merge(...)`` takes in what was put aside in memory meanwhile, as keys made by ``near_key``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from pcloud.neighbors.gpu_select import NONE, distance_of, index_of, merged, rounds, smallest


@triton.jit
def near_key(distance2, index):
    """As :func:`gpu_select.key`, for what is near and an index not below 0: two halves and nothing to be computed."""
    return (distance2.to(tl.int32, bitcast=True).to(tl.int64) << 32) | index.to(tl.uint32, bitcast=True).to(tl.int64)


@triton.jit
def merge(
    best, bound, within, held, waiting, rows, lane,
    NEAREST: tl.constexpr, K: tl.constexpr, LANES: tl.constexpr, HELD: tl.constexpr, REACH: tl.constexpr,
):  # fmt: skip
    """Take the points put aside into the list of the k nearest, which then bounds the search."""
    tl.debug_barrier()
    slot = tl.arange(0, HELD)[:, None]
    there = slot < waiting[None, :]
    spot = tl.max_contiguous(slot * LANES + lane[None, :], [1, 1])  # or else lanes would share a query's keys
    keys = tl.load(held + spot, mask=there, other=NONE)
    row = tl.load(rows + index_of(keys), mask=there, other=0)
    keys = tl.where(there, near_key(distance_of(keys), row), NONE)
    parts: tl.constexpr = K // min(K, HELD)
    more = smallest(keys, min(K, HELD), True)
    taken = ()  # what is best now rises and then falls, and is to be sorted: first whole parts of it, then in each
    for i in tl.static_range(parts):
        taken = taken + (tl.minimum(best[i], more) if i == parts - 1 else best[i],)
    for level in tl.static_range(rounds(parts)):
        taken = _swap_parts(taken, parts, parts >> (level + 1))
    best = ()
    for i in tl.static_range(parts):
        best = best + (merged(taken[i], taken[i]),)
    last = tl.arange(0, min(K, HELD))[:, None] == min(K, HELD) - 1
    farthest = tl.sum(tl.where(last, (best[parts - 1] >> 32).to(tl.int32), 0), 0)  # picks it without an instruction
    nearer = tl.minimum(bound, farthest.to(tl.float32, bitcast=True))
    tl.debug_barrier()
    return best, tl.where(within > NEAREST, nearer, bound) if REACH else nearer


@triton.jit
def _swap_parts(parts, NUMBER: tl.constexpr, APART: tl.constexpr):
    """Put in order every two parts of a list that lie APART, key by key."""
    out = ()
    for i in tl.static_range(NUMBER):
        low = tl.minimum(parts[i & ~APART], parts[i | APART])
        out = out + (parts[i & ~APART] ^ parts[i | APART] ^ low if i & APART else low,)
    return out
