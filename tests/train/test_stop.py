"""Ctrl-C, SIGTERM and a full disk: the run stops with a checkpoint that is whole, and goes on from it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import toy_training as toy

from pcloud.train import checkpoint
from pcloud.train.stop import in_worker


def wait_for_rows(run: Path, rows: int) -> None:
    for _ in range(600):
        if (run / "metrics.csv").exists() and (run / "metrics.csv").read_text().count("\n") > rows:
            return
        time.sleep(0.05)
    raise AssertionError("the run logs nothing")


def _worker_that_is_signalled() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # as forked from a process that handles both
    in_worker(0)
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)


def test_loader_workers_outlive_ctrl_c_but_can_be_ended() -> None:
    process = multiprocessing.get_context("fork").Process(target=_worker_that_is_signalled)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGTERM


@pytest.mark.slow
def test_ctrl_c_saves_the_step_under_way(tmp_path: Path, unbroken: toy.Finished) -> None:
    """The whole process group gets the signal, as from a terminal: the loader workers too."""
    run, options = tmp_path / "run", {"loader_workers": 2, "checkpoint_every": 1000}
    process = toy.start(run, options=options, pause=0.02)
    wait_for_rows(run, 6)
    os.killpg(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 130
    saved = checkpoint.listed(run / "checkpoints")[-1]
    step = checkpoint.load(saved)["step"]
    assert 6 <= step < 40
    assert (run / "said").read_text() == f"saved at step {step} in {run} {step} {int(signal.SIGINT)}"
    assert (run / "metrics.csv").read_text().splitlines()[-1].startswith(f"{step},")
    assert (tmp_path / "stderr").read_text().count("finishing the step") == 1
    assert toy.train(run, options=options, resume=True) == 0
    assert toy.finished(run) == unbroken


def test_terminated_by_a_batch_system(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = toy.start(run, pause=0.02)
    wait_for_rows(run, 2)
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 130
    step = checkpoint.load(checkpoint.listed(run / "checkpoints")[-1])["step"]
    assert (run / "said").read_text().endswith(f"{step} {int(signal.SIGTERM)}")


def test_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = toy.start(run, options={"checkpoint_every": 1000, "loader_workers": 2}, pause=2.0)
    for _ in range(600):
        if checkpoint.listed(run / "checkpoints"):
            break
        time.sleep(0.05)
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    began = time.monotonic()
    process.join(60)
    assert process.exitcode == 130
    assert time.monotonic() - began < 4  # finishing the step would take three batches of two seconds
    assert (run / "said").read_text().startswith("saved at step 0 ")


def test_disk_full_in_a_checkpoint(tmp_path: Path, unbroken: toy.Finished) -> None:
    """The first checkpoint has no optimiser state yet, so a limit between its size and the next one's stops the next."""
    run = tmp_path / "run"
    assert toy.train(run, die_at=1) == -9
    first = checkpoint.listed(run / "checkpoints")[0]
    assert toy.train(run, options={"checkpoint_every": 1}, full_at=first.stat().st_size + 100, resume=True) == 1
    said = (run / "said").read_text()
    assert "\n" not in said
    assert "File too large" in said and str(first.with_name("step-00000001.pt")) in said
    assert "what was there before is intact" in said
    assert [path.name for path in (run / "checkpoints").iterdir()] == [first.name]
    assert toy.train(run, resume=True) == 0
    assert toy.finished(run) == unbroken
