"""Where tracks begin that come from anywhere: three hits on successive layers.

`free_seeds` is compiled and answers as `beam_seeds` of `seeding.py` does.
"""

from __future__ import annotations

import math

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.hits import Grid
from pcloud.tracking.layers import Layers
from pcloud.tracking.motion import FAST
from pcloud.tracking.seeding import ANGLE, BEND, LOG_TWO_PI, columns_of, from_beam, part_of, push, rows_of
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
                    seeds, count = _free_third(
                        seeds, count, a, b, la, lb, dx / length, dy / length, length, t, grid, layers, links, cuts
                    )
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
                if (
                    chi2 > cuts.window**2
                    or -0.5 * (chi2 + math.log(error) + LOG_TWO_PI) - log_swing - grid.crowd[c] < cuts.seed_gain
                ):
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
