"""The way back of a track: refit inward, and the hits on the way that were passed over, doubles on a layer and inner ones.

Compiled parts of `following.py`.
"""

from __future__ import annotations

import math

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.motion import FAST, NOT_REACHED, move, scatter, to_radius, way
from pcloud.tracking.window import likeliest, take

MOST = 32  # hits of a candidate
ON_LAYER = 4  # hits of one layer: where two modules of a ring and two of the next lie over one another
WITHIN = 0.4  # mm of silicon between two hits of a barrel's layer; on discs all of it stands between two faces
DEEPEST = 24  # layers of a candidate, empty ones included


@compiled(fastmath=FAST, lean=True)
def to_hit(field, grid, layers, a, h, q, p, work):
    """Bring the state to the surface that a hit is on."""
    disc = layers.disc[a]
    at = grid.z[h] if disc else grid.r[h]
    d = way(q, disc, at)
    if d == NOT_REACHED:
        return False
    return move(field, q, p, disc, at, d, work) != NOT_REACHED


@compiled(fastmath=FAST, lean=True)
def radius_after(q, d):
    turn = 0.5 * d * q[5] * q[8]
    x, y = q[0] + d * (q[6] - turn * q[7]), q[1] + d * (q[7] + turn * q[6])
    return math.sqrt(x * x + y * y)


@compiled(fastmath=FAST, lean=True)
def more(grid, layers, cuts, a, q, p, work, found, names, gains, n, learn):
    """Further hits on layer a, where the state is and has its first hit, the last one in names; returns the number of names."""
    first = n - 1
    scatter(q, p, layers.matter[a] if layers.disc[a] else WITHIN, 1.0)
    for _ in range(ON_LAYER - 1):
        if n >= MOST:
            break
        h, gain = likeliest(grid, layers, a, q, p, cuts.gate, names, first, n, found)
        if h < 0 or gain < cuts.double:
            break
        names[n], gains[n] = h, gain
        n += 1
        if learn:
            take(grid, layers.disc[a], h, q, p, work)
    return n


@compiled(fastmath=FAST, lean=True)
def back(field, grid, layers, cuts, q, p, work, found, names, gains, depth, on_layer, on_first, out, out_gain):
    """Refit inward over the layers of a candidate; collects into out, outermost first, what each has. Returns their number."""
    for i in range(5):
        for j in range(5):
            p[i, j] = p[i, j] * 40.0 if i == j else 0.0
    m = 0
    for k in range(depth - 1, -1, -1):
        a, i0, i1 = on_layer[k], on_first[k], on_first[k + 1]
        if i1 > i0:
            if not to_hit(field, grid, layers, a, names[i0], q, p, work):
                return -1
            scatter(q, p, layers.behind[a] * layers.matter[a], -1.0)
            take(grid, layers.disc[a], names[i0], q, p, work)
            for i in range(i0, i1):
                out[m], out_gain[m] = names[i], gains[i]
                m += 1
                if i > i0:
                    take(grid, layers.disc[a], names[i], q, p, work)
            if i1 == i0 + 1 and m < MOST and k < depth - 1:
                m = more(grid, layers, cuts, a, q, p, work, found, out, out_gain, m, True)
        else:
            d = way(q, layers.disc[a], layers.at[a])
            if d == NOT_REACHED or move(field, q, p, layers.disc[a], layers.at[a], d, work) == NOT_REACHED:
                continue
            h, gain = likeliest(grid, layers, a, q, p, cuts.gate, out, 0, 0, found)
            scatter(q, p, layers.behind[a] * layers.matter[a], -1.0)
            if h >= 0 and gain > cuts.inner and m < MOST - 3:
                out[m], out_gain[m] = h, gain
                take(grid, layers.disc[a], h, q, p, work)
                m = more(grid, layers, cuts, a, q, p, work, found, out, out_gain, m + 1, True)
        scatter(q, p, (1.0 - layers.behind[a]) * layers.matter[a], -1.0)
    return m


@compiled(fastmath=FAST, lean=True)
def inward(field, grid, layers, cuts, la, q, p, work, found, out, out_gain, m):
    """Go on inward from the innermost hit on layer la for hits that the seed passed over."""
    discs = layers.forward if q[4] > 0 else layers.backward
    r, far = math.sqrt(q[0] * q[0] + q[1] * q[1]), abs(q[2])
    nb, nd = len(layers.barrels) - 1, len(discs) - 1
    if layers.disc[la]:
        nd = layers.rank[la] - 1
        while nb >= 0 and layers.at[layers.barrels[nb]] > r - 1.0:
            nb -= 1
    else:
        nb = layers.rank[la] - 1
        while nd >= 0 and abs(layers.at[discs[nd]]) > far - 2.0:
            nd -= 1
    missed = 0
    while (nb >= 0 or nd >= 0) and m < MOST - 3 and missed < 2:
        db = to_radius(q, q[5] * q[8], layers.at[layers.barrels[nb]]) if nb >= 0 else NOT_REACHED
        dd = (layers.at[discs[nd]] - q[2]) / q[4] if nd >= 0 and q[4] != 0 else NOT_REACHED
        if db == NOT_REACHED and dd == NOT_REACHED:
            break
        if db != NOT_REACHED and (dd == NOT_REACHED or db > dd):
            a, d = layers.barrels[nb], db
            nb -= 1
            v = q[2] + q[4] * d
        else:
            a, d = discs[nd], dd
            nd -= 1
            if d > 5.0:
                continue
            v = radius_after(q, d)
        if d > 5.0 or d < -1500.0:
            break
        margin = 6.0 + 0.03 * abs(d)
        if v < layers.low[a] - margin or v > layers.high[a] + margin:
            continue
        if move(field, q, p, layers.disc[a], layers.at[a], d, work) == NOT_REACHED:
            continue
        h, gain = likeliest(grid, layers, a, q, p, cuts.gate, out, 0, 0, found)
        scatter(q, p, layers.behind[a] * layers.matter[a], -1.0)
        if h >= 0 and gain > cuts.inner:
            out[m], out_gain[m] = h, gain
            take(grid, layers.disc[a], h, q, p, work)
            m = more(grid, layers, cuts, a, q, p, work, found, out, out_gain, m + 1, True)
            missed = 0
        else:
            missed += 1
        scatter(q, p, (1.0 - layers.behind[a]) * layers.matter[a], -1.0)
    return m
