"""How a track moves: the state of a track, its way to the next surface in the field, and how its errors grow on that way.

Compiled functions. A state is ten numbers: x, y, z (mm), azimuth phi of the direction, t = dz/ds, k = charge / pT (1/GeV), where
s is the way in the transverse plane; then cos phi, sin phi and the two terms of the field at this place, g and e, with which

    dphi/ds = k g,   dt/ds = k e,   g = C (t B_along - B_z),   e = C (1 + t^2) B_across.

A covariance [5, 5] holds errors of (n, w, phi, t, k): n along the transverse normal (-sin phi, cos phi), w along z, both in the
plane across the track's transverse direction.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.field import field_at

FAST = {"contract", "reassoc", "arcp", "nsz"}  # what the compiler may do with sums: NaN and infinity stay what they are
CURVE = 0.299792458e-3  # GeV / (T mm)
X, Y, Z, PHI, T, K, COS, SIN, G, E = range(10)
STATE = 10
LONG = 260.0  # mm, longest step
MANY = 40  # such steps at most: beyond the detector
NOT_REACHED = 1e30


class Field(NamedTuple):
    """The solenoid, and how well it is known."""

    table: np.ndarray  # as `field_table` makes it
    x: float  # mm, added to places before they are looked up: 0 where the detector stands as it should
    y: float
    loose: float  # T, how far the sideways field may be wrong 2 m from the middle


@compiled(fastmath=FAST, lean=True)
def bend(field: Field, x: float, y: float, z: float, c: float, s: float, t: float) -> tuple[float, float]:
    """g and e at a place, for a direction."""
    bx, by, bz = field_at(field.table, x + field.x, y + field.y, z)
    return CURVE * (t * (bx * c + by * s) - bz), CURVE * (1 + t * t) * (by * c - bx * s)


@compiled(fastmath=FAST, lean=True)
def rotation(angle: float) -> tuple[float, float]:
    """Cosine and sine, by a few terms where the angle is small."""
    if abs(angle) > 0.4:
        return math.cos(angle), math.sin(angle)
    a = angle * angle
    cosine = 1 - a / 2 * (1 - a / 12 * (1 - a / 30 * (1 - a / 56 * (1 - a / 90))))
    return cosine, angle * (1 - a / 6 * (1 - a / 20 * (1 - a / 42 * (1 - a / 72))))


@compiled(fastmath=FAST, lean=True)
def place(field: Field, q: np.ndarray, x: float, y: float, z: float, phi: float, t: float, k: float) -> None:
    """Fill a state."""
    q[0], q[1], q[2], q[3], q[4], q[5] = x, y, z, phi, t, k
    q[6], q[7] = math.cos(phi), math.sin(phi)
    q[8], q[9] = bend(field, x, y, z, q[6], q[7], t)


@compiled(lean=True)
def keep(q: np.ndarray, p: np.ndarray, kept_q: np.ndarray, kept_p: np.ndarray) -> None:
    """Copy a state and its covariance."""
    for i in range(STATE):
        kept_q[i] = q[i]
    for i in range(5):
        for j in range(5):
            kept_p[i, j] = p[i, j]


@compiled(fastmath=FAST, lean=True)
def to_radius(q: np.ndarray, w: float, radius: float) -> float:
    """Way to the cylinder on a circle of curvature w, negative if it lies behind; NOT_REACHED if the circle does not meet it."""
    along = q[0] * q[6] + q[1] * q[7]
    across = q[1] * q[6] - q[0] * q[7]
    d = radius * radius - q[0] * q[0] - q[1] * q[1]
    inside = along * along + d * (1 + w * across - 0.25 * w * w * d)
    if inside <= 0:
        return NOT_REACHED
    bottom = along + math.sqrt(inside)
    if bottom < 1e-9:
        return NOT_REACHED
    half = 0.5 * w * d / bottom
    if abs(half) < 1e-2:
        h2 = half * half
        return d / bottom * (1 - h2 * (1 / 3 - h2 * (0.2 - h2 / 7)))
    return 2 * math.atan(half) / w


@compiled(fastmath=FAST, lean=True)
def _forward(field: Field, q: np.ndarray, w: float, d: float, gm: float, em: float) -> None:
    """Move a state by the way d on a circle of curvature w; gm and em are the field's terms half way."""
    t0, k = q[4], q[5]
    turn = w * d
    half = 0.5 * turn
    ch, sh = rotation(half)
    chord = d * (1 - half * half / 6 * (1 - half * half / 20 * (1 - half * half / 42)))
    x = q[0] + chord * (q[6] * ch - q[7] * sh)
    y = q[1] + chord * (q[7] * ch + q[6] * sh)
    z = q[2] + d * (t0 + k * d * (q[9] + 2 * em) / 6)
    c2, s2 = ch * ch - sh * sh, 2 * ch * sh
    c, s = q[6] * c2 - q[7] * s2, q[7] * c2 + q[6] * s2
    g1, e1 = bend(field, x, y, z, c, s, t0 + k * em * d)
    turn = k * d * (q[8] + 4 * gm + g1) / 6
    ch, sh = rotation(turn)
    q[4] = t0 + k * d * (q[9] + 4 * em + e1) / 6
    q[0], q[1], q[2], q[3] = x, y, z, q[3] + turn
    q[6], q[7] = q[6] * ch - q[7] * sh, q[7] * ch + q[6] * sh
    q[8], q[9] = g1, e1


@compiled(fastmath=FAST, lean=True)
def _middle(field: Field, q: np.ndarray, d: float) -> tuple[float, float]:
    """The field's terms half way along d."""
    turn = 0.5 * d * q[5] * q[8]
    c, s = q[6] - 0.5 * turn * q[7], q[7] + 0.5 * turn * q[6]
    x, y, z = q[0] + 0.5 * d * c, q[1] + 0.5 * d * s, q[2] + 0.5 * d * q[4]
    c, s = q[6] - turn * q[7], q[7] + turn * q[6]
    return bend(field, x, y, z, c, s, q[4])


@compiled(fastmath=FAST, lean=True)
def grow(p: np.ndarray, q: np.ndarray, w: float, d: float, g: float, e: float, work: np.ndarray) -> None:
    """Carry a covariance over the way d, from the state q at its start; w is the curvature, g and e the field on the way."""
    a = w * d
    a2 = a * a
    if abs(a) < 0.05:
        c = 1 - a2 / 2 * (1 - a2 / 12)
        sinc = 1 - a2 / 6 * (1 - a2 / 20)
        versine = 0.5 * (1 - a2 / 12 * (1 - a2 / 30))
        rest = a / 6 * (1 - a2 / 20)
    else:
        sn, c = math.sin(a), math.cos(a)
        sinc, versine, rest = sn / a, (1 - c) / a2, (a - sn) / a2
    t = q[4]
    nf, nk = d * sinc, g * d * d * versine
    wn, wf, wk = -t * a * sinc, -t * a * d * versine, 0.5 * d * d * e - t * g * d * d * rest
    fn, fk = -w * a * sinc, g * d * sinc
    te = d * e
    for j in range(5):
        n0, w0, f0, t0, k0 = p[0, j], p[1, j], p[2, j], p[3, j], p[4, j]
        work[0, j] = c * n0 + nf * f0 + nk * k0
        work[1, j] = wn * n0 + w0 + wf * f0 + d * t0 + wk * k0
        work[2, j] = fn * n0 + c * f0 + fk * k0
        work[3, j] = t0 + te * k0
        work[4, j] = k0
    for i in range(5):
        n0, w0, f0, t0, k0 = work[i, 0], work[i, 1], work[i, 2], work[i, 3], work[i, 4]
        p[i, 0] = c * n0 + nf * f0 + nk * k0
        p[i, 1] = wn * n0 + w0 + wf * f0 + d * t0 + wk * k0
        p[i, 2] = fn * n0 + c * f0 + fk * k0
        p[i, 3] = t0 + te * k0
        p[i, 4] = k0


@compiled(fastmath=FAST, lean=True)
def loosen(p: np.ndarray, q: np.ndarray, d: float, loose: float) -> None:
    """Widen a covariance by a sideways field (T) that is not known, over the way d."""
    f = CURVE * q[5] * loose * min(1.0, q[2] * q[2] / 4e6) * d
    turn, tilt = f * q[4], f * (1 + q[4] * q[4])
    for i, value in ((0, turn), (1, tilt)):
        p[i, i] += 0.25 * d * d * value * value
        p[i, i + 2] += 0.5 * d * value * value
        p[i + 2, i] += 0.5 * d * value * value
        p[i + 2, i + 2] += value * value


@compiled(fastmath=FAST, lean=True)
def way(q: np.ndarray, disc: bool, at: float) -> float:
    """Way to a surface, by the curvature where the track is now; negative if behind, NOT_REACHED if not met."""
    if disc:
        return (at - q[2]) / q[4] if q[4] != 0 else NOT_REACHED
    return to_radius(q, q[5] * q[8], at)


@compiled(fastmath=FAST, lean=True)
def move(field: Field, q: np.ndarray, p: np.ndarray, disc: bool, at: float, d: float, work: np.ndarray) -> float:
    """Bring state and covariance to a surface that is about d away; returns the way gone, NOT_REACHED if it is not met."""
    gone, steps = 0.0, 0
    while abs(d) > LONG:
        if steps == MANY:  # forth and back about a surface that the track just touches, or by numbers that are none
            return NOT_REACHED
        steps += 1
        step = 0.5 * d if abs(d) < 2 * LONG else math.copysign(LONG, d)
        gm, em = _middle(field, q, step)
        g = (q[8] + 2 * gm) / 3
        grow(p, q, q[5] * g, step, g, em, work)
        if field.loose > 0:
            loosen(p, q, step, field.loose)
        _forward(field, q, q[5] * g, step, gm, em)
        gone += step
        d = way(q, disc, at)
        if d == NOT_REACHED or abs(gone) > 6000:
            return NOT_REACHED
    gm, em = _middle(field, q, d)
    g = (q[8] + 2 * gm) / 3
    w = q[5] * g
    if disc:
        slope = q[4] + q[5] * d * (q[9] + 2 * em) / 6
        d = (at - q[2]) / slope if slope != 0 else NOT_REACHED
    else:
        d = to_radius(q, w, at)
    if d == NOT_REACHED or abs(w * d) > 3.0 or abs(d) > 2 * LONG:
        return NOT_REACHED
    grow(p, q, w, d, g, em, work)
    if field.loose > 0:
        loosen(p, q, d, field.loose)
    _forward(field, q, w, d, gm, em)
    return gone + d


@compiled(fastmath=FAST, lean=True)
def scatter(q: np.ndarray, p: np.ndarray, matter: float, forth: float) -> None:
    """Cross matter (mm of silicon): directions scatter after Highland, momentum is lost as by a pion; forth is -1 going back.

    As in the official simulation the crossing angle does not matter.
    """
    if matter <= 0:
        return
    t, k = q[4], q[5]
    u = 1 + t * t
    momentum2 = u / (k * k)
    energy2 = momentum2 + 0.01948
    x = matter / 93.7
    theta2 = 1.85e-4 * energy2 / (momentum2 * momentum2) * x * (1 + 0.038 * math.log(x * energy2 / momentum2)) ** 2
    p[2, 2] += theta2 * u
    p[3, 3] += theta2 * u * u
    p[3, 4] += theta2 * u * k * t
    p[4, 3] += theta2 * u * k * t
    p[4, 4] += theta2 * k * k * t * t
    lost = 4.0e-4 * matter * energy2 / momentum2  # GeV, with the mean of the tail
    share = lost * math.sqrt(energy2) / momentum2
    share = min(share, 0.2)
    q[5] *= 1 + forth * share
    p[4, 4] += 0.25 * share * share * k * k
