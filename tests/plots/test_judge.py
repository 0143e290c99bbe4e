"""The verdict behind the colours, against paper and against the metrics that print the figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcloud.metrics.partial_truth import captured_perfect
from pcloud.metrics.particles import Particles
from pcloud.metrics.tracking import match, matched
from pcloud.plots.judge import FREE, NOISE, judge, particle_of, track_of

BIG = 2**53 + 1  # not a float64


def test_double_majority_on_paper() -> None:
    #                    BIG's 4 hits    8's 4 hits   noise
    particle = np.array([BIG] * 4 + [8] * 4 + [NOISE] * 4)
    track = np.array([1, 1, 1, 3, 2, 2, FREE, FREE, 1, 2, 3, 3])
    verdict = judge(track, particle, np.ones(12, bool), 3, judged=True)
    # 1: 3 of its 4 hits, 3 of 4 of BIG. 2: 2 of its 3, but only half of 8. 3: led by noise.
    assert verdict.candidates["kind"].tolist() == ["matched", "wrong", "wrong"]
    assert verdict.candidates["leader"].tolist() == [BIG, 8, NOISE]
    assert dict(zip(verdict.particles["id"], verdict.particles["kind"], strict=True)) == {8: "missed", BIG: "found"}
    assert not verdict.partial


def test_partial_truth_judges_only_what_it_can() -> None:
    particle = np.array([5, 5, 5, NOISE, NOISE, 6, 6, 6] + [NOISE] * 30)
    known = particle != NOISE
    track = np.array([1, 1, FREE, 1, 1, 2, 2, 2] + [2] * 23 + [3] * 7)
    verdict = judge(track, particle, known, 3, judged=True)
    # 1 owns 2 of 3 labelled hits whatever the rest is; 2 has 26 hits, too long; 3 has no label
    assert verdict.candidates["kind"].tolist() == ["matched", "unjudged", "unjudged"]
    assert verdict.particles["kind"].tolist() == ["found", "missed"]
    assert verdict.partial and "Partial truth" in verdict.words()[0]
    blind = judge(track, np.full(38, NOISE), np.zeros(38, bool), 3, judged=True)
    assert set(blind.candidates["kind"]) == {"unjudged"}  # truth without one row judges none


events = st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 5)), max_size=60)


@given(events)
@settings(max_examples=60, deadline=None)
def test_agrees_with_the_figures(hits: list[tuple[int, int]]) -> None:
    track, particle = np.array(hits, np.int64).reshape(-1, 2).T
    verdict = judge(track, particle, np.ones(len(track), bool), 1, judged=True)
    ids, counts = np.unique(particle[particle != NOISE], return_counts=True)
    zero = np.zeros(len(ids))
    table = Particles.from_kinematics(zero.astype(int), ids, counts, vx=zero, vy=zero, px=zero + 1, py=zero, pz=zero)
    rows = match(np.zeros(len(track), int), track, particle, table, min_hits=1, unassigned=FREE)
    assert set(rows.track[matched(rows, "double_majority")]) == set(
        verdict.candidates["id"][verdict.candidates["kind"] == "matched"]
    )


@given(events)
@settings(max_examples=60, deadline=None)
def test_partial_agrees_with_the_figures(hits: list[tuple[int, int]]) -> None:
    track, particle = np.array([*hits, (-1, 0)], np.int64).T
    track = np.where(track < 0, 100 + np.arange(len(track)), track)  # the metric knows no free hits
    known = particle != NOISE
    verdict = judge(track, particle, known, 1, judged=True)
    captured, _ = captured_perfect(np.zeros(len(track), int), track, np.where(known, particle, -1), min_labelled=1)
    assert captured.numerator == (verdict.particles["kind"] == "found").sum()
    assert captured.denominator == len(verdict.particles)


def test_tables_are_joined_on_hit_id() -> None:
    hit_id = np.array([30, 10, 20])
    track = track_of(hit_id, pd.DataFrame({"hit_id": [20, 30], "track_id": [2, 3]}))
    assert track.tolist() == [3, FREE, 2]
    particle, known = particle_of(hit_id, pd.DataFrame({"hit_id": [10, 20], "particle_id": [BIG, 0]}))
    assert particle.tolist() == [NOISE, BIG, 0] and known.tolist() == [False, True, True]
    labelled, _ = particle_of(hit_id, pd.DataFrame({"hit_id": [10], "track_index": [0]}))
    assert labelled.tolist() == [NOISE, 1, NOISE]  # label 0 is a track


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"hit_id": [1]}, "lacks column 'particle_id'"),
        ({"hit_id": [1, 1], "particle_id": [1, 2]}, "hit_id 1 more than once"),
        ({"hit_id": [9], "particle_id": [1]}, "hit_id 9, which is not among"),
        ({"hit_id": [1], "particle_id": [2.0**60]}, "int64"),
    ],
)
def test_mistakes_are_named(table: dict[str, list[float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        particle_of(np.array([1, 2]), pd.DataFrame(table))


def test_track_id_of_another_length() -> None:
    with pytest.raises(ValueError, match="expected one entry for each of the 2 hits"):
        track_of(np.array([1, 2]), np.array([1]))
