"""Simulated files: TrackML's names and columns, the same bytes however they are made, complete or not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep.simulate import Recipe, simulate, simulate_event
from data_prep.trackml import prepare
from pcloud.data.store import Store
from pcloud.scorer import hit_weights
from pcloud.tracking.detector import geometry_hash, read_detectors, trackml_detector, write_detectors

TABLES = ("hits", "cells", "particles", "truth")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_files_hold_the_event(tmp_path: Path) -> None:
    made = simulate(tmp_path, events=2, pileup=1, seed=3, first_event=21)
    assert made == [tmp_path / f"event00000002{i}-hits.csv.gz" for i in (1, 2)]
    assert set(contents(tmp_path)) == {
        "simulation.json",
        "detectors.csv",
        *(f"event00000002{i}-{t}.csv.gz" for i in (1, 2) for t in TABLES),
    }
    event = simulate_event(22, pileup=1, seed=3)
    for table in TABLES:
        read = pd.read_csv(tmp_path / f"event000000022-{table}.csv.gz")
        assert list(read.columns) == list(event[table].columns)
        pd.testing.assert_frame_equal(read, event[table], check_exact=True, check_dtype=False)
        if "particle_id" in read:
            assert (read["particle_id"] == event[table]["particle_id"]).all() and read["particle_id"].dtype == np.int64
    assert geometry_hash(read_detectors(tmp_path / "detectors.csv")) == geometry_hash(trackml_detector())


@pytest.mark.parametrize("phase", [1, 2])
def test_weights_recomputed_from_the_files(tmp_path: Path, phase: int) -> None:
    simulate(tmp_path, events=1, pileup=5, seed=3, phase=phase, compress=False)
    truth, particles = (pd.read_csv(tmp_path / f"event000001000-{table}.csv") for table in ("truth", "particles"))
    np.testing.assert_allclose(hit_weights(truth, particles, phase=phase), truth.weight, rtol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("phase", [1, 2])
def test_a_store_made_straight_is_the_one_prepared_from_files(tmp_path: Path, phase: int) -> None:
    options = {"events": 2, "preset": "mini", "seed": 9, "phase": phase}
    simulate(tmp_path / "raw", **options)
    prepared = prepare(tmp_path / "raw", tmp_path / "prepared")
    simulate(tmp_path / "straight", store=True, workers=2, **options)
    straight = Store.open(tmp_path / "straight")
    assert straight.geometry == prepared.geometry and straight.phase == prepared.phase == phase
    assert straight.source["series"] == prepared.source["series"]
    for number in range(2):
        one, other = straight.read(number), prepared.read(number)
        for scope in ("point", "event", "point_truth", "particle"):
            columns, expected = getattr(one, scope), getattr(other, scope)
            assert list(columns) == list(expected)
            for name, column in columns.items():
                assert column.tobytes() == expected[name].tobytes(), name


def test_presets(tmp_path: Path) -> None:
    hits = pd.concat(map(pd.read_csv, simulate(tmp_path / "pixel", events=1, preset="pixel", pileup=3, seed=1)))
    assert set(hits.volume_id) == {7, 8, 9}
    assert (read_detectors(tmp_path / "pixel" / "detectors.csv")["volume_id"] <= 9).all()
    mini, full = (Recipe.of(1, preset) for preset in ("mini", "mu200"))
    assert (mini.pileup, full.pileup, Recipe.of(1, "mu50", 7).pileup) == (2, 200, 7)
    with pytest.raises(ValueError, match="preset: 'tiny' came, expected one of mini, pixel, mu50, mu200"):
        Recipe.of(1, "tiny")
    with pytest.raises(ValueError, match="neither preset nor pileup came"):
        Recipe.of(1)


def test_another_detector(tmp_path: Path) -> None:
    table = trackml_detector()
    barrel = {name: column[table["volume_id"] == 8] for name, column in table.items()}
    write_detectors(tmp_path / "barrel.csv", barrel)
    made = simulate(tmp_path / "out", events=1, pileup=1, seed=1, detectors=tmp_path / "barrel.csv")
    assert set(pd.read_csv(made[0]).volume_id) == {8}
    assert geometry_hash(read_detectors(tmp_path / "out" / "detectors.csv")) == geometry_hash(barrel)
    with pytest.raises(ValueError, match="detectors.csv: another detector than the one asked for"):
        simulate(tmp_path / "out", events=1, pileup=1, seed=1, first_event=2000)


def test_same_bytes_for_one_and_two_workers(tmp_path: Path) -> None:
    simulate(tmp_path / "one", events=3, pileup=1, seed=5)
    simulate(tmp_path / "two", events=3, pileup=1, seed=5, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_goes_on_where_it_stopped(tmp_path: Path) -> None:
    simulate(tmp_path, events=3, pileup=1, seed=5)
    whole = contents(tmp_path)
    (tmp_path / "event000001001-truth.csv.gz").unlink()
    kept = (tmp_path / "event000001000-hits.csv.gz").stat().st_mtime_ns
    told: list[tuple[int, int]] = []
    simulate(tmp_path, events=3, pileup=1, seed=5, progress=lambda done, total: told.append((done, total)))
    assert contents(tmp_path) == whole and told == [(1, 1)]
    assert (tmp_path / "event000001000-hits.csv.gz").stat().st_mtime_ns == kept, "complete events are not made again"


@pytest.mark.parametrize("other", [{"seed": 6}, {"pileup": 2}, {"phase": 1}])
def test_events_of_two_recipes_never_mix(tmp_path: Path, other: dict[str, int]) -> None:
    simulate(tmp_path, events=1, pileup=1, seed=5)
    whole = contents(tmp_path)
    with pytest.raises(ValueError, match="simulation.json: events 1000 to 1000 here were made with .*choose another folder"):
        simulate(tmp_path, **{"events": 2, "pileup": 1, "seed": 5} | other)
    assert contents(tmp_path) == whole


def test_a_folder_holds_several_series(tmp_path: Path) -> None:
    simulate(tmp_path, events=1, pileup=1, seed=5)
    simulate(tmp_path, events=1, pileup=2, seed=5, phase=1, first_event=2000)
    simulate(tmp_path, events=2, pileup=1, seed=5)
    series = json.loads((tmp_path / "simulation.json").read_text())
    keys = ("first_event", "events", "pileup", "phase")
    assert [[one[key] for key in keys] for one in series] == [[2000, 1, 2, 1], [1000, 2, 1, 2]]
    assert len(list(tmp_path.glob("*-hits.csv.gz"))) == 3


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    whole = Path.write_bytes

    def breaks(self: Path, data: bytes) -> int:
        if "truth" not in self.name:
            return whole(self, data)
        whole(self, data[:100])
        raise error

    monkeypatch.setattr(Path, "write_bytes", breaks)
    with pytest.raises(type(error)):
        simulate(tmp_path, events=1, pileup=1, seed=5)
    assert set(contents(tmp_path)) == {
        "simulation.json", "detectors.csv", "event000001000-cells.csv.gz", "event000001000-particles.csv.gz",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"events": 0}, "events: 0 came"),
        ({"workers": 0}, "workers: 0 came"),
        ({"pileup": -3.0}, "pileup: -3.0 came"),
        ({"phase": 0}, "phase: 0 came"),
        ({"first_event": -1}, "event id: -1 came"),
    ],
)
def test_bad_arguments_write_nothing(tmp_path: Path, arguments: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        simulate(tmp_path / "out", **{"events": 1, "pileup": 1, "seed": 1} | arguments)
    assert not list((tmp_path / "out").glob("event*"))
