"""Fatras in place of our transport: its modules are ours, its events keep the same contract and come out the same again."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep.simulate import acts_engine, simulate, simulate_event
from data_prep.simulate.event import Event
from data_prep.simulate.particles import BEAMS, Particles, primaries
from data_prep.simulate.transport import GRAZING, Tracks
from pcloud.scorer import decode_particle_id, hit_weights
from pcloud.tracking.detector import trackml_detector


@pytest.fixture(scope="module")
def needs_acts() -> None:
    pytest.importorskip("acts.examples", reason="pyacts is not installed: pip install 'pcloud[acts]'", exc_type=ImportError)


def some(seed: int = 1, electrons: int = 0) -> Particles:
    """Particles of a small event, the first few of them made electrons fast enough to radiate photons that convert."""
    first = primaries(np.random.default_rng(seed), 20, BEAMS[1])
    first.species[:electrons] = -11 * first.charge[:electrons]
    first.momentum[:electrons] *= 20
    return first


@pytest.fixture(scope="module")
def followed(needs_acts: None) -> tuple[Particles, Tracks]:
    return acts_engine.follow(np.random.default_rng(3), some(electrons=60), trackml_detector())


@pytest.fixture(scope="module")
def event(needs_acts: None) -> Event:
    return simulate_event(3, pileup=10, seed=1, engine="acts")


def axis(module: np.ndarray, local: str) -> np.ndarray:
    table = trackml_detector()
    return np.stack([table[f"rot_{a}{local}"] for a in "xyz"], axis=1)[module]


def test_hits_lie_inside_our_modules(followed: tuple[Particles, Tracks]) -> None:
    table, hits = trackml_detector(), followed[1]
    offset = hits.position - np.stack([table[name] for name in ("cx", "cy", "cz")], axis=1)[hits.module]
    u, v, w = ((offset * axis(hits.module, local)).sum(axis=1) for local in "uvw")
    low, high, half_v = (table[name][hits.module] for name in ("module_minhu", "module_maxhu", "module_hv"))
    assert np.abs(w).max() < 0.01, "ACTS' planes are ours: mm"
    assert (np.abs(v) < half_v + 0.01).all() and (np.abs(u) < low + (high - low) * (v / half_v + 1) / 2 + 0.01).all()
    cosine = (hits.momentum * axis(hits.module, "w")).sum(axis=1) / np.linalg.norm(hits.momentum, axis=1)
    assert np.abs(cosine).min() > GRAZING, "flatter crossings are not read out"


def test_hits_follow_their_particles(followed: tuple[Particles, Tracks]) -> None:
    particles, hits = followed
    assert (np.diff(hits.particle) >= 0).all() and np.unique(hits.particle).size > 0.97 * len(particles)
    start = particles.momentum[hits.particle]
    along = (hits.momentum * start).sum(axis=1) / np.linalg.norm(hits.momentum, axis=1) / np.linalg.norm(start, axis=1)
    fast = np.hypot(*start[:, :2].T) > 2
    assert fast.sum() > 100 and (along[fast] > 0.9).all(), "hits are given to the particle that made them"
    pion = fast & (np.abs(particles.species[hits.particle]) == 211)
    loss = 1 - np.linalg.norm(hits.momentum, axis=1)[pion] / np.linalg.norm(start, axis=1)[pion]
    assert loss.min() > -1e-6 and 0 < np.median(loss) < 0.01, "GeV in, GeV out"
    assert not len(hits.lost) and hits.lost_position.shape == hits.lost_momentum.shape == (0, 3)


def test_bends_as_our_field_does(needs_acts: None) -> None:
    """The field of ACTS is that of our transport at a thousand places of the tracker."""
    import acts

    from data_prep.simulate.stepping import field_at
    from pcloud.tracking.field import field_table

    field = acts_engine._world().field
    cache, table = field.makeCache(acts.MagneticFieldContext()), field_table()
    draw = np.random.default_rng(1)
    r, phi, z = draw.uniform(0, 720, 1000), draw.uniform(-np.pi, np.pi, 1000), draw.uniform(-2950, 2950, 1000)
    places = np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1).tolist()
    theirs = np.array([[field.getField(acts.Vector3(*one), cache)[i] for i in range(3)] for one in places])
    ours = np.array([field_at(table, *one) for one in places])
    np.testing.assert_allclose(theirs / acts.UnitConstants.T, ours, atol=2e-3)


def test_conversions_become_particles(followed: tuple[Particles, Tracks]) -> None:
    particles, hits = followed
    made = particles.take(np.flatnonzero(particles.generation > 0))
    assert len(made) and set(np.abs(made.species)) == {11} and (made.charge == -np.sign(made.species)).all()
    assert np.unique(particles.particle_id).size == len(particles) and (made.secondary >= 1).all()
    assert (np.hypot(*made.momentum[:, :2].T) > 0.1).all() and (np.hypot(*made.position[:, :2].T) > 18).all()
    first = len(particles) - len(made)
    later = hits.particle >= first
    assert later.any() and (np.hypot(*(hits.position[later] - particles.position[hits.particle[later]])[:, :2].T) > 0).all()
    radiated = particles.particle_id[:first] >> 36
    assert set(made.particle_id >> 36) <= set(radiated[:60]), "with the vertex and primary of an electron"


def test_the_tables_keep_the_contract(event: Event) -> None:
    hits, cells, particles, truth = event.values()
    ours = simulate_event(3, pileup=1, seed=1)
    for name, table in event.items():
        assert list(table.columns) == list(ours[name].columns) and (table.dtypes == ours[name].dtypes).all()
        assert np.isfinite(table.to_numpy()).all()
    assert set(cells.hit_id) == set(hits.hit_id)
    counted = truth[truth.particle_id != 0].particle_id.value_counts()
    assert (particles.particle_id.map(counted).fillna(0) == particles.nhits).all()
    assert set(decode_particle_id(particles.particle_id)["generation"]) == {0}, "no nuclear interactions"
    np.testing.assert_allclose(truth.weight, hit_weights(truth, particles, phase=2), rtol=1e-12)
    assert 0.1 < (truth.particle_id == 0).mean() < 0.2


def test_more_hits_than_with_nuclear_interactions(event: Event) -> None:
    ours = simulate_event(3, pileup=10, seed=1)

    def fast(event: Event) -> float:
        particles = event["particles"]
        prompt = np.hypot(particles.vx, particles.vy) < 0.1
        return float(particles.nhits[prompt & (np.hypot(particles.px, particles.py) > 0.7)].mean())

    assert 0.5 < fast(event) - fast(ours) < 3


def test_same_arguments_same_event(event: Event) -> None:
    again, other = simulate_event(3, pileup=10, seed=1, engine="acts"), simulate_event(3, pileup=10, seed=2, engine="acts")
    for name, table in event.items():
        pd.testing.assert_frame_equal(table, again[name])
        assert not table.equals(other[name])


def test_files_know_their_engine(needs_acts: None, tmp_path: Path) -> None:
    simulate(tmp_path / "one", events=2, pileup=1, seed=5, engine="acts")
    simulate(tmp_path / "two", events=2, pileup=1, seed=5, engine="acts", workers=2)
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two and acts_engine.check().encode() in one["simulation.json"]
    with pytest.raises(ValueError, match="simulation.json: events 1000 to 1001 here were made with .*'engine': 'acts .*asked"):
        simulate(tmp_path / "one", events=2, pileup=1, seed=5)


def test_a_part_of_the_detector(needs_acts: None) -> None:
    whole = trackml_detector()
    barrel = {name: column[np.isin(whole["volume_id"], (8, 13))] for name, column in whole.items()}
    hits = acts_engine.follow(np.random.default_rng(3), some(), barrel)[1]
    everything = acts_engine.follow(np.random.default_rng(3), some(), whole)[1]
    inside = np.isin(whole["volume_id"][everything.module], (8, 13))
    np.testing.assert_array_equal(hits.position, everything.position[inside])
    np.testing.assert_array_equal(barrel["module_id"][hits.module], whole["module_id"][everything.module[inside]])


def test_no_particles_no_hits(needs_acts: None) -> None:
    particles, hits = acts_engine.follow(np.random.default_rng(3), some().take(np.zeros(0, np.int64)), trackml_detector())
    assert not len(particles) and not len(hits.particle) and hits.position.shape == (0, 3)


def test_another_detector_is_refused(needs_acts: None) -> None:
    moved = {name: column + (name == "cx") for name, column in trackml_detector().items()}
    with pytest.raises(ValueError, match="engine acts: a module of the detectors table is 1 mm from .* use engine pcloud"):
        acts_engine.follow(np.random.default_rng(3), some(), moved)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "acts", None)
    monkeypatch.setitem(sys.modules, "acts.examples", None)
    with pytest.raises(ValueError, match=r"engine acts: the package pyacts is missing .* pip install 'pcloud\[acts\]'"):
        simulate(tmp_path / "out", events=1, pileup=1, seed=1, engine="acts")
    assert not (tmp_path / "out").exists()


def test_an_unknown_engine() -> None:
    with pytest.raises(ValueError, match="engine: 'geant' came, expected one of pcloud, acts"):
        simulate_event(1, pileup=1, seed=1, engine="geant")


def test_older_folders_were_made_by_our_transport(tmp_path: Path) -> None:
    simulate(tmp_path, events=1, pileup=1, seed=5)
    file = tmp_path / "simulation.json"
    text = file.read_text()
    assert '"engine": "pcloud"' in text
    file.write_text("".join(line for line in text.splitlines(keepends=True) if "engine" not in line))
    simulate(tmp_path, events=1, pileup=1, seed=5)
    assert file.read_text() == text
