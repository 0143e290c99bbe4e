"""The log: one row per step, columns that come later, and a resumed log without the rows beyond its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pcloud.train.log import Log


def test_rows_and_a_late_column(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    log.write(1, {"points": 7, "loss": 0.5})
    log.write(2, {"points": 8, "loss": 1 / 3, "val/score": float("nan")})
    log.write(3, {"points": 9, "loss": 1e-9})
    assert (tmp_path / "metrics.csv").read_text() == (
        "step,points,loss,val/score\n1,7,0.5,\n2,8,0.3333333,nan\n3,9,1e-09,\n"
    )
    assert log.last["points"] == 9 and log.last["step"] == 3


def test_resumed_log_has_every_step_once(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    for step in range(1, 13):
        log.write(step, {"loss": step / 10})
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("1")  # the start of row 13, cut short by a kill
    log = Log(tmp_path, 9)
    assert log.last == {"step": 9, "loss": 0.9}
    for step in range(10, 12):
        log.write(step, {"loss": step / 100})
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines == ["step,loss", *[f"{n},{n / 10}" for n in range(1, 10)], "10,0.1", "11,0.11"]


def test_tensorboard_shows_the_resumed_figures(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    for step in range(1, 6):
        log.write(step, {"train/loss": 1.0})
    log = Log(tmp_path, 3)
    for step in range(4, 7):
        log.write(step, {"train/loss": 2.0})
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in shown] == [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2)]


def test_full_disk_names_the_file(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    log = Log(tmp_path, 0)
    log.write(1, {"loss": 1.0})
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").symlink_to("/dev/full")
    with pytest.raises(OSError, match="row of step 2 could not be written.*No space left.*metrics.csv"):
        log.write(2, {"loss": 1.0})
