"""Who is near whom, inside an event: one door for every neighbour search, exact and the same on every device.

``knn(pos, offsets, k)`` and ``radius(pos, offsets, r, k_max=...)`` give a dense :class:`Neighbors` table.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import operator, paths
from pcloud.neighbors.coordinates import ready
from pcloud.neighbors.graphs import knn_graph, radius_graph
from pcloud.neighbors.search import Search
from pcloud.neighbors.table import Neighbors

__all__ = ["Neighbors", "knn", "knn_graph", "radius", "radius_graph"]

METRICS = ("euclidean", "cylinder")
FARTHEST = 1e19  # as a radius no bound for any coordinate allowed, and its square is still a finite float32


def knn(
    pos: Tensor,
    offsets: Tensor,
    k: int,
    *,
    r_max: float | None = None,
    query: Tensor | None = None,
    query_offsets: Tensor | None = None,
    loop: bool = False,
    metric: str = "euclidean",
    check: bool = True,
    max_points: int | None = None,
    path: str | None = None,
    explain: bool = False,
) -> Neighbors:
    """The nearest ``k`` points of each query inside its event, within ``r_max`` (inclusive) where given.

    pos [points, dim] float; offsets [events + 1] int64; query [queries, dim] with its own offsets, by default the points
    themselves, which then are not their own neighbours unless ``loop``. Distances are differentiable, indices are not.
    They are taken in float32; float64 coordinates are first moved to the middle of their event, so that no digit is lost
    to a far-away origin.

    metric      "euclidean", or "cylinder": the last coordinate is an azimuth in rad, (eta, phi), and its seam is none
    check       ValueError on a coordinate that is not finite or above 1e17, naming its row. Without it, and always while
                being compiled or captured, nothing waits for the device: such rows have and are no neighbours and are counted
    max_points  most points in one event, where the caller knows it (``PointCloud.max_points``; -1: unknown): saves asking a GPU
    path        the code to use, by the name that ``explain`` shows; by default the fastest for what came
    explain     say in ``Neighbors.path`` which code answers and why
    """
    _sensible(pos, offsets, k, r_max, query, query_offsets, metric)
    wrap, queryless = metric == "cylinder", query is None
    traced = torch.compiler.is_compiling() or (pos.is_cuda and torch.cuda.is_current_stream_capturing())
    check = check and not traced
    reach2 = math.inf if r_max is None else float(np.float32(min(r_max, FARTHEST)) * np.float32(min(r_max, FARTHEST)))
    skip_self = queryless and not loop
    if check and queryless and not wrap and not explain and path is None and paths.short(pos):
        quick = paths.at_once(pos, offsets, k, reach2, skip_self)
        if quick is not None:
            return Neighbors(*quick, torch.zeros((), dtype=torch.int64, device=pos.device))
    points, queries, nonfinite = ready(pos, offsets, query, query_offsets, wrap=wrap, check=check)
    max_points = None if max_points is None or max_points < 0 else max_points
    if max_points is None and check and pos.is_cuda and offsets.shape[0] > 1:
        max_points = int(segments.lengths(offsets).max())
    if torch.onnx.is_in_onnx_export():
        found = operator.decomposed(points, offsets, queries, query_offsets, k, reach2, skip_self, wrap)
    else:
        found = operator.knn(points, offsets, queries, query_offsets, k, reach2, skip_self, wrap, max_points, path)
    why = ""
    if explain:
        asked = Search(points, offsets, points if queries is None else queries, offsets, k, reach2, skip_self, wrap, max_points)
        why = f"{path}: asked for" if path else ": ".join(paths.choose(asked))
    return Neighbors(*found, nonfinite, why)


def radius(
    pos: Tensor,
    offsets: Tensor,
    r: float,
    *,
    k_max: int,
    query: Tensor | None = None,
    query_offsets: Tensor | None = None,
    loop: bool = False,
    metric: str = "euclidean",
    check: bool = True,
    max_points: int | None = None,
    path: str | None = None,
    explain: bool = False,
) -> Neighbors:
    """All points within distance ``r`` (inclusive); where there are more than ``k_max``, the nearest ``k_max``.

    ``Neighbors.truncated`` tells which queries had more. Everything else as :func:`knn`.
    """
    return knn(
        pos,
        offsets,
        k_max,
        r_max=r,
        query=query,
        query_offsets=query_offsets,
        loop=loop,
        metric=metric,
        check=check,
        max_points=max_points,
        path=path,
        explain=explain,
    )


def _sensible(
    pos: Tensor,
    offsets: Tensor,
    k: int,
    r_max: float | None,
    query: Tensor | None,
    query_offsets: Tensor | None,
    metric: str,
) -> None:
    """ValueError on what can be told from shapes and numbers on the host."""
    if k < 1:
        raise ValueError(f"k = {k} came; at least 1 was expected")
    if r_max is not None and not r_max >= 0:
        raise ValueError(f"a radius of {r_max} came; 0 or more was expected")
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} came; {' or '.join(METRICS)} was expected")
    if (query is None) != (query_offsets is None):
        raise ValueError("query and query_offsets belong together; give both or neither")
    if pos.dim() != 2 or pos.shape[1] < 1 or not pos.is_floating_point():
        raise ValueError(f"pos {list(pos.shape)} of {pos.dtype} came; floating-point coordinates [points, dim] were expected")
    for name, rows in (("offsets", offsets), ("query_offsets", query_offsets)):
        if rows is not None and (rows.dim() != 1 or rows.shape[0] < 1 or rows.dtype != torch.int64):
            raise ValueError(f"{name} {list(rows.shape)} of {rows.dtype} came; int64 [events + 1] was expected")
    if query is None or query_offsets is None:
        return
    if query.dim() != 2 or query.shape[1:] != pos.shape[1:] or query_offsets.shape[0] != offsets.shape[0]:
        came, expected = (f"{list(t.shape)} in {len(o) - 1} events" for t, o in ((query, query_offsets), (pos, offsets)))
        raise ValueError(f"query {came} came for pos {expected}; dimensions and numbers of events must agree")
