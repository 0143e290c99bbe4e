"""Where tracks begin that meet two layers alone: two hits of one layer, whose modules lie over one another, and one of the next.

`doubled_seeds` is compiled and answers as `beam_seeds` of `seeding.py` does.
"""

from __future__ import annotations

import math

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.hits import Grid
from pcloud.tracking.layers import Layers
from pcloud.tracking.motion import FAST
from pcloud.tracking.seeding import ANGLE, BEND, LOG_TWO_PI, arc_of, columns_of, from_beam, part_of, rows_of, turned, wrapped
from pcloud.tracking.settings import Cuts


@compiled(fastmath=FAST, lean=True)
def doubled_seeds(
    seeds: np.ndarray, a: int, layer_of: np.ndarray, grid: Grid, layers: Layers, links: np.ndarray, cuts: Cuts
) -> int:
    """Triples of places: hit a, a later one of its layer, and one of the next layer, on one helix from the beam line."""
    count = 0
    w_max = BEND / cuts.pt_min
    la = layer_of[a]
    ra, za, phi_a = grid.r[a], grid.z[a], grid.phi[a]
    part = part_of(layers, la, ra if layers.disc[la] else za, links.shape[2])
    for slot in range(6):
        lb = links[0, la, part, slot]
        if lb < 0:
            continue
        lo, hi = from_beam(grid, layers, a, la, lb, cuts)
        c0, c1 = columns_of(grid, lb, lo, hi)
        if c0 > c1:
            continue
        far = layers.at[lb] + layers.thick[lb] if not layers.disc[lb] else min(hi, layers.high[lb])
        half = turned(far, w_max) - turned(min(ra, far), w_max) + 1e-3
        i0, i1 = rows_of(phi_a, half, grid.n_phi[lb])
        for row in range(i0, i1 + 1):
            cell = grid.first[lb] + row % grid.n_phi[lb] * grid.n_v[lb]
            for b in range(grid.start[cell + c0], grid.start[cell + c1 + 1]):
                rb = grid.r[b]
                if rb - ra < 0.5:
                    continue
                dx, dy = grid.x[b] - grid.x[a], grid.y[b] - grid.y[a]
                w = 2 * (grid.x[a] * dy - grid.y[a] * dx) / (ra * rb * math.sqrt(dx * dx + dy * dy))
                if abs(w) > w_max:
                    continue
                sa = arc_of(ra, w)
                t = (grid.z[b] - za) / (arc_of(rb, w) - sa)
                if cuts.z_low <= za - t * sa <= cuts.z_high:
                    count = _second(seeds, count, a, b, la, w, sa, t, grid, layers, cuts)
    return count


@compiled(fastmath=FAST, lean=True)
def _second(
    seeds: np.ndarray, count: int, a: int, b: int, la: int, w: float, sa: float, t: float, grid: Grid, layers: Layers, cuts: Cuts
) -> int:
    """Add the seeds that a pair makes with a later hit on the layer of its first one; returns how many there are."""
    disc, ra, za = layers.disc[la], grid.r[a], grid.z[a]
    deep = 2 * layers.thick[la]  # between two hits of the layer, across it
    tall = deep / max(abs(t), 0.1) + 0.2 if disc else deep * abs(t) + 0.2
    c0, c1 = columns_of(grid, la, (ra if disc else za) - tall, (ra if disc else za) + tall)
    phi0 = grid.phi[a] - turned(ra, w)
    i0, i1 = rows_of(grid.phi[a], 0.3 / ra, grid.n_phi[la])
    soft = abs(w) / BEND
    theta = ANGLE * soft * math.sqrt(1 + 0.0195 * soft * soft)
    for row in range(i0, i1 + 1):
        cell = grid.first[la] + row % grid.n_phi[la] * grid.n_v[la]
        for h in range(grid.start[cell + c0], grid.start[cell + c1 + 1]):
            r = grid.r[h]
            s = sa + (grid.z[h] - za) / t if disc else arc_of(r, w)
            step = s - sa
            if step < 0.02:
                continue
            du = ra * wrapped(wrapped(grid.phi[h] - phi0) - (0.5 * w * s if disc else turned(r, w)))
            dv = r - ra - step if disc else grid.z[h] - za - t * step
            scattered = (step * theta) ** 2
            uu = grid.uu[a] + grid.uu[h] + scattered
            vv = grid.vv[a] + grid.vv[h] + (scattered if disc else scattered * (1 + t * t) ** 2)
            chi2 = du * du / uu + dv * dv / vv
            if chi2 < cuts.window**2 and -0.5 * (chi2 + math.log(uu * vv)) - LOG_TWO_PI - grid.crowd[h] > cuts.seed_gain:
                if count < len(seeds):
                    seeds[count, 0], seeds[count, 1], seeds[count, 2] = a, h, b
                count += 1
    return count
