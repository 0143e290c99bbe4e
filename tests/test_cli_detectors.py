"""Events of other detectors go through the same verbs as TrackML's: inspected, prepared, predicted, evaluated, drawn."""

from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep import acts, colliderml, odd
from pcloud import cli
from pcloud.cli.sources import Input, kind_of
from pcloud.data.store import Store
from pcloud.tracking.layers import layers_of

BARRELS, FIELD, TRACKS = (33.1, 68.7, 114.5, 170.4, 261.1, 360.8, 500.6, 660.4), 3.0, 12


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    if "acts" not in entry_points(group="pcloud.sources").names:
        pytest.skip("pcloud was installed before it had this source: pip install -e . again")


def muons() -> pd.DataFrame:
    """Hits of muons of 2 GeV on the OpenDataDetector's inner barrels, and their direction at the start."""
    random, rows = np.random.default_rng(1), []
    radius = 2.0 / (0.299792458e-3 * FIELD)
    for track in range(TRACKS):
        phi, slope = random.uniform(-np.pi, np.pi), random.uniform(-0.6, 0.6)
        for number, r in enumerate(BARRELS):
            turn = np.arcsin(r / (2 * radius))
            place = r * np.cos(phi + turn), r * np.sin(phi + turn), slope * 2 * radius * turn
            volume, layer = (17, 2 * number + 2) if number < 4 else (24, 2 * number - 6)
            rows.append((track + 1, volume, layer, *place, 2 * np.cos(phi), 2 * np.sin(phi), 2 * slope))
    return pd.DataFrame(rows, columns=["particle", "volume", "layer", "x", "y", "z", "px", "py", "pz"])


@pytest.fixture(scope="module")
def acts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, hits = tmp_path_factory.mktemp("acts_events"), muons()
    stem = str(folder / "event000000004-")
    zero = pd.DataFrame(dict.fromkeys(("local0", "local1", "var_local0", "var_local1"), np.zeros(len(hits))))
    place = pd.DataFrame({"measurement_id": hits.index, "geometry_id": hits.volume * 2**56 + hits.layer * 2**36 + 256})
    place.join(zero).to_csv(stem + "measurements.csv", index=False)
    pd.DataFrame({"measurement_id": hits.index, "hit_id": hits.index}).to_csv(stem + "measurement-simhit-map.csv", index=False)
    told = {"x": "tx", "y": "ty", "z": "tz", "px": "tpx", "py": "tpy", "pz": "tpz", "particle": "particle_id"}
    hits.rename(columns=told)[list(told.values())].to_csv(stem + "hits.csv", index=False)
    starts = hits.drop_duplicates("particle").rename(columns={"particle": "particle_id"})[["particle_id", "px", "py", "pz"]]
    starts.assign(particle_type=13, vx=0.0, vy=0.0, vz=0.0, q=-1).to_csv(stem + "particles_initial.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def json_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("json_events")
    hits = [
        {
            "x": h.x,
            "y": h.y,
            "z": h.z,
            "pT": 2.0,
            "pdg_id": 13,
            "particle_id": h.particle,
            "HIT_ID": h.Index,
            "volume_id": h.volume,
        }
        for h in muons().itertuples()
    ]
    content = {"vertex": [0.0, 0.0, 0.0], "all_tracker_hits": hits, "calo_hits": []}
    (folder / "event_4.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(params=["acts", "colliderml"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, request: pytest.FixtureRequest) -> Path:
    made: Path = request.getfixturevalue("acts_folder" if kind == "acts" else "json_folder")
    return made


def test_every_verb(kind: str, folder: Path, tmp_path: Path) -> None:
    facts = cli.inspect(folder)
    assert kind_of(folder) == kind == facts["source"] and facts["tables of event 4"]["hits"]["rows"] == 8 * TRACKS
    made = cli.predict("tracks-classical", folder, tmp_path / "s.csv")
    assert made.events == {4: 8 * TRACKS} and made.sizes == {8: TRACKS} and made.notes == facts["notes"]
    report = cli.evaluate("tracks-classical", store=folder, out=tmp_path / "raw")
    assert report["figures"]["double_majority_efficiency"]["value"] == 1 and report["figures"]["fake_rate"]["value"] == 0
    assert report["summary"]["score"] == pytest.approx(1) and set(made.notes) <= set(report["notes"])
    store = cli.prepare(folder, tmp_path / "store", kind=kind)
    again = cli.evaluate("tracks-classical", store=tmp_path / "store", out=tmp_path / "stored")
    assert again["figures"] == report["figures"] and again["notes"] == report["notes"] and store.source["name"] == kind
    assert cli.predict("tracks-classical", tmp_path / "store", tmp_path / "t.csv").sizes == made.sizes
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()
    drawn = cli.display(folder, submission=tmp_path / "s.csv", out=tmp_path / "shown", html=False)
    assert drawn[0].stat().st_size > 0


def test_a_model_of_another_detector_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="geometry .* came, model tracks-gnn was trained on .*: use a model of this detector"):
        cli.predict("tracks-gnn", folder, tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()


def test_nothing_is_written_over_what_is_read(folder: Path) -> None:
    for file in folder.iterdir():
        with pytest.raises(ValueError, match=f"{file.name}: belongs to the input"):
            cli.predict("tracks-classical", folder, file)
    later = folder / ("event000000009-measurements.csv" if kind_of(folder) == "acts" else "event_9.json")
    with pytest.raises(ValueError, match=f"{later.name}: belongs to the input"):
        cli.predict("tracks-classical", folder, later)


def test_another_table_of_modules_for_a_store_is_refused(kind: str, folder: Path, tmp_path: Path, raw_events: Path) -> None:
    cli.prepare(folder, tmp_path / "store", kind=kind)
    table = next(raw_events.glob("detectors.csv*"))
    with pytest.raises(ValueError, match="another detector than the one that .* was made in"):
        Input.open(tmp_path / "store", detectors=table)


def test_a_detector_that_lacks_a_column_is_told(kind: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.prepare(folder, tmp_path / "store", kind=kind)
    monkeypatch.setattr(Store, "detector", lambda self: {"volume_id": np.zeros(1)})
    with pytest.raises(ValueError, match="its table of modules lacks layer_id; prepare it again, or name a table"):
        Input.open(tmp_path / "store")


def test_layers_that_hits_show_are_those_of_the_description(acts_folder: Path) -> None:
    shown, known = layers_of(acts.read_detectors(acts_folder)), layers_of(odd.open_data_detector())
    inner = [number for number in known.barrels if known.at[number] < 700]
    assert not shown.disc.any()
    np.testing.assert_allclose(np.sort(shown.at), np.sort(known.at[inner]), atol=0.01)


def test_a_source_of_somebody_else_that_does_not_load_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw_events: Path, json_folder: Path
) -> None:
    place = tmp_path / "site" / "broken_source-1.0.dist-info"
    place.mkdir(parents=True)
    (place.parent / "broken_source.py").write_text("import a_package_that_is_not_there\n")
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-source\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text("[pcloud.sources]\nabroken = broken_source:prepare\n")
    monkeypatch.syspath_prepend(str(place.parent))
    assert kind_of(raw_events) == "trackml" and kind_of(json_folder) == "colliderml"
    assert "broken_source" not in sys.modules and colliderml.list_events(json_folder) == [4]
