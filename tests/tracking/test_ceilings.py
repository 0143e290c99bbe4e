"""Score ceilings worked out by hand: two particles of four hits, one of three, and noise."""

from __future__ import annotations

import numpy as np

from pcloud.tracking.ceilings import Ceiling, ceilings, mean_ceilings, official, within_edges
from pcloud.tracking.finding import Stages
from pcloud.tracking.passes import Candidates, Found

PARTICLE = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, -1])
WEIGHT = np.array([3, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]) / 10


def found(seeds: list[list[int]], candidates: list[list[int]]) -> Found:
    names = np.zeros((len(candidates), 12), np.int32)
    for row, one in zip(names, candidates, strict=True):
        row[: len(one)] = one
    sizes = np.array([len(one) for one in candidates], np.int64)
    made = Candidates(names, np.zeros(names.shape, np.float32), sizes, np.zeros(len(sizes)))
    return Found(np.array(seeds), made, made)


def test_each_stage_by_hand() -> None:
    """Particle 0 has a pure seed and a candidate with one foreign hit; particle 1 a seed, but half of its hits in a candidate."""
    first = found([[0, 1, 2], [3, 4, 5]], [[0, 1, 2, 4]])
    second = found([[4, 5, 6]], [[4, 5], [8, 9, 10]])
    track = np.array([0, 0, 0, -1, 0, 1, 1, 1, 2, 2, 2, -1])
    hits, seeds, candidates, assigned, tracks = ceilings(Stages([first, second], [1.0, 2.0]), track, PARTICLE, WEIGHT)
    assert (hits.score, hits.made) == (1.0, 12)
    assert (seeds.score, seeds.made) == (1.0, 3)
    np.testing.assert_allclose(candidates.score, 0.5)  # hits 0, 1, 2 of particle 0
    np.testing.assert_allclose(tracks.score, 0.5 + 0.3)  # and hits 5, 6, 7 of particle 1
    assert (tracks.seconds, tracks.made) == (3.0, 3) and assigned.made == 3


def test_edges_within_particles_are_followed_and_no_other() -> None:
    edges = np.array([[0, 1, 3, 4, 6, 11], [1, 2, 4, 5, 7, 4]])
    np.testing.assert_allclose(within_edges(edges, PARTICLE, WEIGHT), 0.5)
    assert within_edges(np.zeros((2, 0), np.int64), PARTICLE, WEIGHT) == 0


def test_the_truth_scores_one() -> None:
    np.testing.assert_allclose(official(PARTICLE, PARTICLE, WEIGHT), 1)


def test_means_over_events() -> None:
    rows = mean_ceilings([[Ceiling("tracks", 0.4, 1.0, 10)], [Ceiling("tracks", 0.6, 3.0, 20)]])
    (row,) = rows
    assert row["stage"] == "tracks" and row["seconds"] == 2 and row["made"] == 15
    np.testing.assert_allclose([row["score"], row["error"]], [0.5, 0.1])
    assert mean_ceilings([[Ceiling("tracks", 0.4, 1.0, 10)]])[0]["error"] is None
