"""The cheapest one-to-one pairing of many small sets at once on a GPU: one program for each event, as exact as SciPy's.

``matching(cost, rows, columns) -> partner``. Compiled by Triton at first use; tests run it in Triton's interpreter.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST = 2048  # points of the larger set of an event that one program holds


def matching(cost: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Partner of each row: [events, n], a column, or -1 where a row stays alone, which min(rows, columns) of an event do not.

    cost [events, n, m], of float64; rows, columns [events]: how many of the n and m are there, from the first on. Shortest
    augmenting paths with prices (Jonker and Volgenant, Computing 38, 1987, 325), in float64 and in a fixed order: no tolerance,
    the same answer each time. Cost: N^3 at worst, in an event's own program; ValueError: an event wider than 2,048.
    """
    events, n, m = cost.shape
    wide = max(n, m, 1)
    if wide > MOST:
        raise ValueError(f"a set of {wide} points came; this kernel holds {MOST} at most")
    partner = torch.full((events, n), -1, dtype=torch.int64, device=cost.device)
    if events and n and m:
        constants, options = plan(wide)
        _matching[(events,)](cost.contiguous(), rows, columns, partner, n, m, **constants, **options)
    return partner


def plan(wide: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The kernel's constants and launch options: some four columns a lane up to 512, and never so many that registers spill."""
    width = max(triton.next_power_of_2(wide), 32)
    return {"WIDE": width}, {"num_warps": min(max(width // 128, 1), 8), "enable_fp_fusion": False}


@triton.jit
def _matching(cost, rows, columns, partner, n, m, WIDE: tl.constexpr):
    """Rows of the smaller set join one by one, each by the cheapest path of exchanges to a column that is free.

    Each lane has some columns, and of each: its price, the row that it belongs to, how far it is from the row that joins, and
    the row from which it was reached. Where the rows are more than the columns, both change places.
    """
    event = tl.program_id(0).to(tl.int64)
    row_count = tl.load(rows + event).to(tl.int32)
    column_count = tl.load(columns + event).to(tl.int32)
    swap = row_count > column_count
    few, many = tl.minimum(row_count, column_count), tl.maximum(row_count, column_count)
    row_step, step = tl.where(swap, 1, m), tl.where(swap, m, 1)
    column = tl.arange(0, WIDE)
    there = column < many
    at_column = cost + event * n * m + column * step
    price = tl.zeros([WIDE], tl.float64)
    owner = tl.full([WIDE], -1, tl.int32)
    for joining in range(few):
        far = tl.load(at_column + joining * row_step, there, other=float("inf")) - price
        back = tl.zeros([WIDE], tl.int32) + joining
        closed = column >= many
        reach = tl.min(far, 0)
        end = -1
        while end < 0:
            ahead = tl.where(closed, float("inf"), far)
            reach = tl.min(ahead, 0)
            nearest = tl.argmin(ahead, 0, tie_break_left=True)
            here = column == nearest
            closed = closed | here
            row = tl.max(tl.where(here, owner, -1), 0)
            end = tl.where(row < 0, nearest, -1)
            taken = tl.where(there, row, -1) >= 0
            onward = tl.load(at_column + row * row_step, taken, other=float("inf")) - price
            onward += reach - tl.min(tl.where(here & taken, onward, float("inf")), 0)
            better = (onward < far) & (closed == 0)
            far = tl.where(better, onward, far)
            back = tl.where(better, row, back)
        price += tl.where(closed & there, far - reach, 0.0)
        while end >= 0:
            row = tl.max(tl.where(column == end, back, -1), 0)
            before = tl.max(tl.where(owner == row, column, -1), 0)
            owner = tl.where(column == end, row, owner)
            end = before
    place = tl.where(swap, column, owner)
    tl.store(partner + event * n + place, tl.where(swap, owner, column).to(tl.int64), there & (owner >= 0))


def variants() -> list[tuple[str, Any, dict[str, Any], dict[str, Any]]]:
    """What the compile gate compiles: (name, kernel, arguments, options)."""
    out = []
    for wide in (30, 64, 128, 300, MOST):
        constants, options = plan(wide)
        arguments = {"cost": "*fp64", "rows": "*i64", "columns": "*i64", "partner": "*i64", "n": "i32", "m": "i32"}
        out.append((f"matching of {wide}", _matching, arguments | constants, options))
    return out
