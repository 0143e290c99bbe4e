"""Lets the tests of this folder import the toy beside them, however pytest was started."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import toy_training as toy  # noqa: E402 - the path above comes first


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The toy is so small that threads only wait for each other, on a busy machine for most of the test."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> toy.Finished:
    """What a run gives that nobody disturbs."""
    run = tmp_path_factory.mktemp("unbroken") / "run"
    assert toy.train(run) == 0
    return toy.finished(run)
