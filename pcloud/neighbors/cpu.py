"""Nearest neighbours on the CPU by SciPy's k-d tree: one tree for a whole batch, exact to the reference's last bit.

Events are set so far apart along an extra axis that none can see another; near-ties are settled by the reference rule.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import reference

# Two float64 distances closer than this may change order, or tie, once they are rounded to float32 differences.
NEAR_TIE = 4e-6


def knn(pos: Tensor, offsets: Tensor, k: int, query: Tensor, query_offsets: Tensor, skip_self: bool) -> Tensor:
    """As :func:`pcloud.neighbors.reference.knn`."""
    width = k + 1 + int(skip_self)  # one more than asked, to see a tie at the k-th place
    if not len(pos) or not len(query):
        return torch.full((len(query), k), -1, dtype=torch.int64)
    points, queries, span = _set_apart(pos, offsets, query, query_offsets)
    found, index = cKDTree(points, balanced_tree=False, compact_nodes=False).query(
        queries, k=np.arange(1, width + 1), distance_upper_bound=0.75 * span, workers=torch.get_num_threads()
    )
    index = np.where(np.isfinite(found), index, -1)
    if skip_self:
        found, index = _drop_self(found, index)
    sure = ~(found[:, k] <= found[:, k - 1] * (1 + NEAR_TIE) + 1e-30)
    out = _in_order(torch.from_numpy(index[:, :k]), pos, query)
    for row in np.flatnonzero(~sure & (index[:, k] >= 0)).tolist():
        event = int(torch.searchsorted(query_offsets, row, right=True)) - 1
        low, high = int(offsets[event]), int(offsets[event + 1])
        out[row] = reference.nearest(pos[low:high], query[row : row + 1], k, low, row if skip_self else None)[0]
    return out


def _set_apart(pos: Tensor, offsets: Tensor, query: Tensor, query_offsets: Tensor) -> tuple[np.ndarray, np.ndarray, float]:
    """Points and queries with the event as a far-apart extra axis, and how far apart: over twice any event's extent."""
    both = torch.cat([pos, query]).double().numpy()
    span = 2.0 * float(np.linalg.norm(both.max(0) - both.min(0))) + 1.0
    owner = torch.cat([segments.event_of(offsets), segments.event_of(query_offsets)]).double().numpy()
    wide = np.column_stack([both, owner * span])
    return wide[: len(pos)], wide[len(pos) :], span


def _drop_self(found: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take each query's own row out; where coincident points crowded it out, take the last column instead."""
    own = index == np.arange(len(index))[:, None]
    own[~own.any(1), -1] = True
    shape = (len(index), index.shape[1] - 1)
    return found[~own].reshape(shape), index[~own].reshape(shape)


def _in_order(index: Tensor, pos: Tensor, query: Tensor) -> Tensor:
    """Sort each row by (float32 squared distance, index), missing last."""
    index = index.sort(dim=1).values
    distance = reference.squared_distance(query[:, None], pos[index.clamp(min=0)]).masked_fill(index < 0, torch.inf)
    return index.gather(1, distance.sort(dim=1, stable=True).indices)
