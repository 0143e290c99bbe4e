"""Where tracks begin: three hits on successive layers that lie on one helix, from the beam line or from anywhere.

`beam_seeds` and `free_seeds` are compiled and answer for one first hit; `searching.py` asks them for one after another.
"""

from __future__ import annotations

import math

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.hits import Grid
from pcloud.tracking.layers import Layers
from pcloud.tracking.motion import FAST
from pcloud.tracking.settings import Cuts

BEND = 5.7e-4  # GeV / mm: curvature of a unit charge of 1 GeV, about
ANGLE = 1.9e-3  # GeV: scattering angle at a layer is about this over pT
LOG_TWO_PI = math.log(2 * math.pi)
BEAM = 0.03  # mm, how far from the beam line tracks start


@compiled(fastmath=FAST, lean=True)
def part_of(layers: Layers, a: int, v: float, bins: int) -> int:
    return min(max(int((v - layers.low[a]) / (layers.high[a] - layers.low[a]) * bins), 0), bins - 1)


@compiled(fastmath=FAST, lean=True)
def arc_of(r: float, w: float) -> float:
    """Way along a circle of curvature w through the origin to the radius r."""
    x = min(0.25 * w * w * r * r, 1.0)
    if x < 0.05:
        return r * (1 + x / 6 * (1 + x * 0.45 * (1 + x * 0.59524)))
    return 2 * math.asin(math.sqrt(x)) / abs(w)


@compiled(fastmath=FAST, lean=True)
def turned(r: float, w: float) -> float:
    """Azimuth gained on that way."""
    x = 0.5 * w * r
    x2 = x * x
    if x2 < 0.05:
        return x * (1 + x2 / 6 * (1 + x2 * 0.45 * (1 + x2 * 0.59524)))
    return math.asin(min(max(x, -1.0), 1.0))


@compiled(fastmath=FAST, lean=True)
def rows_of(phi: float, half: float, n_phi: int) -> tuple[int, int]:
    """Cells in phi of a window, to be taken modulo n_phi."""
    i0 = int(math.floor((phi - half + math.pi) / (2 * math.pi) * n_phi))
    i1 = int(math.floor((phi + half + math.pi) / (2 * math.pi) * n_phi))
    return i0, min(i1, i0 + n_phi - 1)


@compiled(fastmath=FAST, lean=True)
def columns_of(grid: Grid, a: int, lo: float, hi: float) -> tuple[int, int]:
    """Cells along z or r of a window; first above last if it is outside."""
    n = grid.n_v[a]
    x, y = (lo - grid.low[a]) * grid.scale[a], (hi - grid.low[a]) * grid.scale[a]
    if y < 0 or x > n:
        return 0, -1
    return min(max(int(x), 0), n - 1), min(max(int(y), 0), n - 1)


@compiled(fastmath=FAST, lean=True)
def wrapped(angle: float) -> float:
    if angle > math.pi:
        return angle - 2 * math.pi
    if angle < -math.pi:
        return angle + 2 * math.pi
    return angle


@compiled(fastmath=FAST, lean=True)
def from_beam(grid: Grid, layers: Layers, a: int, layer: int, b: int, cuts: Cuts) -> tuple[float, float]:
    """Range along z or r on layer b of tracks from the beam spot through hit a of a layer."""
    r, z = grid.r[a], grid.z[a]
    low, high = z - cuts.z_high, z - cuts.z_low
    if layers.disc[b]:
        at = layers.at[b]
        if at > 0:
            low, high = max(low, 1.0), max(high, 1.0)
        else:
            low, high = min(low, -1.0), min(high, -1.0)
        one, two = r + (at - z) * r / low, r + (at - z) * r / high
        thick = layers.thick[b] * r / min(abs(low), abs(high))
    else:
        step = (layers.at[b] - r) / r
        one, two = z + low * step, z + high * step
        thick = layers.thick[b] * max(abs(low), abs(high)) / r
    return min(one, two) - thick - 0.5, max(one, two) + thick + 0.5


@compiled(fastmath=FAST, lean=True)
def beam_seeds(seeds: np.ndarray, a: int, layer_of: np.ndarray, grid: Grid, layers: Layers, links: np.ndarray, cuts: Cuts) -> int:
    """Triples of places in the grid that begin with hit a, into rows of seeds [most, 3]: how many there are.

    Those beyond its length are left out: make it longer and ask again.
    """
    count = 0
    bins = links.shape[2]
    w_max = BEND / cuts.pt_min
    steps = 1 + int(cuts.first_step)
    la = layer_of[a]
    ra, za, phi_a = grid.r[a], grid.z[a], grid.phi[a]
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
        half = turned(far, w_max) - turned(min(ra, far), w_max) + 1e-3
        i0, i1 = rows_of(phi_a, half, grid.n_phi[lb])
        for row in range(i0, i1 + 1):
            cell = grid.first[lb] + row % grid.n_phi[lb] * grid.n_v[lb]
            for b in range(grid.start[cell + c0], grid.start[cell + c1 + 1]):
                rb, zb = grid.r[b], grid.z[b]
                if rb - ra < 0.5:
                    continue
                dx, dy = grid.x[b] - grid.x[a], grid.y[b] - grid.y[a]
                w = 2 * (grid.x[a] * dy - grid.y[a] * dx) / (ra * rb * math.sqrt(dx * dx + dy * dy))
                if abs(w) > w_max:
                    continue
                sa, sb = arc_of(ra, w), arc_of(rb, w)
                t = (zb - za) / (sb - sa)
                z0 = za - t * sa
                if z0 < cuts.z_low or z0 > cuts.z_high:
                    continue
                if cuts.doubled > 0:
                    count = second(seeds, count, a, b, la, w, sa, t, grid, layers, cuts)
                else:
                    count = third(seeds, count, a, b, la, lb, w, sa, sb, t, grid, layers, links, cuts)
    return count


@compiled(fastmath=FAST, lean=True)
def third(seeds, count, a, b, la, lb, w, sa, sb, t, grid, layers, links, cuts):
    """Add the seeds that a pair on a circle through the beam line makes with hits of the next layers; returns how many it has."""
    bins, steps = links.shape[2], 1 + int(cuts.first_step)
    ra, rb, za, zb = grid.r[a], grid.r[b], grid.z[a], grid.z[b]
    soft = abs(w) / BEND  # 1 / pT
    theta = ANGLE * soft * math.sqrt(1 + 0.0195 * soft * soft)
    phi0 = grid.phi[a] - turned(ra, w)
    part = part_of(layers, lb, rb if layers.disc[lb] else zb, bins)
    tilt = math.sqrt(1 + t * t)
    for slot in range(6 * steps):
        lc = links[slot // 6, lb, part, slot % 6]
        if lc < 0:
            continue
        disc = layers.disc[lc]
        if disc:
            sc = sb + (layers.at[lc] - zb) / t if t != 0 else -1.0
            if sc <= sb or abs(w * sc) > 3.0:
                continue
            rc = 2 / w * math.sin(0.5 * w * sc) if abs(w) > 1e-9 else sc
            v = rc
        else:
            rc = layers.at[lc]
            if abs(w) * rc > 1.99:
                continue
            sc = arc_of(rc, w)
            v = za + t * (sc - sa)
        if v < layers.low[lc] - 5 or v > layers.high[lc] + 5 or rc < rb:
            continue
        lever, base = sc - sb, sb - sa
        eu, ev = layers.error_u[lc], layers.error_v[lc]
        vb = max(layers.error_v[lb], layers.error_v[la])
        q = lever / base
        lb_, la_, lo_ = rc * (rc - ra) / (rb * base), rc * lever / (ra * base), (rc - ra) * lever / (ra * rb)
        uu = grid.uu[b] * lb_ * lb_ + grid.uu[a] * la_ * la_ + (BEAM * lo_) ** 2
        uu += (lever * theta) ** 2 * (1 + ((sc - sa) / sb) ** 2) + (0.5 * lever * (sc - sa) * w * cuts.field_slack) ** 2
        vv = (lever * theta * tilt) ** 2
        if disc:
            vv /= t * t
            vv += (vb * q) ** 2 + (vb * (1 + q)) ** 2 if layers.disc[lb] else ((vb * q) ** 2 + (vb * (1 + q)) ** 2) / (t * t)
        else:
            vv += (vb * q) ** 2 + (vb * (1 + q)) ** 2
        if disc:
            uu += (layers.turn[lc] * ev) ** 2
        wide = cuts.window * math.sqrt(uu + eu * eu)
        tall = cuts.window * math.sqrt(vv + ev * ev)
        inv_u, inv_v = cuts.window**2 / (wide * wide), cuts.window**2 / (tall * tall)
        least = 2 * cuts.seed_gain - math.log(inv_u * inv_v) + 2 * LOG_TWO_PI
        thick = layers.thick[lc] * (1 / max(abs(t), 0.1) if disc else abs(t))
        c0, c1 = columns_of(grid, lc, v - tall - thick, v + tall + thick)
        phi_c = phi0 + (0.5 * w * sc if disc else turned(rc, w))
        bent = thick * abs(w) if disc else layers.thick[lc] * abs(w)
        i0, i1 = rows_of(phi_c, wide / rc + bent, grid.n_phi[lc])
        for row in range(i0, i1 + 1):
            cell = grid.first[lc] + row % grid.n_phi[lc] * grid.n_v[lc]
            for c in range(grid.start[cell + c0], grid.start[cell + c1 + 1]):
                if disc:
                    s = sb + (grid.z[c] - zb) / t
                    du = rc * wrapped(grid.phi[c] - phi0 - 0.5 * w * s)
                    dv = grid.r[c] - rc - (s - sc)
                else:
                    r = grid.r[c]
                    du = rc * wrapped(wrapped(grid.phi[c] - phi0) - turned(r, w))
                    dv = grid.z[c] - za - t * (arc_of(r, w) - sa)
                chi2 = du * du * inv_u + dv * dv * inv_v
                if chi2 < cuts.window**2 and -chi2 - 2 * grid.crowd[c] > least and grid.r[c] > rb + 0.3:
                    if count < len(seeds):
                        seeds[count, 0], seeds[count, 1], seeds[count, 2] = a, b, c
                    count += 1
    return count


@compiled(fastmath=FAST, lean=True)
def second(
    seeds: np.ndarray, count: int, a: int, b: int, la: int, w: float, sa: float, t: float, grid: Grid, layers: Layers, cuts: Cuts
) -> int:
    """Add the seeds that a pair makes with a later hit on the layer of its first one, where modules lie over one another.

    So begin tracks that meet two layers alone. Returns how many seeds there are.
    """
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
