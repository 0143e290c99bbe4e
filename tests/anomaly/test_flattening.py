"""A flattened score by hand, and what it is for: uniform at every mass, its order within a mass kept."""

from __future__ import annotations

import numpy as np
import pytest

from pcloud.anomaly.distance_correlation import dcor2
from pcloud.anomaly.flattening import flattened


def test_by_hand() -> None:
    """Masses 1 to 6 hold scores 10 to 60. Two neighbours: of mass 3.5 those at 3 and 4, of 0 the first, of 9 the last."""
    reference = np.arange(10.0, 70, 10), np.arange(1.0, 7)
    came = flattened([35, 40, 5, 60, 70], [3.5, 3.5, 0, 9, 9], *reference, neighbors=2)
    np.testing.assert_allclose(came, [0.5, 0.75, 0, 0.75, 1])


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
