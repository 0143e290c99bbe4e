"""Where to train: the device asked for, or a clear line why it cannot be.

``choose("auto", precision)`` takes cuda, then mps, then cpu; ``repeatable(device)`` makes the same sums twice, ``keep_memory()``
spares the system the work of zeroing pages.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def choose(asked: str, precision: str) -> str:
    """``cpu``, ``cuda`` or ``mps``; ValueError where it is not there or cannot do the precision."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    device = next(name for name, available in there.items() if available) if asked == "auto" else asked
    if not there[device]:
        found = ", ".join(name for name, available in there.items() if available)
        raise ValueError(f"train.device: {device} came, but torch {torch.__version__} finds only {found}; use auto")
    if precision == "16-mixed" and device != "cuda":
        raise ValueError(f"train.precision: 16-mixed needs a cuda device, {device} is in use; use bf16-mixed or 32")
    return device


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGE = 1 << 30


def keep_memory() -> None:
    """On Linux's glibc: what a training step frees on the CPU stays with the process, for the next step.

    Large tensors would otherwise go back to the system and be zeroed page by page at each step: a quarter of the time of one of
    ParticleNet-Lite. For good: nothing else in the process is harmed, but for memory that it might have given back.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        for setting in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD) if mallopt else ():
            mallopt(setting, LARGE)  # type: ignore[misc]


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """On the CPU, the same bits from the same numbers and thread count.

    The gradient of ``x[index]`` is otherwise added up by several threads in the order they come. On two cores the
    repeatable sum was measured the faster one; on a GPU it is not, so there a run repeats but for rounding.
    """
    former = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # its one setting is not in torch's type hints
    filled = memory.fill_uninitialized_memory
    if device == "cpu":
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False  # costs time and helps only code that reads it
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(former[0], warn_only=former[1])
        memory.fill_uninitialized_memory = filled
