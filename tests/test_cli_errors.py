"""Every mistake is one line that names file and place, with the right exit status, and leaves nothing half-written."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import pytest

from pcloud.cli import display, errors, evaluate, inspect, predict, prepare, train
from pcloud.cli.evaluation import finite
from pcloud.cli.inspection import read_split

ROOT = Path(__file__).resolve().parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]
EVENT = "event000001000"


@pytest.fixture
def one_event(raw_events: Path, tmp_path: Path) -> Path:
    """A folder with one event as plain csv, for a test to spoil."""
    folder = tmp_path / "raw"
    folder.mkdir()
    shutil.copy(raw_events / "detectors.csv", folder)
    for kind in ("hits", "cells", "particles", "truth"):
        (folder / f"{EVENT}-{kind}.csv").write_bytes(
            gzip.decompress((raw_events / f"{EVENT}-{kind}.csv.gz").read_bytes())
        )
    return folder


def one_line(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    """The status, one line on stderr with all the words in it, and no traceback."""
    assert done.returncode == status, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("pcloud "), done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def edit(kind: str, change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        file = folder / f"{EVENT}-{kind}.csv"
        file.write_text("\n".join(change(file.read_text().splitlines())) + "\n")

    return spoil


def cell(row: int, column: int, value: str) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        cells = lines[row].split(",")
        cells[column] = value
        return [*lines[:row], ",".join(cells), *lines[row + 1 :]]

    return change


def cut_gzip(folder: Path) -> None:
    file = folder / f"{EVENT}-hits.csv"
    (folder / f"{EVENT}-hits.csv.gz").write_bytes(gzip.compress(file.read_bytes())[:-300])
    file.unlink()


BAD_EVENTS = {
    "missing column": (
        edit("hits", lambda lines: [lines[0].replace("volume_id", "volume"), *lines[1:]]),
        "hits.csv",
        "volume_id",
    ),
    "duplicate hit": (edit("hits", lambda lines: [*lines, lines[1]]), "hits.csv: line", "hit_id"),
    "NaN": (edit("hits", cell(2, 1, "nan")), "hits.csv: line 3", "'x'", "nan"),
    "infinite": (edit("hits", cell(4, 2, "inf")), "hits.csv: line 5", "'y'", "inf"),
    "word": (edit("hits", cell(4, 2, "far")), "hits.csv: line 5", "far"),
    "cut off gzip": (cut_gzip, "hits.csv.gz", "cut off"),
    "empty file": (edit("hits", lambda _: [""]), "hits.csv", "empty"),
    "header alone": (edit("cells", lambda lines: [lines[0].replace("ch0", "channel"), *lines[1:]]), "cells.csv", "ch0"),
    "unknown hit in cells": (edit("cells", cell(3, 0, "999999")), "cells.csv: line 4", "999999"),
}
BAD_TRUTH = {
    "unknown hit in truth": (edit("truth", cell(3, 0, "999999")), "truth.csv: line 4", "999999"),
    "unknown particle": (edit("truth", cell(3, 1, "12345")), "truth.csv: line 4", "12345"),
}


@pytest.mark.parametrize("mistake", BAD_EVENTS | BAD_TRUTH)
def test_a_bad_event_is_not_prepared(mistake: str, one_event: Path, pcloud_run: Run) -> None:
    spoil, *words = (BAD_EVENTS | BAD_TRUTH)[mistake]
    spoil(one_event)
    before = sorted(one_event.parent.iterdir())
    one_line(pcloud_run("prepare", "trackml", one_event, one_event.parent / "store"), 2, *words)
    assert sorted(one_event.parent.iterdir()) == before


@pytest.mark.parametrize("mistake", BAD_EVENTS)
def test_a_bad_event_is_not_predicted(mistake: str, one_event: Path, untrained: Path) -> None:
    spoil, *words = BAD_EVENTS[mistake]
    spoil(one_event)
    before = sorted(one_event.parent.iterdir())
    with pytest.raises(ValueError) as caught:
        predict(untrained, one_event, one_event.parent / "s.csv", device="cpu")
    assert all(word in str(caught.value) for word in words)
    assert errors.judge(caught.value)[0] == 2 and "\n" not in errors.judge(caught.value)[1]
    assert sorted(one_event.parent.iterdir()) == before


BAD_SUBMISSIONS = {
    "missing hit": (lambda lines: lines[:-1], "lacks 1 of its"),
    "doubled hit": (lambda lines: [*lines, lines[-1]], "is listed twice"),
    "unknown hit": (lambda lines: [*lines, "1000,999999,1"], "hit_id 999999 is no hit of event 1000"),
    "wrong event": (lambda lines: [line.replace("1000,", "77,", 1) for line in lines], "event_id 77 is unknown"),
    "no column": (lambda lines: ["event_id,hit_id,track", *lines[1:]], "column 'track_id' is missing"),
    "no number": (lambda lines: [*lines[:-1], "1000,1,near"], "track_id is 'near'"),
    "empty": (lambda lines: [], "the file is empty"),
}


@pytest.mark.parametrize("mistake", BAD_SUBMISSIONS)
def test_a_bad_submission_is_not_scored(mistake: str, one_event: Path, tmp_path: Path, pcloud_run: Run) -> None:
    hits = (one_event / f"{EVENT}-hits.csv").read_text().splitlines()[1:]
    good = ["event_id,hit_id,track_id", *(f"1000,{line.split(',')[0]},{n // 5}" for n, line in enumerate(hits))]
    change, words = BAD_SUBMISSIONS[mistake]
    file = tmp_path / "s.csv"
    file.write_text("".join(line + "\n" for line in change(good)))
    one_line(
        pcloud_run("score", "--truth", one_event / f"{EVENT}-truth.csv", "--submission", file), 2, str(file), words
    )


BAD_OPTIONS = {
    "encoder.chanels=8": "key encoder.chanels: unknown; did you mean channels?",
    "encoder.channels=many": "encoder.channels: 'many' came, int expected",
    "encoder.class_path=os.system": "key encoder.class_path: unknown",
    "data.store=nowhere": "nowhere: no store there",
    "data.feat=[r, colour]": "colour",
    "data.validation=0.999": "leaves no event",
}


@pytest.mark.parametrize("override", BAD_OPTIONS)
def test_a_bad_configuration_trains_nothing(override: str, config_file: Path, tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        train(config_file, run=tmp_path / "run", overrides=[override])
    status, message = errors.judge(caught.value)
    assert status == 2 and BAD_OPTIONS[override] in message and "\n" not in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("override", list(BAD_OPTIONS)[:2])
def test_a_bad_configuration_is_one_line(override: str, config_file: Path, tmp_path: Path, pcloud_run: Run) -> None:
    done = pcloud_run("train", config_file, "--run", tmp_path / "run", f"--{override}")
    one_line(done, 2, str(config_file), BAD_OPTIONS[override])


def flip_shard(folder: Path) -> None:
    file = next(folder.glob("shard-*"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def other_version(folder: Path) -> None:
    about = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(about | {"version": 99}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(flip_shard, ("shard-00000.arrow",)), (other_version, ("manifest.json", "schema version 99 came"))],
    ids=["flipped byte", "other schema version"],
)
def test_a_bad_store_is_not_read(
    spoil: Callable[[Path], None], words: tuple[str, ...], store: Path, untrained: Path, tmp_path: Path, pcloud_run: Run
) -> None:
    folder = Path(shutil.copytree(store, tmp_path / "store"))
    spoil(folder)
    one_line(pcloud_run("predict", untrained, folder, "--out", tmp_path / "s.csv"), 2, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def small_files(size: int) -> Callable[[], None]:
    """A disk on which no file grows beyond ``size`` bytes, as a full one would have it."""
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("verb", ["predict", "prepare", "simulate", "train", "display"])
def test_a_full_disk_is_status_1(
    verb: str, raw_events: Path, untrained: Path, config_file: Path, tmp_path: Path, pcloud_run: Run
) -> None:
    arguments = {
        "predict": ("predict", untrained, raw_events, "--out", tmp_path / "out.csv"),
        "prepare": ("prepare", "trackml", raw_events, tmp_path / "out"),
        "simulate": ("simulate", tmp_path / "out", "--events", 1, "--pileup", 1, "--seed", 1),
        "train": ("train", config_file, "--run", tmp_path / "out"),
        "display": ("display", raw_events / EVENT, "--out", tmp_path / "out", "--png-only"),
    }[verb]
    done = pcloud_run(*arguments, preexec_fn=small_files(6000))
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"pcloud {verb}: ") and "large" in last and "out" in last, done.stderr
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    if verb == "train":  # what it wrote before stays for a resume; nothing in it is half a file
        assert "config.yaml" in left and not {"model.json", "model.safetensors"} & set(left)
    assert not [name for name in left if verb != "train" or name.endswith((".partial", ".pt"))]


def interrupted(arguments: list[object], ready: Callable[[], bool]) -> tuple[int, str]:
    """Exit status and stderr of ``pcloud ARGUMENTS`` that got Ctrl-C as soon as it was ``ready``."""
    command = [sys.executable, "-c", "import sys; from pcloud.cli import main; sys.exit(main())", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
    try:
        end = monotonic() + 120
        while not ready():
            assert process.poll() is None and monotonic() < end, process.stderr and process.stderr.read()
            sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, told


def test_ctrl_c_in_training_saves_and_says_how_to_go_on(config_file: Path, tmp_path: Path, pcloud_run: Run) -> None:
    run = tmp_path / "run"
    metrics = run / "metrics.csv"
    steps = ["--train.steps=300", "--train.validate_every=300", "--train.checkpoint_every=300"]
    arguments = ["train", config_file, "--run", run, *steps]
    status, told = interrupted(arguments, lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 3)
    last = told.splitlines()[-1]
    assert status == 130 and "Traceback" not in told, told
    step = int(last.split("saved at step ")[1].split(";")[0])
    assert 0 < step < 300 and f"resume with `pcloud train {run}/config.yaml --run {run} --resume`" in last
    assert (run / "checkpoints" / f"step-{step:08d}.pt").exists() and not (run / "model.json").exists()
    one_line(pcloud_run(*arguments), 2, "a run is there already")
    other = pcloud_run(*arguments, "--resume", "--encoder.k=3")
    one_line(other, 2, "encoder.k was 4, now 3 came")
    assert pcloud_run("train", run / "config.yaml", "--run", run, "--resume").returncode == 0
    assert len(metrics.read_text().splitlines()) == 301 and (run / "model.json").exists()


def test_ctrl_c_elsewhere_leaves_nothing(raw_events: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["simulate", out, "--events", 500, "--pileup", 3, "--seed", 1]
    status, told = interrupted(arguments, lambda: len(list(out.glob("*-hits.csv.gz"))) > 0)
    assert status == 130 and told.splitlines() == ["pcloud simulate: interrupted; nothing half-written is left"], told
    assert not [path for path in out.iterdir() if path.name.startswith(".") or path.suffix not in (".gz", ".csv", ".json")]


def test_a_wrong_word_on_the_command_line(pcloud_run: Run) -> None:
    for arguments in (
        ["fly"],
        [],
        ["score"],
        ["predict", "tracks", "x"],
        ["score", "--colour=red"],
        ["inspect", "a", "b"],
    ):
        done = pcloud_run(*arguments)
        assert done.returncode == 2 and "usage: pcloud" in done.stderr and "Traceback" not in done.stderr


def test_a_path_that_is_not_there(tmp_path: Path, untrained: Path, pcloud_run: Run) -> None:
    no = tmp_path / "no"
    one_line(pcloud_run("score", "--truth", no, "--submission", no), 2, str(no))
    one_line(pcloud_run("inspect", no), 2, str(no))
    one_line(pcloud_run("prepare", "trackml", no, tmp_path / "s"), 2, str(no))
    for action, words in (
        (lambda: train(no), str(no)),
        (lambda: predict(untrained, no, tmp_path / "s.csv"), str(no)),
        (lambda: predict(untrained, no, no / "s.csv"), "its folder does not exist"),
        (lambda: predict("trucks", no, tmp_path / "s.csv"), "trucks: no such folder"),
    ):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            action()
        assert errors.judge(caught.value)[0] == 2 and words in errors.judge(caught.value)[1]


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ValueError("file: line 3:\n  wrong"), 2, "file: line 3: wrong"),
        (FileNotFoundError("a: no such thing"), 2, "a: no such thing"),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), 2, "a.csv: no such file or folder"),
        (OSError(28, "No space left on device", "a.csv"), 1, "a.csv: No space left on device"),
        (PermissionError(13, "Permission denied", "a.csv"), 1, "a.csv: Permission denied"),
        (IsADirectoryError(21, "Is a directory", ".a.partial", None, "a"), 2, "a: is a folder; a file is expected"),
        (NotADirectoryError(20, "Not a directory", "a/b"), 2, "a/b: is a file, or lies under one"),
        (FileExistsError(17, "File exists", "a"), 2, "a: exists already"),
        (FileExistsError("a: no empty folder"), 2, "a: no empty folder"),
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("saved at step 3"), 130, "saved at step 3"),
        (RuntimeError("odd"), 1, "RuntimeError: odd (a defect of pcloud? PCLOUD_TRACEBACK=1"),
    ],
)
def test_judgement(error: BaseException, status: int, words: str) -> None:
    found, message = errors.judge(error)
    assert found == status and words in message and "\n" not in message


def test_ctrl_c_in_compiled_code_is_ctrl_c() -> None:
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as stop:
            raise SystemError("returned a result with an exception set") from stop
    except SystemError as error:
        assert errors.judge(error)[0] == 130


def test_a_traceback_is_there_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError("no")

    assert errors.guard("score", fail) == 2
    monkeypatch.setenv("PCLOUD_TRACEBACK", "1")
    with pytest.raises(ValueError, match="no"):
        errors.guard("score", fail)


def test_a_prediction_never_overwrites_its_input(
    untrained: Path, store: Path, one_event: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(store, tmp_path / "store"))
    detectors = one_event / "detectors.csv"
    (tmp_path / "link").symlink_to(one_event)
    before = {path: path.read_bytes() for folder in (copy, one_event) for path in folder.iterdir()}
    for source, target in (
        (one_event, one_event / f"{EVENT}-hits.csv"),
        (one_event, tmp_path / "link" / f"{EVENT}-cells.csv"),
        (one_event / EVENT, detectors),
        (copy, copy / "manifest.json"),
        (copy, copy / "new.csv"),
        (one_event / EVENT, one_event / f"{EVENT}-truth.csv.gz"),
    ):
        for paths in ({"out": target}, {"out": tmp_path / "s.csv", "report": target}):
            with pytest.raises(ValueError, match=f"{target.name}: belongs to the input"):
                predict(untrained, source, device="cpu", **paths)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="give each a path of its own"):
        predict(untrained, one_event, tmp_path / "s.csv", report="s.csv")
    assert {path: path.read_bytes() for folder in (copy, one_event) for path in folder.iterdir()} == before
    predict(untrained, one_event, one_event / "submission.csv", device="cpu")  # a file of its own there is no harm


def test_a_folder_for_a_file_and_a_file_for_a_folder(untrained: Path, store: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for paths in ({"out": tmp_path}, {"out": tmp_path / "s.csv", "report": tmp_path}):
        with pytest.raises(ValueError, match="is a folder; a file is expected"):
            predict(untrained, store, **paths)
    with pytest.raises(ValueError, match="taken: is a file; a folder is expected"):
        evaluate(untrained, store=store, out=taken)
    with pytest.raises(ValueError, match="taken: is a file; a folder is expected"):
        display(store, event_id=1000, out=taken)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"] and taken.read_text() == "mine"


def test_a_store_without_truth_is_not_evaluated(untrained: Path, one_event: Path, tmp_path: Path) -> None:
    for kind in ("truth", "particles"):
        (one_event / f"{EVENT}-{kind}.csv").unlink()
    prepare(one_event, tmp_path / "store")
    with pytest.raises(ValueError, match="no truth in this store; prepare it with truth"):
        evaluate(untrained, store=tmp_path / "store", out=tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("text", ["{", "[1000]", '{"validation": 1000}', '{"validation": ["a"]}', "\xff", "[" * 100000])
def test_a_damaged_split_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "split.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"split\.json: (not JSON|expected lists)"):
        read_split(tmp_path / "split.json")


def test_inspect_tells_of_a_flipped_byte(store: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(store, tmp_path / "store"))
    flip_shard(folder)
    with pytest.raises(ValueError, match="shard-00000.arrow"):
        inspect(folder)


def test_display_takes_no_truth_or_submission_of_another_event(one_event: Path, tmp_path: Path) -> None:
    truth, other = one_event / f"{EVENT}-truth.csv", tmp_path / "other.csv"
    lines = truth.read_text().splitlines()
    for content, words in (([*lines, "999999,0,0,0,0,0,0,0,0"], "999999 is no hit of"), (lines[:-3], "lacks 3 hits of")):
        other.write_text("\n".join(content) + "\n")
        with pytest.raises(ValueError, match=words) as caught:
            display(one_event / EVENT, truth=other, out=tmp_path, html=False)
        assert str(other) in str(caught.value) and str(one_event / EVENT) in str(caught.value)
    hits = [line.split(",")[0] for line in lines[1:]]
    rows = ["77,1,1", *(f"1000,{hit},1" for hit in hits), f"1000,{hits[0]},2"]
    other.write_text("\n".join(["event_id,hit_id,track_id", *rows]) + "\n")
    with pytest.raises(ValueError, match=f"other.csv: line {len(rows) + 1}: hit_id {hits[0]} of event 1000 is listed twice"):
        display(one_event / EVENT, submission=other, out=tmp_path, html=False)
    assert not list(tmp_path.glob("*.png"))


def test_figures_without_a_number_become_null() -> None:
    report = {"a": float("nan"), "b": [1, float("-inf"), {"c": 0.5}], "d": (float("inf"),), "e": "nan"}
    assert finite(report) == {"a": None, "b": [1, None, {"c": 0.5}], "d": [None], "e": "nan"}
