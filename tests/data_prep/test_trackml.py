"""TrackML events from csv, gz and zip come in whole and exact."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trackml_event import DETECTORS, HITS, PARTICLES, TRUTH, WHOLE, assert_same, gzip_folder, lay, pack_folder

from data_prep import trackml
from pcloud.data.event import Event, Inputs, to_cloud
from pcloud.data.store import Store
from pcloud.tracking.detector import geometry_hash, read_detectors


def test_an_event_worked_out_by_hand(tmp_path: Path) -> None:
    event = trackml.open_event(lay(tmp_path / "e"))
    assert event.event_id == 7 and event.event["event_id"].tolist() == [7]
    assert event.point["hit_id"].tolist() == [5, 3, 9] and event.point["hit_id"].dtype == np.int64
    np.testing.assert_allclose(event.point["r"], [50, 3, 2])
    np.testing.assert_allclose(event.point["phi"], [np.arctan2(4, 3), np.pi, -np.pi / 2], rtol=1e-6)
    np.testing.assert_allclose(event.point["eta"], [0, np.log(3), -np.log(2)], rtol=1e-6)  # asinh(4/3) = ln 3
    assert event.point["cell_count"].tolist() == [1, 3, 0]
    assert event.point["charge"].tolist() == [0.5, 0.875, 0]
    np.testing.assert_allclose(event.point["extent_u"], [0.05, 0.15, 0], rtol=1e-6)
    np.testing.assert_allclose(event.point["extent_v"], [0.05625, 0.1125, 0], rtol=1e-6)
    length = np.sqrt(0.15**2 + 0.1125**2 + 0.3**2)
    direction = np.stack([event.point[f"dir_{axis}"] for axis in "uvw"])
    np.testing.assert_allclose(direction[:, 1], np.array([0.15, 0.1125, 0.3]) / length, rtol=1e-6)
    assert direction[:, 2].tolist() == [0, 0, 1]
    # particle rows follow the particles file, the particle without a hit included
    assert event.particle["particle_id"].tolist() == [9007199254740993, 4503668346847232, 9007199254740995]
    assert event.point_truth["particle"].tolist() == [0, 2, -1]
    assert event.point_truth["weight"].tolist() == [0.1, 0.25, 0] and event.point_truth["weight"].dtype == np.float64
    assert event.point_truth["tx"].tolist() == [30, -3, 0]


def test_inputs_are_the_same_bytes_with_truth_and_particles_gone(tmp_path: Path) -> None:
    whole = trackml.open_event(lay(tmp_path / "a"))
    bare = trackml.open_event(lay(tmp_path / "b", truth=None, particles=None))
    unasked = trackml.open_event(lay(tmp_path / "c", truth="rubbish", particles="rubbish"), truth=False)
    for event in (bare, unasked):
        assert_same(event, Event(7, point=whole.point, event=whole.event))


def test_truth_without_particles_makes_the_particles_it_sees(tmp_path: Path) -> None:
    event = trackml.open_event(lay(tmp_path / "e", particles=None))
    assert event.particle["particle_id"].tolist() == [9007199254740993, 9007199254740995]
    assert event.particle["nhits"].tolist() == [1, 1]
    assert event.point_truth["particle"].tolist() == [0, 1, -1]


def test_an_event_without_hits_or_particles_is_legal(tmp_path: Path) -> None:
    empty = {kind: text.split("\n")[0] + ("\n" if kind == "hits" else "") for kind, text in WHOLE.items()}
    store = trackml.prepare(lay(tmp_path / "e", **empty), tmp_path / "s")
    assert store.sizes.tolist() == [0] and store.particles.tolist() == [0]
    assert to_cloud(store.read(0), Inputs(("x", "y", "z"))).points == 0


def test_windows_lines_quotes_and_further_columns_do_not_matter(tmp_path: Path) -> None:
    expected = trackml.open_event(lay(tmp_path / "a"))
    odd = HITS.replace("hit_id,x", '"hit_id", x').replace("\n", "\r\n")
    more = "\n".join(f"{number},{line}" for number, line in enumerate(TRUTH.splitlines())).replace("0,hit_id", ",hit_id")
    assert_same(trackml.open_event(lay(tmp_path / "b", hits=odd, truth=more)), expected)


def test_a_throughput_event_has_particle_types(tmp_path: Path) -> None:
    lines = [line.split(",", 1) for line in PARTICLES.splitlines()]
    typed = "\n".join(",".join([first, "particle_type" if i == 0 else "-211", rest]) for i, (first, rest) in enumerate(lines))
    second = trackml.prepare(lay(tmp_path / "two", particles=typed), tmp_path / "s2")
    first = trackml.prepare(lay(tmp_path / "one"), tmp_path / "s1")
    assert (first.phase, second.phase) == (1, 2)
    assert second.read(0).particle["particle_type"].tolist() == [-211] * 3
    assert "particle_type" not in first.read(0).particle
    lay(tmp_path / "two", 8)
    with pytest.raises(ValueError, match="event 8: particle columns differ from those of the store in: particle_type"):
        trackml.prepare(tmp_path / "two", tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()


# ---------------------------------------------------------------- where events come from


def test_csv_gz_and_zip_give_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = lay(lay(tmp_path / "plain", 7), 12)
    zipped = gzip_folder(plain, tmp_path / "gz")
    sources = [zipped, pack_folder(plain, tmp_path / "plain.zip"), pack_folder(zipped, tmp_path / "gz.zip", "")]
    expected = trackml.prepare(plain, tmp_path / "expected")
    assert expected.event_ids.tolist() == [7, 12] and trackml.list_events(plain) == [7, 12]
    before = sorted(tmp_path.rglob("*"))
    for number, source in enumerate(sources):
        assert trackml.list_events(source) == [7, 12]
        store = trackml.prepare(source, tmp_path / f"s{number}")
        for event in (0, 1):
            assert_same(store.read(event), expected.read(event))
        assert store.geometry == expected.geometry == geometry_hash(read_detectors(plain / "detectors.csv"))
        shutil.rmtree(store.path)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is unpacked to disk"


def test_one_event_by_prefix_by_id_and_by_choice(tmp_path: Path) -> None:
    folder = lay(lay(tmp_path / "e", 7), 12)
    assert trackml.list_events(folder / "event000000012") == [12]
    assert trackml.open_event(folder / "event000000012-hits.csv").event_id == 12
    assert trackml.open_event(folder, 12).event_id == 12
    assert trackml.prepare(folder, tmp_path / "s", events=[12]).event_ids.tolist() == [12]
    with pytest.raises(ValueError, match="event None came, expected one of the 2 there: 7, 12"):
        trackml.open_event(folder)
    with pytest.raises(ValueError, match="event 8 came, expected one of the 2 there: 7, 12"):
        trackml.prepare(folder, tmp_path / "t", events=[8])
    with pytest.raises(ValueError, match="no event chosen"):
        trackml.prepare(folder, tmp_path / "t", events=[])


def test_workers_give_the_same_store_and_progress_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "e"
    for event_id in (1, 2, 3):
        lay(folder, event_id)
    seen: list[tuple[int, int]] = []
    serial = trackml.prepare(folder, tmp_path / "a", progress=lambda *state: seen.append(state))
    parallel = trackml.prepare(folder, tmp_path / "b", workers=2)
    assert serial.checksum == parallel.checksum and seen == [(1, 3), (2, 3), (3, 3)]


def test_the_detectors_table_is_found_beside_above_or_given_and_its_variants_agree(tmp_path: Path) -> None:
    expected = trackml.open_event(lay(tmp_path / "e"))
    indexed = "\n".join(f"{'' if i == 0 else i - 1},{line}" for i, line in enumerate(DETECTORS.splitlines()))
    floats = DETECTORS.replace("\n8,", "\n8.0,")
    for number, text in enumerate([indexed, floats]):
        (tmp_path / "e" / "detectors.csv").write_text(text)
        assert_same(trackml.open_event(tmp_path / "e"), expected)
        table = trackml.read_detectors(tmp_path / "e")
        assert table is not None and geometry_hash(table) == geometry_hash(read_detectors(tmp_path / "e/detectors.csv")), number
    (tmp_path / "e" / "detectors.csv").rename(tmp_path / "detectors.csv")
    assert_same(trackml.open_event(tmp_path / "e"), expected)
    given = tmp_path / "given.csv.gz"
    given.write_bytes(gzip.compress((tmp_path / "detectors.csv").read_bytes()))
    (tmp_path / "detectors.csv").unlink()
    assert_same(trackml.open_event(tmp_path / "e", detectors=given), expected)
    with pytest.raises(ValueError, match="hits.csv: cells came without a detectors table"):
        trackml.open_event(tmp_path / "e")
    (tmp_path / "e" / "event000000007-cells.csv").unlink()
    bare = trackml.open_event(tmp_path / "e")
    assert "extent_u" not in bare.point and bare.point["x"].tobytes() == expected.point["x"].tobytes()
    assert trackml.prepare(tmp_path / "e", tmp_path / "s").geometry is None


def test_preparing_needs_neither_torch_nor_lightning() -> None:
    script = "import sys, data_prep.trackml; assert not {'torch', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


# ---------------------------------------------------------------- real events


def test_the_real_small_event(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "trackml" / "small_event"
    store = trackml.prepare(folder, tmp_path / "s")
    event = store.read(0)
    assert (event.points, event.particles, store.phase) == (5527, 548, 2)
    assert (event.point_truth["particle"] < 0).sum() == 829
    assert len(np.unique(event.point_truth["particle"])) - 1 == 468
    assert event.point_truth["weight"].sum() == pytest.approx(0.0513, abs=5e-5)
    assert event.point["cell_count"].sum() == 18564
    truth = pd.read_csv(folder / "event000000001-truth.csv.gz")
    ids = np.append(event.particle["particle_id"], 0)[event.point_truth["particle"]]
    assert (ids == truth["particle_id"]).all() and (event.point["hit_id"] == truth["hit_id"]).all()
    assert_same(trackml.open_event(folder), event)
    assert_same(trackml.open_event(folder, truth=False), store.read(0, truth=False))


def test_cluster_shapes_of_the_real_event_against_a_plain_loop(shared_data: Path) -> None:
    folder = shared_data / "trackml" / "small_event"
    tables = trackml.read_event(folder)
    event = trackml.open_event(folder)
    modules = pd.read_csv(folder / "detectors.csv.gz").set_index(["volume_id", "layer_id", "module_id"])
    cells = dict(list(tables["cells"].groupby("hit_id")))
    for row in range(0, event.points, 37):
        hit = tables["hits"].iloc[row]
        module, mine = modules.loc[(hit.volume_id, hit.layer_id, hit.module_id)], cells[hit.hit_id]
        u, v = (np.ptp(mine[ch]) + 1 for ch in ("ch0", "ch1"))
        path = np.array([u * module.pitch_u, v * module.pitch_v, 2 * module.module_t])
        came = [event.point[name][row] for name in ("charge", "cell_count", "extent_u", "extent_v")]
        np.testing.assert_allclose(came, [mine.value.sum(), len(mine), *path[:2]], rtol=1e-5)
        came = [event.point[f"dir_{axis}"][row] for axis in "uvw"]
        np.testing.assert_allclose(came, path / np.linalg.norm(path), rtol=1e-5)


def test_the_real_full_events(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "trackml" / "full_events"
    store = trackml.prepare(folder, tmp_path / "s")
    assert store.event_ids.tolist() == [1001, 1018, 1020] and store.sizes.tolist() == [93680, 92521, 94081]
    assert store.phase == 1 and store.geometry == geometry_hash(read_detectors(shared_data / "trackml/detectors.csv"))
    event = store.read(0)
    assert event.point["hit_id"].tolist() == list(range(1, 93681)) and not event.point_truth
    hits = pd.read_csv(folder / "event000001001-hits.csv.gz")
    for name in "xyz":
        np.testing.assert_allclose(event.point[name], hits[name], rtol=2**-24)
    particles = pd.read_csv(folder / "event000001001-particles.csv.gz", dtype={"particle_id": str})
    assert [str(i) for i in event.particle["particle_id"]] == particles["particle_id"].tolist()


def test_the_real_event_from_a_zip(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "trackml" / "small_event"
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        for file in folder.iterdir():
            archive.writestr(f"train/{file.name.removesuffix('.gz')}", gzip.decompress(file.read_bytes()))
    assert_same(trackml.open_event(tmp_path / "e.zip"), trackml.open_event(folder))
    assert Store.open(trackml.prepare(tmp_path / "e.zip", tmp_path / "s").path).sizes.tolist() == [5527]
