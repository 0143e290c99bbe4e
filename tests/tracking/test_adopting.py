"""Hits left over that join finished tracks: none is lost by it, what is added belongs, and the threads don't matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.simulate import simulate_event
from pcloud.scorer import score_tracks
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.finding import find_tracks
from pcloud.tracking.settings import DEFAULT

DETECTOR = trackml_detector()
NAMES = ("x", "y", "z", "volume_id", "layer_id", "module_id")
WITHOUT = replace(DEFAULT, adopt=np.inf)


@pytest.fixture(scope="module")
def found() -> tuple[dict, np.ndarray, np.ndarray]:
    made = simulate_event(3, pileup=20, seed=21)
    hits = {name: made["hits"][name].to_numpy() for name in NAMES}
    return made, find_tracks(hits, DETECTOR, WITHOUT, threads=1), find_tracks(hits, DETECTOR, threads=2)


def test_tracks_keep_what_they_have(found: tuple[dict, np.ndarray, np.ndarray]) -> None:
    _, before, after = found
    assert np.array_equal(before[before >= 0], after[before >= 0])
    assert set(np.unique(after)) == set(np.unique(before))


def test_what_joins_belongs(found: tuple[dict, np.ndarray, np.ndarray]) -> None:
    made, before, after = found
    particle = made["truth"]["particle_id"].to_numpy()
    new = np.flatnonzero((before < 0) & (after >= 0))
    assert len(new) > 20
    right = [np.sum(particle[before == after[one]] == particle[one]) * 2 > np.sum(before == after[one]) for one in new]
    assert np.mean(right) > 0.4  # by chance alone: one in hundreds

    def score(track: np.ndarray) -> float:
        return score_tracks(np.where(track < 0, -1 - np.arange(len(track)), track), particle, made["truth"]["weight"])

    assert score(after) > score(before)
