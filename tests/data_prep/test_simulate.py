"""A simulated event keeps the contract of TrackML, resembles the real one, and is the same for the same arguments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep.simulate import Apparatus, simulate_event
from data_prep.simulate.event import Event
from pcloud.scorer import decode_particle_id, hit_weights
from pcloud.tracking.detector import IDS, trackml_detector

COLUMNS = {
    "hits": "hit_id x y z volume_id layer_id module_id",
    "cells": "hit_id ch0 ch1 value",
    "particles": "particle_id particle_type vx vy vz px py pz q nhits",
    "truth": "hit_id particle_id tx ty tz tpx tpy tpz weight",
}
INTEGERS = {"hit_id", "volume_id", "layer_id", "module_id", "ch0", "ch1", "particle_id", "particle_type", "q", "nhits"}


@pytest.fixture(scope="module", params=[1, 2], ids=["phase1", "phase2"])
def phase(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def event(phase: int) -> Event:
    return simulate_event(3, pileup=30, seed=1, phase=phase)


@pytest.fixture(scope="module")
def modules() -> pd.DataFrame:
    return pd.DataFrame(trackml_detector())


def in_module(hits: pd.DataFrame, columns: list[str], modules: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Points in the frames of their modules [hits, (u, v, w)], and the modules."""
    mine = hits.merge(modules, on=list(IDS), how="left")
    offset = mine[columns].to_numpy() - mine[["cx", "cy", "cz"]].to_numpy()
    axes = mine[[f"rot_{axis}{local}" for axis in "xyz" for local in "uvw"]].to_numpy().reshape(-1, 3, 3)
    return np.einsum("ni,nij->nj", offset, axes), mine


def half_digits(values: np.ndarray) -> np.ndarray:
    """Half a unit of the last of six digits, summed over the columns: how far rounding for print may move a row."""
    return (0.5 * 10.0 ** (np.floor(np.log10(np.maximum(np.abs(values), 1e-12))) - 5)).sum(axis=1)


def test_columns_and_types(event: Event, phase: int) -> None:
    """particle_type was published in the throughput phase alone."""
    assert list(event) == list(COLUMNS)
    for name, columns in COLUMNS.items():
        assert list(event[name].columns) == [c for c in columns.split() if phase == 2 or c != "particle_type"]
        for column in event[name]:
            assert event[name][column].dtype == (np.int64 if column in INTEGERS else np.float64), column
        assert np.isfinite(event[name].to_numpy()).all()


def test_ids_fit_together(event: Event) -> None:
    hits, cells, particles, truth = event.values()
    assert (hits.hit_id == np.arange(1, len(hits) + 1)).all() and (truth.hit_id == hits.hit_id).all()
    assert not hits.volume_id.is_monotonic_increasing, "hits are shuffled"
    assert set(cells.hit_id) == set(hits.hit_id), "every hit has cells"
    assert not cells.duplicated(["hit_id", "ch0", "ch1"]).any()
    assert particles.particle_id.is_unique and (particles.particle_id > 0).all()
    counted = truth[truth.particle_id != 0].particle_id.value_counts()
    assert set(counted.index) <= set(particles.particle_id)
    assert (particles.particle_id.map(counted).fillna(0) == particles.nhits).all()
    if "particle_type" in particles:
        assert (np.sign(particles.particle_type) == particles.q).all()
        assert set(particles.particle_type.abs()) == {211, 321, 2212}


def test_ids_say_where_a_particle_comes_from(event: Event) -> None:
    particles = event["particles"]
    bits = decode_particle_id(particles.particle_id)
    vertices = particles[bits["generation"] == 0].groupby(bits["vertex"][bits["generation"] == 0])
    assert vertices.size().median() > 5 and (bits["vertex"] >= 1).all() and (bits["primary"] >= 1).all()
    first = bits["generation"] == 0
    place = particles.vz[first].groupby(bits["vertex"][first]).transform("median")
    assert 0.85 < (particles.vz[first] == place).mean() < 0.95, "one place per vertex, but for decays in flight"
    later = bits["generation"] > 0
    assert 0.1 < later.mean() < 0.4 and set(bits["process"][~later]) == {0} and set(bits["secondary"][~later]) == {0}
    assert (bits["process"][later] == np.minimum(bits["secondary"][later], 2)).all() and (bits["secondary"][later] >= 1).all()
    assert (np.hypot(particles.vx, particles.vy)[later] > 18).all(), "secondaries start in matter, the pipe first"


def test_hits_lie_on_their_modules(event: Event, modules: pd.DataFrame) -> None:
    for columns, table in ((["x", "y", "z"], event["hits"]), (["tx", "ty", "tz"], event["truth"].merge(event["hits"]))):
        place, module = in_module(table, columns, modules)
        half_u = module.module_minhu + (module.module_maxhu - module.module_minhu) * (place[:, 1] / module.module_hv + 1) / 2
        digit = half_digits(table[columns].to_numpy())
        assert (np.abs(place[:, 2]) < 1e-5 + digit).all()
        assert (np.abs(place[:, 1]) <= module.module_hv + 1e-6 + digit).all()
        slack = 0.5 if columns[0] == "x" else 1e-5 + digit  # a cluster's centroid may stand off a trapezoid's edge
        assert (np.abs(place[:, 0]) <= half_u + slack).all()


def test_particles_are_where_the_challenge_looks(event: Event, phase: int) -> None:
    particles = event["particles"]
    generation = decode_particle_id(particles.particle_id)["generation"]
    pt, first = np.hypot(particles.px, particles.py), generation == 0
    assert pt.min() > 0.1 and np.abs(np.arcsinh(particles.pz / pt)[first]).max() <= 4.0
    assert 0.3 < pt[first].median() < 0.55
    radius = np.hypot(particles.vx, particles.vy)[first]
    assert 0.05 < (radius > 1).mean() < 0.15 and 0.85 < (radius < 0.1).mean() < 0.95
    spread = particles.vz[first & (np.hypot(particles.vx, particles.vy) < 0.1)].drop_duplicates().std()
    assert (3 < spread < 9) if phase == 1 else (35 < spread < 90)


def test_noise(event: Event, phase: int) -> None:
    noise = event["truth"][event["truth"].particle_id == 0]
    expected = 17_535 * 30 / 200 if phase == 1 else 0.15 * len(event["hits"])
    assert abs(len(noise) - expected) < 5 * np.sqrt(expected)
    assert (noise.weight == 0).all()
    momentum = noise[["tpx", "tpy", "tpz"]].to_numpy()
    assert (np.abs(np.linalg.norm(momentum, axis=1) - 1e6) <= 1e-3 + half_digits(momentum)).all()
    share = event["hits"].set_index("hit_id").loc[noise.hit_id].volume_id.value_counts(normalize=True)
    assert abs(share[17] - 5712 / 18728) < 0.05, "uniform over modules"


def test_weights_are_the_recipe(event: Event, phase: int) -> None:
    truth, particles = event["truth"], event["particles"]
    np.testing.assert_allclose(truth.weight, hit_weights(truth, particles, phase=phase), rtol=1e-12)
    assert truth.weight.sum() == pytest.approx(1)
    later = decode_particle_id(truth.particle_id)["generation"] > 0
    assert (truth.weight[later].sum() == 0) == (phase == 2)


def test_same_arguments_same_event() -> None:
    first, again, other_seed, other_id = (simulate_event(i, pileup=3, seed=s) for i, s in ((7, 1), (7, 1), (7, 2), (8, 1)))
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, again[name])
        assert not table.equals(other_seed[name]) and not table.equals(other_id[name])


def test_an_event_is_whole_without_pileup() -> None:
    event = simulate_event(1, pileup=0, seed=1)
    assert len(event["hits"]) > 50 and set(decode_particle_id(event["particles"].particle_id)["vertex"]) == {1}


def test_a_detector_without_some_layers(modules: pd.DataFrame) -> None:
    barrel = {name: column[np.isin(trackml_detector()["volume_id"], (8, 13))] for name, column in trackml_detector().items()}
    event = simulate_event(1, pileup=2, seed=1, apparatus=Apparatus.of(barrel))
    assert set(event["hits"].volume_id) == {8, 13}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"pileup": -1, "seed": 1}, "pileup: -1 came"),
        ({"pileup": float("nan"), "seed": 1}, "pileup: nan came"),
        ({"pileup": 10**6, "seed": 1}, "pileup: 1000000 came"),
        ({"pileup": 1, "seed": -4}, "seed: -4 came"),
        ({"pileup": 1, "seed": 1, "phase": 3}, "phase: 3 came, expected 1 .* or 2"),
    ],
)
def test_impossible_events_are_refused(arguments: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        simulate_event(1, **arguments)


def test_resembles_the_real_event(shared_data: Path, modules: pd.DataFrame) -> None:
    """Coarse on purpose: one real event of 5,500 hits has errors of some percent itself; benchmarks look closer."""
    start = shared_data / "trackml" / "small_event" / "event000000001-"
    real = {name: pd.read_csv(f"{start}{name}.csv.gz") for name in COLUMNS}
    made = [simulate_event(i, pileup=60, seed=4) for i in range(2)]
    for figure, tolerance in FIGURES:
        expected, simulated = figure(real, modules), np.mean([figure(event, modules) for event in made], axis=0)
        np.testing.assert_allclose(simulated, expected, rtol=tolerance, err_msg=figure.__name__)


def hits_per_particle(event: Event, modules: pd.DataFrame) -> np.ndarray:
    nhits = event["particles"].nhits
    return np.array([nhits[nhits > 0].mean()])


def hit_shares(event: Event, modules: pd.DataFrame) -> np.ndarray:
    volume = event["hits"].volume_id
    return np.array([volume.isin(group).mean() for group in ((7, 9), (8,), (12, 14), (13,), (16, 17, 18))])


def heavy_weight(event: Event, modules: pd.DataFrame) -> np.ndarray:
    merged = event["truth"].merge(event["particles"], on="particle_id", how="left")
    return np.array([merged.weight[np.hypot(merged.px, merged.py) > 1].sum() / merged.weight.sum()])


def double_hits(event: Event, modules: pd.DataFrame) -> np.ndarray:
    signal = event["truth"].query("particle_id != 0").merge(event["hits"], on="hit_id")
    crossed = signal.groupby(["particle_id", "volume_id", "layer_id"]).size().reset_index(name="n")
    return np.array([crossed[crossed.volume_id.isin(group)].n.mean() for group in ((7, 9), (8,), (12, 14), (13,))])


def residuals(event: Event, modules: pd.DataFrame) -> np.ndarray:
    both = event["truth"].query("particle_id != 0").merge(event["hits"], on="hit_id")
    miss = in_module(both, ["x", "y", "z"], modules)[0] - in_module(both, ["tx", "ty", "tz"], modules)[0]
    groups = [both.volume_id.isin(group) for group in ((7, 9), (8,), (12, 14), (13,))]
    return np.array([np.diff(np.quantile(miss[group, axis], (0.16, 0.84)))[0] / 2 for group in groups for axis in (0, 1)])


def cells_per_hit(event: Event, modules: pd.DataFrame) -> np.ndarray:
    count = event["hits"].set_index("hit_id").volume_id.to_frame().join(event["cells"].hit_id.value_counts())
    return np.array([count[count.volume_id.isin(group)]["count"].mean() for group in ((7, 9), (8,), (13,))])


FIGURES = [
    (hits_per_particle, 0.05),
    (hit_shares, 0.2),
    (heavy_weight, 0.2),
    (double_hits, 0.08),
    (residuals, 0.15),
    (cells_per_hit, 0.12),
]
