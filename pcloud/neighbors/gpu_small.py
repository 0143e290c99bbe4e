"""Events of at most 256 points on a GPU (K1): jets, clusters, small detectors; many thousands of them in one launch.

``small(asked) -> Found`` wants ``asked.max_points``. A lane answers one query: in registers, it sorts the event's
points some at a time and keeps the k least.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl

from pcloud.neighbors.gpu_select import add_square, merged, smallest
from pcloud.neighbors.search import Found, Search

MOST = 256


def small(asked: Search) -> Found:
    """Answer by the kernel below. ValueError: ``max_points`` not told or above 256."""
    if asked.max_points is None or asked.max_points > MOST:
        raise ValueError(f"max_points {asked.max_points} came; this path is for events of at most {MOST}; take another path")
    (queries, dim), events = asked.queries.shape, len(asked.offsets) - 1
    found = Found(
        asked.points.new_empty((queries, asked.k), dtype=torch.int32),
        asked.points.new_empty((queries, asked.k)),
        asked.points.new_empty(queries, dtype=torch.bool),
    )
    constants, options = plan(dim, asked.k, asked.max_points, asked.reach2, asked.skip_self, asked.wrap)
    blocks = triton.cdiv(max(asked.max_points, 1), constants["ROWS"])
    if queries:
        _small[(events * blocks,)](
            asked.points,
            asked.offsets,
            asked.queries,
            asked.query_offsets,
            *found,
            asked.k,
            asked.reach2,
            blocks,
            **constants,
            **options,
        )
    return found


def plan(dim: int, k: int, most: int, reach2: float, skip_self: bool, wrap: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The kernel's constants and launch options, so that no lane runs out of registers, of which a key takes two.

    Up to 32 nearest, a lane has a query to itself; a longer list is spread over lanes and warps.
    """
    nearest = min(triton.next_power_of_2(k), max(16, triton.next_power_of_2(most)))
    constants = {
        "DIM": dim,
        "CHUNK": max(nearest, 16),
        "ROWS": 32 if nearest <= 32 else 8,
        "K": nearest,
        "REACH": reach2 < math.inf,
        "SKIP": skip_self,
        "WRAP": wrap,
    }
    return constants, {"num_warps": max(1, nearest // 64), "enable_fp_fusion": False}


@triton.jit
def _small(
    points, offsets, queries, query_offsets, index, distance2, truncated, k, reach2, blocks,
    DIM: tl.constexpr, CHUNK: tl.constexpr, ROWS: tl.constexpr, K: tl.constexpr,
    REACH: tl.constexpr, SKIP: tl.constexpr, WRAP: tl.constexpr,
):  # fmt: skip
    """One program of ``blocks`` for each event: it takes every blocks-th ROWS of the event's queries."""
    event = tl.program_id(0) // blocks
    low = tl.load(offsets + event)
    count = (tl.load(offsets + event + 1) - low).to(tl.int32)
    query_low = tl.load(query_offsets + event)
    query_count = (tl.load(query_offsets + event + 1) - query_low).to(tl.int32)
    points += low * DIM
    queries += query_low * DIM
    truncated += query_low
    index += query_low * k
    distance2 += query_low * k
    rank = tl.arange(0, K)[:, None]
    for first in range((tl.program_id(0) % blocks) * ROWS, query_count, blocks * ROWS):
        row = first + tl.arange(0, ROWS)
        asked = row < query_count
        best = tl.full([K, ROWS], float("inf"), tl.float32).to(tl.int32, bitcast=True).to(tl.int64) << 32
        near_by = tl.zeros([ROWS], tl.int32)
        for start in range(0, count, CHUNK):
            column = start + tl.arange(0, CHUNK)
            total = tl.zeros([CHUNK, ROWS], tl.float32)
            at, of = points + column * DIM, queries + row * DIM
            if DIM <= 8:
                for axis in tl.static_range(DIM - 1):
                    total = _add_axis(total, at + axis, of + axis, column < count, asked, False)
            else:  # unrolled, it would hold the points of all axes in registers
                for axis in range(DIM - 1):
                    total = _add_axis(total, at + axis, of + axis, column < count, asked, False)
            total = _add_axis(total, at + (DIM - 1), of + (DIM - 1), column < count, asked, WRAP)
            near = total < float("inf")
            if REACH:
                near = total <= reach2
            if SKIP:
                near = near & (column[:, None] != row[None, :])
            if REACH:
                near_by += tl.sum(near.to(tl.int32), 0)
            bits = tl.where(near, total, float("inf")).to(tl.int32, bitcast=True)
            keys = (bits.to(tl.int64) << 32) | column[:, None].to(tl.int64)
            best = merged(best, smallest(keys, K, True))
        nearest = (best >> 32).to(tl.int32).to(tl.float32, bitcast=True)
        place = tl.where(nearest < float("inf"), best.to(tl.int32) + low.to(tl.int32), -1)
        tl.store(truncated + row, near_by > k, asked)
        tl.store(index + row[None, :] * k + rank, place, asked[None, :] & (rank < k))
        tl.store(distance2 + row[None, :] * k + rank, nearest, asked[None, :] & (rank < k))
        for beyond in range(K, k, K):  # more asked than there can be
            there = asked[None, :] & (beyond + rank < k)
            tl.store(index + row[None, :] * k + beyond + rank, tl.full([K, ROWS], -1, tl.int32), there)
            tl.store(distance2 + row[None, :] * k + beyond + rank, tl.full([K, ROWS], float("inf"), tl.float32), there)


@triton.jit
def _add_axis(total, at, of, column_is, row_is, WRAP: tl.constexpr):
    """One more term of the squared distance, from points ``at`` to queries ``of``; what is not there is NaN, near to none."""
    a = tl.load(of, row_is, other=float("nan"))
    b = tl.load(at, column_is, other=float("nan"))
    return add_square(total, a[None, :], b[:, None], WRAP)


def variants() -> list[tuple[str, Any, dict[str, Any], dict[str, Any]]]:
    """What the compile gate compiles: (name, kernel, arguments, options)."""
    out = []
    for dim, k, most, reach2, skip, wrap in [
        (2, 16, 50, math.inf, True, False),
        (2, 16, 64, 0.16, True, True),
        (3, 8, 16, math.inf, False, False),
        (8, 32, 256, 1.0, True, False),
        (32, 32, 64, 1.0, True, True),
        (8, 64, 128, 1.0, True, False),
        (3, 256, 256, 1.0, True, False),
    ]:
        constants, options = plan(dim, k, most, reach2, skip, wrap)
        f32, i64 = "*fp32", "*i64"
        tensors = {
            "points": f32,
            "offsets": i64,
            "queries": f32,
            "query_offsets": i64,
            "index": "*i32",
            "distance2": f32,
            "truncated": "*i1",
        }
        arguments = tensors | {"k": "i32", "reach2": "fp32", "blocks": "i32"} | constants
        out.append((f"d{dim} k{k} of {most}", _small, arguments, options))
    return out
