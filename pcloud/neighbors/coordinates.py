"""Coordinates made ready for a search: finite, float32, and without losing a digit to a far-away origin.

``ready(...)`` checks what came and names a bad row, or (unchecked) turns bad rows into NaN, which no path lets near.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pcloud import segments
from pcloud.neighbors.reference import TURN

LARGEST = 1e17  # a squared distance between larger coordinates could leave the range of float32


class Ready(NamedTuple):
    """points, and queries where they are their own, as float32; ``nonfinite`` [] int64 counts the rows set to NaN."""

    points: Tensor
    queries: Tensor | None
    nonfinite: Tensor


def ready(
    pos: Tensor, offsets: Tensor, query: Tensor | None, query_offsets: Tensor | None, *, wrap: bool, check: bool
) -> Ready:
    """The coordinates of a search.

    float64 is first moved to the middle of its event's points (half way between the extremes, which neither the order of
    points nor other events can change); an azimuth goes to [-pi, pi] instead. ValueError (``check``): a coordinate that is
    not finite or above 1e17, by its row; offsets that do not share out the rows.
    """
    exporting = torch.compiler.is_compiling() and torch.onnx.is_in_onnx_export()  # where a NaN is near nobody by itself
    if (check or exporting) and query is None and not wrap and pos.dtype == torch.float32:  # most searches, and the shortest ones
        if check:
            _check("pos", pos, offsets)
        return Ready(pos, None, torch.zeros((), dtype=torch.int64, device=pos.device))
    tables = [("pos", pos, offsets)]
    if query is not None and query_offsets is not None:
        tables.append(("query", query, query_offsets))
    nonfinite = torch.zeros((), dtype=torch.int64, device=pos.device)
    clean = []
    for name, given, rows in tables:
        table = given if given.dtype == torch.float64 else given.float()  # half precision has no 1e17 to compare with
        if check:
            _check(name, table, rows)
            clean.append(table)
        else:
            good = (table.abs() <= LARGEST).all(1)
            clean.append(torch.where(good[:, None], table, math.nan))
            nonfinite = nonfinite + (~good).sum()
    if any(table.dtype == torch.float64 for table in clean):
        clean = _centred(clean, [rows for _, _, rows in tables], wrap)
    single = [_turned(table).float() if wrap else table.float() for table in clean]
    return Ready(single[0], single[1] if len(single) > 1 else None, nonfinite)


def _check(name: str, table: Tensor, offsets: Tensor) -> None:
    if table.device.type == "cpu":  # a single jet waits for this
        flat, ends = table.detach().numpy().ravel(), offsets.numpy()
        ordered = ends[0] == 0 and ends[-1] == len(table) and (len(ends) == 2 or bool((ends[1:] >= ends[:-1]).all()))
        # Where the squares' sum is below the largest one's bound, so is each; NaN and overflow are not, and go the slow way.
        if ordered and np.vdot(flat, flat) <= LARGEST**2:
            return
    good = table.abs() <= LARGEST  # false for NaN
    steps = segments.lengths(offsets)
    in_order = (steps >= 0).all() & (offsets[:1] == 0).all() & (offsets[-1:] == len(table)).all()
    if bool(good.all() & in_order):  # one wait for the device
        return
    if not bool(in_order):
        raise ValueError(f"offsets of {name} run {_ends(offsets)} for {len(table)} rows; they must rise from 0 to that number")
    row = int((~good).any(1).nonzero()[0])
    raise ValueError(f"{name} row {row} is {table[row].tolist()}; neighbours need finite coordinates below {LARGEST:g}")


def _ends(offsets: Tensor) -> str:
    listed = offsets.tolist()
    return str(listed) if len(listed) < 8 else f"[{listed[0]}, {listed[1]}, ..., {listed[-1]}]"


def _centred(tables: list[Tensor], offsets: list[Tensor], wrap: bool) -> list[Tensor]:
    """In float64, each event's points and queries moved to the middle of its points."""
    wide = tables[0].detach().double()
    high, low = (segments.max(torch.where(wide.isnan(), -math.inf, sign * wide), offsets[0]) for sign in (1, -1))
    middle = torch.nan_to_num((high - low) / 2, nan=0.0, posinf=0.0, neginf=0.0)
    if wrap:
        middle[:, -1] = 0.0
    return [table.double() - middle[segments.event_of(rows, table.shape[0])] for table, rows in zip(tables, offsets, strict=True)]


def _turned(table: Tensor) -> Tensor:
    """The last axis, an azimuth, brought to [-pi, pi]; what is there already stays to the bit."""
    azimuth = table[:, -1:].double()
    turned = azimuth - 2 * math.pi * torch.round(azimuth / (2 * math.pi))
    inside = torch.where(azimuth.abs() <= TURN / 2, azimuth, turned)
    return torch.cat([table[:, :-1], inside.to(table.dtype)], 1)
