"""The finder on small simulated events, on events with next to nothing in them, and with one thread or two."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from data_prep.overlay import overlay
from data_prep.simulate import simulate_event
from pcloud.scorer import score_tracks
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.finding import Stages, find_tracks

DETECTOR = trackml_detector()
NAMES = ("x", "y", "z", "volume_id", "layer_id", "module_id")


@lru_cache(maxsize=2)
def event(phase: int = 2) -> dict:
    return simulate_event(5, pileup=6, seed=11, phase=phase)


def columns(made: dict) -> dict[str, np.ndarray]:
    return {name: made["hits"][name].to_numpy() for name in NAMES}


def score(track: np.ndarray, made: dict) -> float:
    alone = np.where(track < 0, -1 - np.arange(len(track)), track)
    return score_tracks(alone, made["truth"]["particle_id"], made["truth"]["weight"])


@pytest.mark.parametrize(("phase", "least"), [(2, 0.94), (1, 0.85)])
def test_a_small_simulated_event(phase: int, least: float) -> None:
    assert score(find_tracks(columns(event(phase)), DETECTOR), event(phase)) > least


def test_two_threads_find_what_one_finds_and_the_order_of_passes_shows() -> None:
    hits, stages = columns(event()), Stages()
    one = find_tracks(hits, DETECTOR, threads=1, stages=stages)
    assert np.array_equal(one, find_tracks(hits, DETECTOR, threads=2))
    assert one.dtype == np.int64 and one.min() == -1
    assert len(stages.passes) == len(stages.seconds) and sum(len(found.kept.sizes) for found in stages.passes) == one.max() + 1


def test_copies_turned_about_the_beam_keep_most_of_the_score() -> None:
    copies = overlay(event(), 3)
    assert copies["truth"]["weight"].sum() == pytest.approx(1.0)
    assert not copies["hits"]["hit_id"].duplicated().any()
    assert copies["particles"]["particle_id"].nunique() == 3 * len(event()["particles"])
    assert score(find_tracks(columns(copies), DETECTOR), copies) > 0.9


@pytest.mark.parametrize("count", [0, 1, 10])
def test_hardly_any_hits(count: int) -> None:
    hits = {name: column[:count] for name, column in columns(event()).items()}
    assert find_tracks(hits, DETECTOR).shape == (count,)


def test_noise_alone_and_a_volume_missing() -> None:
    made, hits = event(), columns(event())
    noise = made["truth"]["particle_id"].to_numpy() == 0
    track = find_tracks({name: column[noise] for name, column in hits.items()}, DETECTOR)
    assert (track >= 0).mean() < 0.2
    kept = hits["volume_id"] != 13
    assert find_tracks({name: column[kept] for name, column in hits.items()}, DETECTOR).max() > 50


def test_hits_of_an_unknown_layer_and_without_a_place_are_left_alone() -> None:
    hits = {name: column.copy() for name, column in columns(event()).items()}
    hits["volume_id"][:5], hits["x"][5:9] = 99, np.nan
    assert (find_tracks(hits, DETECTOR)[:9] == -1).all()


def test_without_module_ids() -> None:
    hits = {name: column for name, column in columns(event()).items() if name != "module_id"}
    assert score(find_tracks(hits, DETECTOR), event()) > 0.9
