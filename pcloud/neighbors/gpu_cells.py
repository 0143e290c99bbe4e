"""Points put in the order of a grid's cells, on the GPU and without a word to the host: what :mod:`gpu_grid` walks.

``lay_out(...)`` gives every event a grid of its own, ``sort(...)`` orders points or queries by their cells.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

SAMPLE = 8192  # coordinates by which an event's grid is laid out
ROOM = tl.constexpr(2)  # cells that the table has for each point
SPARE = tl.constexpr(8)  # and for each event; the last of an event's is for rows that are nobody's neighbour
BLOCK = 512  # rows that a program counts or moves
CUTS = tl.constexpr(4)  # times that outliers are cut off


class Sorted(NamedTuple):
    """rows [rows] int32, by their cells; start [cells + 1] int32, the first of each cell; coordinates [rows, dim up to a
    multiple of 4] float32, likewise."""

    rows: Tensor
    start: Tensor
    coordinates: Tensor


def lay_out(points: Tensor, offsets: Tensor, axes: int, *, reach: float, crowd: float, wrap: bool) -> Tensor:
    """Grids over the ``axes`` axes on which the points of an event are spread most; the azimuth is left out.

    Cells are as wide as ``reach``, but no event gets more than ``ROOM`` a point, nor fewer than one for ``crowd`` points. The
    outermost cells go on for ever. An event's cells are counted along its axes in turn, the last one running fastest.

    Returns [events, axes, 4] int32: the axis; how many cells there are along it; the bits of two float32, which are where the
    first cell begins and how many there are to a unit of length.
    """
    (count, dim), events = points.shape, len(offsets) - 1
    assert count < 1 << 29, "cells are counted in int32"
    layout = torch.empty((events, axes, 4), dtype=torch.int32, device=points.device)
    constants, options = plan(dim, axes, wrap)
    _lay_out[(events,)](points, offsets, layout, reach, crowd, **constants, **options)
    return layout


def sort(rows: Tensor, row_offsets: Tensor, offsets: Tensor, points: int, layout: Tensor) -> Sorted:
    """Order ``rows`` [rows, dim] by the cells laid out for events with ``offsets``: count, add up, move.

    Rows of one cell come in any order. A row with a number that is not finite goes to a cell which nobody visits.
    """
    count, dim = rows.shape
    events, axes = layout.shape[:2]
    start = torch.zeros(ROOM.value * points + SPARE.value * events + 1, dtype=torch.int32, device=rows.device)
    cell, rank, order = (torch.empty(count, dtype=torch.int32, device=rows.device) for _ in range(3))
    coordinates = torch.empty((count, -(-dim // 4) * 4), dtype=torch.float32, device=rows.device)
    grid, constants = (triton.cdiv(count, BLOCK),), {"DIM": dim, "BLOCK": BLOCK}
    _count[grid](
        rows, row_offsets, offsets, layout, start, cell, rank, count, events, steps(events), AXES=axes, **constants, **MOVE
    )
    start.cumsum_(0)
    _move[grid](rows, cell, rank, start, order, coordinates, count, **constants, **MOVE)
    return Sorted(order, start, coordinates)


def steps(events: int) -> int:
    """Halvings after which one event of so many is left."""
    return max(events - 1, 0).bit_length()


MOVE = {"num_warps": 4, "enable_fp_fusion": False}


def plan(dim: int, axes: int, wrap: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Constants and options of the kernel that lays out."""
    wide = triton.next_power_of_2(dim)
    constants = {"DIM": dim, "FREE": dim - wrap, "WIDE": wide, "AXES": axes, "SLOTS": triton.next_power_of_2(axes)}
    return constants | {"SAMPLE": SAMPLE // max(wide, 4)}, {"num_warps": 8, "enable_fp_fusion": False}


@triton.jit
def event_of(offsets, row, events, steps):
    """The event that holds the row."""
    first, last = row * 0, row * 0 + events - 1
    for _ in range(steps):
        middle = (first + last) // 2
        beyond = tl.load(offsets + middle + 1) <= row
        first, last = tl.where(beyond, middle + 1, first), tl.where(beyond, last, middle)
    return first


@triton.jit
def cells_before(offsets, event):
    """Where an event's part of the table begins."""
    return (tl.load(offsets + event) * ROOM + event * SPARE).to(tl.int32)


@triton.jit
def laid_out(layout, axis: tl.constexpr):
    """Of an event's layout, one axis: its name, the number of cells, where they begin, how many there are to a unit of length."""
    low, inverse = tl.load(layout + 4 * axis + 2), tl.load(layout + 4 * axis + 3)
    low, inverse = low.to(tl.float32, bitcast=True), inverse.to(tl.float32, bitcast=True)
    return tl.load(layout + 4 * axis), tl.load(layout + 4 * axis + 1), low, inverse


@triton.jit
def cell_at(x, low, inverse, side):
    """The cell along one axis. It never falls where x rises, in whatever way it rounds: an interval of x is a range of cells."""
    at = (x - low) * inverse
    at = tl.where(at > 0, at, 0.0)
    return tl.where(at < side, at, side - 1).to(tl.int32)


@triton.jit(do_not_specialize=["count", "events", "steps"])
def _count(
    rows, row_offsets, offsets, layout, table, cell, rank, count, events, steps,
    DIM: tl.constexpr, AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The cell of every row, its rank there, and how many rows each cell holds."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = row < count
    row = tl.where(real, row, 0)
    at = rows + row.to(tl.int64) * DIM
    finite = real
    for axis in tl.static_range(DIM):
        finite &= tl.abs(tl.load(at + axis)) < float("inf")
    event = event_of(row_offsets, row, events, steps)
    place = tl.zeros([BLOCK], tl.int32)
    for axis in tl.static_range(AXES):
        name, side, low, inverse = laid_out(layout + event * (4 * AXES), axis)
        place = place * side + cell_at(tl.load(at + name), low, inverse, side.to(tl.float32))
    place = tl.where(finite, cells_before(offsets, event) + place, cells_before(offsets, event + 1) - 1)
    tl.store(cell + row, place, mask=real)
    tl.store(rank + row, tl.atomic_add(table + place + 1, 1, mask=real, sem="relaxed"), mask=real)


@triton.jit(do_not_specialize=["count"])
def _move(rows, cell, rank, start, order, coordinates, count, DIM: tl.constexpr, BLOCK: tl.constexpr):
    """Every row to its place."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = row < count
    place = tl.load(start + tl.load(cell + row, mask=real, other=0), mask=real, other=0) + tl.load(rank + row, mask=real, other=0)
    tl.store(order + place, row, mask=real)
    for four in tl.static_range(0, DIM, 4):
        axis = four + tl.arange(0, 4)[None, :]
        x = tl.load(rows + row.to(tl.int64)[:, None] * DIM + axis, mask=real[:, None] & (axis < DIM), other=0.0)
        tl.store(coordinates + place.to(tl.int64)[:, None] * ((DIM + 3) // 4 * 4) + axis, x, mask=real[:, None])


@triton.jit
def _lay_out(
    points, offsets, layout, reach, crowd,
    DIM: tl.constexpr, FREE: tl.constexpr, WIDE: tl.constexpr, AXES: tl.constexpr, SLOTS: tl.constexpr, SAMPLE: tl.constexpr,
):  # fmt: skip
    """The grid of one event, from a sample of it. Whatever comes out is right; how wide the cells are decides the speed alone."""
    event = tl.program_id(0)
    low = tl.load(offsets + event)
    count = tl.load(offsets + event + 1) - low
    axis = tl.arange(0, WIDE)
    begin, length, spread = _extent(points + low * DIM, count, axis, DIM, FREE, SAMPLE)
    slot = tl.arange(0, SLOTS)
    name, lows, lengths = tl.zeros([SLOTS], tl.int32), tl.zeros([SLOTS], tl.float32), tl.zeros([SLOTS], tl.float32)
    for chosen in tl.static_range(AXES):
        widest = tl.min(tl.where(spread == tl.max(spread, 0), axis, WIDE), 0)
        mine = axis == widest
        name = tl.where(slot == chosen, widest, name)
        lows = tl.where(slot == chosen, tl.sum(tl.where(mine, begin, 0.0), 0), lows)
        lengths = tl.where(slot == chosen, tl.sum(tl.where(mine, length, 0.0), 0), lengths)
        spread = tl.where(mine, -2.0, spread)
    room = tl.maximum(count * ROOM, 1)
    fine = _width(lengths, room.to(tl.float32), AXES)
    coarse = _width(lengths, tl.minimum(tl.maximum(count / crowd, 1.0), room.to(tl.float32)), AXES)
    width = tl.minimum(tl.maximum(reach, fine), coarse)
    divided = (lengths >= width) & (lengths > 0)
    side = tl.where(divided, tl.minimum(lengths / tl.where(divided, width, 1.0), 4194304.0), 1.0).to(tl.int32)
    cells = tl.full([], 1, tl.int64)
    for chosen in tl.static_range(AXES):
        cells = tl.minimum(cells * tl.sum(tl.where(slot == chosen, side, 0), 0), 1 << 40)
    side = tl.where(cells < room + SPARE - 1, side, 1)  # rounding alone could break it
    inverse = tl.where(lengths > 0, side / tl.where(lengths > 0, lengths, 1.0), 0.0)
    real = slot < AXES
    layout += (event * AXES + slot) * 4
    tl.store(layout, name, mask=real)
    tl.store(layout + 1, side, mask=real)
    tl.store(layout + 2, lows.to(tl.int32, bitcast=True), mask=real)
    tl.store(layout + 3, inverse.to(tl.int32, bitcast=True), mask=real)


@triton.jit
def _extent(points, count, axis, DIM: tl.constexpr, FREE: tl.constexpr, SAMPLE: tl.constexpr):
    """Along each axis: where most points begin, over what length they lie, and their spread, -1 where that is no number to use.

    What is more than three spreads from the middle is cut off, again and again, so that a stray point widens no cell.
    """
    taken = tl.minimum(count, SAMPLE)
    draw = tl.arange(0, SAMPLE)
    row = draw.to(tl.int64) * count // tl.maximum(taken, 1)
    real = (draw < taken)[:, None] & (axis < FREE)[None, :]
    x = tl.load(points + row[:, None] * DIM + axis[None, :], mask=real, other=float("nan"))
    finite = tl.abs(x) < float("inf")
    least = tl.min(tl.where(finite, x, float("inf")), 0)
    x = tl.where(finite, x - least[None, :], 0.0)  # far from the origin, squares would lose the spread
    first, last = least * 0, tl.max(x, 0)
    spread = first
    for _ in tl.static_range(CUTS):
        inside = finite & (x >= first[None, :]) & (x <= last[None, :])
        number = tl.maximum(tl.sum(inside.to(tl.float32), 0), 1.0)
        middle = tl.sum(tl.where(inside, x, 0.0), 0) / number
        away = tl.where(inside, x - middle[None, :], 0.0)
        spread = tl.sqrt(tl.sum(away * away, 0) / number)
        first, last = tl.maximum(first, middle - 3 * spread), tl.minimum(last, middle + 3 * spread)
    length = last - first
    usable = (length > 1e-30) & (length < 1e30) & (spread < 1e30)
    return least + first, tl.where(usable, length, 0.0), tl.where(usable, spread, tl.where(axis < FREE, -1.0, -3.0))


@triton.jit
def _width(lengths, cells, AXES: tl.constexpr):
    """The width of that many cells, as wide as high, over the given lengths, of which those shorter than it are not divided."""
    width = tl.zeros([], tl.float32)
    divided = lengths > 0
    for _ in tl.static_range(AXES):
        logs = tl.sum(tl.where(divided, tl.log2(tl.where(divided, lengths, 1.0)), 0.0), 0)
        number = tl.maximum(tl.sum(divided.to(tl.float32), 0), 1.0)
        width = tl.exp2((logs - tl.log2(cells)) / number)
        divided &= (lengths >= width) | (lengths == tl.max(lengths, 0))
    return width


def variants() -> list[tuple[str, Any, dict[str, Any], dict[str, Any]]]:
    """What the compile gate compiles: (name, kernel, arguments, options)."""
    f32, i32, i64 = "*fp32", "*i32", "*i64"
    out: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = []
    for dim, axes in [(3, 3), (12, 5), (32, 5)]:
        constants, options = plan(dim, axes, False)
        laid = {"points": f32, "offsets": i64, "layout": i32, "reach": "fp32", "crowd": "fp32"}
        out.append((f"lay out d{dim}", _lay_out, laid | constants, options))
    counted = {"rows": f32, "row_offsets": i64, "offsets": i64, "layout": i32, "table": i32, "cell": i32, "rank": i32}
    sizes = {"count": "i32", "events": "i32", "steps": "i32"}
    out.append(("count", _count, counted | sizes | {"DIM": 12, "AXES": 5, "BLOCK": BLOCK}, MOVE))
    moved = {"rows": f32, "cell": i32, "rank": i32, "start": i32, "order": i32, "coordinates": f32, "count": "i32"}
    out.append(("move", _move, moved | {"DIM": 12, "BLOCK": BLOCK}, MOVE))
    return out
