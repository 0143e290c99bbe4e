"""What a run was computed with, so that a figure can be traced: versions.json in the run folder.

``record(run, step)`` writes it at every start and resume.
"""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import pcloud
from pcloud.train import disk


def record(run: Path, device: str, step: int) -> None:
    """Write versions.json: the session that began after ``step`` finished optimiser steps."""
    text = json.dumps({"from_step": step, "device": device, **versions()}, indent=1) + "\n"
    disk.replace(run / "versions.json", text.encode(), "the record of versions")


def versions() -> dict[str, Any]:
    names = ("numpy", "lightning", "safetensors")
    return {
        "pcloud": pcloud.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: version(name) for name in names},
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
    }


def commit() -> str | None:
    """The git commit pcloud runs from, "+changes" where files differ from it; None where it is an installed copy."""
    root = Path(pcloud.__file__).parent.parent
    if not (root / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10).stdout

    try:
        name = git("rev-parse", "HEAD").strip()
        return (name + "+changes" if git("status", "--porcelain", "--untracked-files=no") else name) or None
    except (OSError, subprocess.TimeoutExpired):
        return None
