"""The cheapest way to move weights from one set to another, exactly: a network simplex on all pairs, compiled by numba.

``move(first, last, x, y, scale, beta, close, out)`` does it for a range of events; ``emd`` is where it is used. A spanning tree
of the points and a root holds the flow: what one side has too much of goes to the root.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcloud.neighbors.lanes import compiled

TINY = 1e-12  # a pair this near to being no gain, in units of the largest cost, is none


@compiled()
def move(first: int, last: int, x: Any, y: Any, scale: float, beta: float, close: float, out: Any) -> int:
    """Events ``first`` to ``last``: value, and its derivatives by points and weights, written into ``out`` = (value [events], gx,
    gy, ga, gb). x, y: (points [points, d], weight [points], offsets [events + 1]), float64. Returns the first event whose
    search did not end, else -1. close: summed weights that differ by this share of the larger are equal."""
    value, gx, gy, ga, gb = out
    points, weight, starts = x
    others, other_weight, other_starts = y
    for event in range(first, last):
        one, two = slice(starts[event], starts[event + 1]), slice(other_starts[event], other_starts[event + 1])
        a, b = weight[one], other_weight[two]
        excess = a.sum() - b.sum()
        value[event] = abs(excess)
        n, m = len(a), len(b)
        sign = 0.0 if abs(excess) <= close * max(a.sum(), b.sum()) else np.sign(excess)
        if n == 0 or m == 0:
            ga[one], gb[two] = sign, -sign
            continue
        cost = _costs(points[one], others[two], scale, beta)
        most = cost.max() if cost.max() > 0 else 1.0
        ended, parent, up, flow, height = _simplex(cost, a, b, most)
        if not ended:
            return event
        for v in range(n + m):
            w = parent[v]
            if w < n + m and flow[v] > 0:
                i, j = (v, w - n) if v < n else (w, v - n)
                value[event] += flow[v] * cost[i, j]
                _pull(points[one][i], others[two][j], flow[v] * beta / scale**beta, beta, gx[one][i], gy[two][j])
        # heights are prices where the root takes the excess at ``most`` a unit; here a unit of excess costs 1
        shift = (1 - most) * sign if sign != 0 else (height[n : n + m].max() + height[:n].min()) / 2
        for i in range(n):
            ga[one][i] = shift - height[i]
        for j in range(m):
            gb[two][j] = height[n + j] - shift
    return -1


@compiled()
def _costs(x: Any, y: Any, scale: float, beta: float) -> Any:
    cost = np.empty((len(x), len(y)))
    for i in range(len(x)):
        for j in range(len(y)):
            square = 0.0
            for k in range(x.shape[1]):
                square += (x[i, k] - y[j, k]) ** 2
            cost[i, j] = np.sqrt(square) / scale if beta == 1.0 else (square / scale**2) ** (beta / 2)
    return cost


@compiled()
def _pull(x: Any, y: Any, weight: float, beta: float, gx: Any, gy: Any) -> None:
    """Adds the gradient of weight / beta * |x - y|^beta; none where x = y."""
    square = ((x - y) ** 2).sum()
    if square > 0:
        for k in range(len(x)):
            pull = weight * square ** (beta / 2 - 1) * (x[k] - y[k])
            gx[k] += pull
            gy[k] -= pull


@compiled()
def _simplex(cost: Any, a: Any, b: Any, most: float) -> Any:
    """Flow of least cost: (ended, parent, up, flow, height) of a spanning tree of x's nodes, y's nodes and the root, the last.

    Node v's arc joins it to parent[v], towards it where up[v], and carries flow[v]. An arc from v to w of cost c is no gain where
    c + height[v] - height[w] >= 0. Arcs lead from every x to every y, from every x to the root and from it to every y, the
    latter two at cost ``most``; where a + b > 0 holds for all, no arc of no flow leads away from the root (Cunningham 1976), so
    that the search can't go in circles.
    """
    n, m = cost.shape
    root = n + m
    parent, depth = np.full(root + 1, root), np.ones(root + 1, np.int64)
    up, flow, height = np.zeros(root + 1, np.bool_), np.zeros(root + 1), np.zeros(root + 1)
    child, after, before = np.full(root + 1, -1), np.arange(1, root + 2), np.arange(-1, root)
    for v in range(root):
        up[v], flow[v], height[v] = v < n, a[v] if v < n else b[v - n], -most if v < n else most
    child[root], after[root - 1], parent[root], depth[root] = 0, -1, -1, 0
    family, tree = (child, after, before), (parent, up, flow)
    row, idle = 0, 0
    for _ in range(1000 + 200 * (n + m) * (1 + int(np.log2(n + m)))):
        while idle <= n:
            gain, j = _best(cost, height, row, most)
            if gain < -TINY * most:
                break
            row, idle = (row + 1) % (n + 1), idle + 1
        if idle > n:
            return True, parent, up, flow, height
        p, q = row if row < n else root, j
        row, idle = (row + 1) % (n + 1), 0
        leaving, below_q = _push(tree, depth, p, q)
        if below_q:
            _hang(tree, family, q, p, leaving, False)
            _lift(family, tree, height, depth, q, gain)
        else:
            _hang(tree, family, p, q, leaving, True)
            _lift(family, tree, height, depth, p, -gain)
    return False, parent, up, flow, height


@compiled()
def _best(cost: Any, height: Any, row: int, most: float) -> Any:
    """The arc out of node ``row`` (n: the root) that gains most: (reduced cost, head)."""
    n, m = cost.shape
    best, head = 0.0, n + m
    if row == n:
        for j in range(m):
            if most - height[n + j] < best:
                best, head = most - height[n + j], n + j
        return best, head
    best = most + height[row]
    for j in range(m):
        gain = cost[row, j] + height[row] - height[n + j]
        if gain < best:
            best, head = gain, n + j
    return best, head


@compiled()
def _push(tree: Any, depth: Any, p: int, q: int) -> Any:
    """Sends what can be sent around the cycle that the arc from p to q closes: (node whose arc leaves, whether above q).

    Of arcs that block equally the last one leaves, seen from where the two paths meet, in the direction of p to q.
    flow[root] receives the amount, the flow of the new arc.
    """
    parent, up, flow = tree
    root = len(parent) - 1
    amount, leaving, below_q = np.inf, -1, False
    v, w = p, q
    while v != w:
        if depth[v] >= depth[w]:
            if up[v] and flow[v] < amount:
                amount, leaving, below_q = flow[v], v, False
            v = parent[v]
        else:
            w = parent[w]
    meet = v
    w = q
    while w != meet:
        if not up[w] and flow[w] <= amount:
            amount, leaving, below_q = flow[w], w, True
        w = parent[w]
    v, w = p, q
    while v != meet:
        flow[v] += -amount if up[v] else amount
        v = parent[v]
    while w != meet:
        flow[w] += amount if up[w] else -amount
        w = parent[w]
    flow[root] = amount
    return leaving, below_q


@compiled()
def _hang(tree: Any, family: Any, node: int, onto: int, leaving: int, rises: bool) -> None:
    """Cuts the tree above ``leaving`` and hangs what is below it by ``node``, its new top, onto ``onto``."""
    parent, up, flow = tree
    child, after, before = family
    amount, v, above = flow[len(parent) - 1], node, onto
    while True:
        old, old_amount, old_up = parent[v], flow[v], up[v]
        if before[v] >= 0:
            after[before[v]] = after[v]
        else:
            child[old] = after[v]
        if after[v] >= 0:
            before[after[v]] = before[v]
        before[v], after[v] = -1, child[above]
        if child[above] >= 0:
            before[child[above]] = v
        child[above], parent[v], flow[v], up[v] = v, above, amount, rises
        if v == leaving:
            return
        above, v, amount, rises = v, old, old_amount, not old_up


@compiled()
def _lift(family: Any, tree: Any, height: Any, depth: Any, top: int, by: float) -> None:
    """Adds ``by`` to the heights of all that hangs below ``top``, and counts their depths anew."""
    child, after, _ = family
    parent = tree[0]
    v = top
    while True:
        height[v] += by
        depth[v] = depth[parent[v]] + 1
        if child[v] >= 0:
            v = child[v]
            continue
        while v != top and after[v] < 0:
            v = parent[v]
        if v == top:
            return
        v = after[v]
