"""Checkpoints that a kill, a full disk or a flipped byte cannot spoil: written whole or not at all, the last two kept.

They hold tensors and plain numbers alone and are read with ``weights_only=True``, so that reading one never runs code.
"""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from pcloud.train import disk

KEPT = 2


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write ``state`` as the checkpoint of ``step`` and drop all but the last two; on failure the earlier ones stay."""
    path = folder / f"step-{step:08d}.pt"
    content = io.BytesIO()  # torch writing to the file itself would hide "disk full" behind an error of its own
    torch.save({"step": step, **state}, content)
    disk.replace(path, content.getbuffer(), f"the checkpoint of step {step}")
    for old in listed(folder)[:-KEPT]:
        old.unlink()
    return path


def listed(folder: Path) -> list[Path]:
    """Checkpoints in the folder, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def newest(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The newest checkpoint that can be read, and a line on each newer one that cannot; that one is set aside."""
    complaints: list[str] = []
    for path in reversed(listed(folder)):
        try:
            return load(path), complaints
        except ValueError as error:
            aside = path.with_suffix(".unreadable")
            os.replace(path, aside)
            complaints.append(f"{error}; kept as {aside.name}, going on from the one before")
    raise ValueError(f"{folder}: " + "; ".join([*complaints, "there is no checkpoint to go on from"]))


def load(path: Path) -> dict[str, Any]:
    """The state in a checkpoint, on the CPU; every byte is checked against its checksum first (torch does not)."""
    try:
        with zipfile.ZipFile(path) as archive:
            spoilt = archive.testzip()
        if spoilt is not None:
            raise zipfile.BadZipFile(f"the checksum of {spoilt} is wrong")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path}: not a readable checkpoint ({str(error).splitlines()[0]})") from error
    return state
