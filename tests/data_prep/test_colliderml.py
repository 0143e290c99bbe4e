"""ColliderML json: a hand-worked event, its layers, its particles as estimated, one line for every mistake; the sample."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trackml_event import assert_same

from data_prep import acts, colliderml, odd
from data_prep.layer_table import Layer, detectors_of
from pcloud.cli.sources import Input
from pcloud.metrics.particles import Fiducial, Particles
from pcloud.metrics.tracking import match, tracking_figures
from pcloud.tracking.detector import write_detectors
from pcloud.tracking.finding import find_tracks
from pcloud.tracking.layers import layer_numbers, layers_of


def hit(
    number: int, x: float, y: float, z: float, volume: int, particle: int, pt: float = 2.0, pdg: int = -211
) -> dict[str, Any]:
    return {"x": x, "y": y, "z": z, "pT": pt, "pdg_id": pdg, "particle_id": particle, "HIT_ID": number, "volume_id": volume}


HITS = [
    hit(7, 0.0, 68.7, 144.4, 17, 300),
    hit(0, 0.0, 33.0, 73.0, 17, 300),
    hit(2, 0.0, 261.0, 529.0, 24, 300),
    hit(3, 0.0, 114.5, 236.0, 17, 300),
    hit(9, -60.0, 0.0, -1516.8, 16, 12, pt=0.5, pdg=13),
    hit(4, 1020.0, 0.0, 5.0, 29, 0, pt=0.0, pdg=0),
]
CALORIMETER = [{"x": 1300, "y": 0.5, "z": 10.0, "energy": 0.25, "pT": 1.0, "pdg_id": 22, "particle_id": 40}]
EVENT = {"metadata": {"event_id": 5}, "vertex": [0.0, 0.0, 7.0], "all_tracker_hits": HITS, "calo_hits": CALORIMETER, "tracks": []}


def lay(folder: Path, number: int = 5, **changed: Any) -> Path:
    folder.mkdir(exist_ok=True)
    content = {key: value for key, value in (EVENT | changed).items() if value is not None}
    (folder / f"event_{number}.json").write_text(json.dumps(content))
    return folder


def with_hit(place: int, **changed: Any) -> dict[str, Any]:
    rows = [dict(one) for one in HITS]
    rows[place] |= changed
    return {"all_tracker_hits": [{key: value for key, value in one.items() if value != "gone"} for one in rows]}


# ---------------------------------------------------------------- what is read


def test_hits_and_their_layers(tmp_path: Path) -> None:
    event = colliderml.open_event(lay(tmp_path / "e"))
    assert event.event_id == 5 and event.point["hit_id"].tolist() == [7, 0, 2, 3, 9, 4]
    assert event.point["layer_id"].tolist() == [4, 2, 2, 6, 4, 4], "disc at z = -1520 mm is layer 4 of volume 16"
    assert event.point["z"].tolist() == pytest.approx([144.4, 73, 529, 236, -1516.8, 5])


def test_particles_are_made_of_hits_and_the_vertex(tmp_path: Path) -> None:
    event = colliderml.open_event(lay(tmp_path / "e"))
    particle = event.particle
    assert particle["particle_id"].tolist() == [12, 300] and particle["nhits"].tolist() == [1, 4]
    assert event.point_truth["particle"].tolist() == [1, 1, 1, 1, 0, -1], "a particle_id below 1 is noise"
    assert particle["particle_type"].tolist() == [13, -211] and particle["q"].tolist() == [-1, -1]
    np.testing.assert_allclose(np.hypot(particle["px"], particle["py"]), [0.5, 2.0], rtol=1e-6)
    # The innermost hit is at r = 33, z = 73 and the vertex at z = 7, so pz / pT = 66 / 33.
    np.testing.assert_allclose([particle["px"][1], particle["py"][1], particle["pz"][1]], [0, 2, 4], atol=1e-6)
    assert particle["vz"].tolist() == [7, 7] and event.point_truth["weight"].sum() == pytest.approx(1)
    assert event.point_truth["weight"][4] == 0 == event.point_truth["weight"][5]


def test_the_calorimeter_is_told_too(tmp_path: Path) -> None:
    tables = colliderml.read_event(lay(tmp_path / "e"))
    assert tables["calorimeter"].to_dict("list") == {"x": [1300], "y": [0.5], "z": [10], "energy": [0.25], "particle_id": [40]}
    assert set(colliderml.read_event(tmp_path / "e", truth=False)) == {"hits", "calorimeter"}


def test_without_truth_no_key_that_tells_it_is_looked_at(tmp_path: Path) -> None:
    bare = [{key: one[key] for key in ("x", "y", "z", "volume_id", "HIT_ID")} for one in HITS]
    event = colliderml.open_event(lay(tmp_path / "e", all_tracker_hits=bare, vertex=None), truth=False)
    assert event.points == 6 and not event.point_truth and not event.particle


def test_how_complete_the_files_are_is_said(tmp_path: Path) -> None:
    assert "6 of at least 10 hits" in colliderml.notes(lay(tmp_path / "e"))[1]
    whole = lay(tmp_path / "f", all_tracker_hits=[one | {"HIT_ID": place} for place, one in enumerate(HITS)])
    assert colliderml.notes(whole) == (colliderml.ESTIMATED,)


def test_one_file_a_packed_one_and_a_folder(tmp_path: Path) -> None:
    folder = lay(lay(tmp_path / "e"), 11)
    assert colliderml.list_events(folder) == [5, 11] and colliderml.recognises(folder)
    assert colliderml.list_events(folder / "event_5") == [5] == colliderml.list_events(folder / "event_5.json")
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "event_5.json.gz").write_bytes(gzip.compress((folder / "event_5.json").read_bytes()))
    assert_same(colliderml.open_event(packed), colliderml.open_event(folder, 5))
    (packed / "event_5.json").write_text("{}")
    with pytest.raises(ValueError, match="event_5.json.gz: the same event as .*event_5.json; keep one"):
        colliderml.list_events(packed)


def test_a_store_holds_events_detector_and_notes(tmp_path: Path) -> None:
    folder = lay(tmp_path / "e")
    store = colliderml.prepare(folder, tmp_path / "s")
    assert_same(store.read(0), colliderml.open_event(folder))
    known = Input.open(tmp_path / "s")
    assert known.detector is not None and known.detector["field_z"][0] == odd.FIELD and known.notes == colliderml.notes(folder)


def test_another_table_names_the_layers(tmp_path: Path) -> None:
    layers = [Layer(17, 3, False, 33.0, 1.0, -500, 500, 0.01, 0.01), Layer(17, 5, False, 90.0, 30.0, -500, 500, 0.01, 0.01)]
    write_detectors(tmp_path / "mine.csv", detectors_of(layers, 1.5))
    folder = lay(tmp_path / "e", all_tracker_hits=[one for one in HITS if one["volume_id"] == 17])
    assert colliderml.open_event(folder, detectors=tmp_path / "mine.csv").point["layer_id"].tolist() == [5, 3, 5]
    assert colliderml.read_detectors(folder, tmp_path / "mine.csv")["field_z"][0] == 1.5


# ---------------------------------------------------------------- what is wrong gives one line

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no hits": ({"all_tracker_hits": None}, "all_tracker_hits: nothing came, expected a list of objects with HIT_ID, x, y, z"),
    "no list": ({"all_tracker_hits": {"x": 1}}, "all_tracker_hits: a dict came, expected a list"),
    "no object": ({"all_tracker_hits": [3]}, r"all_tracker_hits\[0\]: 'HIT_ID' is null, expected a whole number"),
    "no key": (with_hit(2, y="gone"), r"all_tracker_hits\[2\]: 'y' is null, expected a finite number; mend the file"),
    "text": (with_hit(2, x="a"), r"all_tracker_hits\[2\]: 'x' is \"a\", expected a finite number"),
    "truth value": (with_hit(1, HIT_ID=True), r"all_tracker_hits\[1\]: 'HIT_ID' is true, expected a whole number"),
    "broken id": (with_hit(1, HIT_ID=1.5), r"all_tracker_hits\[1\]: 'HIT_ID' is 1.5, expected a whole number"),
    "huge id": (with_hit(1, HIT_ID=2**70), r"all_tracker_hits\[1\]: 'HIT_ID' is 1180\d+, expected a number within reason"),
    "absurd": (with_hit(1, z=1e300), r"all_tracker_hits\[1\]: 'z' is 1e\+300, expected a number within reason"),
    "nan": (with_hit(1, z=float("nan")), r"not a readable JSON file \(NaN came, expected finite numbers alone\)"),
    "twice": (with_hit(1, HIT_ID=7), r"all_tracker_hits\[1\]: HIT_ID 7 came already, expected once"),
    "no layer": (with_hit(1, y=50.0), r"all_tracker_hits\[1\]: volume 17, r 50.0, z 73.0 mm is on no layer of the detector"),
    "no volume": (with_hit(1, volume_id=8), r"all_tracker_hits\[1\]: volume 8, .* is on no layer"),
    "two momenta": (with_hit(0, pT=3.0), r"all_tracker_hits\[0\]: 'pT' differs from that of other hits of its particle"),
    "no vertex": ({"vertex": [0, 0]}, r"vertex: \[0, 0\] came, expected x, y, z in mm"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_line_for_each_mistake(tmp_path: Path, case: str) -> None:
    changed, message = WRONG[case]
    with pytest.raises(ValueError, match=message) as caught:
        colliderml.open_event(lay(tmp_path / "e", **changed))
    assert "\n" not in str(caught.value) and "event_5.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, '{"a": Infinity}', "\x00\xff"])
def test_a_file_that_is_no_event(tmp_path: Path, text: str) -> None:
    (tmp_path / "event_5.json").write_text(text)
    with pytest.raises(ValueError, match="not a readable JSON file|a list came, expected an object") as caught:
        colliderml.open_event(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colliderml, "LIMIT", 1 << 20)
    (tmp_path / "event_1.json").write_bytes(b" " * ((1 << 20) + 1))
    (tmp_path / "event_2.json.gz").write_bytes(gzip.compress(b" " * ((1 << 20) + 1)))
    for number in (1, 2):
        with pytest.raises(ValueError, match="more than 1 MB, too many for one event"):
            colliderml.open_event(tmp_path, number)


def test_a_wrong_source_or_event(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder and no event file there"):
        colliderml.list_events(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no event there; expected files named like event_0.json"):
        colliderml.list_events(tmp_path)
    folder = lay(tmp_path / "e")
    with pytest.raises(ValueError, match="event 4 came, expected one of the 1 there: 5"):
        colliderml.open_event(folder, 4)
    with pytest.raises(ValueError, match="no event chosen"):
        colliderml.prepare(folder, tmp_path / "s", events=[])


# ---------------------------------------------------------------- real files


def sample(shared_data: Path, name: str) -> Path:
    folder = shared_data / "other_detectors" / name
    if not folder.is_dir():
        pytest.skip(f"no sample of another detector: {folder}")
    return folder


def test_hits_of_acts_lie_on_the_layers(shared_data: Path) -> None:
    """11,862 hits, named by ACTS, on layers that were written down from the detector's description."""
    point = acts.open_event(sample(shared_data, "acts")).point
    layers = layers_of(odd.open_data_detector())
    number = layer_numbers(odd.open_data_detector(), point["volume_id"], point["layer_id"])
    assert len(layers.at) == 48 and number.min() >= 0
    across = np.where(layers.disc[number], point["z"], point["r"]) - layers.at[number]
    along = np.where(layers.disc[number], point["r"], point["z"])
    assert (np.abs(across) < layers.thick[number] + 0.01).all()
    assert ((along > layers.low[number] - 0.1) & (along < layers.high[number] + 0.1)).all()


def test_tracks_of_the_sample(shared_data: Path) -> None:
    folder = sample(shared_data, "colliderml")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("event", "track", "particle")}
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("event", "particle_id", "nhits", "vx", "vy", "px", "py", "pz")}
    for number in colliderml.list_events(folder):
        event = colliderml.open_event(folder, number)
        ids = np.append(event.particle["particle_id"], 0)
        parts["event"].append(np.full(event.points, number))
        parts["track"].append(find_tracks(event.point, colliderml.read_detectors(folder)))
        parts["particle"].append(ids[event.point_truth["particle"]])
        rows["event"].append(np.full(event.particles, number))
        for name in list(rows)[1:]:
            rows[name].append(event.particle[name])
    whole = {name: np.concatenate(column) for name, column in rows.items()}
    particles = Particles.from_kinematics(
        whole["event"], whole["particle_id"], whole["nhits"], **{name: whole[name] for name in ("vx", "vy", "px", "py", "pz")}
    )
    matches = match(*(np.concatenate(parts[name]) for name in parts), particles, unassigned=-1)
    figures = tracking_figures(matches, particles, Fiducial())
    assert figures["double_majority_efficiency"].value > 0.95 and figures["fake_rate"].value < 0.2
