"""A wrong, damaged or absurd TrackML file gives one line that names it and the place."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from trackml_event import CELLS, DETECTORS, HITS, PARTICLES, TRUTH, WHOLE, gzip_folder, lay, pack_folder

from data_prep import trackml, trackml_files


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
