"""Lets the tests of this folder import the toy beside them, however pytest was started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import toy_training as toy  # noqa: E402 - the path above comes first


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> toy.Finished:
    """What a run gives that nobody disturbs."""
    run = tmp_path_factory.mktemp("unbroken") / "run"
    assert toy.train(run) == 0
    return toy.finished(run)
