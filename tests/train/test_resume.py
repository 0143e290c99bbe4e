"""A run that is killed and resumed ends with the very bits of one that is not, and its log has every step once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import toy_training as toy

from pcloud.train import checkpoint

KILLED = -9


def reached(run: Path) -> int:
    """The step of the newest checkpoint."""
    return int(checkpoint.listed(run / "checkpoints")[-1].stem.removeprefix("step-"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_random_steps_and_in_a_write(workers: int, tmp_path: Path, unbroken: toy.Finished) -> None:
    """Checkpoints come every 5 steps of 3 batches, so a kill at batch 16 to 24 falls inside an epoch, a step and a gap."""
    run, draw, options = tmp_path / "run", random.Random(workers), {"loader_workers": workers}
    batches = [draw.randint(16, 24) for _ in range(3)]
    assert toy.train(run, options=options, die_at=batches[0]) == KILLED
    assert toy.train(run, options=options, die_at=batches[1], resume=True) == KILLED
    assert reached(run) == 10
    assert toy.train(run, options=options, die_in_write=(20, True), resume=True) == KILLED
    assert (run / "checkpoints" / ".step-00000020.pt.partial").exists()
    assert reached(run) == 15
    assert toy.train(run, options=options, die_in_write=(25, False), resume=True) == KILLED
    assert reached(run) == 25
    assert toy.train(run, options=options, die_at=batches[2], resume=True) == KILLED
    assert reached(run) == 30
    assert toy.train(run, options=options, resume=True) == 0
    assert toy.finished(run) == unbroken
    assert [int(row["step"]) for row in unbroken.rows] == list(range(1, 41))
    assert not list((run / "checkpoints").glob(".*"))


def test_killed_before_the_first_step(tmp_path: Path, unbroken: toy.Finished) -> None:
    run = tmp_path / "run"
    assert toy.train(run, die_at=1) == KILLED
    assert toy.train(run, resume=True) == 0
    assert toy.finished(run) == unbroken


def test_spoilt_newest_checkpoint(tmp_path: Path, unbroken: toy.Finished) -> None:
    run = tmp_path / "run"
    assert toy.train(run, die_at=40) == KILLED
    newest = checkpoint.listed(run / "checkpoints")[-1]
    content = bytearray(newest.read_bytes())
    content[content.index(checkpoint.load(newest)["weights"]["net.0.weight"].numpy().tobytes())] ^= 1
    newest.write_bytes(content)
    assert toy.train(run, resume=True) == 0
    assert toy.finished(run) == unbroken
    assert newest.with_suffix(".unreadable").exists()


def test_killed_with_ranger_and_the_mean_of_the_weights(tmp_path: Path) -> None:
    options = {"optimizer": "ranger", "average": 0.9, "schedule": "flat-decay", "events": 4, "head_rate": 2.0}
    assert toy.train(tmp_path / "whole", options=options) == 0
    run = tmp_path / "run"
    assert toy.train(run, options=options, die_at=50) == KILLED
    assert toy.train(run, options=options, resume=True) == 0
    assert toy.finished(run) == toy.finished(tmp_path / "whole")
