"""A flattened score by hand, and what it is for: uniform at every mass, its order within a mass kept."""

from __future__ import annotations

import numpy as np
import pytest

from pcloud.anomaly.distance_correlation import dcor2
from pcloud.anomaly.flattening import flattened


def test_by_hand() -> None:
    """Scores 0, 4, 4, 0 at masses 1, 2, 3, 4 have no slope; at 1, 2 alone one of 4: moved to mass 2 both are 4, to 0 both -4."""
    reference = np.array([0.0, 4, 4, 0]), np.arange(1.0, 5)
    np.testing.assert_allclose(flattened([1, 4, 5, -1], [2.5] * 4, *reference, neighbors=4), [0.5, 0.75, 1, 0])
    np.testing.assert_allclose(flattened([3, 5, -5, -3], [1.9, 1.9, 0, 0], *reference, neighbors=2), [0, 1, 0, 1])


def test_the_mass_itself_says_nothing_any_more() -> None:
    """Also where few events of the reference lie, and beyond the last of them."""
    mass = np.random.default_rng(1).exponential(50, 1000)
    np.testing.assert_allclose(flattened([5.0, 80, 300, 900], [5.0, 80, 300, 900], mass, mass), 0.5)


def test_a_score_that_is_the_mass_with_noise_becomes_blind_to_it() -> None:
    draw = np.random.default_rng(0)
    mass = draw.exponential(50, 20_000) + 20
    score = np.log(mass) + 0.3 * draw.standard_normal(len(mass))
    flat = flattened(score[::2], mass[::2], score[1::2], mass[1::2])
    assert dcor2(score[::2], mass[::2]) > 0.5 and abs(dcor2(flat, mass[::2])) < 0.005
    for low, high in ((20, 40), (40, 80), (80, 160)):
        here = (mass[::2] >= low) & (mass[::2] < high)
        assert abs((flat[here] > 0.9).mean() - 0.1) < 0.02
        assert np.corrcoef(flat[here], score[::2][here] - np.log(mass[::2][here]))[0, 1] > 0.9


def test_refusals() -> None:
    with pytest.raises(ValueError, match="neighbors = 5 of 3 reference events came"):
        flattened([1.0], [1.0], [1.0, 2, 3], [1.0, 2, 3], neighbors=5)
    with pytest.raises(ValueError, match="score of row 0 is nan"):
        flattened([np.nan], [1.0], [1.0, 2, 3], [1.0, 2, 3], neighbors=2)
