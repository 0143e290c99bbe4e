"""Track candidates from network outputs: three ways from scores or coordinates to a track id for every hit.

Each takes numpy arrays of one event and gives track_id [points] int64: 0, 1, ... for candidates, -1 for hits in none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Ints = NDArray[np.int64]
Floats = NDArray[np.floating]


def components(
    points: int, edges: Ints, score: Floats, *, threshold: float, max_hits: int = 20, step: float = 0.5, min_hits: int = 2
) -> Ints:
    """Connected components of the edges with score >= threshold; a component above ``max_hits`` is split again and again.

    edges [2, edges], score [edges] in 0..1. Splitting raises the threshold t to 1 - step (1 - t) inside what is too large:
    one false bridge merges two tracks, and it is seldom the surest edge.
    """
    track = np.full(points, -1, np.int64)
    found = 0
    todo = np.ones(points, bool)
    while todo.any() and 1 - threshold > 1e-7:
        use = (score >= threshold) & todo[edges[0]] & todo[edges[1]]
        graph = coo_matrix((np.ones(use.sum(), bool), (edges[0, use], edges[1, use])), shape=(points, points))
        _, label = connected_components(graph, directed=False)
        size = np.bincount(label, minlength=points)[label]
        done = todo & (size <= max_hits)
        names, renamed = np.unique(label[done & (size >= min_hits)], return_inverse=True)
        track[done & (size >= min_hits)] = renamed + found
        found += len(names)
        todo &= ~done
        threshold = 1 - step * (1 - threshold)
    return track


def dbscan(coords: Floats, *, eps: float, min_points: int = 2) -> Ints:
    """DBSCAN (Ester et al. 1996) in a learned space: coords [points, dim]."""
    from sklearn.cluster import DBSCAN

    if not len(coords):
        return np.zeros(0, np.int64)
    return DBSCAN(eps=eps, min_samples=min_points, n_jobs=-1).fit_predict(coords).astype(np.int64)


def condensation_points(beta: Floats, coords: Floats, *, beta_min: float, distance: float) -> Ints:
    """Greedy collection around condensation points (arXiv 2002.03605, section 3): the surest point takes all free points
    within ``distance``, then the next, down to ``beta_min``. beta [points], coords [points, dim]."""
    track = np.full(len(beta), -1, np.int64)
    if not len(beta):
        return track
    tree = cKDTree(coords)
    found = 0
    for i in np.argsort(-beta, kind="stable"):
        if beta[i] < beta_min:
            break
        if track[i] < 0:
            near = np.asarray(tree.query_ball_point(coords[i], distance))
            track[near[track[near] < 0]] = found
            found += 1
    return track
