"""Captured and perfect on a table worked out on paper, on real labels, and against a slow implementation."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcloud.metrics.partial_truth import candidates_per_particle, captured_perfect
from pcloud.scorer import read_hit_ids, read_table


def counts(candidates: list[list[int]], **options: int) -> tuple[int, int, int]:
    """Captured, perfect and counted tracks of one event; each candidate is the list of the labels of its hits."""
    rows = np.array([(track, label) for track, labels in enumerate(candidates) for label in labels])
    captured, perfect = captured_perfect(np.full(len(rows), 1001), rows[:, 0], rows[:, 1], **options)
    assert captured.denominator == perfect.denominator
    return captured.numerator, perfect.numerator, captured.denominator


U = -1  # a hit without label


@pytest.mark.parametrize(
    ("candidates", "answer"),
    [
        # Track 0 (0 is a track like any other) whole, beside unlabelled hits, which count neither way.
        ([[0, 0, 0, U, U, U, U]], (1, 1, 1)),
        # 2 of 3 labelled hits, more than half: captured, not perfect.
        ([[0, 0, U], [0]], (1, 0, 1)),
        # 2 of 4 is not more than half.
        ([[0, 0], [0, 0]], (0, 0, 1)),
        # All of track 0, but only 3 of the 6 labelled hits of the candidate: no credit for either track.
        ([[0, 0, 0, 1, 1, 1]], (0, 0, 2)),
        # All of track 0, owning 4 of 7: perfect although impure; track 1 is lost.
        ([[0, 0, 0, 0, 1, 1, 1]], (1, 1, 2)),
        # Tracks of one or two labelled hits are not counted, but their hits are labelled: 3 of 6 earns nothing.
        ([[0, 0, 0, 1, 1, 2]], (0, 0, 1)),
        ([[1, 1], [2]], (0, 0, 0)),
        # 25 hits earn, 26 do not, labelled or not.
        ([[0, 0, 0] + [U] * 22], (1, 1, 1)),
        ([[0, 0, 0] + [U] * 23], (0, 0, 1)),
        # All in one candidate.
        ([[0] * 4 + [1] * 4 + [2] * 9 + [U] * 30], (0, 0, 3)),
        ([[U, U, U]], (0, 0, 0)),
    ],
)
def test_paper(candidates: list[list[int]], answer: tuple[int, int, int]) -> None:
    assert counts(candidates) == answer


def test_limits_are_options() -> None:
    assert counts([[0, 0], [1, 1, 1]], min_labelled=2, max_hits=2) == (1, 1, 2)


def test_definitions_name_the_denominator() -> None:
    captured, perfect = captured_perfect([1], [1], [0])
    assert "/ tracks with >= 3 labelled hits; a candidate of > 25 hits earns nothing" in captured.definition
    assert (captured.name, perfect.name) == ("captured", "perfect")
    with pytest.raises(ValueError, match="one row per hit"):
        captured_perfect([1], [1], [0, 1])


def test_same_ids_in_two_events_are_two_things() -> None:
    captured, perfect = captured_perfect([1, 1, 1, 2, 2, 2], [5] * 6, [0] * 6)
    assert (captured.numerator, perfect.numerator, captured.denominator) == (2, 2, 2)


def test_candidates_per_particle() -> None:
    event, track = [1] * 6 + [2] * 11, [1] * 12 + [2] * 5  # candidates of 6, 6 and 5 hits
    figure = candidates_per_particle(event, track, [5, 6, 7, 0, 19, 8])
    assert (figure.numerator, figure.denominator, figure.value, figure.interval) == (2, 4, 0.5, None)
    assert figure.definition == "candidates of >= 6 hits / particles of >= 6 hits"


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 5), st.integers(-1, 4)), min_size=1, max_size=80))
@settings(max_examples=200, deadline=None)
def test_equals_a_slow_implementation(rows: list[tuple[int, int, int]]) -> None:
    members, total = defaultdict(list), Counter()
    for event, track, label in rows:
        members[event, track].append((event, label))
        total[event, label] += label >= 0
    counted = {key for key, number in total.items() if number >= 3}
    captured, perfect = set(), set()
    for labels in members.values():
        known = Counter(label for label in labels if label[1] >= 0)
        for key, number in known.items():
            if len(labels) <= 10 and number > known.total() / 2 and key in counted:
                captured |= {key} if number > total[key] / 2 else set()
                perfect |= {key} if number == total[key] else set()
    event, track, label = np.array(rows).T
    one, two = captured_perfect(event, 10**12 - track, label, max_hits=10)
    assert (one.numerator, two.numerator, one.denominator) == (len(captured), len(perfect), len(counted))


@pytest.mark.parametrize(("event", "hits", "tracks"), [(1001, 93680, 827), (1018, 92521, 878), (1020, 94081, 881)])
def test_real_labels(shared_data: Path, event: int, hits: int, tracks: int) -> None:
    """The labels themselves are perfect; everything in one candidate and 64 wedges in phi earn nothing."""
    name = f"trackml/full_events/event{event:09d}"
    ids = read_hit_ids(shared_data / f"{name}-hits.csv.gz")
    assert ids.size == hits
    known = read_table(
        shared_data / f"{name}-partial_truth_pixel_pt1GeV.csv.gz", {"hit_id": int, "track_index": int}, unique="hit_id"
    )
    label = np.full(hits, -1)
    label[known["hit_id"] - 1] = known["track_index"]
    np.testing.assert_array_equal(ids, np.arange(1, hits + 1))
    position = read_table(shared_data / f"{name}-hits.csv.gz", {"x": float, "y": float})
    wedge = np.floor((np.arctan2(position["y"], position["x"]) / np.pi + 1) * 32).to_numpy().astype(int)
    for track, share in ((np.where(label >= 0, label, -1 - ids), 1), (np.zeros(hits, dtype=int), 0), (wedge, 0)):
        captured, perfect = captured_perfect(np.full(hits, event), track, label)
        assert (captured.numerator, perfect.numerator, captured.denominator) == (share * tracks, share * tracks, tracks)
