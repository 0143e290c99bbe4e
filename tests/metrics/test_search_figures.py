"""Figures of a search against hand counts and Gaussian scores; the study of contamination on a made-up training."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import norm

from pcloud.metrics.anomaly import search_figures, sic_curve
from pcloud.metrics.contamination import contamination, mixed


def gaussians(shift: float, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    signal = np.arange(2 * rows) >= rows
    return draw.normal(size=2 * rows) + shift * signal, signal


def test_by_hand() -> None:
    """Ten background scores 0 .. 9. Rejection 10 lets one of them, 9, pass and so all above 8: 3 of 4 signal events."""
    score, signal = np.append(np.arange(10.0), [20, 8.5, 8.6, 3.5]), np.arange(14) >= 10
    found = search_figures(score, signal, rejections=(5, 10, 20))
    assert found["e10"].value == pytest.approx(0.75) and found["e5"].value == pytest.approx(0.75)
    assert found["auc"].value == pytest.approx((10 + 9 + 9 + 4) / 40)
    assert math.isnan(found["e20"].value) and "fewer than 20 background events" in found["e20"].definition
    none = search_figures(np.append(np.arange(10.0), [0.5, 8.5]), np.arange(12) >= 10, rejections=(10,))
    assert none["e10"].value == pytest.approx(0.5)


def test_ties_are_linear_and_equal_scores_chance() -> None:
    found = search_figures(np.ones(400), np.arange(400) >= 200)
    assert [found[name].value for name in ("auc", "e10", "e100")] == pytest.approx([0.5, 0.1, 0.01])


def test_gaussian_scores_have_the_efficiencies_of_their_tails() -> None:
    found = search_figures(*gaussians(1.5, 20_000))
    for rejection in (10, 100):
        one, expected = found[f"e{rejection}"], norm.sf(norm.isf(1 / rejection) - 1.5)
        assert one.low is not None and one.high is not None and one.low < one.value < one.high
        assert one.value == pytest.approx(expected, abs=2 * (one.high - one.low))
    assert found["auc"].value == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.005)


def test_intervals_cover_two_times_in_three() -> None:
    inside = 0
    for seed in range(60):
        one = search_figures(*gaussians(1.5, 2000, seed), rejections=(10,), seed=seed, replicas=100)["e10"]
        inside += one.low < norm.sf(norm.isf(0.1) - 1.5) < one.high  # type: ignore[operator]
    assert 30 <= inside <= 51


def test_weights_count_as_events() -> None:
    score, signal = gaussians(1.0, 500)
    weight = np.random.default_rng(1).integers(1, 4, 1000)
    repeated = search_figures(np.repeat(score, weight), np.repeat(signal, weight))
    for name, one in search_figures(score, signal, weight).items():
        assert one.value == pytest.approx(repeated[name].value)


def test_sic_of_gaussians() -> None:
    curve = sic_curve(*gaussians(1.5, 50_000))
    background, signal, sic = (np.array(curve[name]) for name in ("background", "signal", "sic"))
    assert background[0] == pytest.approx(25 / 50_000) and (np.diff(background) > 0).all() and background[-1] < 1
    assert sic == pytest.approx(signal / np.sqrt(background))
    expected = norm.sf(norm.isf(background) - 1.5) / np.sqrt(background)
    some = background > 0.01
    assert sic[some] == pytest.approx(expected[some], rel=0.03)
    low, high = np.array(curve["low"]), np.array(curve["high"])
    assert (low <= high).all() and (low[0], high[0]) == pytest.approx((sic[0], sic[0]), rel=0.3)
    best = curve["max_sic"]
    assert best["value"] == pytest.approx(sic.max()) and best["low"] < best["value"] < best["high"]
    json.dumps(curve, allow_nan=False)


def test_sic_of_too_little_background_has_no_curve() -> None:
    curve = sic_curve(*gaussians(1.5, 20))
    assert curve["sic"] == [] and curve["max_sic"]["value"] is None and "too few" in curve["max_sic"]["definition"]
    weight = np.where(np.arange(2000) < 999, 1e-6, 1.0)  # one background event has all the weight
    assert sic_curve(*gaussians(1.5, 1000), weight)["sic"] == []


def test_figures_refuse() -> None:
    score, signal = gaussians(1, 10)
    with pytest.raises(ValueError, match="score of row 3 is nan"):
        search_figures(np.where(np.arange(20) == 3, np.nan, score), signal)
    with pytest.raises(ValueError, match="0 signal and 20 background events came"):
        search_figures(score, np.zeros(20, bool))
    with pytest.raises(ValueError, match="expected numbers above 1"):
        search_figures(score, signal, rejections=(1,))
    with pytest.raises(ValueError, match="floor 0 came"):
        sic_curve(score, signal, floor=0)


def test_mixed_rows() -> None:
    background, signal = mixed(1000, 200, 0.1, seed=3)
    assert len(background) == 900 and len(signal) == 100
    assert len(set(background.tolist())) == 900 and background.max() < 1000 and signal.max() < 200
    fewer = mixed(1000, 200, 0.05, seed=3)
    assert set(fewer[1].tolist()) < set(signal.tolist()) and set(background.tolist()) < set(fewer[0].tolist())
    assert len(mixed(1000, 0, 0.0)[0]) == 1000
    with pytest.raises(ValueError, match="needs 100 signal events; 50 came"):
        mixed(1000, 50, 0.1)
    with pytest.raises(ValueError, match="fraction 1 came"):
        mixed(10, 10, 1.0)


def test_contamination_calls_every_training_and_takes_the_ratio_of_one_seed() -> None:
    called = []

    def run(fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        called.append((fraction, seed))
        return gaussians((1 - 5 * fraction) * (1 + seed / 4), 2000, seed)

    table = contamination(run, fractions=(0, 0.1), seeds=(0, 1, 2))
    assert called == [(f, s) for f in (0, 0.1) for s in (0, 1, 2)]
    clean, dirty = table["rows"]
    assert clean["auc_ratio"] == {"median": 1.0, "spread": 0.0, "values": [1.0, 1.0, 1.0]}
    for seed in range(3):
        assert dirty["auc_ratio"]["values"][seed] == pytest.approx(dirty["auc"]["values"][seed] / clean["auc"]["values"][seed])
    assert (
        dirty["auc"]["median"] == pytest.approx(np.median(dirty["auc"]["values"]))
        and dirty["e10"]["median"] < clean["e10"]["median"]
    )
    assert table["held"] is False and "FAILED" in table["verdict"]
    assert contamination(lambda fraction, seed: gaussians(1, 500, seed))["held"] is True
    json.dumps(table, allow_nan=False)


def test_contamination_refuses() -> None:
    def never(fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError("no training should start")

    with pytest.raises(ValueError, match="rising from 0, the clean training"):
        contamination(never, fractions=(0.1, 0.2))
    with pytest.raises(ValueError, match="expected at least three"):
        contamination(never, seeds=(0, 1))
