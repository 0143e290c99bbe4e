"""From three hits to a whole track: outward over all layers with the likeliest hit on each, then inward for what was passed over.

`follow` is compiled and answers for one seed. A candidate is a list of places in the grid, innermost layer first, each with
its log likelihood ratio.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.entrance import UNSURE, straight_radius
from pcloud.tracking.inward import DEEPEST, MOST, back, inward, more, radius_after, to_hit
from pcloud.tracking.layers import PIPE
from pcloud.tracking.motion import FAST, NOT_REACHED, STATE, keep, move, place, scatter, to_radius
from pcloud.tracking.seeding import BEAM
from pcloud.tracking.window import likeliest, take


class Room(NamedTuple):
    """Arrays to work in, made once for many seeds."""

    q: np.ndarray
    p: np.ndarray
    kept_q: np.ndarray
    kept_p: np.ndarray
    work: np.ndarray
    found: np.ndarray
    some: np.ndarray  # places on the way outward, and their log likelihood ratios
    some_gain: np.ndarray
    out: np.ndarray  # the candidate
    out_gain: np.ndarray
    on_layer: np.ndarray  # layers passed, and where their places begin in `some`
    on_first: np.ndarray
    entry: np.ndarray  # into a volume of discs, as `straight_radius` keeps it


def room() -> Room:
    """New arrays."""
    five = np.zeros((5, 5))
    names, gains = np.zeros(MOST, np.int64), np.zeros(MOST)
    depths = np.zeros(DEEPEST, np.int64), np.zeros(DEEPEST + 1, np.int64)
    states = np.zeros(STATE), five.copy(), np.zeros(STATE), five.copy(), five.copy(), np.zeros(2)
    return Room(*states, names.copy(), gains.copy(), names.copy(), gains.copy(), *depths, np.zeros(6))


@compiled(fastmath=FAST, lean=True)
def _start(field, grid, layers, cuts, a, b, c, q, p):
    """Put the state where the track begins: on the beam line, or at the first hit."""
    xa, ya, xb, yb, xc, yc = grid.x[a], grid.y[a], grid.x[b], grid.y[b], grid.x[c], grid.y[c]
    if cuts.beam > 0:
        x0, y0 = 0.0, 0.0
        x1, y1 = xb, yb
    else:
        x0, y0 = xa, ya
        x1, y1 = xb, yb
    d1, d2 = math.hypot(x1 - x0, y1 - y0), math.hypot(xc - x0, yc - y0)
    d12 = math.hypot(xc - x1, yc - y1)
    w = 2 * ((x1 - x0) * (yc - y0) - (y1 - y0) * (xc - x0)) / max(d1 * d2 * d12, 1e-9)
    half = math.asin(min(max(0.5 * w * d2, -1.0), 1.0))
    phi = math.atan2(yc - y0, xc - x0) - half
    arc_c = d2 * (half / (0.5 * w * d2) if abs(w * d2) > 1e-6 else 1.0)
    da = math.hypot(xa - x0, ya - y0)
    ha = 0.5 * w * da
    arc_a = da * (1 + ha * ha / 6)
    t = (grid.z[c] - grid.z[a]) / max(arc_c - arc_a, 0.1)
    z = grid.z[a] - t * arc_a
    place(field, q, x0, y0, z, phi, t, 0.0)
    g = q[8] if abs(q[8]) > 5e-5 else -5e-5
    q[5] = w / g
    for i in range(5):
        for j in range(5):
            p[i, j] = 0.0
    p[0, 0] = BEAM * BEAM if cuts.beam > 0 else 1.0
    p[1, 1] = 1e4
    p[2, 2] = 0.01
    p[3, 3] = 0.04 * (1 + t * t)
    p[4, 4] = 0.25 * q[5] * q[5] + 0.04


@compiled(fastmath=FAST, lean=True)
def _passed(grid, layers, g, h, la, lb, on_layer, on_first, depth, n):
    """Note the layers that a line between two hits g and h of a seed, on la and lb, goes through; returns how many are noted now.

    They have no hits yet: names would begin at n.
    """
    r, z, side = grid.r[g], grid.z[g], 1.0 if grid.z[h] > grid.z[g] else -1.0
    dr, dz = max(grid.r[h] - r, 1e-3), max(side * (grid.z[h] - z), 1e-3)
    discs = layers.forward if side > 0 else layers.backward
    nb = nd = 0
    while depth < DEEPEST - 8:
        fb = (layers.at[layers.barrels[nb]] - r) / dr if nb < len(layers.barrels) else 2.0
        fd = side * (layers.at[discs[nd]] - z) / dz if nd < len(discs) else 2.0
        if fb >= 1 and fd >= 1:
            break
        if fb < fd:
            a, v = layers.barrels[nb], z + side * fb * dz
            nb += 1
        else:
            a, v = discs[nd], r + fd * dr
            nd += 1
        if min(fb, fd) > 0 and a != la and a != lb and layers.low[a] - 2 < v < layers.high[a] + 2:
            on_layer[depth], on_first[depth] = a, n
            depth += 1
    return depth


@compiled(fastmath=FAST, lean=True)
def _outward(field, grid, layers, cuts, la, q, p, work, found, names, gains, n, depth, on_layer, on_first, kept_q, kept_p, entry):
    """Follow a state outward from its hit on layer la.

    on_layer [DEEPEST], on_first [DEEPEST + 1]: layers passed and where their names begin. Returns the number of names and of
    layers kept, up to the last one that made the candidate likelier; kept_q, kept_p are the state there.
    """
    discs = layers.forward if q[4] > 0 else layers.backward
    total = best = 0.0
    n0 = best_n = n
    best_depth = depth
    keep(q, p, kept_q, kept_p)
    r, far = math.sqrt(q[0] * q[0] + q[1] * q[1]), abs(q[2])
    nb = nd = 0
    if layers.disc[la]:
        nd = layers.rank[la] + 1
        while nb < len(layers.barrels) and layers.at[layers.barrels[nb]] < r + 1.0:
            nb += 1
    else:
        nb = layers.rank[la] + 1
        while nd < len(discs) and abs(layers.at[discs[nd]]) < far + 2.0:
            nd += 1
    missed = 0
    entry[5] = 0.0
    phi0 = q[3]
    while depth < DEEPEST and n < MOST - 3:
        w = q[5] * q[8]
        db = to_radius(q, w, layers.at[layers.barrels[nb]]) if nb < len(layers.barrels) else NOT_REACHED
        dd = (layers.at[discs[nd]] - q[2]) / q[4] if nd < len(discs) and q[4] != 0 else NOT_REACHED
        if db == NOT_REACHED and (dd == NOT_REACHED or abs(w * dd) > 3.0):
            break
        if db < dd:
            a, d = layers.barrels[nb], db
            nb += 1
            v = q[2] + q[4] * d
        else:
            a, d = discs[nd], dd
            nd += 1
            if d < -5.0:
                continue
            v = radius_after(q, d)
        margin = 6.0 + 0.03 * abs(d)
        if v < layers.low[a] - margin or v > layers.high[a] + margin:
            continue
        if move(field, q, p, layers.disc[a], layers.at[a], d, work) == NOT_REACHED:
            continue
        if abs(q[3] - phi0) > 3.3:
            break
        v = math.sqrt(q[0] * q[0] + q[1] * q[1]) if layers.disc[a] else q[2]
        straight = straight_radius(layers, a, q, entry)
        if v < layers.low[a] - 3 or v > layers.high[a] + 3 or straight > layers.high[a] + UNSURE:
            continue
        inside = layers.low[a] + 2 < v < layers.high[a] - 2 and straight < layers.high[a] - UNSURE
        h, gain = likeliest(grid, layers, a, q, p, cuts.gate, names, 0, 0, found)
        on_layer[depth], on_first[depth] = a, n
        depth += 1
        if h >= 0 and gain > -cuts.miss:
            names[n], gains[n] = h, gain
            n += 1
            take(grid, layers.disc[a], h, q, p, work)
            m = more(grid, layers, cuts, a, q, p, work, found, names, gains, n, True)
            for i in range(n - 1, m):
                total += gains[i]
            n = m
            missed = 0
        elif inside:
            total -= cuts.miss
            missed += 1
        on_first[depth] = n
        scatter(q, p, layers.matter[a], 1.0)
        if total > best:
            best, best_n, best_depth = total, n, depth
            keep(q, p, kept_q, kept_p)
        if missed > cuts.misses or (missed > 1 and best_n == n0) or total < best - 12.0:
            break
    return best_n, best_depth


@compiled(fastmath=FAST, lean=True)
def follow(seed, layer_of, field, grid, layers, cuts, between, room):
    """The candidate of one seed (three places) into room.out and room.out_gain, innermost first.

    between: whether hits are looked for on layers between those of the seed, too. Returns its number of hits, 0 if there is none,
    and its log likelihood ratio.
    """
    q, p, kept_q, kept_p, work, found, entry = room.q, room.p, room.kept_q, room.kept_p, room.work, room.found, room.entry
    some, some_gain, out, out_gain, on_layer, on_first = (
        room.some,
        room.some_gain,
        room.out,
        room.out_gain,
        room.on_layer,
        room.on_first,
    )
    a, b, c = seed[0], seed[1], seed[2]
    _start(field, grid, layers, cuts, a, b, c, q, p)
    if cuts.beam > 0:
        scatter(q, p, PIPE, 1.0)
    depth = 0
    for i in range(3):
        h = seed[i]
        la = layer_of[h]
        if between and i > 0:
            depth = _passed(grid, layers, seed[i - 1], h, layer_of[seed[i - 1]], la, on_layer, on_first, depth, i)
        if not to_hit(field, grid, layers, la, h, q, p, work):
            return 0, 0.0
        some[i], some_gain[i] = h, take(grid, layers.disc[la], h, q, p, work)
        if i == 0 or la != layer_of[seed[i - 1]]:
            on_layer[depth], on_first[depth] = la, i
            depth += 1
        if i < 2 and la != layer_of[seed[i + 1]]:
            scatter(q, p, layers.matter[la], 1.0)
    if not some_gain[2] > cuts.seed_gain:
        return 0, 0.0
    la = layer_of[c]
    n = more(grid, layers, cuts, la, q, p, work, found, some, some_gain, 3, True)
    on_first[depth] = n
    scatter(q, p, layers.matter[la], 1.0)
    n, depth = _outward(
        field, grid, layers, cuts, la, q, p, work, found, some, some_gain, n, depth, on_layer, on_first, kept_q, kept_p, entry
    )
    total = some_gain[2]
    for i in range(3, n):
        total += some_gain[i]
    if n + 1 < cuts.hits_min or total < cuts.accept - 4.0:
        return 0, 0.0
    m = back(field, grid, layers, cuts, kept_q, kept_p, work, found, some, some_gain, depth, on_layer, on_first, out, out_gain)
    if m < 0:
        return 0, 0.0
    m = inward(field, grid, layers, cuts, layer_of[a], kept_q, kept_p, work, found, out, out_gain, m)
    total = 0.0
    for i in range(m):
        if out[i] == a or out[i] == b:
            out_gain[i] = max(min(out_gain[i], 4.0), 0.0)
        total += out_gain[i]
    if m < cuts.hits_min or total < cuts.accept or total < cuts.accept_hit * m:
        return 0, 0.0
    for i in range(m // 2):
        j = m - 1 - i
        h, gain = out[i], out_gain[i]
        out[i], out_gain[i] = out[j], out_gain[j]
        out[j], out_gain[j] = h, gain
    return m, total
