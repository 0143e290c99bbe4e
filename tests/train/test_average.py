"""The running mean of the weights: its formula, what it does with batch statistics, and that it is what a run ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import toy_training as toy
from torch import nn

from pcloud.train import TrainOptions, checkpoint, fit, validate
from pcloud.train.average import Average
from pcloud.train.fitting import _loader


def test_the_mean_by_hand() -> None:
    """Decay 0.75 from 0, weights 8 then 16: the first two steps decay by 2/11 and 3/12."""
    net = nn.BatchNorm1d(1)
    average = Average(net, 0.75)
    for step, value in enumerate((8.0, 16.0), start=1):
        net.bias.data.fill_(value)
        net.running_mean.fill_(value)
        net.num_batches_tracked.fill_(step)
        average.update(step)
    expected = 3 / 12 * (9 / 11 * 8) + 9 / 12 * 16
    assert average.state["bias"].item() == pytest.approx(expected) == average.state["running_mean"].item()
    assert average.state["num_batches_tracked"].item() == 2 and average.state["weight"].item() == 1.0
    with average.shown():
        assert net.bias.item() == pytest.approx(expected)
    assert net.bias.item() == 16 and net.running_mean.item() == 16


def test_what_does_not_change_keeps_its_bits() -> None:
    net = nn.Linear(3, 3)
    average, before = Average(net, 0.999), net.weight.detach().clone()
    for step in range(100):
        average.update(step)
    assert torch.equal(average.state["weight"], before)


def options(**changed: Any) -> TrainOptions:
    return TrainOptions(**toy.OPTIONS | {"steps": 8, "average": 0.8} | changed)


def test_a_run_validates_saves_and_ends_with_the_mean(tmp_path: Path) -> None:
    task, plain = toy.Toy(), toy.Toy()
    figures = fit(task, toy.Events(20), toy.Events(6, 100), options(), tmp_path / "run")
    fit(plain, toy.Events(20), toy.Events(6, 100), options(average=0.0), tmp_path / "plain")
    state, _ = checkpoint.newest(tmp_path / "run" / "checkpoints")
    for name, value in task.state_dict().items():
        assert torch.equal(value, state["average"][name])
        assert torch.equal(plain.state_dict()[name], state["weights"][name]), "the mean moves no step of the training"
    assert not torch.equal(state["average"]["net.1.running_mean"], state["weights"]["net.1.running_mean"])
    again = validate(task, _loader(toy.Events(6, 100), options(), "cpu"), "cpu")
    assert again["loss"] == pytest.approx(figures["val/loss"])
    finished = toy.Toy()
    fit(finished, toy.Events(20), toy.Events(6, 100), options(), tmp_path / "run", resume=True)
    assert toy.digest(finished.state_dict()) == toy.digest(task.state_dict())
