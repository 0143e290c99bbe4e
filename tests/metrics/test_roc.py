"""Weighted ROC curves: on paper, against repeated events, against scikit-learn, and the interval against resampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from pcloud.metrics.roc import auc, auc_error, ranking


def test_on_paper() -> None:
    #          signal: 4, 2      background: 3, 1, with weights
    score, signal = [4, 3, 2, 1], np.array([True, False, True, False])
    roc = ranking(score, signal).curve([1, 1, 3, 3])
    assert roc.threshold.tolist() == [np.inf, 4, 3, 2, 1]
    assert roc.signal.tolist() == [0, 0.25, 0.25, 1, 1] and roc.background.tolist() == [0, 0, 0.25, 0.25, 1]
    # pairs in the right order: (4,3) 1, (4,1) 3, (2,1) 9; wrong: (2,3) 3; of 16
    assert auc(roc) == 13 / 16
    assert roc.background_at([0.1, 0.25, 0.3, 1]).tolist() == [0, 0, 0.25, 0.25]


def test_ties_count_half_and_are_linear() -> None:
    roc = ranking([1, 1, 1, 0], np.array([True, True, False, False])).curve()
    assert roc.signal.tolist() == [0, 1, 1] and roc.background.tolist() == [0, 0.5, 1]
    assert auc(roc) == (2 * 0.5 + 2) / 4
    assert roc.background_at([0.5, 1]).tolist() == [0.25, 0.5]


def test_a_negative_weight_can_turn_the_curve_back_and_the_first_crossing_counts() -> None:
    score, signal = [6, 5, 4, 3, 2, 1], np.array([True, False, True, False, True, False])
    roc = ranking(score, signal).curve([3, 1, -2, 1, 1, 2])
    assert roc.signal.tolist() == [0, 1.5, 1.5, 0.5, 0.5, 1, 1]
    assert roc.background_at([0.5, 1.0]).tolist() == [0, 0]
    assert auc(roc) == pytest.approx((3 * 4 + -2 * 3 + 1 * 2) / (2 * 4))


tables = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=2, max_size=30)


@given(tables)
@settings(max_examples=100, deadline=None)
def test_a_weight_is_that_many_events(rows: list[tuple[int, bool, int]]) -> None:
    score, signal, weight = np.array([*rows, (0, True, 1), (3, False, 2)]).T
    one = ranking(score, signal.astype(bool)).curve(weight)
    many = ranking(np.repeat(score, weight), np.repeat(signal, weight).astype(bool)).curve()
    assert auc(one) == pytest.approx(auc(many), abs=1e-12)
    at = np.linspace(0.05, 1, 20)
    np.testing.assert_allclose(one.background_at(at), many.background_at(at), atol=1e-12)


@given(tables, tables)
@settings(max_examples=100, deadline=None)
def test_an_event_of_weight_minus_one_takes_its_twin_away(rows: list[tuple], twins: list[tuple]) -> None:
    base = np.array([*rows, (0, True, 1), (3, False, 2)])
    twin = np.array(twins)
    plain = ranking(base[:, 0], base[:, 1].astype(bool)).curve(base[:, 2])
    both = np.concatenate([base, twin, twin])
    weight = np.concatenate([base[:, 2], twin[:, 2], -twin[:, 2]])
    less = ranking(both[:, 0], both[:, 1].astype(bool)).curve(weight)
    assert auc(less) == pytest.approx(auc(plain), abs=1e-12)
    for name in ("signal", "background"):  # at the cuts of both
        at = np.searchsorted(-less.threshold, -plain.threshold)
        np.testing.assert_allclose(getattr(less, name)[at], getattr(plain, name), atol=1e-12)


def sample(rows: int, seed: int = 0, digits: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    signal = chance.random(rows) < 0.4
    return np.round(chance.normal(size=rows) + signal, digits), signal, chance.gamma(2, size=rows)


@pytest.mark.parametrize("digits", [1, 6])
@pytest.mark.parametrize("weighted", [True, False])
def test_as_scikit_learn(digits: int, weighted: bool) -> None:
    score, signal, weight = sample(3000, digits=digits)
    weights = weight if weighted else None
    roc = ranking(score, signal).curve(weights)
    assert auc(roc) == pytest.approx(roc_auc_score(signal, score, sample_weight=weights), abs=1e-12)
    background, efficiency, cut = roc_curve(signal, score, sample_weight=weights, drop_intermediate=False)
    np.testing.assert_allclose(roc.background, background, atol=1e-12)
    np.testing.assert_allclose(roc.signal, efficiency, atol=1e-12)
    np.testing.assert_array_equal(roc.threshold, cut)


@pytest.mark.parametrize("digits", [1, 6])
def test_corners_are_enough_for_weights_of_one_sign(digits: int) -> None:
    score, signal, weight = sample(3000, digits=digits)
    ranked = ranking(score, signal)
    all_cuts, few = ranked.curve(weight), ranked.corners().curve(weight)
    assert len(few.threshold) < len(all_cuts.threshold) or digits == 1
    assert auc(few) == pytest.approx(auc(all_cuts), abs=1e-12)
    at = np.linspace(0.001, 1, 400)
    np.testing.assert_allclose(few.background_at(at), all_cuts.background_at(at), atol=1e-12)


@pytest.mark.parametrize("digits", [1, 6])
def test_error_is_that_of_many_test_sets(digits: int) -> None:
    areas, errors = [], []
    for seed in range(300):
        score, signal, weight = sample(400, seed, digits)
        weight = np.where(np.arange(400) % 5 == 0, -weight / 2, weight)
        ranked = ranking(score, signal)
        areas.append(auc(ranked.curve(weight)))
        errors.append(auc_error(ranked, weight))
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.12)  # 300 sets know their spread to 4 %


def test_influence_is_the_derivative() -> None:
    score, signal, weight = sample(50, digits=1)
    ranked = ranking(score, signal)
    moved, step = ranked.auc_influence(weight), 1e-6
    for row in range(50):
        more = weight.copy()
        more[row] *= 1 + step
        slope = (auc(ranked.curve(more)) - auc(ranked.curve(weight))) / step
        assert moved[row] == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize(
    ("score", "signal", "weight", "words"),
    [
        ([1, np.nan, 3], [True, False, True], None, "score of row 1 is nan; 1 of 3 are"),
        ([1, 2], [True, True], None, "2 signal and 0 background events came"),
        ([1, 2], [1, 0], None, "expected two columns of one length, signal bool"),
        ([1, 2, 3], [True, False, False], [1, 1, -2], "signal 1, background -1; efficiencies need a positive sum"),
        ([1, 2], [True, False], [1, np.inf], "weight of row 1 is inf"),
        ([1, 2], [True, False], [1], r"weight has shape \[1\]; expected one for each of 2 rows"),
    ],
)
def test_mistakes_are_named(score: list[float], signal: list[bool], weight: list[float] | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ranking(score, np.array(signal)).curve(weight)


def test_an_efficiency_of_nothing_is_no_question() -> None:
    roc = ranking([1, 2], np.array([True, False])).curve()
    with pytest.raises(ValueError, match="expected more than 0 and at most 1"):
        roc.background_at([0.0])
