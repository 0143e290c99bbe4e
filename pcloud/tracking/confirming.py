"""A quick look behind a seed: is there a fourth hit, before the track is followed at full cost?

`confirmed` is compiled; `searching.py` asks it for every seed.
"""

from __future__ import annotations

import math

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.hits import Grid
from pcloud.tracking.layers import Layers
from pcloud.tracking.motion import FAST
from pcloud.tracking.seeding import ANGLE, BEAM, BEND, LOG_TWO_PI, columns_of, part_of, rows_of
from pcloud.tracking.settings import Cuts


@compiled(fastmath=FAST, lean=True)
def _near(grid, disc, ld, at, x, y, z, fx, fy, t, cosine, uu, vv, wide, tall, limit, least):
    """Whether layer ld has a hit within a chi2 of limit, and likelier by `least` than one by chance, about a place on it.

    There the seed's circle heads along (fx, fy); uu, vv are variances (mm^2), wide and tall the window (mm).
    """
    r = math.sqrt(x * x + y * y)
    v = r if disc else z
    c0, c1 = columns_of(grid, ld, v - tall, v + tall)
    phi, above = math.atan2(y, x), least + 0.5 * math.log(uu * vv) + LOG_TWO_PI
    i0, i1 = rows_of(phi, min(wide / r, 1.0), grid.n_phi[ld])
    for row in range(i0, i1 + 1):
        cell = grid.first[ld] + row % grid.n_phi[ld] * grid.n_v[ld]
        for h in range(grid.start[cell + c0], grid.start[cell + c1 + 1]):
            if disc:
                step = (grid.z[h] - at) / t
            else:
                step = (grid.r[h] - r) / cosine
            dx, dy = grid.x[h] - x - step * fx, grid.y[h] - y - step * fy
            du = (dy * x - dx * y) / r
            dv = (dx * x + dy * y) / r if disc else grid.z[h] - z - step * t
            chi2 = du * du / uu + dv * dv / vv
            if chi2 < limit and -0.5 * chi2 - grid.crowd[h] > above:
                return True
    return False


@compiled(fastmath=FAST, lean=True)
def _circle(x0, y0, xb, yb, xc, yc):
    """Curvature of the circle through three points, its direction at the last one, and the lengths b-c, 0-c and 0-b."""
    base = math.sqrt((xc - xb) ** 2 + (yc - yb) ** 2)
    whole = math.sqrt((xc - x0) ** 2 + (yc - y0) ** 2)
    before = math.sqrt((xb - x0) ** 2 + (yb - y0) ** 2)
    w = 2 * ((xb - x0) * (yc - yb) - (yb - y0) * (xc - xb)) / (base * whole * before)
    half = 0.5 * w * base
    ex, ey = (xc - xb) / base, (yc - yb) / base
    h2 = half * half
    if h2 > 0.5:
        return w, 2.0, 0.0, base, whole, before
    co, si = 1 - 0.5 * h2, half * (1 - h2 / 6)
    ex, ey = ex * co - ey * si, ey * co + ex * si
    return w, ex, ey, base, whole, before


@compiled(fastmath=FAST, lean=True)
def confirmed(a: int, b: int, c: int, lc: int, grid: Grid, layers: Layers, links: np.ndarray, cuts: Cuts) -> bool:
    """Whether one of the next two layers behind a seed has a hit near the seed's circle; true where there is none to look at."""
    bins = links.shape[2]
    xb, yb, xc, yc, zc, rc = grid.x[b], grid.y[b], grid.x[c], grid.y[c], grid.z[c], grid.r[c]
    x0, y0 = (0.0, 0.0) if cuts.beam > 0 else (grid.x[a], grid.y[a])
    w, ex, ey, base, whole, before = _circle(x0, y0, xb, yb, xc, yc)
    if ex > 1.5:
        return True
    reach = math.sqrt((xc - grid.x[a]) ** 2 + (yc - grid.y[a]) ** 2)
    reach *= 1 + (w * reach) ** 2 / 24
    t = (zc - grid.z[a]) / reach
    error_t2 = (grid.vv[a] + grid.vv[c]) if not layers.disc[lc] else (grid.vv[a] + grid.vv[c]) * t * t
    error_t2 /= reach * reach
    soft = abs(w) / BEND + 0.05
    theta = ANGLE * soft * math.sqrt(1 + 0.0195 * soft * soft)
    tilt = math.sqrt(1 + t * t)
    part = part_of(layers, lc, rc if layers.disc[lc] else zc, bins)
    along, across = xc * ex + yc * ey, yc * ex - xc * ey
    seen, limit = False, cuts.window**2
    for slot in range(12):
        ld = links[slot // 6, lc, part, slot % 6]
        if ld < 0:
            continue
        disc = layers.disc[ld]
        if disc:
            s = (layers.at[ld] - zc) / t if t != 0 else -1.0
        else:
            d = layers.at[ld] ** 2 - rc * rc
            inside = along * along + d * (1 + w * across - 0.25 * w * w * d)
            if inside <= 0:
                continue
            s = d / (along + math.sqrt(inside))
            s *= 1 + (w * s) ** 2 / 24
        if s <= 0 or s > 700 or abs(w * s) > 1.5:
            continue
        turn = 0.5 * w * s
        t2 = turn * turn
        chord, co, si = s * (1 - t2 / 6), 1 - 0.5 * t2 * (1 - t2 / 12), turn * (1 - t2 / 6)
        px, py = ex * co - ey * si, ey * co + ex * si
        x, y, z = xc + chord * px, yc + chord * py, zc + t * s
        r = math.sqrt(x * x + y * y)
        v = r if disc else z
        if v < layers.low[ld] - 5 or v > layers.high[ld] + 5:
            continue
        seen = True
        far = (s + base) / whole
        uu = (
            (s * theta) ** 2 * (1 + far * far)
            + grid.uu[c] * (1 + s / base) ** 2 * (1 + far) ** 2
            + grid.uu[b] * (s / base) ** 2 * far * far
        )
        uu += (0.5 * s * (s + base) * w * cuts.field_slack * 2) ** 2 + (BEAM * s / before) ** 2 * cuts.beam
        vv = (s * theta * tilt) ** 2 * 2 + error_t2 * s * s
        vv += grid.vv[c] if not layers.disc[lc] else grid.vv[c] * t * t
        if disc:
            vv /= t * t
            uu += vv * 0.01
        fx, fy = ex - 2 * turn * ey, ey + 2 * turn * ex
        sine, cosine = (fy * x - fx * y) / r, max((fx * x + fy * y) / r, 0.1)
        eu, ev = layers.error_u[ld], layers.error_v[ld]
        uu = (uu if disc else uu / (cosine * cosine)) + eu * eu + (layers.turn[ld] * ev) ** 2
        vv = vv + ev * ev + (0.0 if disc else uu * t * t * sine * sine)
        slack = layers.thick[ld] / max(abs(t), 0.05) if disc else layers.thick[ld] / cosine
        wide = cuts.window * math.sqrt(uu) + slack * abs(sine) * (1.0 if disc else 1.0)
        tall = cuts.window * math.sqrt(vv) + slack * (1.0 if disc else abs(t))
        if _near(grid, disc, ld, layers.at[ld], x, y, z, fx, fy, t, cosine, uu, vv, wide, tall, limit, cuts.confirm):
            return True
    return not seen
