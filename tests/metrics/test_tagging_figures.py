"""The judgement of a tagger: against scikit-learn, against repeated events, and where nothing can be said."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from pcloud.metrics.intervals import clopper_pearson
from pcloud.metrics.roc import ranking
from pcloud.metrics.tagging import Tagged, judge, mean_auc, rejection, summary

Rows = dict[str, np.ndarray]


def tagged(rows: int, classes: int, seed: int = 0, weighted: bool = False) -> Rows:
    chance = np.random.default_rng(seed)
    label = chance.integers(0, classes, rows)
    logits = chance.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[label]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = {"event_id": np.arange(rows), "label": label, **{f"p_{c}": p[:, c] for c in range(classes)}}
    return table | ({"weight": chance.integers(0, 4, rows).astype(np.float32)} if weighted else {})


def repeated(rows: Rows) -> Rows:
    count = rows["weight"].astype(int)
    return {name: np.repeat(column, count) for name, column in rows.items() if name != "weight"}


def test_two_classes_as_scikit_learn() -> None:
    rows = tagged(2000, 2, weighted=True)
    found = summary(rows)
    p, label, weight = rows["p_1"], rows["label"], rows["weight"]
    assert found["auc"] == pytest.approx(roc_auc_score(label, p, sample_weight=weight), abs=1e-12)
    assert found["accuracy"] == pytest.approx(accuracy_score(label, p > 0.5, sample_weight=weight), abs=1e-12)


@pytest.mark.parametrize("how", ["ovr", "ovo"])
def test_many_classes_as_scikit_learn(how: str) -> None:
    rows = tagged(1500, 4)
    p = np.stack([rows[f"p_{c}"] for c in range(4)], axis=1)
    found = mean_auc(Tagged.of(rows), how)
    assert found.value == pytest.approx(roc_auc_score(rows["label"], p, multi_class=how, average="macro"), abs=1e-9)
    assert found.low < found.value < found.high
    spread = np.std([mean_auc(Tagged.of(tagged(300, 4, seed)), how).value for seed in range(150)])
    small = mean_auc(Tagged.of(tagged(300, 4)), how)
    assert (small.high - small.low) / 2 == pytest.approx(spread, rel=0.25)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_weight_is_that_many_events(classes: int) -> None:
    rows = tagged(500, classes, weighted=True)
    one, many = summary(rows), summary(repeated(rows))
    assert one == pytest.approx(many, abs=1e-9)
    assert judge(rows, replicas=2)["curves"].keys() == judge(repeated(rows), replicas=2)["curves"].keys()
    for name, curve in judge(rows, replicas=2)["curves"].items():
        other = judge(repeated(rows), replicas=2)["curves"][name]
        np.testing.assert_allclose(curve["background"], other["background"], atol=1e-12)


def test_a_negative_weight_takes_its_twin_away() -> None:
    rows = tagged(400, 2) | {"weight": np.ones(400)}
    both = {name: np.concatenate([column, column[:80], column[:80]]) for name, column in rows.items()}
    both["weight"] = np.concatenate([np.ones(400), np.full(80, 3.0), np.full(80, -3.0)])
    assert {k: v for k, v in summary(both).items() if "rejection" not in k} == pytest.approx(
        {k: v for k, v in summary(rows).items() if "rejection" not in k}, abs=1e-9
    )
    # with score ties broken by nothing the curve is the same at its cuts; rejection too
    assert summary(both)["rejection_50"] == pytest.approx(summary(rows)["rejection_50"], rel=1e-9)
    assert judge(both, replicas=5)["negative_weights"] == 80


def test_saturated_single_precision_still_orders() -> None:
    """p_1 rounds to 1 for all; p_0 still knows."""
    p0 = np.array([1e-9, 1e-10, 1e-11, 1e-12], np.float32)
    rows = {"label": np.array([0, 0, 1, 1]), "p_0": p0, "p_1": (1 - p0).astype(np.float32)}
    assert len(set(rows["p_1"])) == 1 and summary(rows)["auc"] == 1


def test_rejection_of_everything_is_infinite_with_a_bound() -> None:
    rows = {"label": np.repeat([0, 1], [50, 20]), "p_0": np.repeat([0.9, 0.2], [50, 20]), "p_1": np.repeat([0.1, 0.8], [50, 20])}
    assert math.isinf(summary(rows)["rejection_50"])
    figure = judge(rows, replicas=5)["figures"]["rejection_50"]
    _, most = clopper_pearson(0, 50)
    assert (figure["value"], figure["high"], figure["infinite"]) == (None, None, True)
    assert figure["low"] == pytest.approx(1 / float(most))
    json.dumps(judge(rows, replicas=5), allow_nan=False)


def test_rejection_by_hand_with_its_band() -> None:
    # 10 background jets, the two hardest above half of the signal
    p1 = np.concatenate([np.linspace(0.05, 0.4, 8), [0.85, 0.9], [0.95, 0.88, 0.3, 0.2]])
    rows = {"label": np.repeat([0, 1], [10, 4]), "p_0": 1 - p1, "p_1": p1}
    found = summary(rows, at=(0.25, 0.5))
    assert math.isinf(found["rejection_25"]) and found["rejection_50"] == pytest.approx(10)  # one at .9 is left
    figure = judge(rows, at=(0.5,), replicas=100)["figures"]["rejection_50"]
    assert figure["value"] == pytest.approx(10) and figure["low"] < 10 and "1 of 10 background jets left" in figure["definition"]


def test_bound_with_negative_weights() -> None:
    p1 = np.array([0.7, 0.8, 0.4, 0.1])
    value, signal, _ = Tagged.of({"label": np.array([1, 0, 0, 0]), "p_0": 1 - p1, "p_1": p1}).against(1, 0)
    ranked, weight = ranking(value, signal), np.array([1.0, -0.5, 2, 2])
    found = rejection(ranked.curve(weight), ranked, weight, 0.5, None)
    assert math.isinf(found.value) and found.high is None and found.low is not None and 1 < found.low < 3.5 / 0.5


def test_a_class_that_is_missing_is_said() -> None:
    rows = tagged(300, 3)
    rows = {name: column[rows["label"] != 2] for name, column in rows.items()}
    found = judge(rows, replicas=5)
    assert found["notes"] == ["class 2: no jets with weight"] and list(found["curves"]) == ["1"]
    assert found["figures"]["auc_ovo"]["value"] > 0.5 and "mean of 2 areas of 6" in found["figures"]["auc_ovo"]["definition"]
    alone = {name: column[rows["label"] == 0] for name, column in rows.items()}
    assert math.isnan(summary(alone)["auc_ovo"]) and summary(alone)["accuracy"] > 0.4
    json.dumps(judge(alone, replicas=5), allow_nan=False)
    two = {name: column[:5] for name, column in tagged(50, 2).items() if name != "label"} | {"label": np.zeros(5, int)}
    assert math.isnan(summary(two)["auc"]) and math.isnan(summary(two)["rejection_30"])
    assert summary({"label": np.zeros(0, int), "p_0": np.zeros(0), "p_1": np.zeros(0)}) == {}


def test_temperature_is_judged_on_the_other_half() -> None:
    rows = tagged(4000, 2)
    sharp = {f"p_{c}": rows[f"p_{c}"] ** 4 / (rows["p_0"] ** 4 + rows["p_1"] ** 4) for c in (0, 1)}
    found = judge(rows | sharp, replicas=2)["calibration"]
    assert found["temperature"] > 2 and found["other_half_at_temperature"]["ece"] < found["other_half"]["ece"] / 2
    parts = [np.flatnonzero(rows["label"] == c)[:1900] for c in (0, 1)]
    by_turns = np.stack(parts, axis=1).ravel()  # background, signal, background, ...: each half must still have both
    again = judge({name: column[by_turns] for name, column in (rows | sharp).items()}, replicas=2)["calibration"]
    assert again["temperature"] == pytest.approx(found["temperature"], rel=0.25)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": np.array([0, 7])}, "row 1: label 7; expected 0 to 1: p_0, p_1"),
        ({"p_1": np.array([0.5, np.nan])}, "row 1: probabilities .* expected finite numbers"),
        ({"p_1": None}, "expected label and a p_NAME for each of two or more classes"),
        ({"label": None}, "columns p_0, p_1 came; expected label"),
    ],
)
def test_mistakes_are_named(change: dict, words: str) -> None:
    rows = {"label": np.array([0, 1]), "p_0": np.array([0.5, 0.5]), "p_1": np.array([0.5, 0.5])} | change
    with pytest.raises(ValueError, match=words):
        Tagged.of({name: column for name, column in rows.items() if column is not None})
