"""Calibration on paper, against repeated events and scikit-learn, and a temperature that is found again."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from sklearn.calibration import calibration_curve

from pcloud.metrics.calibration import classwise_ece, cooled, ece, log_loss, reliability, temperature


def drawn(rows: int, classes: int, true_temperature: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose logits are ``true_temperature`` times too large, and labels drawn from the right ones."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0, 2, (rows, classes))
    right = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (right.cumsum(axis=1) < chance.random((rows, 1))).sum(axis=1).clip(0, classes - 1)
    return cooled(right, 1 / true_temperature), label


def test_on_paper() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    label = np.array([0, 1, 1, 1])
    # two bins of the chosen class's p, [0, .5) empty: (1 - .9) + (0 - .9) + (1 - .6) + (1 - .7)
    assert ece(p, label, bins=2) == pytest.approx(0.1 / 4)
    # ten bins: .9: |1 - 1.8| ; .6: .4 ; .7: .3
    assert ece(p, label, bins=10) == pytest.approx((0.8 + 0.4 + 0.3) / 4)
    assert ece(p, label, [2, 0, 1, 1], bins=10) == pytest.approx((0.2 + 0.4 + 0.3) / 4)
    # class 1, five bins: .1: |1 - .2|; .6 and .7: |2 - 1.3|; class 0: .9 |1 - 1.8|; .4 alone .4; .3 alone .3
    assert classwise_ece(p, label, bins=5).tolist() == pytest.approx([(0.8 + 0.4 + 0.3) / 4, (0.8 + 0.7) / 4])
    assert log_loss(p, label) == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.7]).mean())


def test_reliability_on_paper() -> None:
    bins = reliability([0.1, 0.2, 0.2, 0.9, 1.0], [False, True, False, True, True], [1, 2, -1, 1, 1], bins=2)
    assert [(one.low, one.high, one.rows, one.weight) for one in bins] == [(0, 0.5, 3, 2), (0.5, 1, 2, 2)]
    assert bins[0].probability == pytest.approx((0.1 + 0.4 - 0.2) / 2) and bins[0].share == 1
    assert (bins[1].probability, bins[1].share, bins[1].error) == (pytest.approx(0.95), 1, 0)
    empty = reliability([0.9], [True], [-1.0], bins=2)
    assert [(one.rows, one.share, one.error) for one in empty] == [(0, None, None), (1, None, None)]


def test_as_scikit_learn() -> None:
    p, label = drawn(2000, 3)
    weight = np.random.default_rng(1).gamma(2, size=2000)
    assert log_loss(p, label, weight) == pytest.approx(sklearn.metrics.log_loss(label, p, sample_weight=weight))
    share, mean = calibration_curve(label == 1, p[:, 1], n_bins=15)
    ours = [one for one in reliability(p[:, 1], label == 1) if one.rows]
    assert [one.share for one in ours] == pytest.approx(share.tolist())
    assert [one.probability for one in ours] == pytest.approx(mean.tolist())


def test_a_weight_is_that_many_events_and_minus_one_takes_away() -> None:
    p, label = drawn(300, 4)
    weight = np.random.default_rng(2).integers(0, 4, 300)
    many = np.repeat(p, weight, axis=0), np.repeat(label, weight)
    twice = (np.concatenate([p, p[:50], p[:50]]), np.concatenate([label, label[:50], label[:50]]))
    signed = np.concatenate([weight, np.full(50, 2), np.full(50, -2)])
    for figure in (log_loss, ece, classwise_ece, temperature):
        assert np.asarray(figure(p, label, weight)) == pytest.approx(np.asarray(figure(*many)), abs=1e-6)
        assert np.asarray(figure(*twice, signed)) == pytest.approx(np.asarray(figure(p, label, weight)), abs=1e-6)
    assert [one.share for one in reliability(p[:, 0], label == 0, weight)] == pytest.approx(
        [one.share for one in reliability(many[0][:, 0], many[1] == 0)]
    )


@pytest.mark.parametrize("wrong", [0.5, 1.0, 3.0])
def test_temperature_is_found_again_and_mends(wrong: float) -> None:
    p, label = drawn(20_000, 3, wrong)
    found = temperature(p, label)
    assert found == pytest.approx(wrong, rel=0.05)
    losses = [log_loss(cooled(p, one), label) for one in (found * 0.97, found, found * 1.03)]
    assert losses[1] == min(losses)
    other, truth = drawn(20_000, 3, wrong, seed=9)
    assert ece(cooled(other, found), truth) < 0.015
    assert wrong == 1.0 or ece(other, truth) > 0.05
    assert (cooled(p, found).argmax(axis=1) == p.argmax(axis=1)).all()


def test_temperature_at_its_ends() -> None:
    sure = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert temperature(sure, [0, 1]) == pytest.approx(0.01, rel=1e-3)  # all right: the colder the better
    assert temperature(sure, [1, 0]) == 100  # all wrong
    assert np.isfinite(temperature(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), [0, 1, 1]))


def test_nothing_has_no_figure() -> None:
    p, label = np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([0, 1])
    for figure in (log_loss, ece):
        assert np.isnan(figure(p, label, [1, -1])) and np.isnan(figure(p[:0], label[:0]))
    with pytest.raises(ValueError, match="weights of 2 rows sum to 0"):
        temperature(p, label, [1, -1])


@pytest.mark.parametrize(
    ("p", "label", "words"),
    [
        ([[0.5, 0.5]], [2], "label of row 0 is 2; expected 0 to 1"),
        ([0.5], [0], r"p \[1\] and label \[1\] came"),
        ([[1.5, -0.5]], [0], "probability of row 0 is 1.5; expected 0 to 1"),
        ([[np.nan, 0.5]], [0], "probability of row 0 is nan"),
    ],
)
def test_mistakes_are_named(p: list, label: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ece(p, label)
