"""Bands: a Poisson bootstrap is a Poisson bootstrap, spreads as test sets do, and pairs two taggers."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pcloud.metrics.bootstrap import CHANCES, auc_gap, bootstrap, poisson_counts
from pcloud.metrics.estimates import central
from pcloud.metrics.roc import auc, auc_error, ranking


def sample(rows: int, seed: int = 0, apart: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    signal = chance.random(rows) < 0.5
    return chance.normal(size=rows) + apart * signal, signal


def test_counts_are_poisson_of_mean_one() -> None:
    assert sum(CHANCES) == 2**16 == sum(count * chance for count, chance in enumerate(CHANCES))
    counts = np.concatenate(list(poisson_counts(100_000, 10, 3)))
    share = np.bincount(counts, minlength=9) / len(counts)
    expected = np.exp(-1) / np.cumprod([1, *range(1, 9)])
    np.testing.assert_allclose(share, expected, atol=5 * np.sqrt(0.25 / len(counts)))
    assert [one.tolist() for one in poisson_counts(5, 3, 7)] == [one.tolist() for one in poisson_counts(5, 3, 7)]
    assert next(poisson_counts(50, 1, 7)).tolist() != next(poisson_counts(50, 1, 8)).tolist()


def test_a_replica_is_the_curve_of_its_counts() -> None:
    score, signal = sample(200)
    weight = np.random.default_rng(1).normal(1, 1, 200)  # some negative
    for weights in (None, np.abs(weight), weight):
        ranked = ranking(np.round(score, 1), signal)
        drawn = bootstrap(ranked, weights, grid=[0.3, 0.5], replicas=20, seed=4)
        base = np.ones(200) if weights is None else weights
        for number, count in enumerate(poisson_counts(200, 20, 4)):
            roc = ranking(np.round(score, 1), signal).curve(base * count)
            assert drawn.auc[number] == pytest.approx(auc(roc), abs=1e-12)
            np.testing.assert_allclose(drawn.background[number], roc.background_at([0.3, 0.5]), atol=1e-12)


def test_the_band_spreads_as_test_sets_do() -> None:
    score, signal = sample(2000)
    ranked = ranking(score, signal)
    drawn = bootstrap(ranked, grid=[0.3, 0.5], replicas=400)
    assert drawn.auc.std() == pytest.approx(auc_error(ranked), rel=0.12)
    others = [ranking(*sample(2000, seed)).curve().background_at([0.3, 0.5]) for seed in range(1, 400)]
    low, high = drawn.band()
    np.testing.assert_allclose((high - low) / 2, np.std(others, axis=0), rtol=0.35)  # a band of one set of ~20 survivors


def test_classes_too_small_to_be_in_every_replica() -> None:
    drawn = bootstrap(ranking([3, 2, 1], np.array([True, False, False])), grid=[0.5], replicas=50)
    assert 5 < np.isnan(drawn.auc).sum() < 35  # e^-1 of them lack the one signal event, e^-2 the two others
    assert np.isfinite(drawn.band()).all()


def test_central_interval_of_samples_with_infinities() -> None:
    assert central([np.nan, 1, 2, 3, np.inf, np.inf]) == (1, np.inf)
    assert np.isnan(central([np.nan])).all()


def test_paired_gap_is_narrower_than_two_errors() -> None:
    score, signal = sample(3000)
    blurred = score + np.random.default_rng(5).normal(0, 0.3, 3000)
    gap = auc_gap(score, blurred, signal, replicas=300)
    ranks = [ranking(one, signal) for one in (score, blurred)]
    assert gap.value == pytest.approx(auc(ranks[0].curve()) - auc(ranks[1].curve()), abs=1e-12)
    paired = np.sqrt(np.square(ranks[0].auc_influence() - ranks[1].auc_influence()).sum())
    width = (gap.high - gap.low) / 2
    assert width == pytest.approx(paired, rel=0.2) and width < 0.5 * np.hypot(*map(auc_error, ranks))
    same = auc_gap(score, score, signal, replicas=10)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_gap_of_other_events_is_refused() -> None:
    with pytest.raises(ValueError, match="expected two columns of one length"):
        auc_gap([1, 2, 3], [1, 2], np.array([True, False, True]))


@pytest.mark.slow
def test_a_test_set_of_top_tagging_takes_seconds() -> None:
    score, signal = sample(400_000)
    start = time.process_time()
    ranked = ranking(score, signal)
    drawn = bootstrap(ranked)
    assert time.process_time() - start < 20  # measured: 2 s
    assert drawn.auc.std() == pytest.approx(auc_error(ranked), rel=0.2)
