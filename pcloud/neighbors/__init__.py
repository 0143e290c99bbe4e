"""Who is near whom, inside an event: one door for every neighbour search, exact and the same on every device.

``knn(pos, offsets, k)`` and ``radius(pos, offsets, r, k_max=...)`` give a dense :class:`Neighbors` table.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import reference
from pcloud.neighbors.table import Neighbors, rows_at

__all__ = ["Neighbors", "knn", "radius"]

LARGEST = 1e17  # a squared distance between larger coordinates could leave the range of float32


@torch.compiler.disable  # type: ignore[untyped-decorator]
def knn(
    pos: Tensor,
    offsets: Tensor,
    k: int,
    *,
    r_max: float | None = None,
    query: Tensor | None = None,
    query_offsets: Tensor | None = None,
    loop: bool = False,
) -> Neighbors:
    """The nearest ``k`` points of each query inside its event, within ``r_max`` (inclusive) where given.

    pos [points, dim] float; offsets [events + 1] int64; query [queries, dim] with its own offsets, by default the points
    themselves, which then are not their own neighbours unless ``loop``. Distances are differentiable, indices are not.
    They are taken in float32; float64 coordinates are first moved to the middle of their event, so that no digit is lost
    to a far-away origin. Raises ValueError on a coordinate that is not finite or above 1e17, naming its row.
    """
    if k < 1:
        raise ValueError(f"k = {k} came; at least 1 was expected")
    if r_max is not None and not r_max >= 0:
        raise ValueError(f"a radius of {r_max} came; 0 or more was expected")
    if (query is None) != (query_offsets is None):
        raise ValueError("query and query_offsets belong together; give both or neither")
    skip_self = query is None and not loop
    _check("pos", pos, offsets, pos, offsets)
    points = queries = _float32(pos, offsets, pos, offsets)
    if query is None or query_offsets is None:
        query_offsets = offsets
    else:
        _check("query", query, query_offsets, pos, offsets)
        queries = _float32(query, query_offsets, pos, offsets)
    search = _search(points)
    with torch.no_grad():
        index = search(points, offsets, k, queries, query_offsets, skip_self, math.inf if r_max is None else r_max)
    distance2 = reference.squared_distance(queries[:, None], rows_at(points, index)).masked_fill(index < 0, torch.inf)
    if r_max is not None:  # squared in float32, as distances are: a point just r_max away along an axis is inside
        index = index.masked_fill(distance2 > float(np.float32(r_max) ** 2), -1)
        distance2 = distance2.masked_fill(index < 0, torch.inf)
    return Neighbors(index, distance2)


def radius(
    pos: Tensor,
    offsets: Tensor,
    r: float,
    *,
    k_max: int,
    query: Tensor | None = None,
    query_offsets: Tensor | None = None,
    loop: bool = False,
) -> Neighbors:
    """All points within distance ``r`` (inclusive); where there are more than ``k_max``, the nearest ``k_max``."""
    found: Neighbors = knn(pos, offsets, k_max, r_max=r, query=query, query_offsets=query_offsets, loop=loop)
    return found


Search = Callable[[Tensor, Tensor, int, Tensor, Tensor, bool, float], Tensor]


def _search(pos: Tensor) -> Search:
    """The fast path for this device: SciPy's tree on the CPU, the reference elsewhere."""
    if pos.device.type == "cpu":
        from pcloud.neighbors import cpu

        return cpu.knn
    return reference.knn


def _check(name: str, table: Tensor, table_offsets: Tensor, pos: Tensor, offsets: Tensor) -> None:
    if table.dim() != 2 or table.shape[1:] != pos.shape[1:] or len(table_offsets) != len(offsets):
        came, expected = (f"{list(t.shape)} in {len(o) - 1} events" for t, o in ((table, table_offsets), (pos, offsets)))
        raise ValueError(f"{name} {came} came for pos {expected}; dimensions and numbers of events must agree")
    good = table.abs() <= LARGEST  # false for NaN
    if not bool(good.all()):
        row = int((~good).any(1).nonzero()[0])
        raise ValueError(f"{name} row {row} is {table[row].tolist()}; neighbours need finite coordinates below {LARGEST:g}")


def _float32(table: Tensor, table_offsets: Tensor, pos: Tensor, offsets: Tensor) -> Tensor:
    """The coordinates as float32: what has more digits than that is first moved to the middle of its event's points.

    The middle is half way between the extremes, which neither the order of points nor other events can change.
    """
    if table.dtype != torch.float64 and pos.dtype != torch.float64:
        return table.float()
    with torch.no_grad():
        wide = pos.double()
        middle = (segments.max(wide, offsets) - segments.max(-wide, offsets)) / 2
    return (table.double() - middle[segments.event_of(table_offsets, len(table))]).float()
