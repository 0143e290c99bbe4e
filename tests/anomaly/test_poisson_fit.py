"""The fit of toys: solutions on paper, the same as iminuit's, errors that cover, and spectra it can not fit."""

from __future__ import annotations

import numpy as np
import pytest

from pcloud.anomaly.poisson_fit import fit
from pcloud.anomaly.shapes import Shape
from pcloud.anomaly.spectrum import Spectrum

EDGES = np.linspace(200, 1000, 41)
MIDDLE = (EDGES[1:] + EDGES[:-1]) / 2


def falling(events: float, seed: int = 0, toys: int = 1) -> np.ndarray:
    shape = np.exp(-MIDDLE / 120)
    return np.random.default_rng(seed).poisson(events * shape / shape.sum(), (toys, 40)).astype(float)


def test_one_parameter_on_paper() -> None:
    """A constant of bins of widths 1, 1, 2 GeV with 3, 5, 12 events: 20 / 4 a GeV; variance of its log 1 / 20."""
    made = fit(np.array([[3.0, 5.0, 12.0]]), np.ones((3, 1)), np.array([1.0, 1.0, 2.0]))
    assert made.converged.all() and made.background[0] == pytest.approx([5, 5, 10])
    assert np.exp(made.q[0, 0]) == pytest.approx(5) and made.covariance[0, 0, 0] == pytest.approx(1 / 20)
    expected = 2 * (3 * np.log(3 / 5) + 12 * np.log(12 / 10))
    assert made.deviance[0] == pytest.approx(expected)
    events, error = made.sum_over(np.array([True, False, True]), np.ones((3, 1)))
    assert events[0] == pytest.approx(15) and error[0] == pytest.approx(15 / np.sqrt(20))
    assert made.error(np.ones((3, 1)))[0] == pytest.approx(np.array([5, 5, 10]) / np.sqrt(20))


def test_signal_in_one_bin_takes_what_is_left() -> None:
    """With the signal in bin 2 alone, the others fix a constant of 4 and the signal is 9 - 4, variance 9 + 4^2 / 8."""
    made = fit(np.array([[3.0, 5.0, 9.0]]), np.ones((3, 1)), np.ones(3), template=np.array([0.0, 0.0, 1.0]))
    assert made.q[0, 1] == pytest.approx(5) and made.covariance[0, 1, 1] == pytest.approx(9 + 16 / 8)
    low = fit(np.array([[3.0, 5.0, 1.0]]), np.ones((3, 1)), np.ones(3), template=np.array([0.0, 0.0, 1.0]))
    assert low.q[0, 1] == pytest.approx(-3)


def test_bins_that_are_not_used_do_not_count() -> None:
    counts, (design, _) = falling(5000), Shape().orthogonal(EDGES, 2)
    use = np.arange(40) % 7 != 0
    changed = np.where(use, counts, 1e6)
    one, other = (fit(table, design, np.diff(EDGES), use=use) for table in (counts, changed))
    assert np.array_equal(one.q, other.q) and np.array_equal(one.deviance, other.deviance)


def test_many_toys_are_as_each_alone() -> None:
    counts, (design, _) = falling(3000, toys=20), Shape("dijet").orthogonal(EDGES, 3)
    share = Spectrum(EDGES, np.rint(counts[0])).gaussian(450, 15)
    together = fit(counts, design, np.diff(EDGES), template=share)
    for number, one in enumerate(counts):
        alone = fit(one[None], design, np.diff(EDGES), template=share)
        assert alone.q[0] == pytest.approx(together.q[number], rel=1e-6, abs=1e-6) and together.converged.all()


@pytest.mark.parametrize("family", ["exponential", "dijet"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_agrees_with_iminuit(family: str, order: int) -> None:
    pytest.importorskip("iminuit")
    from pcloud.anomaly.quoted_fit import background_fit, signal_fit

    counts, shape = falling(20_000, seed=order)[0], Shape(family)
    spectrum, design = Spectrum(EDGES, counts), shape.orthogonal(EDGES, order)[0]
    window = (MIDDLE > 400) & (MIDDLE < 480)
    quick = fit(counts[None], design, np.diff(EDGES), use=~window)
    quoted = background_fit(spectrum, 400, 480, order=order, shape=shape)
    events, error = quick.sum_over(window, design)
    assert quoted.events == pytest.approx(events[0], abs=0.01 * error[0]) and quoted.error == pytest.approx(error[0], rel=0.02)
    assert quoted.deviance == pytest.approx(quick.deviance[0], abs=1e-3)
    share = spectrum.gaussian(440, 20)
    quick = fit(counts[None], design, np.diff(EDGES), template=share)
    quoted = signal_fit(spectrum, 440, 20, order=order, shape=shape)
    width = np.sqrt(quick.covariance[0, -1, -1])
    assert quoted.events == pytest.approx(quick.q[0, -1], abs=0.02 * width) and quoted.error == pytest.approx(width, rel=0.05)
    gain = fit(counts[None], design, np.diff(EDGES)).deviance[0] - quick.deviance[0]
    assert quoted.z is not None and abs(quoted.z) == pytest.approx(np.sqrt(gain), abs=0.02)
    assert quoted.low < quoted.events < quoted.high


def test_quoted_parameters_are_those_of_the_formula() -> None:
    pytest.importorskip("iminuit")
    from pcloud.anomaly.quoted_fit import background_fit

    for family, order in (("exponential", 2), ("dijet", 3)):
        shape = Shape(family)
        found = background_fit(Spectrum(EDGES, falling(50_000)[0]), 400, 480, order=order, shape=shape)
        p = np.array(list(found.values.values()))
        expected = 20 * np.exp(shape.columns(EDGES, order) @ p)
        assert expected[(MIDDLE > 400) & (MIDDLE < 480)].sum() == pytest.approx(found.events, rel=1e-6)
    exponential = background_fit(Spectrum(EDGES, falling(50_000)[0]), 400, 480, order=1)
    assert exponential.values["p1"] == pytest.approx(-1000 / 120, abs=4 * exponential.errors["p1"])


def test_errors_cover() -> None:
    counts, (design, _) = falling(20_000, toys=1000), Shape().orthogonal(EDGES, 2)
    truth = 20_000 * np.exp(-MIDDLE / 120) / np.exp(-MIDDLE / 120).sum()
    window = (MIDDLE > 400) & (MIDDLE < 480)
    events, error = fit(counts, design, np.diff(EDGES), use=~window).sum_over(window, design)
    pull = (events - truth[window].sum()) / error
    assert abs(pull.mean()) < 0.12 and pull.std() == pytest.approx(1, abs=0.07)


def test_refuses() -> None:
    design = Shape().orthogonal(EDGES, 2)[0]
    with pytest.raises(ValueError, match="3 mass bins are left to fit 3 parameters"):
        fit(falling(1000), design, np.diff(EDGES), use=np.arange(40) < 3)
    with pytest.raises(ValueError, match="0 events lie in the bins to fit"):
        fit(np.zeros((1, 40)), design, np.diff(EDGES))
    with pytest.raises(ValueError, match=r"expected \[toys, 40\]"):
        fit(np.zeros(40), design, np.diff(EDGES))
    with pytest.raises(ValueError, match="shape 'power' came; expected exponential or dijet"):
        Shape("power")
    with pytest.raises(ValueError, match="order 4 came"):
        Shape().columns(EDGES, 4)
    with pytest.raises(ValueError, match="less than sqrt_s = 900 GeV"):
        Shape("dijet", sqrt_s=900).columns(EDGES, 1)
