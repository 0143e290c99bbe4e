"""Every point against every point of its event on a GPU (K3): where dimension or k is too high for a grid to prune.

``tiles(asked) -> Found``. Tensor cores give a lower bound of each distance; only what may be among the k nearest is computed as
the reference does, sorted and kept. Nothing as large as queries x points exists, and the host waits for nothing.

The bound: with x = hi + lo in bfloat16, q.p - |p|^2/2 = (|q|^2 - |q - p|^2) / 2 is one product of long rows
(q_hi q_hi q_lo 1 1 1) and (p_hi p_lo p_hi h h' h''), whose last three are -|p|^2/2. What bfloat16, float32 and the order of sums
get wrong is below 2^-15 (|q|^2 + |p|^2) / 2; we allow 2^-13. On a cylinder the azimuth enters by its sine and cosine: a chord
is never longer than its arc.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcloud.neighbors.gpu_cells import event_of, steps
from pcloud.neighbors.gpu_select import NONE, add_square, merged, smallest
from pcloud.neighbors.search import Found, Search

QUERIES, POINTS = 128, 64  # of a tile
ALLOWED = tl.constexpr(2.0**-13)
ROUNDED = tl.constexpr(0.5 * (1 + 2.0**-18))  # half a squared distance, and what 32 axes may round away
TINY = tl.constexpr(1e-36)
INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))
LARGE = tl.constexpr(1e37)  # squares from here on overflow in the product: let all of those through


def tiles(asked: Search) -> Found:
    """Answer by the kernels below. Takes, beside the answer, queries x (max(64, k) + 64) ints, and 100 bytes a point if d = 8."""
    queries, dim = asked.queries.shape
    if not queries or not len(asked.points):
        return Found.nothing(asked)
    new = asked.points.new_empty
    found = Found(new((queries, asked.k), dtype=torch.int32), new((queries, asked.k)), new(queries, dtype=torch.bool))
    constants, options = plan(dim, asked.k, asked.reach2, asked.skip_self, asked.wrap)
    frame = _frame(asked.points)
    order = query_order = _order(asked.points, asked.offsets, frame)
    if not asked.skip_self:
        query_order = _order(asked.queries, asked.query_offsets, frame)
    points, features, _ = _place(asked.points, order, constants, False)
    places = _place(asked.queries, query_order, constants, True)
    blocks = (asked.query_offsets.diff() + (QUERIES - 1)) // QUERIES
    starts, events = torch.nn.functional.pad(blocks.cumsum(0), (1, 0)), len(blocks)
    hits = new(queries * constants["ROOM"], dtype=torch.int32)
    filled, limit = new(queries, dtype=torch.int32), new(queries)
    _tiles[(triton.cdiv(queries, QUERIES) + events,)](
        order, points, features, query_order, *places, asked.offsets, asked.query_offsets, starts, *found, hits, filled, limit,
        events, steps(events), asked.k, asked.reach2, **constants, **options,
    )  # fmt: skip
    return found


def plan(dim: int, k: int, reach2: float, skip_self: bool, wrap: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The kernel's constants and launch options: three programs of four warps to a multiprocessor.

    Lists are spread over lanes and warps, 8 keys on each.
    """
    nearest = triton.next_power_of_2(k)
    constants = {
        "DIM": dim,
        "WIDTH": max(16, triton.next_power_of_2(3 * (dim + wrap) + 3)),
        "QUERIES": QUERIES,
        "POINTS": POINTS,
        "K": nearest,
        "CHUNK": max(nearest, 16),
        "ROWS": 1024 // max(nearest, 16),
        "ROOM": max(nearest, POINTS) + POINTS,
        "SEEDS": max(2, 2 * nearest // POINTS),
        "REACH": reach2 < math.inf,
        "SKIP": skip_self,
        "WRAP": wrap,
    }
    return constants, {"num_warps": 4, "maxnreg": 168 if nearest <= 64 else 255, "enable_fp_fusion": False}


def _frame(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The axes along which rows are ordered, at most 8; where the points begin on them; and 1 over how far they reach."""
    finite = points.nan_to_num(0.0, 0.0, 0.0)
    axes = finite.var(0, correction=0).topk(min(points.shape[1], 8)).indices
    low, high = finite.amin(0), finite.amax(0)
    return axes, low, (high - low).reciprocal()


def _order(rows: Tensor, offsets: Tensor, frame: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Rows event by event, within one along a Morton curve, so that those of a tile lie together."""
    count, events, axes = len(rows), len(offsets) - 1, len(frame[0])
    keys = rows.new_empty(count, dtype=torch.int64)
    bits = min(16, (62 - events.bit_length()) // axes)
    _keys[(triton.cdiv(count, 256),)](
        rows, offsets, *frame, keys, count, events, steps(events), DIM=rows.shape[1], AXES=axes, BITS=bits, ROWS=256
    )
    return keys.argsort().int()


def _place(rows: Tensor, order: Tensor, constants: dict[str, Any], asked: bool) -> tuple[Tensor, Tensor, Tensor]:
    """In order: the coordinates, the long rows of the product, and for queries what their scores are compared with."""
    (count, dim), width = rows.shape, constants["WIDTH"]
    placed, features = torch.empty_like(rows), rows.new_empty((count, width), dtype=torch.bfloat16)
    norm = rows.new_empty(count if asked else 1)
    _spread[(triton.cdiv(count, 32),)](
        rows, order, placed, features, norm, count, DIM=dim, WIDTH=width, WRAP=constants["WRAP"], ASKED=asked, ROWS=32
    )
    return placed, features, norm


@triton.jit(do_not_specialize=["count", "events", "steps"])
def _keys(
    rows, offsets, axes, low, inverse, keys, count, events, steps,
    DIM: tl.constexpr, AXES: tl.constexpr, BITS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = row < count
    row = tl.where(there, row, 0)
    place = event_of(offsets, row, events, steps).to(tl.int64) << (AXES * BITS)
    for chosen in tl.static_range(AXES):
        axis = tl.load(axes + chosen)
        at = (tl.load(rows + row.to(tl.int64) * DIM + axis) - tl.load(low + axis)) * tl.load(inverse + axis)
        cell = tl.minimum(tl.where(at > 0, at, 0.0) * (1 << BITS), (1 << BITS) - 1).to(tl.int64)
        for bit in tl.static_range(BITS):
            place |= ((cell >> bit) & 1) << (bit * AXES + chosen)
    tl.store(keys + row, place, there)


@triton.jit(do_not_specialize=["count"])
def _spread(
    rows, order, placed, features, norm, count,
    DIM: tl.constexpr, WIDTH: tl.constexpr, WRAP: tl.constexpr, ASKED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = place < count
    row = rows + tl.load(order + place, there, other=0).to(tl.int64) * DIM
    square = tl.zeros([ROWS], tl.float32)
    for axis in range(DIM - 1 if WRAP else DIM):
        x = tl.load(row + axis)
        tl.store(placed + place.to(tl.int64) * DIM + axis, x, there)
        square += x * x
    if WRAP:
        azimuth = tl.load(row + (DIM - 1))
        tl.store(placed + place.to(tl.int64) * DIM + (DIM - 1), azimuth, there)
        square += tl.where(tl.abs(azimuth) < float("inf"), 1.0, float("nan"))
    usable = square < LARGE
    axes: tl.constexpr = DIM + 1 if WRAP else DIM
    column = tl.arange(0, WIDTH)
    axis = column % axes
    x = tl.load(row[:, None] + tl.minimum(axis, DIM - 1)[None, :])
    if WRAP:
        x = tl.where((axis == DIM - 1)[None, :], tl.cos(x), tl.where((axis == DIM)[None, :], tl.sin(x), x))
    x = tl.where(usable[:, None], x, 0.0)
    high = x.to(tl.bfloat16).to(tl.float32)
    part = column // axes
    value = tl.where((part == (2 if ASKED else 1))[None, :], x - high, high)
    half = square * (0.5 * (1 - ALLOWED))
    if ASKED:
        value = tl.where((column >= 3 * axes)[None, :], tl.where((column < 3 * axes + 3)[None, :], 1.0, 0.0), value)
        # a query whose square overflows lets every point through, one that is no number lets none
        tl.store(norm + place, tl.where(usable, half, tl.where(square == square, float("-inf"), float("inf"))), there)
    else:  # and a point likewise
        first = tl.where(usable, -half, tl.where(square == square, float("inf"), float("-inf")))
        rest = tl.where(usable, first - first.to(tl.bfloat16).to(tl.float32), 0.0)
        last = rest - rest.to(tl.bfloat16).to(tl.float32)
        value = tl.where((column >= 3 * axes)[None, :], 0.0, value)
        value = tl.where((column == 3 * axes)[None, :], first[:, None], value)
        value = tl.where((column == 3 * axes + 1)[None, :], rest[:, None], value)
        value = tl.where((column == 3 * axes + 2)[None, :], last[:, None], value)
    tl.store(features + place.to(tl.int64)[:, None] * WIDTH + column[None, :], value.to(tl.bfloat16), there[:, None])


@triton.jit(do_not_specialize=["events", "steps"])
def _tiles(
    order, points, features, query_order, queries, query_features, norm, offsets, query_offsets, starts,
    index, distance2, truncated, hits, filled, limit, events, steps, k, reach2,
    DIM: tl.constexpr, WIDTH: tl.constexpr, QUERIES: tl.constexpr, POINTS: tl.constexpr, K: tl.constexpr, CHUNK: tl.constexpr,
    ROWS: tl.constexpr, ROOM: tl.constexpr, SEEDS: tl.constexpr, REACH: tl.constexpr, SKIP: tl.constexpr, WRAP: tl.constexpr,
):  # fmt: skip
    """A program answers QUERIES queries of one event, from the points about them on to the others and round again."""
    if tl.program_id(0) < tl.load(starts + events):  # the host knows how many programs there are at most
        event = event_of(starts, tl.program_id(0), events, steps)
        low = tl.load(offsets + event)
        count = (tl.load(offsets + event + 1) - low).to(tl.int32)
        block = (tl.program_id(0) - tl.load(starts + event)).to(tl.int32)
        query_low = tl.load(query_offsets + event) + block * QUERIES
        query_count = (tl.load(query_offsets + event + 1) - query_low).to(tl.int32)
        order += low
        points += low * DIM
        features += low * WIDTH
        query_order += query_low
        queries += query_low * DIM
        hits += query_low * ROOM
        rows = tl.minimum(query_count, QUERIES)
        filled += query_low
        limit += query_low
        row = tl.arange(0, QUERIES)
        asked = row < query_count
        wide = tl.arange(0, WIDTH)
        ask = tl.load(query_features + (query_low + row)[:, None] * WIDTH + wide[None, :], asked[:, None], other=0.0)
        half = tl.load(norm + query_low + row, asked, other=float("inf"))
        number = tl.cdiv(count, POINTS)
        queries_of_all = tl.load(query_offsets + event + 1) - tl.load(query_offsets + event)
        own = (block.to(tl.int64) * QUERIES * number // queries_of_all).to(tl.int32)
        # of the tiles about the queries' own, every point is settled first, so that few of the others' can be near enough
        seeds = tl.minimum(number, SEEDS)
        seed = tl.minimum(own, number - seeds)
        held = tl.full([QUERIES], 0, tl.int32) + tl.minimum(count - seed * POINTS, seeds * POINTS)
        least = half - reach2 * ROUNDED - TINY  # of the scores that may be near enough
        next_tile = tl.where(seed + seeds < number, seed + seeds, 0)
        coming = _load_tile(features, next_tile, count, WIDTH, POINTS)
        for turn in range(seeds - 1, number + 1):
            tile, long = next_tile, coming
            idle = (turn < seeds) | (turn == number)  # at first and at last there is only something to settle
            next_tile = tl.where(turn < seeds, tile, tl.where(tile + 1 < number, tile + 1, 0))
            coming = _load_tile(features, next_tile, count, WIDTH, POINTS)  # while the tensor cores have this one
            score = _product(ask, tl.trans(long))
            some = (tl.max(score, 1) >= least) & asked
            if (tl.max(some.to(tl.int32), 0) > 0) | idle:
                left = tl.where(idle, 0, count - tile * POINTS)  # points of the tile
                first, second = tl.split(tl.permute(tl.reshape(score, [QUERIES, 2, 32]), [0, 2, 1]))
                held = _note(hits + row, rows, held, first, least, asked, left, tile * POINTS)
                held = _note(hits + row, rows, held, second, least, asked, left - 32, tile * POINTS + 32)
                if (tl.max(held, 0) > tl.where(turn == number, 0, ROOM - POINTS)) | (turn < seeds):
                    tl.store(filled + row, held, asked)
                    tl.debug_barrier()
                    for start in range(0, rows, ROWS):
                        _settle(
                            order, points, query_order, queries, index, distance2, truncated, hits, filled, limit,
                            start, rows, turn < seeds, seed * POINTS, k, reach2, DIM, K, CHUNK, ROWS, REACH, SKIP, WRAP,
                        )  # fmt: skip
                    tl.debug_barrier()
                    least = half - tl.load(limit + row, asked, other=0.0) * ROUNDED - TINY
                    held = tl.zeros([QUERIES], tl.int32)


@triton.jit
def _load_tile(features, tile, count, WIDTH: tl.constexpr, POINTS: tl.constexpr):
    first = tile * POINTS
    row = tl.arange(0, POINTS)
    at = features + first.to(tl.int64) * WIDTH + row[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :]
    return tl.load(at, (first + row < count)[:, None], other=0.0)


@triton.jit
def _product(a, b):
    if INTERPRETED:  # there, bfloat16 is but bits, which tl.dot would take for integers
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b)


@triton.jit
def _note(hits, rows, held, score, least, asked, left, first):
    """Write down which scores [queries, 32] are high enough, as points from ``first`` on, of which there are ``left``."""
    bits = tl.where(score >= least[:, None], (1 << tl.arange(0, 32))[None, :], 0)
    word = tl.where(asked, tl.sum(bits, 1), 0) & tl.where(left >= 32, -1, (1 << tl.minimum(tl.maximum(left, 0), 31)) - 1)
    pairs = word - ((word >> 1) & 0x55555555)
    fours = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333)
    most = tl.max((((fours + (fours >> 4)) & 0x0F0F0F0F) * 0x01010101 >> 24) & 63, 0)
    for _ in range(most):
        bit = (word & -word).to(tl.uint32, bitcast=True)
        place = (bit.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127  # log2
        tl.store(hits + held * rows, first + place, word != 0)
        held += (word != 0).to(tl.int32)
        word = word & (word - 1)
    return held


@triton.jit
def _settle(
    order, points, query_order, queries, index, distance2, truncated, hits, filled, limit, start, rows, fresh, seed, k, reach2,
    DIM: tl.constexpr, K: tl.constexpr, CHUNK: tl.constexpr, ROWS: tl.constexpr,
    REACH: tl.constexpr, SKIP: tl.constexpr, WRAP: tl.constexpr,
):  # fmt: skip
    """Merge what was noted for ROWS queries into their answers, and say how near a point must be from here on."""
    row = start + tl.arange(0, ROWS)
    asked = row < rows
    held = tl.load(filled + row, asked, other=0)
    me = tl.load(query_order + row, asked, other=0)
    rank = tl.arange(0, K)[:, None]
    old = asked[None, :] & (rank < k) & (not fresh)
    answer = me.to(tl.int64)[None, :] * k + rank
    bits = tl.load(distance2 + answer, old, other=float("inf")).to(tl.int32, bitcast=True)
    best = (bits.to(tl.int64) << 32) | tl.load(index + answer, old, other=-1).to(tl.uint32, bitcast=True).to(tl.int64)
    near_by = tl.sum((best < NONE).to(tl.int32), 0)
    for first in range(0, tl.max(held, 0), CHUNK):
        slot = first + tl.arange(0, CHUNK)[:, None]
        noted = slot < held[None, :]
        place = tl.where(fresh, seed + slot, tl.load(hits + slot * rows + row[None, :], noted & (not fresh), other=0))
        other = tl.load(order + place, noted, other=0)
        total = tl.zeros([CHUNK, ROWS], tl.float32)
        for axis in range(DIM - 1):
            total = _add_axis(total, queries + row * DIM + axis, points + place * DIM + axis, asked, noted, False)
        total = _add_axis(total, queries + row * DIM + (DIM - 1), points + place * DIM + (DIM - 1), asked, noted, WRAP)
        near = noted & (total < float("inf"))
        if REACH:
            near = near & (total <= reach2)
        if SKIP:
            near = near & (other != me[None, :])
        near_by += tl.sum(near.to(tl.int32), 0)
        keys = (total.to(tl.int32, bitcast=True).to(tl.int64) << 32) | other.to(tl.int64)
        best = merged(best, smallest(tl.where(near, keys, NONE), K, True))
    nearest = (best >> 32).to(tl.int32).to(tl.float32, bitcast=True)
    last = tl.sum(tl.where(rank == k - 1, nearest, 0.0), 0)
    if REACH:
        more = (near_by > k) | tl.load(truncated + me, asked & (not fresh), other=0).to(tl.int1)
        last = tl.where(more, last, reach2)  # until there is one too many, every point within reach counts
        tl.store(truncated + me, more, asked)
    else:
        tl.store(truncated + me, near_by < 0, asked)
    tl.store(limit + row, last, asked)
    me = tl.load(query_order + row, asked, other=0)  # again, so that its places need not stay in registers
    answer = me.to(tl.int64)[None, :] * k + rank
    tl.store(distance2 + answer, nearest, asked[None, :] & (rank < k))
    tl.store(index + answer, best.to(tl.int32), asked[None, :] & (rank < k))


@triton.jit
def _add_axis(total, of, at, asked, noted, WRAP: tl.constexpr):
    return add_square(total, tl.load(of, asked, other=0.0)[None, :], tl.load(at, noted, other=0.0), WRAP)


def variants() -> list[tuple[str, Any, dict[str, Any], dict[str, Any]]]:
    """What the compile gate compiles: (name, kernel, arguments, options)."""
    out: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = []
    f32, i32, i64, bf16 = "*fp32", "*i32", "*i64", "*bf16"
    cloud = {
        "points": f32,
        "order": i32,
        "features": bf16,
        "queries": f32,
        "query_order": i32,
        "query_features": bf16,
        "norm": f32,
    }
    events = {"offsets": i64, "query_offsets": i64, "starts": i64}
    answer = {"index": i32, "distance2": f32, "truncated": "*i1", "hits": i32, "filled": i32, "limit": f32}
    numbers = {"events": "i32", "steps": "i32", "k": "i32", "reach2": "fp32"}
    for dim, k, reach2, skip, wrap in [
        (8, 32, math.inf, True, False),
        (3, 16, 1.0, True, False),
        (2, 8, 1.0, True, True),
        (12, 64, math.inf, False, False),
        (32, 1024, 1.0, True, False),
    ]:
        constants, options = plan(dim, k, reach2, skip, wrap)
        out.append((f"tiles d{dim} k{k}", _tiles, cloud | events | answer | numbers | constants, options))
    return out
