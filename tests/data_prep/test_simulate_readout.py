"""Cells and hits of single crossings worked out by hand, and laws that hold for every crossing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.simulate.digitise import Readout, local, noise, place, read_out
from data_prep.simulate.lookup import Lookup
from pcloud.tracking.detector import trackml_detector

DETECTOR = trackml_detector()
LOOKUP = Lookup.of(DETECTOR)
PIXEL_DISC = int(np.flatnonzero(DETECTOR["volume_id"] == 9)[0])
PIXEL_BARREL = int(np.flatnonzero(DETECTOR["volume_id"] == 8)[0])
SHORT_BARREL = int(np.flatnonzero(DETECTOR["volume_id"] == 13)[0])


def read(module: int, u: float, v: float, slope_u: float = 0.0, slope_v: float = 0.0, seed: int = 1) -> Readout:
    rows = np.array([module])
    axes = LOOKUP.axes[module]
    momentum = (axes[2] + slope_u * axes[0] + slope_v * axes[1])[None]
    point = place(np.array([u]), np.array([v]), rows, LOOKUP)
    return read_out(np.random.default_rng(seed), point, momentum, rows, DETECTOR, LOOKUP)


def measured(module: int, readout: Readout) -> tuple[float, float]:
    u, v = local(readout.position, np.array([module]), LOOKUP)
    return float(u[0]), float(v[0])


def test_a_straight_crossing_lights_one_pixel() -> None:
    # u = 0.06 stands in channel (8.4 + 0.06) / 0.05 = 169, v = -0.01 in (36 - 0.01) / 0.05625 = 639; centres 0.075, -0.028125
    readout = read(PIXEL_DISC, 0.06, -0.01)
    assert readout.channel.tolist() == [[169, 639]] and readout.hit.tolist() == [0]
    assert readout.value[0] == pytest.approx(0.3, rel=0.5), "0.3 mm of silicon, in 10 % steps of spread"
    assert measured(PIXEL_DISC, readout) == pytest.approx((0.075, -0.028125), abs=1e-6)


def test_a_slanted_crossing_lights_a_row_in_proportion() -> None:
    # slope 0.5 over 0.3 mm runs 0.15 mm, three channels of 0.05 mm, from the middle of one to the middle of the fourth
    readouts = [read(PIXEL_DISC, 0.05, 0.01, 0.5, seed=seed) for seed in range(300)]
    assert {tuple(np.sort(readout.channel[:, 0])) for readout in readouts} == {(167, 168, 169, 170)}
    lengths = np.mean([readout.value for readout in readouts], axis=0)
    path = 0.3 * np.hypot(1, 0.5)
    np.testing.assert_allclose(lengths, path * np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6]), rtol=0.03)


def test_strips_say_one_and_their_drift_is_overcorrected() -> None:
    # a barrel drifts by tan = 0.12 over half of 0.25 mm on average and corrects for all of it: 0.015 mm too far back
    places = np.linspace(-4, 4, 4001)
    miss = [measured(SHORT_BARREL, read(SHORT_BARREL, float(u), 0.3))[0] - u for u in places[::40]]
    assert np.mean(miss) == pytest.approx(-0.015, abs=0.006)
    assert (read(SHORT_BARREL, 0.0, 0.0, 2.0).value == 1).all()


def test_barrel_pixels_lean_with_the_drift() -> None:
    assert len(np.unique(read(PIXEL_BARREL, 0.01, 0.0, slope_u=0.12).channel[:, 0])) == 1, "along the drift: one channel"
    assert len(np.unique(read(PIXEL_BARREL, 0.01, 0.0, slope_u=-0.88).channel[:, 0])) in (3, 4, 5), "0.15 mm over 0.05 mm"


@settings(max_examples=200, deadline=None)
@given(
    module=st.sampled_from([PIXEL_DISC, PIXEL_BARREL, SHORT_BARREL, 10_000, 18_700]),
    u=st.floats(-1, 1),
    v=st.floats(-1, 1),
    slope_u=st.floats(-9.9, 9.9),
    slope_v=st.floats(-9.9, 9.9),
)
def test_laws_of_every_crossing(module: int, u: float, v: float, slope_u: float, slope_v: float) -> None:
    half_v = LOOKUP.sizes[module, 2]
    half_u = LOOKUP.sizes[module, :2].min()
    readout = read(module, u * half_u, v * half_v, slope_u, slope_v)
    columns = np.rint(2 * DETECTOR["module_maxhu"][module] / DETECTOR["pitch_u"][module])
    rows = np.rint(2 * half_v / DETECTOR["pitch_v"][module])
    assert len(readout.hit) >= 1 and (readout.value > 0).all()
    assert (readout.channel >= 0).all() and (readout.channel < [columns, rows]).all()
    assert len(np.unique(readout.channel, axis=0)) == len(readout.channel)
    steps = np.abs(np.diff(readout.channel, axis=0)).sum(axis=1)
    assert (steps <= 2).all(), "a cluster hangs together"
    at = measured(module, readout)
    reach = 5 * 0.7 + 11.0
    assert abs(at[0] - u * half_u) < reach and abs(at[1] - v * half_v) < reach


def test_charge_is_the_path_inside() -> None:
    rows = np.full(2000, PIXEL_DISC)
    rng = np.random.default_rng(3)
    u, v = rng.uniform(-5, 5, 2000), rng.uniform(-20, 20, 2000)
    slope = rng.uniform(-3, 3, (2000, 2))
    axes = LOOKUP.axes[PIXEL_DISC]
    momentum = axes[2] + slope[:, :1] * axes[0] + slope[:, 1:] * axes[1]
    readout = read_out(rng, place(u, v, rows, LOOKUP), momentum, rows, DETECTOR, LOOKUP)
    ratio = np.bincount(readout.hit, readout.value) / (0.3 * np.sqrt(1 + (slope**2).sum(axis=1)))
    assert ratio.mean() == pytest.approx(1, abs=0.01) and ratio.std() < 0.12


def test_noise_is_uniform_and_never_grazes() -> None:
    module, position, momentum = noise(np.random.default_rng(1), 20_000, LOOKUP)
    assert len(module) == len(position) == len(momentum) == 20_000
    u, v = local(position, module, LOOKUP)
    assert (np.abs(v) <= LOOKUP.sizes[module, 2]).all() and (np.abs(u) <= LOOKUP.sizes[module, 1]).all()
    assert abs((v / LOOKUP.sizes[module, 2]).mean()) < 0.02
    cosine = (momentum * LOOKUP.axes[module, 2]).sum(axis=1) / 1e6
    assert np.abs(cosine).min() > 0.1
    assert [len(column) for column in noise(np.random.default_rng(1), 0, LOOKUP)] == [0, 0, 0]
