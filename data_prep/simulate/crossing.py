"""Where a step meets something: the first module plane inside its outline, the first surface without sensors, and matter.

Compiled functions for `transport.py`, over the arrays of `Lookup` and the tables of `material.py`.
"""

from __future__ import annotations

import math
from typing import cast

import numba
import numpy as np

from data_prep.simulate.lookup import CELL, REACH_Z, Lookup
from data_prep.simulate.stepping import between, copy

# No module, no surface: of the type of a row, so that functions are compiled once. A plain -1 would make a second version.
NONE = cast(int, np.int64(-1))
PION = 0.13957  # GeV
LOSS, LOSS_TAIL = 2.5e-4, 1.25e-4  # GeV / mm of silicon for fast particles: least loss, and scale of its Landau-like tail


@numba.njit(cache=True)
def _height(lookup: Lookup, m: int, s: np.ndarray) -> float:
    """Distance of a point from the plane of module m (mm)."""
    height = 0.0
    for i in range(3):
        height += (s[i] - lookup.centre[m, i]) * lookup.axes[m, 2, i]
    return height


@numba.njit(cache=True)
def _cross(lookup: Lookup, m: int, s: np.ndarray, e: np.ndarray, h: float, point: np.ndarray) -> float:
    """Fraction of the step where it crosses module m inside its outline, or 2 if it does not; `point` is the state there."""
    low, high = _height(lookup, m, s), _height(lookup, m, e)
    if low * high > 0 or low == high:
        return 2.0
    a, b, t = 0.0, 1.0, low / (low - high)
    for _ in range(8):
        between(s, e, h, t, point)
        f = _height(lookup, m, point)
        if abs(f) < 1e-7:
            break
        if f * low > 0:
            a, low = t, f
        else:
            b, high = t, f
        t = a + (b - a) * low / (low - high)
    v = u = 0.0
    for i in range(3):
        u += (point[i] - lookup.centre[m, i]) * lookup.axes[m, 0, i]
        v += (point[i] - lookup.centre[m, i]) * lookup.axes[m, 1, i]
    half_v = lookup.sizes[m, 2]
    half_u = lookup.sizes[m, 0] + (lookup.sizes[m, 1] - lookup.sizes[m, 0]) * (v + half_v) / (2 * half_v)
    if abs(v) > half_v or abs(u) > half_u:
        return 2.0
    x, y, cx, cy = point[0], point[1], lookup.centre[m, 0], lookup.centre[m, 1]
    far = x * cx + y * cy < lookup.within[m] * math.sqrt((x * x + y * y) * (cx * cx + cy * cy))
    return 2.0 if far else t


@numba.njit(cache=True)
def first_module(
    lookup: Lookup, s: np.ndarray, e: np.ndarray, h: float, skip: int, best: np.ndarray, point: np.ndarray
) -> tuple[int, float]:
    """First module the step crosses: its row and the fraction of the step (-1, 2 if none); `best` is the state there."""
    x, y, z = 0.5 * (s[0] + e[0]), 0.5 * (s[1] + e[1]), 0.5 * (s[2] + e[2])
    r = math.sqrt(x * x + y * y)
    i = min(int(r / CELL), lookup.near.shape[0] - 1)
    j = min(max(int((z + REACH_Z) / CELL), 0), lookup.near.shape[1] - 1)
    phi = math.atan2(y, x) + math.pi
    found, earliest = NONE, 2.0
    for slot in range(lookup.near.shape[2]):
        layer = lookup.near[i, j, slot]
        if layer < 0:
            break
        along = (r if lookup.disc[layer] else z) - lookup.start[layer]
        columns, n_phi = lookup.columns[layer], lookup.rows[layer]
        column = int(along / lookup.width[layer])
        if along < 0 or column >= columns:
            continue
        cell = lookup.first[layer] + (int(phi / (2 * math.pi) * n_phi) % n_phi) * columns + column
        for k in range(lookup.cells[cell], lookup.cells[cell + 1]):
            m = lookup.members[k]
            if m == skip:
                continue
            t = _cross(lookup, m, s, e, h, point)
            if t < earliest:
                found, earliest = m, t
                copy(point, best)
    return found, earliest


@numba.njit(cache=True)
def first_surface(s: np.ndarray, e: np.ndarray, surfaces: np.ndarray, now: int) -> tuple[int, float]:
    """First surface without sensors that the step crosses: its row and the fraction of the step (-1, 2 if none)."""
    found, earliest = NONE, 2.0
    r0, r1 = math.sqrt(s[0] * s[0] + s[1] * s[1]), math.sqrt(e[0] * e[0] + e[1] * e[1])
    for i in range(surfaces.shape[0]):
        disc = surfaces[i, 0] > 0.5
        a, b = (s[2], e[2]) if disc else (r0, r1)
        a, b = a - surfaces[i, 1], b - surfaces[i, 1]
        if a * b < 0 and i != now:
            t = a / (a - b)
            other = r0 + t * (r1 - r0) if disc else s[2] + t * (e[2] - s[2])
            if t < earliest and surfaces[i, 2] <= other <= surfaces[i, 3]:
                found, earliest = i, t
    return found, earliest


@numba.njit(cache=True)
def cross_matter(s: np.ndarray, p: float, row: np.ndarray, cosine: float, rng: np.random.Generator) -> float:
    """Scatter the direction in s and lose energy in one sheet of matter; returns the momentum, negative if it interacts.

    row as in `layer_material`; cosine of the crossing angle. Scattering after Highland, loss after Bethe with a tail (Particle
    Data Group, passage of particles through matter). Two simplifications of the official simulation are kept, both plain in
    its truth: all particles scatter and lose as pions, and as if they crossed at right angles; only interactions know the
    angle.
    """
    if rng.random() > math.exp(-row[2] / max(0.05, abs(cosine))):
        return -p
    if row[0] <= 0:
        return p
    energy = math.sqrt(p * p + PION * PION)
    beta2 = p * p / (energy * energy)
    x = row[0] / row[1]
    angle = 0.0136 / (p * math.sqrt(beta2)) * math.sqrt(x) * (1 + 0.038 * math.log(x / beta2))
    a, b = angle * rng.standard_normal(), angle * rng.standard_normal()
    # two directions across s: the first from the axis that s is not along
    ux, uy, uz = s[3], s[4], s[5]
    if abs(uz) < 0.9:
        n = 1 / math.sqrt(ux * ux + uy * uy)
        fx, fy, fz = uy * n, -ux * n, 0.0
    else:
        n = 1 / math.sqrt(uy * uy + uz * uz)
        fx, fy, fz = 0.0, uz * n, -uy * n
    gx, gy, gz = uy * fz - uz * fy, uz * fx - ux * fz, ux * fy - uy * fx
    ux, uy, uz = ux + a * fx + b * gx, uy + a * fy + b * gy, uz + a * fz + b * gz
    n = 1 / math.sqrt(ux * ux + uy * uy + uz * uz)
    s[3], s[4], s[5] = ux * n, uy * n, uz * n
    # Bethe's bracket over its value at the minimum: 2 m_e / (mean excitation of silicon) = 5908, density effect as a cap
    gamma2 = min(1 / (1 - beta2), 100.0)
    bethe = (math.log(5908.0 * beta2 * gamma2) - beta2) / beta2 / 10.75
    tail = min(1 / math.sqrt(1 - rng.random()), 30.0) - 1
    kinetic = energy - PION - row[3] * row[0] * bethe * (LOSS + LOSS_TAIL * tail)
    return math.sqrt(kinetic * (kinetic + 2 * PION)) if kinetic > 0 else 0.0
