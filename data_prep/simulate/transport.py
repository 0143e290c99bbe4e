"""Carries charged particles through field, modules and matter until they leave, stop, turn back or interact.

One compiled loop over particles: fourth-order Runge-Kutta steps, cut at the first module plane they cross; every crossing
inside a module is a hit, so overlapping modules give double hits. `transport(...)` returns the hits and the interactions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from data_prep.simulate.field import AXIS_X, AXIS_Y, TABLE_STEP, TABLE_Z
from data_prep.simulate.lookup import CELL, REACH_R, REACH_Z, STEP, Lookup

CURVE = 0.299792458e-3  # GeV / (T mm)
MAX_HITS = 64  # of one particle; the half turn after which tracking ends leaves room for a third of it
LONGEST_STEP = 60.0  # mm
LOWEST_PT = 0.15  # GeV; the official simulation drops softer particles where they next meet matter
PION = 0.13957  # GeV
LOSS, LOSS_TAIL = 2.5e-4, 1.25e-4  # GeV / mm of silicon for fast particles: least loss, and scale of its Landau-like tail


class Tracks(NamedTuple):
    """What transport returns: hits in the order made, then where particles were lost to nuclear interactions."""

    particle: np.ndarray  # [hits] row of the particle
    module: np.ndarray  # [hits] row of the detectors table
    position: np.ndarray  # [hits, 3] mm, on the module's plane
    momentum: np.ndarray  # [hits, 3] GeV, there
    lost: np.ndarray  # [interactions] row of the particle
    lost_position: np.ndarray  # [interactions, 3] mm
    lost_momentum: np.ndarray  # [interactions, 3] GeV


def transport(
    position: np.ndarray,
    momentum: np.ndarray,
    charge: np.ndarray,
    lookup: Lookup,
    field: np.ndarray,
    layers: np.ndarray,
    surfaces: np.ndarray,
    efficiency: np.ndarray,
    rng: np.random.Generator,
) -> Tracks:
    """Positions [n, 3] mm, momenta [n, 3] GeV, charges [n] (e); the rest as their makers give them.
    efficiency: chance of a crossing to give a hit, per layer.

    Zeros in `layers` and an empty `surfaces` switch all effects of matter off.
    """
    hits, kinematics, lost, lost_state = _carry(
        position, momentum, charge.astype(np.float64), lookup, field, layers, surfaces, efficiency, rng
    )
    return Tracks(
        hits[:, 0], hits[:, 1], kinematics[:, :3], kinematics[:, 3:], lost, lost_state[:, :3], lost_state[:, 3:]
    )


@numba.njit(cache=True)
def _field(table, x, y, z):
    x, y = x - AXIS_X, y - AXIS_Y
    r = math.sqrt(x * x + y * y)
    i, j = r / TABLE_STEP, (z + TABLE_Z) / TABLE_STEP
    a = min(max(int(i), 0), table.shape[0] - 2)
    b = min(max(int(j), 0), table.shape[1] - 2)
    i, j = i - a, j - b
    radial = (1 - i) * ((1 - j) * table[a, b, 0] + j * table[a, b + 1, 0]) + i * (
        (1 - j) * table[a + 1, b, 0] + j * table[a + 1, b + 1, 0]
    )
    axial = (1 - i) * ((1 - j) * table[a, b, 1] + j * table[a, b + 1, 1]) + i * (
        (1 - j) * table[a + 1, b, 1] + j * table[a + 1, b + 1, 1]
    )
    if r < 1e-6:
        return 0.0, 0.0, axial
    return radial * x / r, radial * y / r, axial


@numba.njit(cache=True)
def _turn(table, k, x, y, z, ux, uy, uz):
    bx, by, bz = _field(table, x, y, z)
    return k * (uy * bz - uz * by), k * (uz * bx - ux * bz), k * (ux * by - uy * bx)


@numba.njit(cache=True)
def _step(table, k, h, s, out):
    """One Runge-Kutta step of length h from s = (x, y, z, ux, uy, uz) to out; k = 0.3e-3 q / p."""
    x, y, z, ux, uy, uz = s[0], s[1], s[2], s[3], s[4], s[5]
    a1, b1, c1 = _turn(table, k, x, y, z, ux, uy, uz)
    g = 0.5 * h
    vx, vy, vz = ux + g * a1, uy + g * b1, uz + g * c1
    mx, my, mz = x + g * (ux + 0.5 * g * a1), y + g * (uy + 0.5 * g * b1), z + g * (uz + 0.5 * g * c1)
    a2, b2, c2 = _turn(table, k, mx, my, mz, vx, vy, vz)
    a3, b3, c3 = _turn(table, k, mx, my, mz, ux + g * a2, uy + g * b2, uz + g * c2)
    ex, ey, ez = x + h * (ux + g * a3), y + h * (uy + g * b3), z + h * (uz + g * c3)
    a4, b4, c4 = _turn(table, k, ex, ey, ez, ux + h * a3, uy + h * b3, uz + h * c3)
    w = h * h / 6
    out[0], out[1], out[2] = x + h * ux + w * (a1 + a2 + a3), y + h * uy + w * (b1 + b2 + b3), z + h * uz + w * (c1 + c2 + c3)
    w = h / 6
    vx, vy, vz = ux + w * (a1 + 2 * a2 + 2 * a3 + a4), uy + w * (b1 + 2 * b2 + 2 * b3 + b4), uz + w * (c1 + 2 * c2 + 2 * c3 + c4)
    norm = 1 / math.sqrt(vx * vx + vy * vy + vz * vz)
    out[3], out[4], out[5] = vx * norm, vy * norm, vz * norm


@numba.njit(cache=True)
def _along(s, e, h, t, out):
    """State at the fraction t of a step from s to e: cubic through both ends and both directions."""
    p, q = t * t, t * t * t
    for i in range(3):
        out[i] = (2 * q - 3 * p + 1) * s[i] + (3 * p - 2 * q) * e[i] + h * ((q - 2 * p + t) * s[3 + i] + (q - p) * e[3 + i])
        out[3 + i] = (6 * p - 6 * t) * (s[i] - e[i]) / h + (3 * p - 4 * t + 1) * s[3 + i] + (3 * p - 2 * t) * e[3 + i]
    norm = 1 / math.sqrt(out[3] ** 2 + out[4] ** 2 + out[5] ** 2)
    out[3], out[4], out[5] = out[3] * norm, out[4] * norm, out[5] * norm


@numba.njit(cache=True)
def _height(lookup, m, s):
    """Distance of a point from the plane of module m (mm)."""
    c, w = lookup.centre[m], lookup.axes[m, 2]
    return (s[0] - c[0]) * w[0] + (s[1] - c[1]) * w[1] + (s[2] - c[2]) * w[2]


@numba.njit(cache=True)
def _cross(lookup, m, s, e, h, point):
    """Fraction of the step where it crosses module m inside its outline, or 2 if it does not; `point` is the state there."""
    low, high = _height(lookup, m, s), _height(lookup, m, e)
    if low * high > 0 or low == high:
        return 2.0
    a, b, t = 0.0, 1.0, low / (low - high)
    for _ in range(8):
        _along(s, e, h, t, point)
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
    return t if abs(v) <= half_v and abs(u) <= half_u else 2.0


@numba.njit(cache=True)
def _first_module(lookup, s, e, h, skip, best, point):
    """First module the step crosses: its row and the fraction of the step (-1, 2 if none); `best` is the state there."""
    x, y, z = 0.5 * (s[0] + e[0]), 0.5 * (s[1] + e[1]), 0.5 * (s[2] + e[2])
    r = math.sqrt(x * x + y * y)
    i = min(int(r / CELL), lookup.near.shape[0] - 1)
    j = min(max(int((z + REACH_Z) / CELL), 0), lookup.near.shape[1] - 1)
    phi = math.atan2(y, x) + math.pi
    found, earliest = -1, 2.0
    for slot in range(lookup.near.shape[2]):
        layer = lookup.near[i, j, slot]
        if layer < 0:
            break
        bins = lookup.bins[layer]
        column = int(((r if bins[0] > 0.5 else z) - bins[3]) // bins[4])
        if column < 0 or column >= bins[2]:
            continue
        n_phi = int(bins[1])
        cell = lookup.first[layer] + (int(phi / (2 * math.pi) * n_phi) % n_phi) * int(bins[2]) + column
        for k in range(lookup.cells[cell], lookup.cells[cell + 1]):
            m = lookup.members[k]
            if m == skip:
                continue
            t = _cross(lookup, m, s, e, h, point)
            if t < earliest:
                found, earliest = m, t
                best[:] = point
    return found, earliest


@numba.njit(cache=True)
def _matter(s, p, row, cosine, rng):
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


@numba.njit(cache=True)
def _surface(s, e, surfaces, now):
    """First surface without sensors that the step crosses: its row and the fraction of the step (-1, 2 if none)."""
    found, earliest = -1, 2.0
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
def _carry(position, momentum, charge, lookup, field, layers, surfaces, efficiency, rng):
    n = len(position)
    room = 16 * n + MAX_HITS
    hits, kinematics = np.empty((room, 2), np.int64), np.empty((room, 6))
    lost, lost_state = np.empty(n, np.int64), np.empty((n, 6))
    n_hits = n_lost = 0
    s, e, best, point = np.empty(6), np.empty(6), np.empty(6), np.empty(6)
    for particle in range(n):
        if n_hits + MAX_HITS > room:
            room *= 2
            more, more_kinematics = np.empty((room, 2), np.int64), np.empty((room, 6))
            more[:n_hits], more_kinematics[:n_hits] = hits[:n_hits], kinematics[:n_hits]
            hits, kinematics = more, more_kinematics
        p = math.sqrt(momentum[particle, 0] ** 2 + momentum[particle, 1] ** 2 + momentum[particle, 2] ** 2)
        for i in range(3):
            s[i], s[3 + i] = position[particle, i], momentum[particle, i] / p
        bx, by, bz = _field(field, s[0], s[1], s[2])
        limit = math.pi * p / (CURVE * max(0.01, math.sqrt(bx * bx + by * by + bz * bz)))  # half a turn
        module, surface, made, travelled = -1, -1, 0, 0.0
        while travelled < limit and made < MAX_HITS:
            r = math.sqrt(s[0] * s[0] + s[1] * s[1])
            if r >= REACH_R or abs(s[2]) >= REACH_Z:
                break
            free = lookup.distance[int(r / CELL), int((s[2] + REACH_Z) / CELL)] - CELL
            h = min(max(free, STEP), LONGEST_STEP, 300.0 * p)
            _step(field, CURVE * charge[particle] / p, h, s, e)
            m, t = -1, 2.0
            if h <= STEP:
                m, t = _first_module(lookup, s, e, h, module, best, point)
            i, at = _surface(s, e, surfaces, surface)
            module, surface = -1, -1
            if i >= 0 and at < t:
                _along(s, e, h, at, best)
                s[:] = best
                travelled += at * h
                surface = i
                r = math.sqrt(s[0] * s[0] + s[1] * s[1])
                along = s[5] if surfaces[i, 0] > 0.5 else (s[0] * s[3] + s[1] * s[4]) / r
                p = _matter(s, p, surfaces[i, 4:], along, rng)
            elif m >= 0:
                s[:] = best
                travelled += t * h
                module = m
                made += 1
                if rng.random() < efficiency[lookup.layer[m]]:
                    hits[n_hits, 0], hits[n_hits, 1] = particle, m
                    for k in range(3):
                        kinematics[n_hits, k], kinematics[n_hits, 3 + k] = s[k], p * s[3 + k]
                    n_hits += 1
                w = lookup.axes[m, 2]
                p = _matter(s, p, layers[lookup.layer[m]], s[3] * w[0] + s[4] * w[1] + s[5] * w[2], rng)
            else:
                s[:] = e
                travelled += h
            if module >= 0 or surface >= 0:
                if 0 <= p and p * math.sqrt(s[3] * s[3] + s[4] * s[4]) < LOWEST_PT:
                    break
            if p < 0:
                lost[n_lost] = particle
                for k in range(3):
                    lost_state[n_lost, k], lost_state[n_lost, 3 + k] = s[k], -p * s[3 + k]
                n_lost += 1
                break
    return hits[:n_hits].copy(), kinematics[:n_hits].copy(), lost[:n_lost].copy(), lost_state[:n_lost].copy()
