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
from pcloud.tracking.seeding import ANGLE, BEND, LOG_TWO_PI, columns_of, from_beam, part_of, rows_of
from pcloud.tracking.settings import Cuts

STEEPEST = 0.4  # rad between a displaced track and the line from the beam, at most
LEAST_SOFT = 0.3  # 1 / GeV, added to the 1 / pT that a seed scatters by


@compiled(fastmath=FAST, lean=True)
def free_seeds(seeds: np.ndarray, a: int, layer_of: np.ndarray, grid: Grid, layers: Layers, links: np.ndarray, cuts: Cuts) -> int:
    """As `beam_seeds`, for tracks from anywhere whose circle passes the beam line within cuts.impact."""
    count = 0
    bins = links.shape[2]
    w_max = BEND / cuts.pt_min
    steps = 1 + int(cuts.first_step)
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
                # a circle of curvature w through both passes the beam line at d, where d (2 + w d) = aside + w a.b
                ex, ey = dx / length, dy / length
                aside = 2 * (ya * ex - xa * ey)
                arm = xa * grid.x[b] + ya * grid.y[b] - cuts.impact**2
                w_low, w_high = -w_max, w_max
                if arm > 1.0:
                    w_low, w_high = max(w_low, -(aside + 2 * cuts.impact) / arm), min(w_high, (2 * cuts.impact - aside) / arm)
                if w_low < w_high:
                    count = _free_third(seeds, count, a, b, la, lb, ex, ey, length, t, w_low, w_high, grid, layers, links, cuts)
    return count


@compiled(fastmath=FAST, lean=True)
def _free_third(seeds, count, a, b, la, lb, ex, ey, base, t, w_low, w_high, grid, layers, links, cuts):
    """Add the seeds that a pair, going along (ex, ey) and bent by w_low to w_high, makes with hits of the next layers."""
    bins, steps = links.shape[2], 1 + int(cuts.first_step)
    w_max, softest = BEND / cuts.pt_min, 1 / cuts.pt_min + LEAST_SOFT
    xb, yb, zb, rb = grid.x[b], grid.y[b], grid.z[b], grid.r[b]
    part = part_of(layers, lb, rb if layers.disc[lb] else zb, bins)
    along = xb * ex + yb * ey
    tilt = math.sqrt(1 + t * t)
    vb = max(layers.error_v[lb], layers.error_v[la])
    chi2_max = cuts.window**2
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
        # variance of the third hit along z, or r on discs: of the straight line, and by scattering for each 1 / pT
        q, ev = lever / base, layers.error_v[lc]
        straight, scattered = vb * vb * (q * q + (1 + q) * (1 + q)), (ANGLE * lever * tilt) ** 2
        if disc:
            scattered /= t * t
            if not layers.disc[lb]:
                straight /= t * t
        straight += ev * ev
        widest = straight + scattered * softest * softest
        tall = cuts.window * math.sqrt(widest)
        off_max = chi2_max * widest * (t * t if disc else 1.0)
        stretch = 0.5 * lever * (lever + base)
        swing, middle, half = stretch * w_max, 0.5 * stretch * (w_low + w_high), 0.5 * stretch * (w_high - w_low)
        thick = layers.thick[lc] * (1 / max(abs(t), 0.1) if disc else 1.0)
        slack = tall + (thick + swing if disc else thick * abs(t))
        c0, c1 = columns_of(grid, lc, v - slack, v + slack)
        half += 0.05 * abs(middle) + thick + 1.0
        i0, i1 = rows_of(math.atan2(y, x) + middle / rc, min(half / rc, 1.0), grid.n_phi[lc])
        for row in range(i0, i1 + 1):
            cell = grid.first[lc] + row % grid.n_phi[lc] * grid.n_v[lc]
            for c in range(grid.start[cell + c0], grid.start[cell + c1 + 1]):
                dx, dy = grid.x[c] - xb, grid.y[c] - yb
                length2 = dx * dx + dy * dy
                length = math.sqrt(length2)
                dz = grid.z[c] - zb - t * length
                ahead = dx * ex + dy * ey
                if dz * dz > off_max or length < 0.5 or ahead < 0.5 * length:
                    continue
                w = 2 * (ex * dy - ey * dx) / math.sqrt(length2 * (length2 + base * (2 * ahead + base)))
                if w < w_low or w > w_high:
                    continue
                soft = abs(w) / BEND + LEAST_SOFT
                error = straight + scattered * soft * soft
                chi2 = dz * dz / (error * t * t if disc else error)
                # by chance: any hit of the stretch that the bend allows, by the length of an error along z or r
                if chi2 < chi2_max:
                    likely = chi2 + LOG_TWO_PI + math.log(error * (2 * swing + 0.1) ** 2)
                    if -0.5 * likely - grid.crowd[c] > cuts.seed_gain:
                        if count < len(seeds):
                            seeds[count, 0], seeds[count, 1], seeds[count, 2] = a, b, c
                        count += 1
    return count
