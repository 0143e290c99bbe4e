"""Clopper-Pearson intervals against closed forms, against the binomial sums that define them, and their laws."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaincinv

from pcloud.metrics.intervals import Figure, clopper_pearson


def test_closed_forms() -> None:
    # With k = n = 1: P(1 of 1 | p) = p, so the low end is the tail itself, 0.16. With k = 0 of n the high end solves
    # (1 - p)^n = 0.16, with k = n the low end p^n = 0.16.
    assert clopper_pearson(1, 1) == (pytest.approx(0.16), 1.0)
    assert clopper_pearson(0, 1) == (0.0, pytest.approx(0.84))
    assert clopper_pearson(0, 10) == (0.0, pytest.approx(1 - 0.16**0.1))
    assert clopper_pearson(10, 10) == (pytest.approx(0.16**0.1), 1.0)
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    # One of two: low solves 1 - (1 - p)^2 = 0.16, high solves 1 - p^2 = 0.16 (k <= 1 means not both).
    assert clopper_pearson(1, 2) == (pytest.approx(1 - math.sqrt(0.84)), pytest.approx(math.sqrt(0.84)))


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.1, 0.99))
def test_ends_solve_the_binomial_tails(counts: tuple[int, int], level: float) -> None:
    k, n = counts
    low, high = (float(end) for end in clopper_pearson(k, n, level=level))

    def at_least(number: int, p: float) -> float:
        return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(number, n + 1))

    assert 0 <= low <= k / n <= high <= 1
    if k:
        assert at_least(k, low) == pytest.approx((1 - level) / 2, rel=1e-6)
    if k < n:
        assert 1 - at_least(k + 1, high) == pytest.approx((1 - level) / 2, rel=1e-6)
    mirrored = clopper_pearson(n - k, n, level=level)
    assert (1 - mirrored[1], 1 - mirrored[0]) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


def test_arrays_and_mistakes() -> None:
    low, high = clopper_pearson([0, 5, 10], 10)
    assert low.shape == high.shape == (3,)
    assert (np.diff(low) > 0).all() and (np.diff(high) > 0).all()
    for counts in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="expected 0 <= successes <= trials"):
            clopper_pearson(*counts)
    with pytest.raises(ValueError, match="level is 68"):
        clopper_pearson(1, 2, level=68)


def test_figure_names_its_denominator() -> None:
    figure = Figure("efficiency", 1, 2, "found / all, pT > 1 GeV")
    assert str(figure) == "efficiency = 0.5000 (1 / 2, 68% interval 0.0835 to 0.9165; found / all, pT > 1 GeV)"
    answer = json.loads(json.dumps(figure.as_dict(), allow_nan=False))
    assert (answer["numerator"], answer["denominator"], answer["value"]) == (1, 2, 0.5)
    assert (answer["low"], answer["high"], answer["level"]) == (
        pytest.approx(0.0835, abs=1e-4),
        pytest.approx(0.9165, abs=1e-4),
        0.68,
    )
    assert answer["definition"] == "found / all, pT > 1 GeV"


def test_empty_figure_and_ratio() -> None:
    empty = Figure("efficiency", 0, 0, "d")
    assert math.isnan(empty.value) and empty.interval == (0, 1)
    assert json.loads(json.dumps(empty.as_dict(), allow_nan=False))["value"] is None
    ratio = Figure("candidates per particle", 30, 20, "d", level=None)
    assert (ratio.value, ratio.interval, str(ratio)) == (1.5, None, "candidates per particle = 1.5000 (30 / 20; d)")


@pytest.mark.parametrize("level", [0.68, 0.95, 0.999])
def test_as_scipy_inverts_the_beta_function(level: float) -> None:
    chance = np.random.default_rng(0)
    n = np.concatenate([chance.integers(1, 20, 100), chance.integers(1, 2000, 100), chance.integers(1, 300_000, 20)])
    k = (chance.random(len(n)) * (n + 1)).astype(int).clip(0, n)
    k[::5], k[1::7], k[3::11] = 0, n[1::7], n[3::11] - 1
    low, high = clopper_pearson(k, n, level=level)
    tail = (1 - level) / 2
    np.testing.assert_allclose(low, np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0), rtol=1e-10)
    np.testing.assert_allclose(high, np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1), rtol=1e-10)
