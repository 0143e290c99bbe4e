"""The bump hunt: p-values of spectra without a signal are uniform, a bump is found where it is, nonsense is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm

from pcloud.anomaly.hunting import hunt, largest, local
from pcloud.anomaly.scanning import scan, signed_root, sliding, window_of
from pcloud.anomaly.shapes import Shape
from pcloud.anomaly.spectrum import Spectrum

EDGES = np.linspace(200, 1000, 41)
MIDDLE = (EDGES[1:] + EDGES[:-1]) / 2
SHAPES = {
    "exponential": np.exp(-MIDDLE / 120),
    "dijet": (1 - MIDDLE / 13000) ** 10 * (MIDDLE / 13000) ** -5.0,
}
TRUTH = {name: 50_000 * shape / shape.sum() for name, shape in SHAPES.items()}
RIGHT = {"exponential": (1, 2, 3), "dijet": (2,)}


def drawn(family: str = "exponential", seed: int = 0, toys: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).poisson(TRUTH[family], (toys, 40)).astype(float)


def test_signed_root_of_known_background() -> None:
    """Without error: sqrt(2 (n ln(n / b) - n + b)), with the sign of n - b."""
    n, b = np.array([130.0, 70.0, 100.0, 0.0]), np.full(4, 100.0)
    plain = np.sqrt(2 * (130 * np.log(1.3) - 30)), -np.sqrt(2 * (70 * np.log(0.7) + 30)), 0, -np.sqrt(200)
    assert signed_root(n, b, np.zeros(4)) == pytest.approx(plain)
    wide = signed_root(n, b, np.full(4, 10.0))
    assert (np.abs(wide[[0, 1, 3]]) < np.abs(np.array(plain)[[0, 1, 3]])).all()
    # for large counts (n - b) / sqrt(b + error^2)
    big = signed_root(np.array([1_002_000.0]), np.array([1e6]), np.array([1000.0]))
    assert big[0] == pytest.approx(2000 / np.sqrt(2e6), rel=2e-3)
    extreme = signed_root(np.array([1e5, 0.0]), np.array([1.0, 1e5]), np.array([0.5, 5e4]))
    assert np.isfinite(extreme).all() and extreme[0] > 0 > extreme[1]


def test_windows() -> None:
    found = sliding(np.arange(13.0), [2, 4], side=3)
    assert [np.flatnonzero(one).tolist() for one in found] == [
        [3, 4],
        [4, 5],
        [5, 6],
        [6, 7],
        [7, 8],
        [3, 4, 5, 6],
        [4, 5, 6, 7],
        [5, 6, 7, 8],
    ]
    assert np.flatnonzero(window_of(EDGES, 400, 460)).tolist() == [10, 11, 12]


@pytest.mark.parametrize("family", ["exponential", "dijet"])
@pytest.mark.parametrize(("low", "high"), [(300, 340), (440, 540), (700, 800)])
def test_local_p_is_uniform_without_signal(family: str, low: float, high: float) -> None:
    """1,000 spectra without signal, a window fixed beforehand."""
    window = window_of(EDGES, low, high)[None]
    z = scan(drawn(family, seed=5, toys=1000), EDGES, window, Shape(family), RIGHT[family]).z[:, 0]
    assert kstest(norm.sf(z), "uniform").pvalue > 0.01


def test_global_p_is_uniform_without_signal() -> None:
    """1,000 spectra without signal, each against toys of the background that was fitted to one of them."""
    windows, shape = sliding(EDGES, [4])[::2], Shape()
    seen = scan(drawn(seed=6, toys=1000), EDGES, windows, shape).z.max(axis=1)
    fitted = hunt(Spectrum(EDGES, drawn(seed=7)[0]), widths=[4], toys=0).background
    reference = np.sort(largest(fitted, EDGES, windows, shape, toys=2000, seed=8))
    p = (1 + len(reference) - np.searchsorted(reference, seen, side="left")) / (1 + len(reference))
    assert kstest(p, "uniform").pvalue > 0.01


def test_a_bump_is_found_where_it_is() -> None:
    draw = np.random.default_rng(3)
    mass = np.concatenate([200 + draw.exponential(120, 50_000), draw.normal(450, 15, 300)])
    found = hunt(Spectrum.of(mass, low=200, high=1000, bins=40), widths=[3], toys=200)
    assert found.best.low < 450 < found.best.high and found.best.p < 1e-6 and found.global_p == 1 / 201
    assert any("bound" in note for note in found.notes) and found.global_ends[0] == 0 < found.global_ends[1] < 0.02
    excess = found.best.observed - found.best.expected
    assert abs(excess - 300) < 3 * np.hypot(np.sqrt(found.best.observed), found.best.error)
    assert found.fit_p > 0.01 and found.best == local(found.spectrum, found.best.low, found.best.high)
    report = found.as_dict()
    assert report["best"]["excess"] == pytest.approx(excess) and len(report["background"]) == 40
    assert "best window" in str(found) and "global p" in str(found)


def test_global_p_exceeds_local_and_is_the_same_again() -> None:
    spectrum = Spectrum(EDGES, drawn(seed=9)[0])
    first, second = (hunt(spectrum, widths=[3], toys=100, seed=4) for _ in range(2))
    assert first.global_p == second.global_p > first.best.p
    assert first.global_ends[0] <= first.global_p <= first.global_ends[1] + 1 / 101
    assert first.global_z < first.best.z
    nothing = hunt(spectrum, widths=[3], toys=0)
    assert np.isnan(nothing.global_p) and nothing.as_dict()["global_p"] is None


def test_the_order_is_chosen_on_the_sidebands() -> None:
    curved = np.exp(-MIDDLE / 100 + (MIDDLE / 700) ** 2)
    counts = np.random.default_rng(2).poisson(50_000 * curved / curved.sum(), (50, 40)).astype(float)
    window = window_of(EDGES, 440, 500)
    found = scan(counts, EDGES, window[None], Shape())
    assert (found.order >= 2).all() and (found.order == 2).mean() > 0.75
    straight = scan(drawn(toys=200), EDGES, window[None], Shape()).order
    assert 0.8 < (straight == 1).mean() < 0.98  # one in ten by its rule
    counts[:, window] += 1e4  # what lies in the window has no say
    again = scan(counts, EDGES, window[None], Shape())
    assert np.array_equal(found.order, again.order) and np.array_equal(found.expected, again.expected)


def test_a_fit_that_fails_is_said() -> None:
    peak = 2000 * np.exp(-(((MIDDLE - 600) / 100) ** 2) / 2) + 50
    found = hunt(Spectrum(EDGES, np.random.default_rng(0).poisson(peak).astype(float)), widths=[3], orders=(1,), toys=0)
    assert found.fit_p < 0.01 and "does not describe the sidebands" in found.notes[0]


def test_windows_that_expect_too_little_are_left_out() -> None:
    found = hunt(Spectrum(EDGES, drawn()[0] // 40), widths=[3], toys=0)
    assert all(one.expected >= 25 for one in found.windows) and found.unsearched > 0
    assert found.unsearched + len(found.windows) == len(sliding(EDGES, [3]))
    assert "not searched" in found.notes[-1]


def test_refuses() -> None:
    mass = 200 + np.random.default_rng(0).exponential(120, 1000)
    spectrum = Spectrum.of(mass, low=200, high=1000, bins=40)
    assert Spectrum.of(mass, low=200, high=1000, bins=40, weight=np.full(1000, 0.3)).counts.sum() == spectrum.counts.sum()
    with pytest.raises(ValueError, match=r"weights from 0 to 999 came; a search counts events: .*unweighted"):
        Spectrum.of(mass, low=200, high=1000, bins=40, weight=np.arange(1000))
    with pytest.raises(ValueError, match="mass of row 3 is nan"):
        Spectrum.of(np.where(np.arange(1000) == 3, np.nan, mass), low=200, high=1000, bins=40)
    with pytest.raises(ValueError, match="0 events lie in the mass range"):
        Spectrum.of(mass, low=5000, high=6000, bins=40)
    with pytest.raises(ValueError, match="5 mass bins came"):
        Spectrum.of(mass, low=200, high=1000, bins=5)
    with pytest.raises(ValueError, match="no whole numbers"):
        Spectrum(EDGES, drawn()[0] + 0.5)
    with pytest.raises(ValueError, match="expected low < high"):
        Spectrum.of(mass, low=300, high=300, bins=40)
    with pytest.raises(ValueError, match="no window expects 25 events, the fullest"):
        hunt(Spectrum(EDGES, np.full(40, 3.0)), widths=[3])
    with pytest.raises(ValueError, match="window 410 to 419 GeV holds no whole bin"):
        local(spectrum, 410, 419)
    with pytest.raises(ValueError, match="leaves no sideband on one side"):
        local(spectrum, 200, 300)
    with pytest.raises(ValueError, match=r"widths \[50\] \(bins\) came; expected 1 to 34"):
        hunt(spectrum, widths=[50])
    with pytest.raises(ValueError, match=r"orders \[2, 1\] came"):
        hunt(spectrum, widths=[3], orders=(2, 1))
    with pytest.raises(ValueError, match="events lie in the bins to fit"):
        local(Spectrum(EDGES, np.where(window_of(EDGES, 400, 500), 100.0, 0.0)), 400, 500)


def test_no_events_in_a_window_is_a_deficit() -> None:
    empty = np.where(window_of(EDGES, 400, 500), 0.0, drawn()[0])
    found = local(Spectrum(EDGES, empty), 400, 500)
    assert found.observed == 0 and found.z < -10 and found.p == pytest.approx(1)
