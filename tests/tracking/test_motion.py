"""The way of a track against an exact circle in a constant field, and its errors against neighbouring tracks."""

from __future__ import annotations

import numpy as np
import pytest

from pcloud.tracking import motion
from pcloud.tracking.field import field_table, uniform_table

START = (30.0, 5.0, 10.0, 0.4, 2.0, 1.5)  # x, y, z, phi, t, charge / pT


def carried(field: motion.Field, start: tuple[float, ...], disc: bool, at: float, errors: np.ndarray | None = None) -> np.ndarray:
    q, p = np.zeros(motion.STATE), np.zeros((5, 5)) if errors is None else errors
    motion.place(field, q, *start)
    assert motion.move(field, q, p, disc, at, motion.way(q, disc, at), np.zeros((5, 5))) != motion.NOT_REACHED
    return q


@pytest.mark.parametrize("k", [2.0, -2.0, 0.5])
def test_a_constant_field_makes_a_circle(k: float) -> None:
    q = carried(motion.Field(uniform_table(2.0), 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.3, 1.2, k), False, 500.0)
    curvature = 0.299792458e-3 * 2.0 * abs(k)  # a chord of 500 mm is 2 sin(curvature s / 2) / curvature
    s = 2 / curvature * np.arcsin(500.0 * curvature / 2)
    assert np.hypot(q[0], q[1]) == pytest.approx(500.0, abs=1e-6)
    assert q[2] == pytest.approx(1.2 * s, abs=1e-6)
    assert q[3] == pytest.approx(0.3 - np.sign(k) * curvature * s, abs=1e-9)  # a positive charge turns clockwise


@pytest.mark.parametrize(("disc", "at"), [(True, 500.0), (False, 250.0)])
def test_errors_grow_as_neighbouring_tracks_part(disc: bool, at: float) -> None:
    field = motion.Field(field_table(), 0.0, 0.0, 0.0)
    end = carried(field, START, disc, at)
    for i, moved in enumerate((3, 5)):  # a little of phi, then of charge / pT
        step = 1e-4
        start = list(START)
        start[moved] += step
        other = carried(field, tuple(start), disc, at)
        errors = np.zeros((5, 5))
        errors[(2, 4)[i], (2, 4)[i]] = 1.0
        carried(field, START, disc, at, errors)
        across = (-end[7] * (other[0] - end[0]) + end[6] * (other[1] - end[1])) / step
        assert np.sqrt(errors[0, 0]) == pytest.approx(abs(across), rel=0.01)


def test_a_soft_track_does_not_reach_the_outer_cylinder() -> None:
    q = np.zeros(motion.STATE)
    motion.place(motion.Field(uniform_table(2.0), 0.0, 0.0, 0.0), q, 0.0, 0.0, 0.0, 0.0, 1.0, 1 / 0.15)  # circle of 500 mm across
    assert motion.way(q, False, 520.0) == motion.NOT_REACHED
    assert motion.way(q, False, 480.0) < 800.0


def test_a_soft_track_that_turns_before_a_far_disc_gives_up() -> None:
    """This state, from a simulated event, turns back along z on its way: it went to and fro for ever."""
    state = np.array([243.77, 659.82, 2362.68, -0.16433, 0.33468, 5.90232, 0.98653, -0.16359, -3.9006e-4, 2.5677e-4])
    field = motion.Field(field_table(), 0.0, 0.0, 0.0)
    d = motion.way(state, True, 1795.5)
    assert d < -1000
    assert motion.move(field, state, np.eye(5) * 1e-3, True, 1795.5, d, np.zeros((5, 5))) == motion.NOT_REACHED
