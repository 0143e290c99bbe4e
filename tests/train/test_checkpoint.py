"""Checkpoints: what comes back is what went in, what is spoilt is passed over, and reading runs no code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from pcloud.train import checkpoint

STATE = {
    "weights": {"w": torch.arange(100.0)},
    "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "params": [0]}]},
}


def test_round_trip_and_the_last_two_kept(tmp_path: Path) -> None:
    for step in (0, 9, 10, 100):
        checkpoint.save(tmp_path, step, STATE)
    assert [path.name for path in checkpoint.listed(tmp_path)] == ["step-00000010.pt", "step-00000100.pt"]
    state, complaints = checkpoint.newest(tmp_path)
    assert state["step"] == 100 and not complaints
    assert torch.equal(state["weights"]["w"], STATE["weights"]["w"])
    assert state["optimizer"] == STATE["optimizer"]


def spoil_a_bit(content: bytes) -> bytes:
    place = content.index(STATE["weights"]["w"].numpy().tobytes()) + 40
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


@pytest.mark.parametrize("spoil", [spoil_a_bit, lambda c: c[: len(c) // 2], lambda c: b"", lambda c: b"x" * len(c)])
def test_spoilt_checkpoint_is_passed_over(spoil, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, STATE)
    path = checkpoint.save(tmp_path, 2, STATE)
    path.write_bytes(spoil(path.read_bytes()))
    state, complaints = checkpoint.newest(tmp_path)
    assert state["step"] == 1
    assert len(complaints) == 1 and str(path) in complaints[0] and "\n" not in complaints[0]
    assert not path.exists() and path.with_suffix(".unreadable").exists()


def test_nothing_to_go_on_from(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no checkpoint"):
        checkpoint.newest(tmp_path)
    checkpoint.save(tmp_path, 1, STATE).write_bytes(b"gone")
    with pytest.raises(ValueError, match="not a readable checkpoint .*there is no checkpoint"):
        checkpoint.newest(tmp_path)


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("sprung",)


def test_reading_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "step-00000001.pt"
    torch.save({"step": 1, "weights": Trap()}, path)
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        checkpoint.load(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        checkpoint.load(path)
    assert not (tmp_path / "sprung").exists()


def test_disk_full_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, 1, STATE)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="checkpoint of step 2 could not be written .*No space left.*step-00000002.pt"):
        checkpoint.save(tmp_path, 2, STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]
    assert checkpoint.load(tmp_path / "step-00000001.pt")["step"] == 1
