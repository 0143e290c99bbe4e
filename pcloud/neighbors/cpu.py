"""Nearest neighbours on the CPU by SciPy's k-d tree: one tree for a whole batch, exact to the reference's last bit.

Events are set so far apart along an extra axis that none can see another; near-ties are settled by the reference rule.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import reference

UNDERFLOW = 2e-19  # the squares of smaller distances are below the normal range of float32


def knn(
    pos: Tensor,
    offsets: Tensor,
    k: int,
    query: Tensor,
    query_offsets: Tensor,
    skip_self: bool,
    reach: float = math.inf,
) -> Tensor:
    """As :func:`pcloud.neighbors.reference.knn`.

    The tree sorts by exact distance, the reference by rounded distance and index. Where more than k points could be among
    the k nearest after rounding, the query is asked again for four times as many, until all that could be are seen.
    """
    out = torch.full((len(query), k), -1, dtype=torch.int64)
    if not len(pos) or not len(query):
        return out
    points, queries, span = _set_apart(pos, offsets, query, query_offsets)
    blur = (pos.shape[1] + 4) * 2.0**-23  # relative error that rounding can make between two distances
    bound = min(0.75 * span, reach * (1 + blur) + UNDERFLOW)
    names = _thin(points, k + 1)
    tree = cKDTree(points[names], balanced_tree=False, compact_nodes=False)
    rows, width, most = np.arange(len(queries)), k + 1, len(names) + 1  # a place beyond the last shows that all were seen
    while len(rows):
        ask = np.arange(1, min(width, most) + 1 + int(skip_self))
        found, place = tree.query(queries[rows], k=ask, distance_upper_bound=bound, workers=torch.get_num_threads())
        index = np.where(np.isfinite(found), names[np.minimum(place, len(names) - 1)], -1)
        if skip_self:
            found, index = _drop_self(found, index, rows)
        last, beyond = found[:, min(k, most) - 1], found[:, -1]
        unsure = np.isfinite(beyond) & (beyond <= last * (1 + blur) + UNDERFLOW)
        settled = rows[~unsure]
        out[settled, : index.shape[1]] = _in_order(index[~unsure], pos, query[settled])[:, :k]
        rows, width = rows[unsure], 4 * width
    return out


def _set_apart(
    pos: Tensor, offsets: Tensor, query: Tensor, query_offsets: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Points and queries with the event as a far-apart extra axis, and how far apart: over twice any event's extent."""
    both = torch.cat([pos, query]).double().numpy()
    span = 2.0 * float(np.linalg.norm(both.max(0) - both.min(0))) + 1.0
    owner = torch.cat([segments.event_of(offsets), segments.event_of(query_offsets)]).double().numpy()
    wide = np.column_stack([both, owner * span])
    return wide[: len(pos)], wide[len(pos) :], span


def _thin(points: NDArray[np.float64], copies: int) -> NDArray[np.int64]:
    """Rows of the points without those that have ``copies`` twins of lower index, for no answer holds them.

    Else a crowd of points in one place (dead channels, padded features) would be gone through in full by each of its own.
    """
    key = sum(column * (1 + axis * math.pi) for axis, column in enumerate(points.T))  # equal for twins, seldom else
    _, group, counts = np.unique(key, return_inverse=True, return_counts=True)
    crowd = np.flatnonzero(counts[group] > copies)
    if not len(crowd):
        return np.arange(len(points))
    _, group, counts = np.unique(points[crowd], axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    rank = np.arange(len(crowd)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.delete(np.arange(len(points)), crowd[order[rank >= copies]])


def _drop_self(
    found: NDArray[np.float64], index: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Take each query's own row out; where coincident points crowded it out, take the last column instead."""
    own = index == rows[:, None]
    own[~own.any(1), -1] = True
    shape = (len(index), index.shape[1] - 1)
    return found[~own].reshape(shape), index[~own].reshape(shape)


def _in_order(index: NDArray[np.int64], pos: Tensor, query: Tensor) -> Tensor:
    """Sort each row by (float32 squared distance, index), missing last."""
    table = torch.from_numpy(index).sort(dim=1).values
    distance = reference.squared_distance(query[:, None], pos[table.clamp(min=0)]).masked_fill(table < 0, torch.inf)
    return table.gather(1, distance.sort(dim=1, stable=True).indices)
