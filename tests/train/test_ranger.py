"""Ranger is RAdam as torch has it between two pulls, and Lookahead at them; its state goes on to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pcloud.train.ranger import Ranger, rectified


def descend(optimizer: torch.optim.Optimizer, weights: list[Tensor], first: int, steps: int) -> None:
    for step in range(first, first + steps):
        optimizer.zero_grad()
        draw = torch.Generator().manual_seed(step)
        loss = sum(((w - 1) * torch.randn(w.shape, generator=draw)).square().sum() for w in weights)
        loss.backward()
        optimizer.step()


def start() -> list[nn.Parameter]:
    return [nn.Parameter(torch.linspace(-1, 2, 6).reshape(2, 3)), nn.Parameter(torch.tensor([0.5]))]


def test_without_a_pull_it_is_the_radam_of_torch() -> None:
    mine, theirs = start(), start()
    descend(Ranger(mine, lr=0.02, weight_decay=0.1, every=1000), mine, 0, 40)
    radam = torch.optim.RAdam(theirs, lr=0.02, betas=(0.95, 0.999), eps=1e-5, weight_decay=0.1, decoupled_weight_decay=True)
    descend(radam, theirs, 0, 40)
    assert rectified(5, 0.999) is None and rectified(6, 0.999) is not None
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_every_third_step_goes_half_the_way() -> None:
    pulled, free = start(), start()
    begin = [p.detach().clone() for p in free]
    descend(Ranger(pulled, lr=0.02, every=3), pulled, 0, 3)
    descend(Ranger(free, lr=0.02, every=1000), free, 0, 3)
    for p, f, b in zip(pulled, free, begin, strict=True):
        torch.testing.assert_close(p, b + 0.5 * (f - b))


@pytest.mark.parametrize("stop", [1, 4, 6, 9])
def test_its_state_goes_on_to_the_bit(stop: int) -> None:
    whole, parted = start(), start()
    descend(Ranger(whole, lr=0.02), whole, 0, 20)
    first = Ranger(parted, lr=0.02)
    descend(first, parted, 0, stop)
    second = Ranger(parted, lr=0.5)
    second.load_state_dict(first.state_dict())
    descend(second, parted, stop, 20 - stop)
    assert all(torch.equal(a, b) for a, b in zip(whole, parted, strict=True))


def test_weights_without_a_gradient_stay() -> None:
    used, idle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = Ranger([used, idle], lr=0.1, weight_decay=0.5)
    descend(optimizer, [used], 0, 7)
    assert torch.equal(idle, torch.ones(2)) and idle not in optimizer.state
