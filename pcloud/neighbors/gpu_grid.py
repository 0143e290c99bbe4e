"""Clouds of more than a few hundred points in few dimensions, or within a radius, on a GPU (K2): only cells nearby are visited.

``grid(asked) -> Found`` sorts the points by the cells of a grid (:mod:`gpu_cells`); a lane then answers one query, beside lanes
that answer its neighbours in the grid. It never waits for the device, so that a CUDA graph can hold it.
"""

from __future__ import annotations

import math
import os
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from pcloud.neighbors import gpu_cells
from pcloud.neighbors.gpu_cells import cell_at, cells_before, event_of, laid_out
from pcloud.neighbors.gpu_list import merge, near_key
from pcloud.neighbors.gpu_select import NONE, add_square, distance_of, index_of
from pcloud.neighbors.search import Found, Search

MOST = 64  # neighbours of a query: its list lives in registers
# Queries of a program: one warp, whose lanes walk each their own way but in step. An interpreter's step costs the same for more.
LANES = 512 if os.environ.get("TRITON_INTERPRET") == "1" else 32
PROGRAMS = 4096  # more than an H200 holds at once; each has its own scratch memory
BATCH = 4  # points that a lane looks at in one step
HELD = 16  # near points that wait for the next merge
WIDEST = tl.constexpr(3.4028234663852886e38)  # the largest float32


def grid(asked: Search) -> Found:
    """Answer by the kernels. ValueError: k above 64, or no axis but the azimuth to lay cells along."""
    return search(asked)[0]


def search(asked: Search, count: bool = False) -> tuple[Found, Tensor]:
    """The answer, and where ``count`` how many points each query was held against [queries] int32."""
    if asked.k > MOST:
        raise ValueError(f"k {asked.k} came; this path keeps at most {MOST} neighbours; take another path")
    (points, dim), queries, events = asked.points.shape, len(asked.queries), len(asked.offsets) - 1
    device = asked.points.device
    found = Found(
        torch.empty((queries, asked.k), dtype=torch.int32, device=device),
        torch.empty((queries, asked.k), dtype=torch.float32, device=device),
        torch.empty(queries, dtype=torch.bool, device=device),
    )
    visited = torch.empty(queries if count else 1, dtype=torch.int32, device=device)
    if not points or not queries:
        return Found.nothing(asked), visited
    constants, options = plan(dim, asked.k, asked.reach2, asked.skip_self, asked.wrap, count)
    axes = constants["AXES"]
    layout = gpu_cells.lay_out(
        asked.points, asked.offsets, axes, reach=math.sqrt(asked.reach2), crowd=crowd(axes, asked.k), wrap=asked.wrap
    )
    cells = gpu_cells.sort(asked.points, asked.offsets, asked.offsets, points, layout)
    own = asked.skip_self
    order = cells.rows if own else gpu_cells.sort(asked.queries, asked.query_offsets, asked.offsets, points, layout).rows
    programs = min(triton.cdiv(queries, LANES), PROGRAMS)
    runs = torch.empty(programs * 2 * constants["QUEUE"] * LANES, dtype=torch.int32, device=device)
    boxes = torch.empty(programs * 4 * axes * LANES, dtype=torch.int32, device=device)
    held = torch.empty(programs * HELD * LANES, dtype=torch.int64, device=device)
    _walk[(programs,)](
        asked.queries, asked.query_offsets, order, asked.offsets, layout, cells.start, cells.coordinates, cells.rows,
        runs, boxes, held, *found, visited, queries, events, gpu_cells.steps(events), asked.reach2, **constants, **options,
    )  # fmt: skip
    return found, visited


def crowd(axes: int, k: int) -> float:
    """Points of a cell such that a query's own cell and those about it hold enough, and not many more."""
    return 1.7 * k / 3**axes


def plan(dim: int, k: int, reach2: float, own: bool, wrap: bool, count: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """The kernel's constants and launch options. A radius rules out much in many dimensions, the k nearest only in few."""
    free = dim - wrap
    if not free:
        raise ValueError("a cloud of azimuths alone came; this path lays cells along the other axes; take another path")
    axes = min(free, 3 if reach2 == math.inf else 4 if k > 32 else 5)
    constants = {
        "NEAREST": k,
        "DIM": dim,
        "AXES": axes,
        "K": max(8, triton.next_power_of_2(k)),
        "QUEUE": 32 if axes <= 3 else 64,
        "LANES": LANES,
        "BATCH": BATCH,
        "HELD": HELD,
        "OWN": own,
        "WRAP": wrap,
        "REACH": reach2 < math.inf,
        "COUNT": count,
    }
    # As few registers as do without spills, so that many warps wait for memory at once.
    registers = min(255, {8: 120, 16: 144, 32: 176, 64: 255}[constants["K"]] + (20 + dim) * (axes > 3))
    return constants, {"num_warps": 1, "num_stages": 1, "enable_fp_fusion": False, "maxnreg": registers}


@triton.jit
def _any(flags):
    return tl.max(flags.to(tl.int32), 0) > 0


@triton.jit
def _reach_of(bound):
    """No coordinate of a point within the squared distance ``bound``, as computed, is further off than this."""
    return tl.sqrt(bound) * 1.000001 + 1e-18


@triton.jit
def _axis(place, axis: tl.constexpr):
    """An axis of the grid: the query's coordinate, where cells begin, cells per length, number of cells.

    Registers are short, most of them hold lists: what a step wants to know of the grid it reads, and forgets.
    """
    query, layout = place
    name, side, low, inverse = laid_out(layout, axis)
    return tl.load(query + name), low, inverse, side


@triton.jit(do_not_specialize=["asked", "events", "steps"])
def _walk(
    queries, query_offsets, order, offsets, layout, start, coordinates, rows, runs, boxes, held,
    index, distance2, truncated, visited, asked, events, steps, reach2,
    NEAREST: tl.constexpr, DIM: tl.constexpr, AXES: tl.constexpr, K: tl.constexpr, QUEUE: tl.constexpr,
    LANES: tl.constexpr, BATCH: tl.constexpr, HELD: tl.constexpr, OWN: tl.constexpr,
    WRAP: tl.constexpr, REACH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    lane = tl.arange(0, LANES)
    runs += tl.program_id(0) * (2 * QUEUE * LANES) + lane
    boxes += tl.program_id(0) * (4 * AXES * LANES) + lane
    held += tl.program_id(0) * (HELD * LANES)
    part: tl.constexpr = min(K, HELD)
    rank = tl.arange(0, part)[:, None] - (K - NEAREST)
    for block in range(tl.program_id(0), tl.cdiv(asked, LANES), tl.num_programs(0)):
        at = block * LANES + lane
        real = at < asked
        row = tl.load(order + at, mask=real, other=0)
        event = event_of(query_offsets, row, events, steps)
        place = (queries + row.to(tl.int64) * DIM, layout + event * (4 * AXES))
        query, live = (), real
        for axis in tl.static_range(DIM):
            query = query + (tl.load(place[0] + axis),)
            live &= tl.abs(query[axis]) < float("inf")
        own = tl.where(OWN, at, -1)
        best = ()  # sorted, in parts; it ends at the k-th, and before the first are keys that nothing displaces
        for first in tl.static_range(0, K, part):
            best = best + (tl.where(rank + first < 0, tl.full([part, LANES], -1, tl.int64), NONE),)
        bound = tl.zeros([LANES], tl.float32) + tl.minimum(reach2, WIDEST)
        within = tl.zeros([LANES], tl.int32)
        looked = tl.zeros([LANES], tl.int32)
        base = cells_before(offsets, event)
        span = _first_span(place, start, base, boxes, NEAREST, AXES, LANES)
        tl.debug_barrier()  # what a lane keeps in memory it reads again, but Triton may choose another thread for it
        while _any(live):  # every round visits a wider box of cells, but for those of the box before
            full = within > NEAREST if REACH else bound < WIDEST
            final, news = _box(place, boxes, _reach_of(bound), span, full, AXES, LANES)
            tl.debug_barrier()
            best, bound, within, looked = _visit(
                place, start, base, boxes, live & news, query, own, best, bound, within, looked, coordinates, rows,
                runs, held, lane, reach2, NEAREST, DIM, AXES, K, QUEUE, LANES, BATCH, HELD, WRAP, REACH, COUNT,
            )  # fmt: skip
            live &= ~final
            span = tl.where(span == 0, 1, 2 * span)
        for first in tl.static_range(0, K, part):
            out = row.to(tl.int64)[None, :] * NEAREST + rank + first
            mask = (rank + first >= 0) & real[None, :]
            tl.store(index + out, index_of(best[first // part]), mask=mask)
            tl.store(distance2 + out, distance_of(best[first // part]), mask=mask)
        tl.store(truncated + row, within > NEAREST, mask=real)
        if COUNT:
            tl.store(visited + row, looked, mask=real)


@triton.jit
def _first_span(place, start, base, boxes, NEAREST: tl.constexpr, AXES: tl.constexpr, LANES: tl.constexpr):
    """How far the first box goes: 0 cells from the query's own where that holds enough, else 1. The box before is empty."""
    line = base * 0
    for axis in tl.static_range(AXES):
        x, low, inverse, side = _axis(place, axis)
        line = line * side + cell_at(x, low, inverse, side.to(tl.float32))
        tl.store(boxes + 4 * axis * LANES, base * 0 + 1)
        tl.store(boxes + (4 * axis + 1) * LANES, base * 0)
    held = tl.load(start + base + line + 1) - tl.load(start + base + line)
    return tl.where(held > NEAREST, 0, 1)


@triton.jit
def _box(place, boxes, reach, span, full, AXES: tl.constexpr, LANES: tl.constexpr):
    """Keep the box before and the next one: the cells within reach; while there is no k-th neighbour only those up to ``span``
    from the query's own.

    Returns whether the box holds all that is within reach, and whether it holds a cell which the box before it does not.
    """
    final, news = full | True, full & False
    for axis in tl.static_range(AXES):
        x, low, inverse, side = _axis(place, axis)
        count = side.to(tl.float32)
        own = cell_at(x, low, inverse, count)
        first, last = cell_at(x - reach, low, inverse, count), cell_at(x + reach, low, inverse, count)
        final &= full | ((own - span <= first) & (last <= own + span))
        first = tl.where(full, first, tl.maximum(first, own - span))
        last = tl.where(full, last, tl.minimum(last, own + span))
        spot = boxes + 4 * axis * LANES
        old_first, old_last = tl.load(spot), tl.load(spot + LANES)
        news |= (first < old_first) | (last > old_last)
        tl.store(spot + 2 * LANES, old_first)
        tl.store(spot + 3 * LANES, old_last)
        tl.store(spot, first)
        tl.store(spot + LANES, last)
    return final, news


@triton.jit
def _visit(
    place, start, base, boxes, going, query, own, best, bound, within, looked, coordinates, rows,
    runs, held, lane, reach2,
    NEAREST: tl.constexpr, DIM: tl.constexpr, AXES: tl.constexpr, K: tl.constexpr, QUEUE: tl.constexpr,
    LANES: tl.constexpr, BATCH: tl.constexpr, HELD: tl.constexpr, WRAP: tl.constexpr, REACH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    """Look at the points of the new cells of a box: list the runs of some rows of cells, look at them, list some more."""
    waiting = within * 0
    line = ()  # the row of cells that comes next: its cell along every axis but the last
    for axis in tl.static_range(AXES - 1):
        line = line + (tl.load(boxes + 4 * axis * LANES),)
    while _any(going):
        line, going, listed = _list_rows(
            line, place, start, base, boxes, going, bound, runs, DIM, AXES, QUEUE, LANES
        )  # fmt: skip
        tl.debug_barrier()
        at, end, taken = within * 0, within * 0, within * 0
        busy = taken < listed
        while _any(busy):
            more = (at >= end) & busy
            at = tl.load(runs + taken * (2 * LANES), mask=more, other=0) + tl.where(more, 0, at)
            end = tl.load(runs + taken * (2 * LANES) + LANES, mask=more, other=0) + tl.where(more, 0, end)
            taken += more.to(tl.int32)
            if COUNT:
                looked += tl.minimum(end - at, BATCH)
            waiting, within = _look(
                at, end, query, own, bound, waiting, within, coordinates, held, lane, reach2, DIM, LANES, BATCH, WRAP, REACH
            )  # fmt: skip
            at = tl.minimum(at + BATCH, end)
            busy = (at < end) | (taken < listed)
            if (tl.max(waiting, 0) > HELD - BATCH) | (tl.max(busy.to(tl.int32), 0) == 0):
                best, bound = merge(best, bound, within, held, waiting, rows, lane, NEAREST, K, LANES, HELD, REACH)
                waiting = waiting * 0
        tl.debug_barrier()
    return best, bound, within, looked


@triton.jit
def _list_rows(
    line, place, start, base, boxes, going, bound, runs,
    DIM: tl.constexpr, AXES: tl.constexpr, QUEUE: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """List the points in rows of cells, as far as within the bound and not in the box before, until the list is full."""
    first, last, old_first, old_last, above, below, width, sides = (), (), (), (), (), (), (), ()
    for axis in tl.static_range(AXES):
        x, low, inverse, side = _axis(place, axis)
        spot = boxes + 4 * axis * LANES
        first, last = first + (tl.load(spot),), last + (tl.load(spot + LANES),)
        old_first, old_last = old_first + (tl.load(spot + 2 * LANES),), old_last + (tl.load(spot + 3 * LANES),)
        count = side.to(tl.float32)
        cell = tl.minimum(tl.maximum((x - low) * inverse, -1048576.0), count + 1048576.0)
        slack = (tl.abs(cell) + count) * 4.8e-7  # twice what two roundings can do
        above, below = above + (cell + slack,), below + (cell - slack - 1,)
        width = width + (tl.where(inverse > 0, 1 / tl.where(inverse > 0, inverse, 1.0), 0.0),)
        sides = sides + (side,)
    listed = base * 0
    while tl.max(tl.where(listed >= QUEUE - 1, 2, going.to(tl.int32)), 0) == 1:
        away2 = bound * 0
        row = base * 0
        known = going
        for axis in tl.static_range(AXES - 1):
            gap = tl.where(line[axis] > 0, line[axis] - above[axis], 0.0)  # the outermost cells have no outer edge
            gap = tl.maximum(gap, tl.where(line[axis] < sides[axis] - 1, below[axis] - line[axis], 0.0))
            gap = tl.maximum(gap, 0.0) * width[axis]
            away2 += gap * gap
            row = row * sides[axis] + line[axis]
            known &= (line[axis] >= old_first[axis]) & (line[axis] <= old_last[axis])
        row = base + row * side
        rest2 = bound * 1.000004 - away2 * 0.99999
        reach = _reach_of(tl.maximum(rest2, 0.0))
        begin = tl.maximum(first[AXES - 1], cell_at(x - reach, low, inverse, count))
        end = tl.minimum(last[AXES - 1], cell_at(x + reach, low, inverse, count))
        near = going & (rest2 >= 0)
        before = tl.where(known, tl.minimum(end, old_first[AXES - 1] - 1), end)
        listed = _list(begin, before, near, row, start, runs, listed, LANES)
        known = known & near
        if _any(known):
            listed = _list(tl.maximum(begin, old_last[AXES - 1] + 1), end, known, row, start, runs, listed, LANES)
        ahead, over = (), going
        for axis in tl.static_range(AXES - 2, -1, -1):
            step = line[axis] + over.to(tl.int32)
            over = step > last[axis]
            ahead = (tl.where(over, first[axis], step),) + ahead
        line, going = ahead, going & ~over
    return line, going, listed


@triton.jit
def _list(begin, end, near, line, start, runs, listed, LANES: tl.constexpr):
    """Append the run of points in the cells from begin to end, if any."""
    near = near & (begin <= end)
    at = tl.load(start + line + begin, mask=near, other=0)
    stop = tl.load(start + line + end + 1, mask=near, other=0)
    near = at < stop
    tl.store(runs + listed * (2 * LANES), at, mask=near)
    tl.store(runs + listed * (2 * LANES) + LANES, stop, mask=near)
    return listed + near.to(tl.int32)


@triton.jit
def _look(
    at, end, query, own, bound, waiting, within, coordinates, held, lane, reach2,
    DIM: tl.constexpr, LANES: tl.constexpr, BATCH: tl.constexpr, WRAP: tl.constexpr, REACH: tl.constexpr,
):  # fmt: skip
    """Distances to the next points of each lane's run; those within the bound are put aside."""
    totals = ()
    for step in tl.static_range(BATCH):
        point = coordinates + (at + step).to(tl.int64)[:, None] * ((DIM + 3) // 4 * 4) + tl.arange(0, 4)[None, :]
        total = tl.zeros([LANES], tl.float32)
        for four in tl.static_range(0, DIM, 4):
            near = tl.load(point + four, mask=(at + step < end)[:, None])
            even, odd = tl.split(tl.reshape(near, [LANES, 2, 2]))
            parts = tl.split(even) + tl.split(odd)
            for axis in tl.static_range(four, min(four + 4, DIM)):
                other = parts[(axis - four) % 2 * 2 + (axis - four) // 2]
                total = add_square(total, query[axis], other, WRAP and axis == DIM - 1)
        totals = totals + (total,)
    for step in tl.static_range(BATCH):
        there = (at + step < end) & (at + step != own)
        if REACH:
            within += (there & (totals[step] <= reach2)).to(tl.int32)
        near = there & (totals[step] <= bound)
        tl.store(held + waiting * LANES + lane, near_key(totals[step], at + step), mask=near)
        waiting += near.to(tl.int32)
    return waiting, within


def variants() -> list[tuple[str, Any, dict[str, Any], dict[str, Any]]]:
    """What the compile gate compiles: (name, kernel, arguments, options)."""
    f32, i32, i64 = "*fp32", "*i32", "*i64"
    out = []
    for dim, k, reach2, own, wrap in [
        (3, 16, math.inf, True, False),
        (3, 64, math.inf, True, False),
        (2, 8, math.inf, False, True),
        (3, 32, 1.0, True, False),
        (8, 32, 1.0, True, False),
        (12, 32, 1.0, True, False),
    ]:
        constants, options = plan(dim, k, reach2, own, wrap)
        arguments = {
            "queries": f32, "query_offsets": i64, "order": i32, "offsets": i64, "layout": i32, "start": i32,
            "coordinates": f32, "rows": i32, "runs": i32, "boxes": i32, "held": i64,
            "index": i32, "distance2": f32, "truncated": "*i1",
            "visited": i32, "asked": "i32", "events": "i32", "steps": "i32", "reach2": "fp32",
        }  # fmt: skip
        out.append((f"walk d{dim} k{k}{' within reach' * (reach2 < math.inf)}", _walk, arguments | constants, options))
    return out + gpu_cells.variants()
