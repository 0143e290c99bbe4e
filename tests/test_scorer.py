"""The event score, the dataset score and the throughput score against tables worked out on paper."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scorer import run as run_benchmark
from benchmarks.scorer import synthetic_truth
from pcloud.scorer import (
    group_codes,
    majorities,
    pair_codes,
    score_dataset,
    score_event,
    score_tracks,
    throughput_score,
)

BIG = 1 << 60  # ids of this size are not exact as float64


def event(*rows: tuple[int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["hit_id", "particle_id", "weight"])


def tracks(**groups: list[int]) -> pd.DataFrame:
    rows = [(hit, number) for number, hits in enumerate(groups.values(), start=1) for hit in hits]
    return pd.DataFrame(rows, columns=["hit_id", "track_id"], dtype="int64")


# Particles A = 1 (hits 1 to 4), B = 2 (hits 5 to 8), C = 3 (hits 9, 10), noise (hits 11, 12); the weights sum to 20.
PAPER = event(
    (1, 1, 1.0), (2, 1, 2.0), (3, 1, 3.0), (4, 1, 2.0), (5, 2, 1.0), (6, 2, 2.0), (7, 2, 2.0), (8, 2, 3.0),
    (9, 3, 1.0), (10, 3, 3.0), (11, 0, 0.0), (12, 0, 0.0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "score"),
    [
        # A: 3 of 3 and 3 of 4 -> 1 + 2 + 3. (4, 5, 6): B leads with 2 of 3, but holds 2 of B's 4, not more than half.
        # (7, 8, 11, 12): 2 of 4 each. C whole -> 1 + 3. Together 10 of 20.
        ({"a": [1, 2, 3], "b": [4, 5, 6], "c": [7, 8, 11, 12], "d": [9, 10]}, 0.5),
        # Two noise hits in a track of five: A leads with 3 of 5 and 3 of 4 -> 6 of 20; noise only dilutes.
        ({"a": [1, 2, 3, 11, 12], "b": [4], "c": [5, 6], "d": [7, 8], "e": [9], "f": [10]}, 0.3),
        # Half A, half B: 4 of 8 is not more than half.
        ({"a": [1, 2, 3, 4, 5, 6, 7, 8], "b": [9, 11], "c": [10, 12]}, 0.0),
        # Each particle cut in halves: pure tracks, none with more than half of its particle.
        ({"a": [1, 2], "b": [3, 4], "c": [5, 6], "d": [7, 8], "e": [9], "f": [10], "g": [11], "h": [12]}, 0.0),
        # Led by noise: 2 of 3, all of the noise there is; its weight is 0 and hit 9's 1 is not earned.
        ({"a": [9, 11, 12], "b": [1, 2, 3, 4], "c": [5, 6, 7, 8], "d": [10]}, 16 / 20),
        # One track of all hits: A and B have 4 of 12 each.
        ({"a": list(range(1, 13))}, 0.0),
        # Hits 4 and 12 missing: A still has 3 of 3 and 3 of 4; B and C whole.
        ({"a": [1, 2, 3], "b": [5, 6, 7, 8], "c": [9, 10], "d": [11]}, 18 / 20),
        # Nothing submitted: every hit stands alone, no particle here has a single hit.
        ({}, 0.0),
    ],
)
def test_paper(groups: dict[str, list[int]], score: float) -> None:
    submission = tracks(**groups)
    assert score_event(PAPER, submission) == pytest.approx(score, abs=1e-15)


def test_truth_as_submission_gives_one() -> None:
    assert score_event(PAPER, PAPER.rename(columns={"particle_id": "track_id"})) == 1.0


def test_counts_decide_not_weights() -> None:
    truth = event((1, 1, 100.0), (2, 2, 1.0), (3, 2, 1.0))
    # Particle 2 leads with 2 of 3 hits although particle 1 has nearly all the weight.
    assert score_event(truth, tracks(a=[1, 2, 3])) == pytest.approx(2 / 102)


def test_weights_need_no_normalisation() -> None:
    submission = tracks(a=[1, 2, 3], b=[4, 5, 6], c=[7, 8, 11, 12], d=[9, 10])
    assert score_event(PAPER.assign(weight=PAPER["weight"] * 1e-7), submission) == pytest.approx(0.5, abs=1e-15)


def test_short_particles() -> None:
    # One hit of one: good. Two of two: good. Of three hits two together are good, the third alone is not.
    truth = event((1, 1, 1.0), (2, 2, 1.0), (3, 2, 1.0), (4, 3, 1.0), (5, 3, 1.0), (6, 3, 1.0))
    assert score_event(truth, tracks(a=[1], b=[2, 3], c=[4, 5], d=[6])) == pytest.approx(5 / 6)


def test_missing_hit_is_a_track_of_its_own() -> None:
    truth = event((1, 1, 1.0), (2, 2, 1.0), (3, 2, 1.0))
    # Hit 1 alone is all of particle 1; hits 2 and 3, each alone, are half of particle 2.
    assert score_event(truth, tracks()) == pytest.approx(1 / 3)


def test_nan_track_is_a_track_of_its_own() -> None:
    submission = pd.DataFrame({"hit_id": range(1, 13), "track_id": [1.0] * 4 + [np.nan] * 8})
    assert score_event(PAPER, submission) == pytest.approx(8 / 20)
    assert score_tracks(submission["track_id"], PAPER["particle_id"], PAPER["weight"]) == pytest.approx(8 / 20)
    # Hits 9 and 10 are all of particle 3: as two unknown tracks they are no track of it together.
    assert score_tracks([0.0] * 8 + [np.nan] * 2 + [0.0] * 2, PAPER["particle_id"], PAPER["weight"]) == 0.0


@pytest.mark.parametrize("label", [0, -1, 2**62, -(2**62)])
def test_no_track_id_is_special(label: int) -> None:
    submission = pd.DataFrame({"hit_id": range(1, 13), "track_id": [label] * 4 + [7] * 8})
    assert score_event(PAPER, submission) == pytest.approx(8 / 20)


def test_unknown_hit_is_passed_over() -> None:
    assert score_event(PAPER, tracks(a=[1, 2, 3, 99, 98, 97, 96])) == pytest.approx(6 / 20)


def test_ids_beyond_float64_stay_apart() -> None:
    assert float(BIG) == float(BIG + 1)
    truth = event((1, BIG, 1.0), (2, BIG, 1.0), (3, BIG + 1, 1.0), (4, BIG + 1, 1.0))
    assert score_event(truth, tracks(a=[1, 2, 3, 4])) == 0.0
    labels = pd.DataFrame({"hit_id": [1, 2, 3, 4], "track_id": [BIG, BIG, BIG + 1, BIG + 1]})
    assert score_event(truth, labels) == 1.0


def test_mistakes_are_one_line() -> None:
    good = tracks(a=[1, 2])
    cases = [
        (PAPER.drop(columns="weight"), good, "truth: column 'weight' is missing"),
        (PAPER, good.drop(columns="track_id"), "submission: column 'track_id' is missing"),
        (PAPER, pd.concat([good, good.iloc[:1]]), "submission: hit_id 1 is listed 2 times"),
        (pd.concat([PAPER, PAPER.iloc[3:4]]), good, "truth: hit_id 4 is listed 2 times"),
        (PAPER.assign(weight=0.0), good, "weights of 12 hits sum to 0"),
        (PAPER.assign(weight=np.nan), good, "weights of 12 hits sum to nan"),
        (PAPER.assign(weight=[-1.0] + [1.0] * 11), good, "none negative"),
        (PAPER.assign(particle_id=float(BIG)), good, "cannot hold ids above 2"),
        (PAPER.assign(particle_id=1.5), good, "1.5 is not a whole number"),
        (PAPER.assign(particle_id="x"), good, "give int64 ids"),
        (PAPER.iloc[:0], good, "weights of 0 hits"),
    ]
    for truth, submission, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            score_event(truth, submission)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="columns of one length"):
        score_tracks([1, 2], [1, 2, 3], [1.0, 1.0, 1.0])


def test_dataset_score_is_the_plain_mean() -> None:
    small = event((1, 1, 1.0), (2, 1, 1.0))
    # Events of 12, 2 and 2 hits scoring 0.5, 1 and 1: the mean is 2.5 / 3, not weighted by hits; an absent event scores 0.
    half = tracks(a=[1, 2, 3], b=[4, 5, 6], c=[7, 8, 11, 12], d=[9, 10])
    parts = [half.assign(event_id=7), tracks(a=[1, 2]).assign(event_id=8), tracks(a=[1, 2]).assign(event_id=9)]
    truths = {7: PAPER, 8: small, 9: small}
    result = score_dataset(truths, pd.concat(parts))
    assert result.events == {7: pytest.approx(0.5), 8: 1.0, 9: 1.0}
    assert result.score == pytest.approx(2.5 / 3)
    assert score_dataset(truths, parts[1]).score == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="no event"):
        score_dataset({}, parts[0])
    with pytest.raises(ValueError, match="'event_id' is missing"):
        score_dataset({7: PAPER}, tracks(a=[1]))


@pytest.mark.parametrize(
    ("accuracy", "seconds", "score"),
    [
        # Published results of the throughput phase, three decimals.
        (0.944, 0.56, 1.173), (0.944, 1.11, 1.114), (0.90, 10, 0.811), (0.90, 1, 1.01), (0.80, 0.1, 0.885),
        (0.499, 1, 0.0), (0.5, 1, 0.0), (0.9, 600.001, -1.0), (0.9, 0, -1.0), (0.9, -3, -1.0), (0.2, 601, -1.0),
        (1.0, 600, math.sqrt(math.log(2)) / 2),
    ],
)  # fmt: skip
def test_throughput_score(accuracy: float, seconds: float, score: float) -> None:
    assert throughput_score(accuracy, seconds) == pytest.approx(score, abs=2e-3 if score not in (0, -1) else 0)


def test_throughput_score_refuses_nonsense() -> None:
    for accuracy, seconds in ((math.nan, 1.0), (0.9, math.nan), (1.5, 1.0)):
        with pytest.raises(ValueError, match="accuracy is"):
            throughput_score(accuracy, seconds)


@given(st.lists(st.one_of(st.integers(-50, 50), st.integers(-(2**63), 2**63 - 1)), max_size=40))
@settings(max_examples=200, deadline=None)
def test_group_codes_by_table_and_by_hash_agree_with_unique(values: list[int]) -> None:
    for scale in (values, [value % 1000 for value in values]):
        array = np.array(scale, dtype=np.int64)
        code, groups = group_codes(array)
        expected, inverse = np.unique(array, return_inverse=True)
        np.testing.assert_array_equal(groups, expected)
        np.testing.assert_array_equal(code, inverse)


def test_majorities_paper() -> None:
    # Track 0 = particles 1, 1, 2; track 1 = 2, 0 (a tie goes to 0); track 2 = 1.
    major = majorities(np.array([0, 1, 0, 2, 0, 1]), np.array([1, 2, 1, 1, 2, 0]))
    assert major.hits.tolist() == [3, 2, 1]
    assert major.particle.tolist() == [1, 0, 1]
    assert major.shared.tolist() == [2, 1, 1]
    code, first, second = pair_codes([2, 1, 2, 1], [5, 5, 5, 4])
    assert (code.tolist(), first.tolist(), second.tolist()) == ([2, 1, 2, 0], [1, 1, 2], [4, 5, 5])
    assert majorities(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)).hits.size == 0


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # in trackml-library, where it is importable
def test_benchmark_runs_small() -> None:
    result = run_benchmark(runs=1, hits=2000)
    assert set(result) == {"runs", "library_commit", "cases"}
    assert [row["hits"] for row in result["cases"]] == [2000, 2000]
    assert all(row["pcloud"]["median_s"] > 0 for row in result["cases"])
    truth = synthetic_truth(2000)
    assert truth["weight"].sum() == pytest.approx(1)
    assert (truth["particle_id"] > 2**53).any()


def test_scorer_imports_neither_torch_nor_lightning_nor_scipy() -> None:
    code = "import pcloud.scorer, sys; print([m for m in ('torch', 'lightning', 'scipy') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert answer.stdout.strip() == "[]"
