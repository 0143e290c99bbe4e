"""Hits near where a track is expected: which one on a layer is the likeliest, and what the track learns from it.

Compiled functions. How likely a hit is follows from the density of the hits about it: log likelihood ratio of "the track made it"
against "it is here by chance", log N(residual; errors) - log(hits per mm^2).
"""

from __future__ import annotations

import math

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.hits import Grid
from pcloud.tracking.layers import DEPTH, Layers
from pcloud.tracking.motion import FAST, rotation

NOTHING = -1e30
LOG_TWO_PI = math.log(2 * math.pi)


@compiled(fastmath=FAST, lean=True)
def across(q: np.ndarray, disc: bool, ux: float, uy: float) -> tuple[float, float, float, float]:
    """How (n, w) of a state moves the measured (u, v) where the track meets the surface: u = h0 n + h1 w, v = h2 n + h3 w.

    (ux, uy) is the direction of u; v is radial (turned by -90 degrees from u) in discs, along z in barrels.
    """
    c, s = q[6], q[7]
    if disc:
        t = q[4]
        cross, along = -s * ux + c * uy, c * ux + s * uy  # N.u and T.u
        nv, tv = -s * uy - c * ux, c * uy - s * ux  # v = (uy, -ux)
        return cross, -along / t, nv, -tv / t
    cosine = c * uy - s * ux  # T.r, with r = (uy, -ux)
    sine = c * ux + s * uy
    if cosine < 0.05:
        cosine = 0.05
    return 1 / cosine, 0.0, q[4] * sine / cosine, 1.0


@compiled(fastmath=FAST, lean=True)
def spread(p: np.ndarray, h0: float, h1: float, h2: float, h3: float, d: float) -> tuple[float, float, float]:
    """Variances and covariance of the expected (u, v), a few mm d further on."""
    a = p[0, 0] + d * (2 * p[0, 2] + d * p[2, 2])
    b = p[0, 1] + d * (p[0, 3] + p[1, 2] + d * p[2, 3])
    c = p[1, 1] + d * (2 * p[1, 3] + d * p[3, 3])
    return (
        h0 * h0 * a + 2 * h0 * h1 * b + h1 * h1 * c,
        h2 * h2 * a + 2 * h2 * h3 * b + h3 * h3 * c,
        h0 * h2 * a + (h0 * h3 + h1 * h2) * b + h1 * h3 * c,
    )


@compiled(fastmath=FAST, lean=True)
def residual(q: np.ndarray, disc: bool, grid: Grid, h: int) -> tuple[float, float, float]:
    """Way from the state to the surface of the hit at place h (a few mm at most), and hit minus track in u and v there."""
    hx, hy, hz, ux, uy = grid.x[h], grid.y[h], grid.z[h], grid.ux[h], grid.uy[h]
    if disc:
        d = (hz - q[2]) / q[4] if abs(q[4]) > 1e-3 else 0.0
    else:
        # the module's plane stands across (uy, -ux)
        cosine = max(q[6] * uy - q[7] * ux, 0.05)
        d = ((hx - q[0]) * uy - (hy - q[1]) * ux) / cosine
        half, rim = 0.5 * DEPTH * abs(q[4]) / cosine, abs(grid.rim[h])
        if rim < half:  # the end of the path is beyond the rim: its middle lies nearer there than what was read out says
            hz += math.copysign(min(half - rim, rim), grid.rim[h])
    turn = 0.5 * d * q[5] * q[8]
    dx = hx - q[0] - d * (q[6] - turn * q[7])
    dy = hy - q[1] - d * (q[7] + turn * q[6])
    u = dx * ux + dy * uy
    v = dx * uy - dy * ux if disc else hz - q[2] - d * q[4]
    return d, u, v


@compiled(lean=True)
def _among(h: int, names: np.ndarray, begin: int, end: int) -> bool:
    for i in range(begin, end):
        if names[i] == h:
            return True
    return False


@compiled(fastmath=FAST, lean=True)
def likeliest(
    grid: Grid, layers: Layers, a: int, q: np.ndarray, p: np.ndarray, gate: float, names: np.ndarray, begin: int, end: int,
    found: np.ndarray,
) -> tuple[int, float]:  # fmt: skip
    """Place and log likelihood ratio of the likeliest hit on layer a near the state, which is on it or at a hit of it.

    gate: largest chi2; names[begin:end]: places to pass over; found [2] receives the second best: place, ratio.
    """
    disc = layers.disc[a]
    r = math.sqrt(q[0] * q[0] + q[1] * q[1])
    rx, ry = q[0] / r, q[1] / r
    h0, h1, h2, h3 = across(q, disc, -ry, rx)
    reach = math.sqrt(gate)
    cosine, sine = q[6] * rx + q[7] * ry, q[7] * rx - q[6] * ry
    off = layers.thick[a] + abs((q[2] if disc else r) - layers.at[a])  # hits lie up to here before or behind the state
    slack = off / max(abs(q[4]), 1e-3) if disc else off / max(cosine, 0.05)
    before, after = spread(p, h0, h1, h2, h3, -slack), spread(p, h0, h1, h2, h3, slack)
    uu, vv = max(before[0], after[0]), max(before[1], after[1])
    eu, ev = layers.error_u[a], layers.error_v[a]
    if disc:
        eu += 0.6 * layers.turn[a] * ev
    wide = reach * math.sqrt(uu + eu * eu) + slack * abs(sine)
    tall = reach * math.sqrt(vv + ev * ev) + slack * (abs(cosine) if disc else abs(q[4]))
    if wide > 0.5 * r:
        wide = 0.5 * r
    v = r if disc else q[2]
    n_v, n_phi, first = grid.n_v[a], grid.n_phi[a], grid.first[a]
    lo = max(int((v - tall - grid.low[a]) * grid.scale[a]), 0)
    hi = min(int((v + tall - grid.low[a]) * grid.scale[a]), n_v - 1)
    best, second = -1, -1
    gain, next_gain = NOTHING, NOTHING
    if v + tall < grid.low[a] or lo > hi:
        found[0], found[1] = -1, NOTHING
        return best, gain
    phi, half = math.atan2(q[1], q[0]), wide / r
    i0 = int(math.floor((phi - half + math.pi) / (2 * math.pi) * n_phi))
    i1 = int(math.floor((phi + half + math.pi) / (2 * math.pi) * n_phi))
    if i1 - i0 >= n_phi:
        i1 = i0 + n_phi - 1
    for i in range(i0, i1 + 1):
        row = first + (i % n_phi) * n_v
        for h in range(grid.start[row + lo], grid.start[row + hi + 1]):
            ux, uy = grid.ux[h], grid.uy[h]
            d, du, dv = residual(q, disc, grid, h)
            if abs(dv) > tall or abs(du) > wide:
                continue
            h0, h1, h2, h3 = across(q, disc, ux, uy)
            uu, vv, uv = spread(p, h0, h1, h2, h3, d)
            a0, a1 = uu + grid.uu[h], vv + grid.vv[h]
            det = a0 * a1 - uv * uv
            chi2 = (a1 * du * du - 2 * uv * du * dv + a0 * dv * dv) / det
            if chi2 < gate and not _among(h, names, begin, end):
                ratio = -0.5 * (chi2 + math.log(det)) - LOG_TWO_PI - grid.crowd[h]
                if ratio > gain:
                    second, next_gain = best, gain
                    best, gain = h, ratio
                elif ratio > next_gain:
                    second, next_gain = h, ratio
    found[0], found[1] = second, next_gain
    return best, gain


@compiled(fastmath=FAST, lean=True)
def take(grid: Grid, disc: bool, h: int, q: np.ndarray, p: np.ndarray, work: np.ndarray) -> float:
    """Kalman update of the state with the hit at place h; returns the log likelihood ratio."""
    ux, uy = grid.ux[h], grid.uy[h]
    d, du, dv = residual(q, disc, grid, h)
    _step(q, p, d)
    h0, h1, h2, h3 = across(q, disc, ux, uy)
    uu, vv, uv = spread(p, h0, h1, h2, h3, 0.0)
    a0, a1 = uu + grid.uu[h], vv + grid.vv[h]
    det = a0 * a1 - uv * uv
    for i in range(5):
        work[0, i] = h0 * p[0, i] + h1 * p[1, i]
        work[1, i] = h2 * p[0, i] + h3 * p[1, i]
    g0, g1 = (a1 * du - uv * dv) / det, (a0 * dv - uv * du) / det
    dn, dw, df = work[0, 0] * g0 + work[1, 0] * g1, work[0, 1] * g0 + work[1, 1] * g1, work[0, 2] * g0 + work[1, 2] * g1
    q[0] -= dn * q[7]
    q[1] += dn * q[6]
    q[2] += dw
    q[4] += work[0, 3] * g0 + work[1, 3] * g1
    q[5] += work[0, 4] * g0 + work[1, 4] * g1
    q[3] += df
    co, si = rotation(df)
    q[6], q[7] = q[6] * co - q[7] * si, q[7] * co + q[6] * si
    for i in range(5):
        b0 = (a1 * work[0, i] - uv * work[1, i]) / det
        b1 = (a0 * work[1, i] - uv * work[0, i]) / det
        for j in range(i, 5):
            p[i, j] -= b0 * work[0, j] + b1 * work[1, j]
            p[j, i] = p[i, j]
    chi2 = du * g0 + dv * g1
    return -0.5 * (chi2 + math.log(det)) - LOG_TWO_PI - grid.crowd[h]


@compiled(fastmath=FAST, lean=True)
def _step(q: np.ndarray, p: np.ndarray, d: float) -> None:
    """Move a state by a few mm, where the field is as here."""
    for i in range(5):
        p[i, 0] += d * p[i, 2]
        p[i, 1] += d * p[i, 3]
    for i in range(5):
        p[0, i] += d * p[2, i]
        p[1, i] += d * p[3, i]
    turn = q[5] * q[8] * d
    q[0] += d * (q[6] - 0.5 * turn * q[7])
    q[1] += d * (q[7] + 0.5 * turn * q[6])
    q[2] += d * q[4]
    q[3] += turn
    c = q[6] - turn * q[7] - 0.5 * turn * turn * q[6]
    q[7] += turn * q[6] - 0.5 * turn * turn * q[7]
    q[6] = c
