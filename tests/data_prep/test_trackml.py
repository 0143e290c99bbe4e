"""TrackML events from csv, gz and zip come in whole and exact; a wrong file gives one line that names it."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep import trackml, trackml_files
from pcloud.data.event import Event, Inputs, to_cloud
from pcloud.data.schema import SCOPES
from pcloud.data.store import Store
from pcloud.tracking.detector import geometry_hash, read_detectors

HITS = """hit_id,x,y,z,volume_id,layer_id,module_id
5,30.0,40.0,0.0,8,2,1
3,-3.0,0.0,4.0,8,2,2
9,0.0,-2.0,-1.5,8,4,1
"""
CELLS = """hit_id,ch0,ch1,value
3,10,7,0.25
5,100,200,0.5
3,12,7,0.5
3,11,8,0.125
"""
PARTICLES = """particle_id,vx,vy,vz,px,py,pz,q,nhits
9007199254740993,0.5,0,1,1,0,2,1,1
4503668346847232,0,0,0,0,0.25,0,-1,0
9007199254740995,0,0,0,0,0.5,0,-1,1
"""
TRUTH = """hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight
9,0,0,-2,-1.5,0,0,0,0
3,9007199254740995,-3,0,4,0,0.5,0,0.25
5,9007199254740993,30,40,0,1,0,2,0.1
"""
DETECTORS = """volume_id,layer_id,module_id,cx,cy,cz,rot_xu,rot_xv,rot_xw,rot_yu,rot_yv,rot_yw,rot_zu,rot_zv,rot_zw,\
module_t,module_minhu,module_maxhu,module_hv,pitch_u,pitch_v
8,2,1,0,0,0,1,0,0,0,1,0,0,0,1,0.15,8.4,8.4,36,0.05,0.05625
8,2,2,0,0,0,1,0,0,0,1,0,0,0,1,0.15,8.4,8.4,36,0.05,0.05625
8,4,1,0,0,0,1,0,0,0,1,0,0,0,1,0.25,24,24,54,0.08,1.2
"""
WHOLE = {"hits": HITS, "cells": CELLS, "particles": PARTICLES, "truth": TRUTH}


def lay(folder: Path, event_id: int = 7, **files: str | bytes | None) -> Path:
    """A folder with one event; keywords replace a file's text, None leaves it out."""
    folder.mkdir(exist_ok=True)
    (folder / "detectors.csv").write_text(DETECTORS)
    for kind, text in (WHOLE | files).items():
        if text is not None:
            raw = text if isinstance(text, bytes) else text.encode()
            (folder / f"event{event_id:09d}-{kind}.csv").write_bytes(raw)
    return folder


def assert_same(came: Event, expected: Event) -> None:
    for scope in SCOPES:
        assert list(getattr(came, scope)) == list(getattr(expected, scope)), scope
        for name, column in getattr(expected, scope).items():
            other = getattr(came, scope)[name]
            assert other.dtype == column.dtype and other.tobytes() == column.tobytes(), (scope, name)


# ---------------------------------------------------------------- what an event is


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


def pack_folder(folder: Path, target: Path, inside: str = "train_sample/") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, inside + file.name)
            archive.writestr(f"__MACOSX/._{file.name}", b"noise")
    return target


def gzip_folder(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    return target


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


@pytest.mark.parametrize("name", ["event000000001-hits.csv", "nowhere", "nowhere/event000000001", "no.zip"])
def test_a_source_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises((FileNotFoundError, ValueError), match="no folder, zip or event prefix there|no event there"):
        trackml.list_events(tmp_path / name)


# ---------------------------------------------------------------- what is wrong gives one line


def replaced(text: str, line: int, column: int, value: str) -> str:
    lines = text.splitlines()
    cells = lines[line - 1].split(",")
    cells[column] = value
    lines[line - 1] = ",".join(cells)
    return "\n".join(lines) + "\n"


def truncated(text: str) -> bytes:
    return gzip.compress(text.encode())[:-12]


WRONG = {
    "missing column": ("hits", HITS.replace(",z,", ",q,"), "line 1: column 'z' missing; came hit_id, x, y, q"),
    "duplicate hit": ("hits", replaced(HITS, 4, 0, "5"), "line 4: hit_id 5 came already"),
    "nan": ("hits", replaced(HITS, 3, 2, "nan"), "line 3: column 'y' holds nan, expected a finite number"),
    "infinite": ("hits", replaced(HITS, 2, 3, "-inf"), "line 2: column 'z' holds -inf, expected a finite number"),
    "absurd": ("hits", replaced(HITS, 2, 3, "1e300"), r"line 2: column 'z' holds 1e\+300, expected a finite number"),
    "blank": ("hits", replaced(HITS, 3, 1, ""), "line 3: '' came, expected a number"),
    "text": ("hits", replaced(HITS, 3, 4, "pixel"), "line 3: 'pixel' came, expected a whole number"),
    "float id": ("hits", replaced(HITS, 3, 0, "3.5"), "line 3: '3.5' came, expected a whole number"),
    "huge id": ("hits", replaced(HITS, 3, 6, "9999999999"), "line 3: '9999999999' came, expected a whole number"),
    "cut row": ("hits", HITS[:-6], "line 4: 5 cells came, expected 7"),
    "empty": ("hits", "", "empty, expected a header with the columns hit_id, x"),
    "blank lines": ("hits", "\n\n", "empty, expected a header"),
    "old Mac lines": ("hits", HITS.replace("\n", "\r"), "line 1: column 'module_id' missing"),
    "binary": ("hits", bytes(range(256)), "line 1: column 'hit_id' missing"),
    "unknown module": ("hits", replaced(HITS, 3, 6, "99"), "hits.csv: hit_id 3: volume, layer, module 8, 2, 99 is not"),
    "unknown cell": ("cells", replaced(CELLS, 3, 0, "4"), "line 3: hit_id 4, which .*hits.csv lacks"),
    "nan cell": ("cells", replaced(CELLS, 3, 3, "nan"), "line 3: column 'value' holds nan"),
    "empty cells": ("cells", "", "empty, expected a header with the columns hit_id, ch0"),
    "unknown hit": ("truth", replaced(TRUTH, 3, 0, "4"), "line 3: hit_id 4, which .*hits.csv lacks"),
    "truth twice": ("truth", replaced(TRUTH, 3, 0, "9"), "line 3: hit_id 9 came already"),
    "no truth": ("truth", "\n".join(TRUTH.splitlines()[:3]), "hits.csv: line 2: hit_id 5 has no row in .*truth.csv"),
    "unknown particle": ("truth", replaced(TRUTH, 4, 1, "5"), "line 4: particle_id 5, which .*particles.csv lacks"),
    "rounded particle": ("truth", replaced(TRUTH, 4, 1, "9.007199254740993e15"), "line 4: .* came, expected a whole"),
    "particle twice": ("particles", replaced(PARTICLES, 4, 0, "4503668346847232"), "line 4: particle_id 45.* came already"),
    "no momentum": ("particles", PARTICLES.replace("px", "qx"), "line 1: column 'px' missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("form", ["csv", "zip"])
def test_a_wrong_file_gives_one_line_naming_file_and_place(tmp_path: Path, case: str, form: str) -> None:
    kind, text, line = WRONG[case]
    source = lay(tmp_path / "e", **{kind: text})
    if form == "zip":
        source = pack_folder(source, tmp_path / "e.zip")
    with pytest.raises(ValueError, match=line) as caught:
        trackml.prepare(source, tmp_path / "s")
    message = str(caught.value)
    assert "\n" not in message and "event000000007-" in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e"] + ["e.zip"] * (form == "zip")


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("form", ["gz", "zip"])
def test_a_truncated_or_damaged_archive_is_said_so(tmp_path: Path, kind: str, form: str) -> None:
    source = gzip_folder(lay(tmp_path / "e"), tmp_path / "gz")
    file = source / f"event000000007-{kind}.csv.gz"
    whole = file.read_bytes()
    for damaged in (whole[:-12], whole[:15], b"", b"not gzip at all", whole[:25] + b"\xff\xff\xff" + whole[28:]):
        file.write_bytes(damaged)
        target = pack_folder(source, tmp_path / "gz.zip") if form == "zip" else source
        with pytest.raises(ValueError, match=f"event000000007-{kind}.csv.gz: (damaged or cut off|empty)") as caught:
            trackml.prepare(target, tmp_path / "s")
        assert "\n" not in str(caught.value) and not (tmp_path / "s").exists()


def test_a_damaged_zip_is_said_so(tmp_path: Path) -> None:
    archive = pack_folder(lay(tmp_path / "e"), tmp_path / "e.zip")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"e.zip: not a readable zip"):
        trackml.list_events(archive)
    place = whole.index(b"event000000007-hits.csv") + 40
    archive.write_bytes(whole[:place] + b"\x00\xff\x00" + whole[place + 3 :])
    with pytest.raises(ValueError, match=r"e.zip:train_sample/event000000007-hits.csv: damaged or cut off"):
        trackml.prepare(archive, tmp_path / "s")


@pytest.mark.parametrize("form", ["csv", "gz", "zip"])
def test_random_damage_gives_one_line_or_an_event_never_another_error(tmp_path: Path, form: str) -> None:
    random = np.random.default_rng(5)
    source = lay(tmp_path / "e")
    source = {"csv": lambda: source, "gz": lambda: gzip_folder(source, tmp_path / "gz"),
              "zip": lambda: pack_folder(source, tmp_path / "e.zip")}[form]()  # fmt: skip
    for _ in range(200):
        file = source if form == "zip" else random.choice(sorted(source.iterdir()))
        whole = file.read_bytes()
        place = int(random.integers(len(whole)))
        insert = [b"", bytes([random.integers(256)]), b"nan", b"\n", b'"', b"1e999,"][random.integers(6)]
        file.write_bytes(whole[:place] + insert + whole[place + int(random.integers(0, 4)) :])
        try:
            trackml.open_event(source)
        except (ValueError, FileNotFoundError) as error:
            assert "\n" not in str(error)
        file.write_bytes(whole)


@pytest.mark.parametrize("form", ["csv", "gz", "zip", "gz.zip"])
def test_an_absurd_file_is_refused_before_it_takes_memory(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackml_files, "LIMIT", 10_000)
    source = lay(tmp_path / "e", hits=HITS + "\n" * 20_000)
    if form.startswith("gz"):
        source = gzip_folder(source, tmp_path / "gz")
    if form.endswith("zip"):
        source = pack_folder(source, tmp_path / "e.zip")
    line = r"hits.csv.gz: unpacks to more than 10000" if "gz" in form else r"hits.csv: \d+ bytes came, at most 10000"
    with pytest.raises(ValueError, match=line):
        trackml.prepare(source, tmp_path / "s")


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    archive = pack_folder(lay(tmp_path / "e", hits=HITS + "\n" * 20_000), tmp_path / "e.zip")
    with zipfile.ZipFile(archive) as file:
        size = file.getinfo("train_sample/event000000007-hits.csv").file_size
    archive.write_bytes(archive.read_bytes().replace(size.to_bytes(4, "little"), (150).to_bytes(4, "little")))
    with pytest.raises(ValueError, match="hits.csv: damaged or cut off"):
        trackml.prepare(archive, tmp_path / "s")


def test_the_same_table_twice_is_ambiguous(tmp_path: Path) -> None:
    folder = lay(tmp_path / "e")
    (folder / "event000000007-hits.csv.gz").write_bytes(gzip.compress(HITS.encode()))
    with pytest.raises(ValueError, match="hits.csv.gz: the same table as .*hits.csv; keep one"):
        trackml.list_events(folder)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda t: t.replace("pitch_u", "pitch"), "detectors.csv: line 1: column 'pitch_u' missing"),
        (lambda t: t.replace("\n8,2,2", "\n8,2,1"), r"detectors.csv: line 3: module \(8, 2, 1\) came already"),
        (lambda t: t.replace("\n8,2,2", "\n8.5,2,2"), "line 3: column 'volume_id' holds 8.5, expected a whole number"),
        (lambda t: t.replace("0.08,1.2", "0.08,nan"), "line 4: column 'pitch_v' holds nan"),
        (lambda t: "", "detectors.csv: empty"),
    ],
)
def test_a_wrong_detectors_table_is_said_so(tmp_path: Path, change: Callable[[str], str], line: str) -> None:
    folder = lay(tmp_path / "e")
    (folder / "detectors.csv").write_text(change(DETECTORS))
    with pytest.raises(ValueError, match=line):
        trackml.prepare(folder, tmp_path / "s")


def test_the_error_of_a_worker_names_the_file(tmp_path: Path) -> None:
    lay(lay(tmp_path / "e", 7), 8, hits=replaced(HITS, 3, 2, "nan"))
    with pytest.raises(ValueError, match="event 8: .*event000000008-hits.csv: line 3: column 'y' holds nan"):
        trackml.prepare(tmp_path / "e", tmp_path / "s", workers=2)
    assert [p.name for p in tmp_path.iterdir()] == ["e"]


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
