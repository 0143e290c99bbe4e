"""How tracks move: an exact circle in a constant field, the way back, the radius reached, and the transport in the true field."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.simulate.stepping import CURVE, advance
from pcloud.tracking.field import field_table, uniform_table
from pcloud.tracking.motion import NOT_REACHED, Field, move, place, rotation, to_radius, way

CONSTANT = Field(uniform_table(2.0), 0.0, 0.0, 0.0)
TRUE = Field(field_table(), 0.0, 0.0, 0.0)


def state(field: Field, phi: float, t: float, k: float, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    q = np.zeros(10)
    place(field, q, x, y, z, phi, t, k)
    return q


def moved(field: Field, q: np.ndarray, disc: bool, at: float) -> np.ndarray:
    move(field, q, np.eye(5) * 1e-6, disc, at, way(q, disc, at), np.zeros((5, 5)))
    return q


@pytest.mark.parametrize(("pt", "charge", "radius"), [(0.3, 1, 172.0), (0.3, -1, 660.0), (1.0, 1, 1020.0), (20.0, -1, 1020.0)])
def test_a_circle_in_a_constant_field(pt: float, charge: int, radius: float) -> None:
    """R = pT / (0.3 B): from the beam line to r a track turns by 2 asin(r / 2R), and the chord by half of it."""
    bend = pt / (0.299792458e-3 * 2.0)
    q = moved(CONSTANT, state(CONSTANT, 0.3, 0.5, charge / pt), False, radius)
    half = np.arcsin(radius / (2 * bend))
    place_phi = 0.3 - charge * half
    np.testing.assert_allclose(q[:2], radius * np.array([np.cos(place_phi), np.sin(place_phi)]), atol=2e-3)
    np.testing.assert_allclose(q[2], 0.5 * 2 * bend * half, rtol=1e-6)
    np.testing.assert_allclose(q[3], 0.3 - charge * 2 * half, atol=1e-6)


def test_a_cylinder_too_far_is_not_reached() -> None:
    q = state(CONSTANT, 0.0, 0.0, 1 / 0.1)  # turns back at r = 334 mm
    assert to_radius(q, q[5] * q[8], 300.0) < NOT_REACHED
    assert to_radius(q, q[5] * q[8], 340.0) == NOT_REACHED


def test_there_and_back() -> None:
    q = state(TRUE, 1.1, 1.5, 1 / 0.4)
    start = q[:6].copy()
    moved(TRUE, q, False, 500.0)
    moved(TRUE, q, False, 200.0)
    moved(TRUE, q, True, 10.0)
    assert abs(q[2] - 10.0) < 1e-3
    assert np.hypot(q[0], q[1]) < 10.0 and abs(q[3] - start[3]) < 0.02 and abs(q[4] - start[4]) < 1e-3


@pytest.mark.parametrize(("pt", "eta"), [(0.3, 0.2), (0.5, 1.5), (1.0, 2.5)])
def test_goes_where_the_simulation_goes(pt: float, eta: float) -> None:
    """The Runge-Kutta steps of the simulator, 1 mm long, in the true field."""
    direction = np.array([np.cos(0.7), np.sin(0.7), np.sinh(eta)])
    p = pt * np.cosh(eta)
    s, e = np.r_[0.0, 0.0, 0.0, direction / np.cosh(eta)], np.zeros(6)
    disc, at = (eta > 2, 2000.0 if eta > 2 else 500.0)
    while (s[2] if disc else np.hypot(s[0], s[1])) < at:
        before = s.copy()
        advance(TRUE.table, CURVE / p, 1.0, s, e)
        s[:] = e
    depth = [one[2] if disc else np.hypot(one[0], one[1]) for one in (before, s)]
    there = before[:3] + (at - depth[0]) / (depth[1] - depth[0]) * (s[:3] - before[:3])
    q = state(TRUE, 0.7, np.sinh(eta), 1 / pt)
    for stop in np.linspace(at / 5, at, 5):
        moved(TRUE, q, disc, stop)
    np.testing.assert_allclose(q[:3], there, atol=0.05)


def test_rotations() -> None:
    for angle in (-3.0, -0.3, 0.0, 1e-8, 0.39, 0.41):
        np.testing.assert_allclose(rotation(angle), (np.cos(angle), np.sin(angle)), atol=1e-12)
