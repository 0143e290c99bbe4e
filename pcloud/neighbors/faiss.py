"""Faiss as a path of its own, where installed: ``knn(..., path="faiss")``, made exact by asking for more and looking again.

It finds candidates by |q|^2 + |p|^2 - 2 q p, whose rounding is bounded; where that bound leaves a doubt, the reference answers.
"""

from __future__ import annotations

import importlib
import math

import torch
from torch import Tensor

from pcloud.neighbors import reference
from pcloud.neighbors.search import Found, Search

SPARE = 16  # candidates beyond k, so that few queries stay in doubt
MOST = 2048  # the most neighbours faiss gives on a GPU


def search(asked: Search) -> Found:
    """As :func:`pcloud.neighbors.reference.search`; waits for the device, as faiss knows no ragged batches.

    ValueError: faiss is not installed or lacks this device, the cylinder was asked for, or k is beyond what faiss gives.
    """
    if asked.wrap:
        raise ValueError("path 'faiss' knows no cylinder; leave the path out")
    if asked.k + SPARE + 2 > MOST:
        raise ValueError(f"k = {asked.k} came; path 'faiss' gives {MOST - SPARE - 2} at most; leave the path out")
    out = Found.nothing(asked)
    bounds, query_bounds = asked.offsets.tolist(), asked.query_offsets.tolist()
    for event in range(len(bounds) - 1):
        points = torch.arange(bounds[event], bounds[event + 1], device=asked.points.device)
        queries = torch.arange(query_bounds[event], query_bounds[event + 1], device=asked.points.device)
        points = points[~asked.points[points].isnan().any(1)]
        queries = queries[~asked.queries[queries].isnan().any(1)]
        if len(points) and len(queries):
            _event(out, asked, points, queries)
    return out


def _event(out: Found, asked: Search, points: Tensor, queries: Tensor) -> None:
    """Answer the queries (rows) of one event from its points (rows)."""
    own, others = asked.points[points], asked.queries[queries]
    middle = (own.amax(0) + own.amin(0)) / 2
    width = min(asked.k + SPARE + 2, len(points))
    near, far = own - middle, others - middle
    rough, place = _knn(far, near, width)
    index = points[place.clamp(min=0)]
    exact = reference.squared_distance(others[:, None], asked.points[index])
    left_out = (place < 0) | ~(exact <= asked.reach2)
    if asked.skip_self:
        left_out |= index == queries[:, None]
    exact, index = exact.masked_fill(left_out, math.inf), index.masked_fill(left_out, len(asked.points))
    by_row = index.argsort(dim=1)
    order = by_row.gather(1, exact.gather(1, by_row).sort(dim=1, stable=True).indices)
    exact, index = exact.gather(1, order), index.gather(1, order)
    k = min(asked.k, width)
    # What faiss left out is not nearer than its last, but for rounding: of the centred coordinates, and of 2 dim + 4 sums.
    size = far.square().sum(1) + near.square().sum(1).max()
    doubt = (4 * own.shape[1] + 16) * 2.0**-23 * size
    last = exact[:, min(k, width - 1)].clamp(max=asked.reach2)  # one place beyond, to tell whether there are more
    sure = (width == len(points)) | (rough[:, -1] - doubt > last)
    rows = queries[sure]
    found = exact[sure, :k] < math.inf
    out.index[rows, :k] = torch.where(found, index[sure, :k], -1).int()
    out.distance2[rows, :k] = exact[sure, :k]
    if asked.reach2 < math.inf and width > k:
        out.truncated[rows] = exact[sure, k] < math.inf
    if not bool(sure.all()):
        _ask_again(out, asked, points, queries[~sure])


def _ask_again(out: Found, asked: Search, points: Tensor, queries: Tensor) -> None:
    """The reference's answer to the queries that faiss left in doubt; one neighbour more, for a query may find itself."""
    ends = (torch.tensor([0, len(rows)], device=points.device) for rows in (points, queries))
    again = Search(asked.points[points], next(ends), asked.queries[queries], next(ends), asked.k + 1, asked.reach2)
    found = reference.search(again)
    index = torch.where(found.index < 0, -1, points[found.index.clamp(min=0)])
    stays = torch.ones_like(index, dtype=torch.bool)
    if asked.skip_self:
        stays = index != queries[:, None]
    order = (~stays).int().sort(dim=1, stable=True).indices
    index, distance2 = index.gather(1, order), found.distance2.gather(1, order)
    removed = ~stays.all(1)
    out.index[queries], out.distance2[queries] = index[:, : asked.k].int(), distance2[:, : asked.k]
    if asked.reach2 < math.inf:
        out.truncated[queries] = torch.where(removed, found.truncated, distance2[:, asked.k] < math.inf)


def _knn(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Faiss's own search: rough squared distances [queries, k] and places among the points, -1 where there are none."""
    try:
        faiss = importlib.import_module("faiss")
    except ImportError:
        raise ValueError("path 'faiss' came, but faiss is not installed; leave the path out, or install faiss-cpu") from None
    if queries.is_cuda:
        if not hasattr(faiss, "StandardGpuResources"):
            raise ValueError("path 'faiss' came for a GPU, but the faiss installed has no GPU part; leave the path out")
        importlib.import_module("faiss.contrib.torch_utils")
        found: tuple[Tensor, Tensor] = faiss.knn_gpu(faiss.StandardGpuResources(), queries.contiguous(), points.contiguous(), k)
        return found
    rough, place = faiss.knn(queries.contiguous().numpy(), points.contiguous().numpy(), k)
    return torch.from_numpy(rough), torch.from_numpy(place)
