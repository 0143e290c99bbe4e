"""Where tracks begin that come from anywhere: three hits on successive layers, and the check that a fourth one follows.

`free_seeds` answers as `beam_seeds` of `seeding.py` does; `confirmed` is a quick look at the layers behind any seed.
"""

from __future__ import annotations

import math

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.hits import Grid
from pcloud.tracking.layers import Layers
from pcloud.tracking.motion import FAST
from pcloud.tracking.seeding import ANGLE, BEAM, BEND, LOG_TWO_PI, columns_of, from_beam, part_of, push, rows_of
from pcloud.tracking.settings import Cuts

STEEPEST = 0.4  # rad between a displaced track and the line from the beam, at most


@compiled(fastmath=FAST)
def free_seeds(
    first: int, last: int, starts: np.ndarray, layer_of: np.ndarray, grid: Grid, layers: Layers, links: np.ndarray, cuts: Cuts
) -> np.ndarray:
    """As `beam_seeds`, for tracks from anywhere whose circle passes the beam line within cuts.impact."""
    seeds, count = np.empty((256, 3), np.int64), 0
    bins = links.shape[2]
    w_max = BEND / cuts.pt_min
    steps = 1 + int(cuts.first_step)
    for i in range(first, last):
        a = starts[i]
        la = layer_of[a]
        xa, ya, ra, za = grid.x[a], grid.y[a], grid.r[a], grid.z[a]
        part = part_of(layers, la, ra if layers.disc[la] else za, bins)
        for slot in range(6 * steps):
            lb = links[slot // 6, la, part, slot % 6]
            if lb < 0:
                continue
            lo, hi = from_beam(grid, layers, a, la, lb, cuts)
            c0, c1 = columns_of(grid, lb, lo, hi)
            if c0 > c1:
                continue
            far = layers.at[lb] + layers.thick[lb] if not layers.disc[lb] else min(hi, layers.high[lb])
            angle = min(cuts.impact / ra, STEEPEST) + 0.5 * w_max * far
            half = min(angle * max(far - ra, 1.0) / far, 1.0)
            i0, i1 = rows_of(grid.phi[a], half, grid.n_phi[lb])
            for row in range(i0, i1 + 1):
                cell = grid.first[lb] + row % grid.n_phi[lb] * grid.n_v[lb]
                for b in range(grid.start[cell + c0], grid.start[cell + c1 + 1]):
                    rb, zb = grid.r[b], grid.z[b]
                    dx, dy = grid.x[b] - xa, grid.y[b] - ya
                    length = math.sqrt(dx * dx + dy * dy)
                    if rb - ra < 0.5 or length > 3 * (rb - ra):
                        continue
                    t = (zb - za) / length
                    if za - t * ra < cuts.z_low or za - t * ra > cuts.z_high:
                        continue
                    ex, ey = dx / length, dy / length
                    seeds, count = _free_third(seeds, count, a, b, la, lb, ex, ey, length, t, grid, layers, links, cuts)
    return seeds[:count]


@compiled(fastmath=FAST)
def _free_third(seeds, count, a, b, la, lb, ex, ey, base, t, grid, layers, links, cuts):
    """Add the seeds that a pair, going along (ex, ey), makes with hits of the next layers."""
    bins, steps = links.shape[2], 1 + int(cuts.first_step)
    w_max = BEND / cuts.pt_min
    xb, yb, zb, rb = grid.x[b], grid.y[b], grid.z[b], grid.r[b]
    part = part_of(layers, lb, rb if layers.disc[lb] else zb, bins)
    along = xb * ex + yb * ey
    tilt = math.sqrt(1 + t * t)
    vb = max(layers.error_v[lb], layers.error_v[la])
    for slot in range(6 * steps):
        lc = links[slot // 6, lb, part, slot % 6]
        if lc < 0:
            continue
        disc = layers.disc[lc]
        if disc:
            lever = (layers.at[lc] - zb) / t if t != 0 else -1.0
        else:
            inside = along * along + layers.at[lc] ** 2 - rb * rb
            lever = math.sqrt(inside) - along if inside > 0 else -1.0
        if lever <= 0.5 or lever > 900:
            continue
        x, y = xb + lever * ex, yb + lever * ey
        rc = math.sqrt(x * x + y * y)
        v = rc if disc else zb + t * lever
        if v < layers.low[lc] - 10 or v > layers.high[lc] + 10:
            continue
        ev = layers.error_v[lc]
        q = lever / base
        theta = ANGLE / cuts.pt_min
        vv = (vb * q) ** 2 + (vb * (1 + q)) ** 2
        if disc:
            vv = (vv if layers.disc[lb] else vv / (t * t)) + (lever * theta * tilt / t) ** 2
        else:
            vv += (lever * theta * tilt) ** 2
        tall = cuts.window * math.sqrt(vv + ev * ev)
        swing = 0.5 * w_max * lever * (lever + base)
        log_swing = math.log(2 * swing + 0.1)
        thick = layers.thick[lc] * (1 / max(abs(t), 0.1) if disc else 1.0)
        slack = thick if disc else thick * abs(t)
        c0, c1 = columns_of(grid, lc, v - tall - slack - (swing if disc else 0.0), v + tall + slack + (swing if disc else 0.0))
        i0, i1 = rows_of(math.atan2(y, x), min((swing + thick + 1.0) / rc, 1.0), grid.n_phi[lc])
        for row in range(i0, i1 + 1):
            cell = grid.first[lc] + row % grid.n_phi[lc] * grid.n_v[lc]
            for c in range(grid.start[cell + c0], grid.start[cell + c1 + 1]):
                dx, dy = grid.x[c] - xb, grid.y[c] - yb
                length = math.sqrt(dx * dx + dy * dy)
                if length < 0.5 or dx * ex + dy * ey < 0.5 * length:
                    continue
                w = 2 * (ex * dy - ey * dx) / (length * math.sqrt((dx + base * ex) ** 2 + (dy + base * ey) ** 2))
                if abs(w) > w_max:
                    continue
                dz = grid.z[c] - zb - t * length
                soft = abs(w) / BEND + 0.3
                one = ANGLE * soft * lever * tilt
                if disc:
                    dz /= t
                    one /= t
                    error = ev * ev + ((vb * q) ** 2 + (vb * (1 + q)) ** 2) * (1.0 if layers.disc[lb] else 1 / (t * t))
                else:
                    error = ev * ev + (vb * q) ** 2 + (vb * (1 + q)) ** 2
                error += one * one
                chi2 = dz * dz / error
                # by chance: any hit of the stretch that the bend allows, by the length of an error along z or r
                gain = -0.5 * (chi2 + math.log(error) + LOG_TWO_PI) - log_swing - grid.crowd[c]
                if chi2 > cuts.window**2 or gain < cuts.seed_gain:
                    continue
                if _impact(grid, a, ex, ey, w, base) > cuts.impact:
                    continue
                seeds = push(seeds, count, a, b, c)
                count += 1
    return seeds, count


@compiled(fastmath=FAST)
def _impact(grid: Grid, a: int, ex: float, ey: float, w: float, base: float) -> float:
    """Distance from the beam line of a circle through hit a that heads along (ex, ey) half a base later."""
    turn = -0.5 * w * base
    c, s = ex - turn * ey, ey + turn * ex
    across = -grid.x[a] * s + grid.y[a] * c
    bottom = 1 + math.sqrt(max(1 + 2 * w * across + w * w * grid.r[a] ** 2, 0.0))
    return abs((2 * across + w * grid.r[a] ** 2) / bottom)


@compiled(fastmath=FAST)
def confirmed(
    a: int, b: int, c: int, lc: int, grid: Grid, layers: Layers, links: np.ndarray, cuts: Cuts
) -> bool:
    """Whether one of the next two layers behind a seed has a hit near the seed's circle; true where there is none to look at."""
    bins = links.shape[2]
    xb, yb, xc, yc, zc, rc = grid.x[b], grid.y[b], grid.x[c], grid.y[c], grid.z[c], grid.r[c]
    x0, y0 = (0.0, 0.0) if cuts.beam > 0 else (grid.x[a], grid.y[a])
    base = math.sqrt((xc - xb) ** 2 + (yc - yb) ** 2)
    whole = math.sqrt((xc - x0) ** 2 + (yc - y0) ** 2)
    before = math.sqrt((xb - x0) ** 2 + (yb - y0) ** 2)
    w = 2 * ((xb - x0) * (yc - yb) - (yb - y0) * (xc - xb)) / (base * whole * before)
    half = 0.5 * w * base
    ex, ey = (xc - xb) / base, (yc - yb) / base
    h2 = half * half
    if h2 > 0.5:
        return True
    co, si = 1 - 0.5 * h2, half * (1 - h2 / 6)
    ex, ey = ex * co - ey * si, ey * co + ex * si
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
        uu = (s * theta) ** 2 * (1 + far * far)
        uu += grid.uu[c] * (1 + s / base) ** 2 * (1 + far) ** 2 + grid.uu[b] * (s / base) ** 2 * far * far
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
        wide = cuts.window * math.sqrt(uu) + slack * abs(sine)
        tall = cuts.window * math.sqrt(vv) + slack * (1.0 if disc else abs(t))
        c0, c1 = columns_of(grid, ld, v - tall, v + tall)
        phi = math.atan2(y, x)
        i0, i1 = rows_of(phi, min(wide / r, 1.0), grid.n_phi[ld])
        for row in range(i0, i1 + 1):
            cell = grid.first[ld] + row % grid.n_phi[ld] * grid.n_v[ld]
            first, last = grid.start[cell + c0], grid.start[cell + c1 + 1]
            if _has_hit(grid, first, last, disc, layers.at[ld], x, y, z, r, fx, fy, t, cosine, uu, vv, limit):
                return True
    return not seen


@compiled(fastmath=FAST)
def _has_hit(
    grid: Grid, first: int, last: int, disc: bool, at: float, x: float, y: float, z: float, r: float, fx: float, fy: float,
    t: float, cosine: float, uu: float, vv: float, limit: float,
) -> bool:  # fmt: skip
    """Whether one of the places first..last lies within the errors uu, vv of the line from (x, y, z) along (fx, fy, t)."""
    for h in range(first, last):
        step = (grid.z[h] - at) / t if disc else (grid.r[h] - r) / cosine
        dx, dy = grid.x[h] - x - step * fx, grid.y[h] - y - step * fy
        du = (dy * x - dx * y) / r
        dv = (dx * x + dy * y) / r if disc else grid.z[h] - z - step * t
        if du * du / uu + dv * dv / vv < limit:
            return True
    return False
