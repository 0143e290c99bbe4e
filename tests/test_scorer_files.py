"""Submission and truth files: every mistake is one line with file and line, and no write leaves half a file."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pcloud.scorer import (
    integers,
    line_of,
    read_header,
    read_particles,
    read_submission,
    read_table,
    read_truth,
    tables,
    tracks_of,
    validate_submission,
    write_submission,
)

BIG = (1 << 60) + 1


def put(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def one_line(caught: pytest.ExceptionInfo[Exception], path: Path) -> str:
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("event_id,hit_id,track_id\n", "a header and no rows"),
        ("event_id,hit_id\n1,1\n", ": line 1: column 'track_id' is missing; the header has event_id,hit_id, expected"),
        ("event_id,hit_id,track_id\n1,1,4\n1,2,\n", ": line 3: track_id is nothing (NaN); expected a whole number"),
        ("event_id,hit_id,track_id\n1,1,4\n1,2,nan\n", ": line 3: track_id is nothing (NaN)"),
        ("event_id,hit_id,track_id\n1,1,4\n1,2,inf\n", ": line 3: track_id is 'inf'"),
        ("event_id,hit_id,track_id\n1,1,4\n1,2,4.5\n", ": line 3: track_id is '4.5'"),
        ("event_id,hit_id,track_id\n1,1,4\n1,2,four\n", ": line 3: track_id is 'four'"),
        ("event_id,hit_id,track_id\n1,1,True\n1,2,False\n", ": line 2: track_id is 'True'"),
        (f"event_id,hit_id,track_id\n1,1,{2**63}\n", f": line 2: track_id is '{2**63}'; expected a whole number below"),
        ("event_id,hit_id,track_id\n1,1,4\n1,2\n", ": line 3: track_id is nothing"),
        ("event_id,hit_id,track_id\n1,1,4\n1,2,4,9\n", ": line 3: 4 fields; expected 3"),
        ("event_id,hit_id,track_id\n1,1,4,9\n1,2,4,9\n", "more fields than the header"),
        ("event_id,hit_id,track_id\n\n1,1,4\n\n \n1,2,\n", ": line 6: track_id is nothing"),
        ("event_id;hit_id;track_id\n1;1;4\n", ": line 1: column 'event_id' is missing"),
    ],
)
def test_broken_submission(tmp_path: Path, suffix: str, text: str, message: str) -> None:
    path = put(tmp_path / f"sub{suffix}", text)
    with pytest.raises(ValueError) as caught:
        read_submission(path)
    assert message in one_line(caught, path)


def test_not_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "sub.csv"
    path.write_bytes(b"event_id,hit_id,track_id\n\xff\xfe\x00,1,2\n")
    with pytest.raises(ValueError) as caught:
        read_submission(path)
    assert "UTF-8" in one_line(caught, path)


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_truncated_gzip(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "sub.csv.gz"
    write_submission(path, 1, np.arange(5000), np.random.default_rng(0).integers(0, 10**9, 5000))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError) as caught:
        read_submission(path)
    assert "gzip is truncated or damaged" in one_line(caught, path)
    path.write_bytes(whole[:-8] + b"\0" + whole[-7:])  # a wrong checksum
    with pytest.raises(ValueError, match="gzip is truncated or damaged"):
        read_submission(path)


def test_archive_that_swells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_BYTES", 10**6)
    path = put(tmp_path / "sub.csv.gz", "event_id,hit_id,track_id\n" + "1,1,1\n" * 10**6)
    with pytest.raises(ValueError) as caught:
        read_submission(path)
    assert "unpacks to more than 1000000 bytes" in one_line(caught, path)
    plain = put(tmp_path / "sub.csv", "event_id,hit_id,track_id\n" + "1,1,1\n" * 10**6)
    with pytest.raises(ValueError, match="at most 1000000"):
        read_submission(plain)


def test_absent_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_submission(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="is a folder"):
        read_submission(tmp_path)


def test_ids_are_read_exactly_whatever_the_layout(tmp_path: Path) -> None:
    # Another column order, an extra column, blank lines, Windows line ends, whole numbers with a point.
    path = put(tmp_path / "sub.csv", f"track_id,note,hit_id,event_id\r\n{BIG},a,3.0,1\r\n\r\n-7,b,4.0,1\r\n")
    table = read_submission(path)
    assert table.dtypes.tolist() == [np.dtype("int64")] * 3
    assert table["track_id"].tolist() == [BIG, -7]
    assert table["hit_id"].tolist() == [3, 4]
    assert [line_of(path, row) for row in (0, 1)] == [2, 4]
    assert read_header(path) == ["track_id", "note", "hit_id", "event_id"]


HEAD = "hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}1,5,0,0,0,0,0,0,.5\n2,5,0,0,0,0,0,0,.5\n1,5,0,0,0,0,0,0,.5\n",
         ": line 4: hit_id 1 is listed twice (first on line 2); keep one row"),
        (f"{HEAD}1,5,0,0,0,0,0,0,.5\n2,5,0,0,nan,0,0,0,.5\n", ": line 3: tz is nothing (NaN); expected a finite"),
        (f"{HEAD}1,5,0,0,0,0,0,0,inf\n", ": line 2: weight is 'inf'"),
        (f"{HEAD}1,5,0,0,0,0,0,0,-1\n", ": line 2: weight -1.0 is negative"),
        (f"{HEAD}1,,0,0,0,0,0,0,1\n", ": line 2: particle_id is nothing"),
        ("hit_id,particle_id\n1,5\n", ": line 1: column 'weight' is missing"),
    ],
)  # fmt: skip
def test_broken_truth(tmp_path: Path, text: str, message: str) -> None:
    path = put(tmp_path / "event000000001-truth.csv", text)
    with pytest.raises(ValueError) as caught:
        read_truth(path)
    assert message in one_line(caught, path)


def test_truth_needs_no_positions_and_particles_no_type(tmp_path: Path) -> None:
    truth = read_truth(put(tmp_path / "t.csv", f"hit_id,particle_id,weight\n1,{BIG},.5\n"))
    assert (list(truth), truth["particle_id"].item()) == (["hit_id", "particle_id", "weight"], BIG)
    header = "particle_id,particle_type,vx,vy,vz,px,py,pz,q,nhits"
    particles = put(tmp_path / "p.csv", f"{header}\n{BIG},x,1,2,3,4,5,6,-1,9\n")
    assert read_particles(particles)["particle_id"].item() == BIG
    with pytest.raises(ValueError, match="line 3: particle_id 1 is listed twice"):
        read_table(put(tmp_path / "d.csv", "particle_id\n1\n1\n"), {"particle_id": int}, unique="particle_id")


def test_integers_refuses_what_would_lose_ids() -> None:
    assert integers(pd.Series([1.0, 2.0]), "x").tolist() == [1, 2]
    assert integers(pd.Series([], dtype=object), "x").size == 0
    for values, message in (
        (np.array([2.0**60]), "cannot hold ids above 2"),
        (np.array([np.nan]), "nan is not a whole number"),
        (np.array([True]), "holds bool values"),
        (np.array([2**63], dtype=np.uint64), "is above 2"),
    ):
        with pytest.raises(ValueError, match=message):
            integers(values, "x")


HITS = {1: [10, 11, 12], 2: np.array([10, 20])}
GOOD = [(1, 12, 5), (2, 10, 5), (1, 10, 5), (2, 20, BIG), (1, 11, 7)]


def submitted(rows: list[tuple[int, int, int]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["event_id", "hit_id", "track_id"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*GOOD, (3, 10, 1)], ": line 7: event_id 3 is unknown; expected 1, 2"),
        ([*GOOD, (2, 11, 1)], ": line 7: hit_id 11 is no hit of event 2; remove the row"),
        ([*GOOD, (1, 12, 1)], ": line 7: hit_id 12 of event 1 is listed twice (first on line 2)"),
        (GOOD[:4], ": event 1 lacks 1 of its 3 hits, first hit_id 11; list every hit once"),
        ([row for row in GOOD if row[0] == 1], ": event 2 lacks 2 of its 2 hits, first hit_id 10"),
    ],
)
def test_wrong_content(tmp_path: Path, rows: list[tuple[int, int, int]], message: str) -> None:
    path = put(tmp_path / "sub.csv", submitted(rows).to_csv(index=False))
    with pytest.raises(ValueError) as caught:
        validate_submission(read_submission(path), HITS, path=path)
    assert message.format(path=path) in one_line(caught, path)
    with pytest.raises(ValueError, match="submission"):
        validate_submission(submitted(rows), HITS)


def test_doubled_hit_is_named_by_its_second_line(tmp_path: Path) -> None:
    rows = [(event, hit, 0) for hit in range(500) for event in (2, 1)]
    rows[901:901] = [(1, 70, 0), (1, 70, 0)]  # hit 70 of event 1 is data row 141, line 143
    path = put(tmp_path / "sub.csv", submitted(rows).to_csv(index=False))
    with pytest.raises(ValueError, match=r"line 903: hit_id 70 of event 1 is listed twice \(first on line 143\)"):
        validate_submission(read_submission(path), {1: np.arange(500), 2: np.arange(500)}, path=path)


def test_good_content() -> None:
    table = submitted(GOOD)
    validate_submission(table, HITS)
    assert tracks_of(table, 1, [10, 11, 12]).tolist() == [5, 7, 5]
    assert tracks_of(table, 2, [20, 10]).tolist() == [BIG, 5]
    validate_submission(submitted([]), {})


@pytest.mark.parametrize("name", ["sub.csv", "sub.csv.gz"])
def test_written_rows_come_back_and_equal_rows_give_equal_bytes(tmp_path: Path, name: str) -> None:
    path = write_submission(tmp_path / name, [1, 1, 2], [10, 11, 10], [BIG, 0, -1])
    assert read_submission(path).to_numpy().tolist() == [[1, 10, BIG], [1, 11, 0], [2, 10, -1]]
    other = tmp_path / "elsewhere"
    other.mkdir()
    again = write_submission(other / f"x{name}", [1, 1, 2], [10, 11, 10], [BIG, 0, -1])
    assert path.read_bytes() == again.read_bytes()
    if name == "sub.csv.gz":
        assert path.read_bytes()[4:8] == bytes(4), "the time in the gzip header"
    else:
        assert path.read_text() == f"event_id,hit_id,track_id\n1,10,{BIG}\n1,11,0\n2,10,-1\n"


def test_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_submission(tmp_path / "sub.csv", 1, [1], [1])
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_submission(path, 1, [1, 2], [1, 2])
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["sub.csv"]


@pytest.mark.parametrize("name", ["sub.csv", "sub.csv.gz"])
def test_disk_full_leaves_nothing(tmp_path: Path, name: str) -> None:
    """A file size limit stands in for a full disk: the write fails part-way."""
    script = (
        "import signal, numpy as np; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from pcloud.scorer import write_submission\n"
        "tracks = np.random.default_rng(0).integers(0, 2**60, 10**5)\n"
        f"write_submission({str(tmp_path / name)!r}, 1, np.arange(10**5), tracks)"
    )
    limit = 1 << 16
    answer = subprocess.run(
        [sys.executable, "-B", "-c", script], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert answer.returncode == 1
    assert "OSError: [Errno 27]" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_writer_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two columns of one length"):
        write_submission(tmp_path / "sub.csv", 1, [1, 2], [1])
    with pytest.raises(ValueError, match="track_id: nan is not a whole number"):
        write_submission(tmp_path / "sub.csv", 1, [1, 2], [1, np.nan])
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        write_submission(tmp_path / "none" / "sub.csv", 1, [1], [1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("cell", "came"), [("", "nothing (NaN)"), ("far", "'far'"), ("1.5", "'1.5'"), ("inf", "'inf'")])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_an_odd_cell_among_large_ids_is_named_by_its_own_line(tmp_path: Path, cell: str, came: str, suffix: str) -> None:
    rows = [f"{n},{BIG + n},1\n" for n in range(1, 6)] + [f"6,{cell},1\n", f"7,{BIG + 7},1\n"]
    path = put(tmp_path / f"truth{suffix}", "hit_id,particle_id,weight\n\n" + "".join(rows))
    with pytest.raises(ValueError) as caught:
        read_truth(path)
    assert one_line(caught, path).startswith(f": line 8: particle_id is {came}; expected a whole number")


def test_large_ids_stay_exact_beside_whole_numbers_with_a_point(tmp_path: Path) -> None:
    path = put(tmp_path / "truth.csv", f"hit_id,particle_id,weight\n1,{BIG},1\n2,5.0,1\n3,-{BIG},1\n")
    assert read_truth(path)["particle_id"].tolist() == [BIG, 5, -BIG]
    put(path, f"hit_id,particle_id,weight\n1,{BIG},1\n2,1e17,1\n")
    with pytest.raises(ValueError, match="line 3: particle_id is '1e17'"):
        read_truth(path)
    put(path, f"hit_id,particle_id,weight\n1,{BIG},1\n2,{2**63},1\n")
    with pytest.raises(ValueError, match=f"line 3: particle_id is '{2**63}'"):
        read_truth(path)
