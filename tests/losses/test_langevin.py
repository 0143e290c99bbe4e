"""Langevin steps find the density of an energy, stay put where there is none to follow, and leave no gradient behind."""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud.losses.langevin import MOST, langevin

ONE = torch.ones(())


def test_samples_of_a_normal_density() -> None:
    """E = (x - 2)^2 / (2 * 0.25) at temperature 4: mean 2, variance 1; a second tensor of its own, variance 4 * 4."""

    def energy(x: Tensor, y: Tensor) -> Tensor:
        return 2 * (x - 2).square() + y.square().sum(1) / 8

    torch.manual_seed(0)
    start = [torch.zeros(4000), torch.zeros(4000, 2)]
    x, y = langevin(energy, start, widths=[0.3, 1.2], temperature=4 * ONE, steps=150)
    assert abs(x.mean() - 2) < 0.06 and abs(x.var() - 1) < 0.08
    assert y.mean(0).abs().max() < 0.25 and (y.var(0) - 16).abs().max() < 2
    assert not x.requires_grad and bool((start[0] == 0).all())


def test_a_cliff_is_not_overshot() -> None:
    torch.manual_seed(0)
    (x,) = langevin(lambda x: 1e9 * x.square(), [torch.ones(100)], widths=[0.1], temperature=ONE, steps=1)
    assert (x - (1 - 0.1 * MOST)).abs().max() < 0.1 * 5


def test_no_gradient_reaches_what_the_energy_is_made_with() -> None:
    weight = torch.nn.Parameter(torch.ones(()))
    with torch.no_grad():
        (x,) = langevin(lambda x: weight * x.square(), [torch.ones(5)], widths=[0.1], temperature=ONE, steps=2)
    assert weight.grad is None and not x.requires_grad
