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


def linked(depth: Floats, edges: Ints, score: Floats, *, threshold: float, max_hits: int = 20) -> Ints:
    """Connected components of the edges that a hit likes best: of those with score >= threshold each hit proposes its surest
    edge inward and its surest outward, as a track has one hit before and one after. A component above ``max_hits`` is parted.

    depth [points]: how far along a track a hit lies (distance from the origin); edges [2, edges]; score [edges] in 0..1, the
    larger of both directions counts. Parting raises the threshold t to (1 + t) / 2 inside what is too large: one false
    bridge merges two tracks, and it is seldom the surest edge.
    """
    points = len(depth)
    a, b = np.concatenate([edges, edges[::-1]], axis=1)
    w = np.concatenate([score, score])
    outward = (depth[b] > depth[a]) | ((depth[b] == depth[a]) & (b > a))
    order = np.lexsort((b, -w, 2 * a + outward))
    key = (2 * a + outward)[order]
    surest = order[np.diff(key, prepend=-1) != 0]
    a, b, w = a[surest], b[surest], w[surest]
    track = np.full(points, -1, np.int64)
    found, todo = 0, np.ones(points, bool)
    while todo.any() and 1 - threshold > 1e-9:
        use = (w >= threshold) & todo[a] & todo[b]
        graph = coo_matrix((np.ones(use.sum(), bool), (a[use], b[use])), shape=(points, points))
        _, label = connected_components(graph, directed=False)
        size = np.bincount(label, minlength=points)[label]
        whole = todo & (size >= 2) & (size <= max_hits)
        names, renamed = np.unique(label[whole], return_inverse=True)
        track[whole] = renamed + found
        found += len(names)
        todo &= size > max_hits
        threshold = (1 + threshold) / 2
    return track


def dbscan(coords: Floats, *, eps: float, min_points: int = 2) -> Ints:
    """DBSCAN (Ester et al. 1996) in a learned space: coords [points, dim]."""
    from sklearn.cluster import DBSCAN

    if not len(coords):
        return np.zeros(0, np.int64)
    found: Ints = DBSCAN(eps=eps, min_samples=min_points).fit_predict(coords).astype(np.int64)
    return found


def condensation_points(beta: Floats, coords: Floats, *, beta_min: float, distance: float, max_hits: int | None = None) -> Ints:
    """Greedy collection around condensation points (arXiv 2002.03605, section 3): the surest point takes the free points
    within ``distance``, of more than ``max_hits`` the nearest; then the next, down to ``beta_min``.

    beta [points], coords [points, dim]. At equal beta or distance the lower row goes first.
    """
    track = np.full(len(beta), -1, np.int64)
    if not len(beta):
        return track
    tree = cKDTree(coords)
    found = 0
    for i in np.argsort(-beta, kind="stable"):
        if beta[i] < beta_min:
            break
        if track[i] < 0:
            near = np.sort(np.asarray(tree.query_ball_point(coords[i], distance)))
            near = near[track[near] < 0]
            if max_hits is not None and len(near) > max_hits:
                away = np.where(near == i, -1.0, ((coords[near] - coords[i]) ** 2).sum(1))
                near = near[np.argsort(away, kind="stable")[:max_hits]]
            track[near] = found
            found += 1
    return track


def shorter(track_id: Ints, max_hits: int) -> Ints:
    """Give up candidates of more than ``max_hits`` hits: their hits get -1."""
    size = np.bincount(track_id + 1, minlength=1)
    return np.where(size[track_id + 1] > max_hits, -1, track_id)
