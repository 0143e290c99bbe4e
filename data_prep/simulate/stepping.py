"""The mathematics of one step of a charged particle: field, Runge-Kutta step, and the curve between two ends of a step.

Compiled functions for `transport.py`; a state is six numbers, position (mm) and unit direction.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from pcloud.tracking.field import field_at

CURVE = 0.299792458e-3  # GeV / (T mm): curvature of a unit charge is CURVE * field / momentum


@numba.njit(cache=True)
def _bend(
    table: np.ndarray, k: float, x: float, y: float, z: float, ux: float, uy: float, uz: float
) -> tuple[float, float, float]:
    bx, by, bz = field_at(table, x, y, z)
    return k * (uy * bz - uz * by), k * (uz * bx - ux * bz), k * (ux * by - uy * bx)


@numba.njit(cache=True)
def advance(table: np.ndarray, k: float, h: float, s: np.ndarray, out: np.ndarray) -> None:
    """One Runge-Kutta step of length h from s = (x, y, z, ux, uy, uz) to out; k = 0.3e-3 q / p."""
    x, y, z, ux, uy, uz = s[0], s[1], s[2], s[3], s[4], s[5]
    a1, b1, c1 = _bend(table, k, x, y, z, ux, uy, uz)
    g = 0.5 * h
    vx, vy, vz = ux + g * a1, uy + g * b1, uz + g * c1
    mx, my, mz = x + g * (ux + 0.5 * g * a1), y + g * (uy + 0.5 * g * b1), z + g * (uz + 0.5 * g * c1)
    a2, b2, c2 = _bend(table, k, mx, my, mz, vx, vy, vz)
    a3, b3, c3 = _bend(table, k, mx, my, mz, ux + g * a2, uy + g * b2, uz + g * c2)
    ex, ey, ez = x + h * (ux + g * a3), y + h * (uy + g * b3), z + h * (uz + g * c3)
    a4, b4, c4 = _bend(table, k, ex, ey, ez, ux + h * a3, uy + h * b3, uz + h * c3)
    w = h * h / 6
    out[0], out[1], out[2] = x + h * ux + w * (a1 + a2 + a3), y + h * uy + w * (b1 + b2 + b3), z + h * uz + w * (c1 + c2 + c3)
    w = h / 6
    vx, vy, vz = ux + w * (a1 + 2 * a2 + 2 * a3 + a4), uy + w * (b1 + 2 * b2 + 2 * b3 + b4), uz + w * (c1 + 2 * c2 + 2 * c3 + c4)
    norm = 1 / math.sqrt(vx * vx + vy * vy + vz * vz)
    out[3], out[4], out[5] = vx * norm, vy * norm, vz * norm


@numba.njit(cache=True)
def copy(source: np.ndarray, target: np.ndarray) -> None:
    for i in range(6):
        target[i] = source[i]


@numba.njit(cache=True)
def between(s: np.ndarray, e: np.ndarray, h: float, t: float, out: np.ndarray) -> None:
    """State at the fraction t of a step from s to e: cubic through both ends and both directions."""
    p, q = t * t, t * t * t
    for i in range(3):
        out[i] = (2 * q - 3 * p + 1) * s[i] + (3 * p - 2 * q) * e[i] + h * ((q - 2 * p + t) * s[3 + i] + (q - p) * e[3 + i])
        out[3 + i] = (6 * p - 6 * t) * (s[i] - e[i]) / h + (3 * p - 4 * t + 1) * s[3 + i] + (3 * p - 2 * t) * e[3 + i]
    norm = 1 / math.sqrt(out[3] ** 2 + out[4] ** 2 + out[5] ** 2)
    out[3], out[4], out[5] = out[3] * norm, out[4] * norm, out[5] * norm
