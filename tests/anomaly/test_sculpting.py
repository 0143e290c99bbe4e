"""The sculpting report: measures worked out by hand, an alarm for a score that knows the mass and none for one that doesn't."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pcloud.anomaly.columns import unweighted
from pcloud.anomaly.fake_bumps import fake_bumps
from pcloud.anomaly.sculpting import sculpting
from pcloud.anomaly.shuffled import compared, divergence, p_value, pulls

ROWS = 3000


def rows(seed: int = 0, events: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=events), 200 + draw.exponential(120, events)


def test_divergence_by_hand() -> None:
    assert divergence(np.array([1.0, 0]), np.array([0, 3.0])) == pytest.approx(np.log(2))
    assert divergence(np.array([2.0, 4]), np.array([1, 2.0])) == pytest.approx(0)
    p, q, m = [0.5, 0.5], [0.75, 0.25], [0.625, 0.375]
    expected = sum((a * np.log(a / c) + b * np.log(b / c)) / 2 for a, b, c in zip(p, q, m, strict=True))
    assert divergence(np.array([[2.0, 2]]), np.array([3.0, 1]))[0] == pytest.approx(expected)


def test_pulls_by_hand() -> None:
    """100 of 200 pass, 70 of the 100 in the first bin: 20 above, variance 100 / 2 / 2 * 100 / 199."""
    found = pulls(np.array([100.0, 100, 0]), np.array([70.0, 30, 0]))
    assert found[:2] == pytest.approx([20 / np.sqrt(2500 / 199), -20 / np.sqrt(2500 / 199)]) and np.isnan(found[2])


def test_shuffled_scores_are_what_is_said() -> None:
    """Ten bins of 1,000, a tenth of them drawn: the mean divergence is 9 / 8 (1 / 1,000 - 1 / 10,000) to first order."""
    before = np.full(10, 1000.0)
    after = np.full(10, 100.0)
    found = compared(before, after, shuffles=4000)
    assert found.jsd == 0 and found.jsd_p == 1 and found.pull_p == 1 and found.largest_pull == 0
    # JSD of p and q with small differences d: sum d^2 / (8 p); d of a subset k of N: variance p (1 - k / N) / k
    assert found.expected == pytest.approx(9 * (1 / 1000 - 1 / 10000) / 8, rel=0.03)
    assert found.ends[0] < found.expected < found.ends[1]
    assert p_value(np.array([1.0, 2, 3]), 2.5) == 0.5 and p_value(np.array([1.0]), 5) == 0.5


def test_p_of_scores_that_know_nothing_is_uniform() -> None:
    draw, before, p = np.random.default_rng(0), np.rint(2000 * np.exp(-np.arange(20) / 4)), []
    for number in range(300):
        after = draw.multivariate_hypergeometric(before.astype(int), 800, method="marginals").astype(float)
        found = compared(before, after, shuffles=199, seed=number)
        p.append([found.jsd_p, found.pull_p])
    share = (np.array(p) <= 0.1).mean(axis=0)
    assert (np.abs(share - 0.1) < 0.055).all(), share


def test_flat_scores_raise_no_alarm() -> None:
    raised = []
    for seed in range(12):
        score, mass = rows(seed, 1000)
        raised.append(sculpting(score, mass, shuffles=399, fakes=False, seed=seed)["alarm"])
    assert sum(raised) == 0


@pytest.mark.parametrize("kind", ["linear", "resonant"])
def test_a_score_that_knows_the_mass_raises_the_alarm(kind: str) -> None:
    noise, mass = rows()
    score = noise + (mass / 240 if kind == "linear" else 1.5 * np.exp(-(((mass - 400) / 30) ** 2) / 2))
    signal = np.random.default_rng(1).normal(1, 1, 500)
    report = sculpting(score, mass, signal_score=signal, fakes=False)
    assert report["alarm"] and report["verdict"].startswith("ALARM") and "\n" not in report["verdict"]
    flat = sculpting(noise, mass, signal_score=signal, fakes=False)
    assert not flat["alarm"] and flat["verdict"].startswith("no alarm")
    assert report["distance_correlation"]["value"] > 0.01 > abs(flat["distance_correlation"]["value"])
    for cut, other in zip(report["cuts"], flat["cuts"], strict=True):
        assert cut["inverse_jsd"] < cut["inverse_jsd_shuffled_low"] < cut["inverse_jsd_shuffled"]
        assert 0.8 * other["inverse_jsd_shuffled_low"] < other["inverse_jsd"] < 1.25 * other["inverse_jsd_shuffled_high"]
    if kind == "linear":
        assert report["pearson"]["value"] == pytest.approx(np.corrcoef(score, mass)[0, 1])
        assert report["spearman"]["p"] == pytest.approx(1 / 500)


def test_cuts_are_where_they_are_said_to_be() -> None:
    score, mass = rows()
    signal = np.random.default_rng(1).normal(1, 1, 500)
    report = sculpting(score, mass, signal_score=signal, mass_range=(mass.min(), mass.max()), rejections=(10,), fakes=False)
    half, tenth = report["cuts"]
    assert half["cut"] == "signal efficiency 50%" and half["passed"] == (score >= np.sort(signal)[250]).sum()
    assert tenth["cut"] == "background rejection 10" and tenth["passed"] == ROWS // 10
    assert sum(report["before"]) == ROWS and report["notes"] == []
    assert sum(report["profile"]["events"]) == ROWS and len(set(report["profile"]["events"])) <= 2
    json.dumps(report, allow_nan=False)


def test_tied_scores_and_few_events_are_said_not_guessed() -> None:
    _, mass = rows()
    report = sculpting((np.arange(ROWS) % 20 == 0).astype(float), mass, fakes=False)
    assert [cut["passed"] for cut in report["cuts"]] == [pytest.approx(150, abs=3)]
    assert any("background rejection 100: 0 of" in note and "not judged" in note for note in report["notes"])


def test_fake_bumps() -> None:
    edges = np.linspace(200, 900, 36)
    before = np.histogram(rows(events=20_000)[1], edges)[0].astype(float)
    draw = np.random.default_rng(2)
    flat = draw.multivariate_hypergeometric(before.astype(int), 2000, method="marginals").astype(float)
    found = fake_bumps(before, flat, edges, widths=[3])
    assert found["rate"] <= found["shuffled_high"] + 0.1 and found["expected"] == 0.05
    middle = (edges[1:] + edges[:-1]) / 2
    bumpy = np.floor(before * (0.1 + 0.3 * np.exp(-(((middle - 450) / 25) ** 2) / 2)))
    assert fake_bumps(before, bumpy, edges, widths=[3])["rate"] > 0.9
    with pytest.raises(ValueError, match="need 500 or more"):
        fake_bumps(before, np.floor(flat / 10), edges, widths=[3])


def test_the_report_hunts_for_fake_bumps() -> None:
    noise, mass = rows(events=8000)
    score = noise + 2 * np.exp(-(((mass - 400) / 30) ** 2) / 2)
    report = sculpting(score, mass, mass_range=(200, 800), bins=30, rejections=(10,), shuffles=199)
    assert report["cuts"][0]["fake_bumps"]["rate"] > 0.8 and report["cuts"][0]["largest_pull"] > 5


def test_refuses() -> None:
    score, mass = rows()
    with pytest.raises(ValueError, match="every score is 1; nothing can be cut"):
        sculpting(np.ones(ROWS), mass)
    with pytest.raises(ValueError, match="every mass is 5"):
        sculpting(score, np.full(ROWS, 5.0))
    with pytest.raises(ValueError, match="score of row 7 is nan"):
        sculpting(np.where(np.arange(ROWS) == 7, np.nan, score), mass)
    with pytest.raises(ValueError, match="20 background rows came"):
        sculpting(score[:20], mass[:20])
    with pytest.raises(ValueError, match=r"score \[3000\], mass \[10\]: expected columns of one length"):
        sculpting(score, mass[:10])
    with pytest.raises(ValueError, match="a search counts events"):
        sculpting(score, mass, weight=np.arange(ROWS))
    with pytest.raises(ValueError, match="50 shuffles of 3 tests cannot raise an alarm at 0.01; give 299 or more"):
        sculpting(score, mass, shuffles=50, fakes=False)
    with pytest.raises(ValueError, match="rejection 1 came"):
        sculpting(score, mass, rejections=(1,))


def test_unweighted_rows_stand_for_the_weights() -> None:
    weight = np.repeat([1.0, 4.0], 20_000)
    kept = unweighted(weight)
    assert kept[20_000:].all() and kept[:20_000].mean() == pytest.approx(0.25, abs=0.01)
    with pytest.raises(ValueError, match="negative"):
        unweighted([-1, 2])
