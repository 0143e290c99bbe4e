"""The classical finder: simulated events above a floor, any number of threads, and events with next to nothing in them."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.simulate import Recipe
from pcloud.scorer import score_tracks
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.finding import Stages, find_tracks

DETECTOR = trackml_detector()
COLUMNS = ("x", "y", "z", "volume_id", "layer_id", "module_id")
Hits = dict[str, np.ndarray]


def event(pileup: float, number: int = 1, phase: int = 2) -> tuple[Hits, np.ndarray, np.ndarray]:
    tables = Recipe.of(23, pileup=pileup, phase=phase).make(number)
    hits = {name: tables["hits"][name].to_numpy() for name in COLUMNS}
    return hits, tables["truth"].particle_id.to_numpy(), tables["truth"].weight.to_numpy()


def score(track: np.ndarray, particle: np.ndarray, weight: np.ndarray) -> float:
    return score_tracks(np.where(track < 0, -1 - np.arange(len(track)), track), particle, weight)


@pytest.mark.parametrize(("phase", "floor"), [(1, 0.87), (2, 0.94)])
def test_simulated_events(phase: int, floor: float) -> None:
    hits, particle, weight = event(20, phase=phase)
    track = find_tracks(hits, DETECTOR)
    assert score(track, particle, weight) > floor
    sizes = np.bincount(track[track >= 0])
    assert sizes.min() >= 3 and sizes.max() <= 25 and (track >= -1).all(), "every hit once, numbered without gaps"


def test_threads_and_the_order_of_rows_do_not_matter() -> None:
    hits, particle, weight = event(15)
    one, two = (find_tracks(hits, DETECTOR, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    order = np.random.default_rng(1).permutation(len(one))
    turned = find_tracks({name: column[order] for name, column in hits.items()}, DETECTOR)
    assert abs(score(turned, particle[order], weight[order]) - score(one, particle, weight)) < 0.005


def test_without_module_ids() -> None:
    hits, particle, weight = event(10)
    whole, bare = (find_tracks(h, DETECTOR) for h in (hits, {n: c for n, c in hits.items() if n != "module_id"}))
    assert score(bare, particle, weight) > score(whole, particle, weight) - 0.03


@pytest.mark.parametrize("count", [0, 1, 3, 10])
def test_next_to_no_hits(count: int) -> None:
    hits, _, _ = event(2)
    track = find_tracks({name: column[:count] for name, column in hits.items()}, DETECTOR)
    assert track.shape == (count,) and track.dtype == np.int64


def test_noise_alone_makes_few_tracks() -> None:
    hits, particle, _ = event(60)
    noise = find_tracks({name: column[particle == 0] for name, column in hits.items()}, DETECTOR)
    assert (noise >= 0).mean() < 0.02


def test_a_missing_volume_and_unknown_layers() -> None:
    hits, particle, weight = event(10)
    kept = hits["volume_id"] != 13
    track = find_tracks({name: column[kept] for name, column in hits.items()}, DETECTOR)
    assert score(track, particle[kept], weight[kept]) > 0.6
    strange = {**hits, "volume_id": np.where(kept, hits["volume_id"], 99)}
    track = find_tracks(strange, DETECTOR)
    assert (track[~kept] == -1).all() and (track[kept] >= 0).any()


def test_no_number_where_a_place_should_be() -> None:
    hits, _, _ = event(5)
    hits["x"] = hits["x"].copy()
    hits["x"][::50] = np.nan
    assert (find_tracks(hits, DETECTOR)[::50] == -1).all()


def test_stages_are_told() -> None:
    hits, _, _ = event(5)
    stages = Stages()
    track = find_tracks(hits, DETECTOR, stages=stages)
    assert len(stages.passes) == len(stages.seconds) > 1
    assert sum(len(one.kept.sizes) for one in stages.passes) == track.max() + 1
