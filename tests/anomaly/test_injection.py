"""A signal that was put there comes back, within errors that mean what they say; and iminuit finds it too."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pcloud.anomaly.injection import injected, signal_free
from pcloud.anomaly.shapes import Shape
from pcloud.anomaly.spectrum import Spectrum

EDGES = np.linspace(200, 1000, 81)
MIDDLE = (EDGES[1:] + EDGES[:-1]) / 2
BACKGROUND = 50_000 * np.exp(-MIDDLE / 120) / np.exp(-MIDDLE / 120).sum()


@pytest.mark.parametrize(("family", "order"), [("exponential", 1), ("exponential", 2), ("dijet", 3)])
def test_pulls_have_mean_0_and_width_1(family: str, order: int) -> None:
    sizes = [0.0, 100.0, 300.0, 1000.0]
    rows = injected(BACKGROUND, EDGES, mean=450, width=15, events=sizes, order=order, shape=Shape(family), seed=1)
    assert [row["injected"] for row in rows] == sizes
    for row in rows:
        assert abs(row["pull_mean"]) < 0.1, row  # 1,000 toys: 0.03 is one standard error
        assert row["pull_width"] == pytest.approx(1, abs=0.07) and row["within"] == pytest.approx(0.683, abs=0.05), row
        assert row["recovered"] == pytest.approx(row["injected"], abs=0.1 * row["error"]) and row["failed"] == 0
    z = [row["z"] for row in rows]
    assert abs(z[0]) < 0.15 and z[1] == pytest.approx(100 / rows[0]["error"], rel=0.15) and z == sorted(z)


def test_a_wrong_background_is_seen_in_the_pulls() -> None:
    curved = np.exp(-MIDDLE / 100 + (MIDDLE / 700) ** 2)
    (row,) = injected(50_000 * curved / curved.sum(), EDGES, mean=450, width=15, events=[0], order=1, toys=100)
    assert abs(row["pull_mean"]) > 0.5


def test_iminuit_quotes_the_injected_signal() -> None:
    pytest.importorskip("iminuit")
    from pcloud.anomaly.quoted_fit import signal_fit

    draw, inside = np.random.default_rng(2), 0
    for _ in range(30):
        spectrum = Spectrum(EDGES, draw.poisson(BACKGROUND).astype(float))
        spectrum = Spectrum(EDGES, spectrum.counts + draw.poisson(300 * spectrum.gaussian(450, 15)))
        found = signal_fit(spectrum, 450, 15, order=1)
        inside += found.low < 300 < found.high
        assert abs(found.events - 300) < 4 * found.error and found.z is not None and found.z > 2
    assert 14 <= inside <= 27  # 68 % of 30, within what a binomial allows


def test_a_deficit_has_a_negative_signal() -> None:
    pytest.importorskip("iminuit")
    from pcloud.anomaly.quoted_fit import signal_fit

    counts = np.where((MIDDLE > 420) & (MIDDLE < 480), np.rint(BACKGROUND * 0.7), np.rint(BACKGROUND))
    found = signal_fit(Spectrum(EDGES, counts), 450, 15, order=1)
    assert found.events < -200 and found.z is not None and found.z < -3 and found.low < found.events < found.high


def test_signal_free_toys_tell_a_shape_that_follows_from_one_that_does_not() -> None:
    rows = signal_free(BACKGROUND[:60], EDGES[:61], widths=[6], orders=(1, 2), toys=300)
    assert [rows[0]["low"], rows[0]["high"]] == [230, 290] and rows[-1]["high"] == 770
    assert max(abs(row["z_mean"]) for row in rows) < 0.25 and all(row["z_width"] == pytest.approx(1, abs=0.15) for row in rows)
    assert min(row["ks_p"] for row in rows) > 0.01 / len(rows)
    curved = np.exp(-MIDDLE / 100 + (MIDDLE / 700) ** 2)
    wrong = signal_free(50_000 * curved / curved.sum(), EDGES, widths=[6], orders=(1,), toys=100)
    assert max(abs(row["z_mean"]) for row in wrong) > 1 and min(row["ks_p"] for row in wrong) < 1e-6


def test_refuses() -> None:
    with pytest.raises(ValueError, match="signals .* and 1 toys came"):
        injected(BACKGROUND, EDGES, mean=450, width=15, events=[100], order=1, toys=1)
    with pytest.raises(ValueError, match="not finite"):
        injected(BACKGROUND * np.nan, EDGES, mean=450, width=15, events=[100], order=1)
    with pytest.raises(ValueError, match="signal width 0 GeV came"):
        injected(BACKGROUND, EDGES, mean=450, width=0, events=[100], order=1)
    pytest.importorskip("iminuit")
    from pcloud.anomaly.quoted_fit import signal_fit

    with pytest.raises(ValueError, match="a signal at 3000 GeV lies mostly outside 200 to 1000 GeV"):
        signal_fit(Spectrum(EDGES, np.rint(BACKGROUND)), 3000, 15, order=1)


def test_without_iminuit_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from pcloud.anomaly.quoted_fit import background_fit

    monkeypatch.setitem(sys.modules, "iminuit", None)
    with pytest.raises(ImportError, match=r"needs iminuit: pip install 'pcloud\[fit\]'"):
        background_fit(Spectrum(EDGES, np.rint(BACKGROUND)), 400, 480, order=1)
