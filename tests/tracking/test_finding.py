"""The finder on small simulated events, on events with next to nothing in them, and with one thread or two."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from data_prep.layer_table import Layer, detectors_of
from data_prep.overlay import overlay
from data_prep.simulate import simulate_event
from pcloud.scorer import score_tracks
from pcloud.tracking import motion
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.field import field_table
from pcloud.tracking.finding import Stages, field_of, find_tracks, starting
from pcloud.tracking.layers import layer_numbers, layers_of
from pcloud.tracking.settings import DEFAULT

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
    assert (
        len(stages.passes) + 1 == len(stages.seconds) and sum(len(found.kept.sizes) for found in stages.passes) == one.max() + 1
    )


def test_copies_turned_about_the_beam_keep_most_of_the_score() -> None:
    copies = overlay(event(), 3)
    assert copies["truth"]["weight"].sum() == pytest.approx(1.0)
    assert not copies["hits"]["hit_id"].duplicated().any()
    assert copies["particles"]["particle_id"].nunique() == 3 * len(event()["particles"])
    assert score(find_tracks(columns(copies), DETECTOR), copies) > 0.9


def test_no_hit_is_taken_from_a_disc_that_the_straight_line_passes_by() -> None:
    """Soft tracks bend back over discs near their outer edge that give no hit there: what lies on the way is someone else's."""
    made = simulate_event(3, pileup=80, seed=7, phase=1)
    rows = made["truth"].merge(made["hits"], on="hit_id").merge(made["particles"][["particle_id", "q"]], on="particle_id")
    layers, field = layers_of(DETECTOR), motion.Field(field_table(), 0.0, 0.0, 0.0)
    rows["layer"] = layer_numbers(DETECTOR, rows["volume_id"], rows["layer_id"])
    rows["far"] = rows["tz"].abs()
    last = rows.sort_values("far").groupby("particle_id").tail(1)
    places = []
    for hit in last[last["volume_id"].isin((12, 14)) & (last["far"] < 2500)].itertuples():
        pt = np.hypot(hit.tpx, hit.tpy)
        state = np.zeros(motion.STATE)
        motion.place(field, state, hit.tx, hit.ty, hit.tz, np.arctan2(hit.tpy, hit.tpx), hit.tpz / pt, hit.q / pt)
        beyond = (layers.forward if hit.tz > 0 else layers.backward)[layers.rank[hit.layer] + 1 :]
        beyond = [layer for layer in beyond if layers.high[layer] == layers.high[hit.layer]]
        if hit.tpz * hit.tz < 0 or not beyond:
            continue
        at = layers.at[beyond[0]]
        way = motion.way(state, True, at)
        if motion.move(field, state, np.eye(5), True, at, way, np.zeros((5, 5))) != motion.NOT_REACHED:
            r = np.hypot(state[0], state[1])
            if layers.high[beyond[0]] - 60 < r < layers.high[beyond[0]] - 5:
                places.append((*state[:3], hit.volume_id, hit.layer_id + (2 if hit.tz > 0 else -2)))
    x, y, z, volume, layer = np.array(places).T
    more = {"x": x, "y": y, "z": z, "volume_id": volume.astype(int), "layer_id": layer.astype(int)}
    hits = {name: np.concatenate([made["hits"][name].to_numpy(), column]) for name, column in more.items()}
    taken = find_tracks(hits, DETECTOR)[-len(x) :] >= 0
    assert len(x) > 20 and taken.mean() < 0.25, (len(x), taken.mean())


def helices(detector: dict[str, np.ndarray], field: float, tracks: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Hits of muons of 1 GeV from the beam line on cylinders, without noise or scattering, and the muon of each."""
    random = np.random.default_rng(0)
    layers = layers_of(detector)
    names = np.unique(np.stack([detector["volume_id"], detector["layer_id"]], axis=1), axis=0)
    radius = 1.0 / (0.299792458e-3 * field)
    phi, slope, z0 = random.uniform(-np.pi, np.pi, tracks), random.uniform(-1, 1, tracks), random.normal(0, 30, tracks)
    rows, owner = [], []
    for layer in layers.barrels:
        turn = np.arcsin(layers.at[layer] / (2 * radius))
        x, y = layers.at[layer] * np.cos(phi + turn), layers.at[layer] * np.sin(phi + turn)
        rows.append(np.stack([x, y, z0 + slope * 2 * radius * turn, *np.outer(names[layer], np.ones(tracks))]))
        owner.append(np.arange(tracks))
    columns = np.concatenate(rows, axis=1)
    return dict(zip(NAMES, columns, strict=False)), np.concatenate(owner)


@pytest.mark.parametrize("field", [1.0, 3.8])
def test_the_field_that_a_detector_carries_is_the_one_tracks_follow(field: float) -> None:
    layers = [Layer(1, n, False, r, 1.0, -3000, 3000, 0.02, 0.02) for n, r in enumerate((30, 60, 100, 150, 220, 300, 400, 500))]
    detector = detectors_of(layers, field)
    hits, owner = helices(detector, field, 60)
    track = find_tracks(hits, detector)
    assert all(len(np.unique(track[owner == one])) == 1 for one in range(60)) and np.unique(track).size == 60 and track.min() == 0
    told = field_of(detector, False, DEFAULT)
    assert np.unique(told.table[..., 1]).tolist() == [field] and not told.table[..., 0].any() and told.loose == 0
    assert field_of(DETECTOR, True, DEFAULT).table is field_table()


def test_seeds_begin_where_the_discs_do() -> None:
    assert tuple(starting(DEFAULT.passes, layers_of(DETECTOR))) == DEFAULT.passes
    far = layers_of(detectors_of([Layer(1, 2, True, 600.0, 1.0, 62.4, 300, 0.02, 0.02)], 2.0))
    beam, free = (next(cuts for cuts in DEFAULT.passes if cuts.beam == kind) for kind in (1.0, 0.0))
    assert [cuts.start_r for cuts in starting((beam, free), far)] == [2 * beam.start_r, free.start_r]
    barrel = layers_of(detectors_of([Layer(1, 2, False, 30.0, 1.0, -9, 9, 0.02, 0.02)], 2.0))
    assert tuple(starting((beam, free), barrel)) == (beam, free)


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
