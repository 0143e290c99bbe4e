"""Options say what is wrong with them, and the learning rate is a function of the step."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pcloud.train import TrainOptions


def test_rate_rises_then_falls_along_a_cosine() -> None:
    options = TrainOptions(steps=110, rate=2.0, warmup=9)
    assert options.rate_at(0) == pytest.approx(0.2)
    assert options.rate_at(4) == pytest.approx(1.0)
    assert options.rate_at(9) == pytest.approx(2.0)
    assert options.rate_at(9 + 101 // 2) == pytest.approx(1 + math.cos(math.pi * 50 / 101))
    assert 0 < options.rate_at(109) < 0.001


def test_constant_rate() -> None:
    options = TrainOptions(steps=10, rate=0.5, warmup=0, schedule="constant")
    assert {options.rate_at(step) for step in range(10)} == {0.5}


def test_flat_then_falling_to_a_hundredth() -> None:
    options = TrainOptions(steps=100, rate=2.0, warmup=0, schedule="flat-decay")
    assert {options.rate_at(step) for step in range(71)} == {2.0}
    assert options.rate_at(85) == pytest.approx(0.2) and options.rate_at(100) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "train.steps: 0 came, 1 or more expected"),
        ({"accumulate": 0}, "train.accumulate"),
        ({"rate": -1e-3}, "train.rate: -0.001 came, more than 0"),
        ({"rate": math.nan}, "train.rate"),
        ({"clip": math.inf}, "train.clip"),
        ({"seed": -1}, "train.seed"),
        ({"events": -1}, "train.events"),
        ({"average": 1.0}, "train.average: 1.0 came, 0 or more and below 1"),
    ],
)
def test_bad_values(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainOptions(**wrong)


def test_what_a_resumed_run_may_change() -> None:
    free = TrainOptions().binding().keys() ^ TrainOptions.__dataclass_fields__.keys()
    assert free == {"device", "loader_workers", "checkpoint_every"}
