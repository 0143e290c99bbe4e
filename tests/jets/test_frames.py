"""Frames beside values worked out by hand: what is left unchanged, what is made the same for all jets."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pcloud import segments
from pcloud.jets import frames
from pcloud.jets.momenta import mass2, rapidity, transverse


def jets(sizes: list[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random constituents (float64, some heavy) about one direction each."""
    draw = torch.Generator().manual_seed(seed)
    points, offsets = sum(sizes), segments.offsets_of(torch.tensor(sizes))
    axis = torch.randn(len(sizes), 3, generator=draw, dtype=torch.float64) * 100
    momentum = axis[segments.event_of(offsets)] * torch.rand(points, 1, generator=draw, dtype=torch.float64)
    momentum = momentum + 10 * torch.randn(points, 3, generator=draw, dtype=torch.float64)
    mass = torch.rand(points, 1, generator=draw, dtype=torch.float64)
    return torch.cat([momentum, (momentum.square().sum(1, keepdim=True) + mass**2).sqrt()], 1), offsets


def rotation(seed: int) -> Tensor:
    q, r = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    q = q * torch.sign(torch.diagonal(r))
    return q * torch.linalg.det(q)


def test_boost_by_hand() -> None:
    """beta = 0.6, gamma = 1.25 along z: (0, 1, 2, 3) -> pz = 1.25 (2 - 0.6 * 3), E = 1.25 (3 - 0.6 * 2)."""
    seen = frames.boost(torch.tensor([0.0, 1, 2, 3]), torch.tensor([0.0, 0, 3, 5]))
    torch.testing.assert_close(seen, torch.tensor([0.0, 1.0, 0.25, 2.25]))
    own = torch.tensor([3.0, 0, 4, 13])
    torch.testing.assert_close(frames.boost(own, own), torch.tensor([0.0, 0, 0, 12]))


def test_at_rest_the_momenta_add_up_to_nothing() -> None:
    p4, offsets = jets([5, 0, 2, 30])
    resting = frames.at_rest(p4, offsets)
    sums = segments.sum(resting, offsets)
    jet = segments.sum(p4, offsets)
    torch.testing.assert_close(sums[:, :3], torch.zeros(4, 3, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(sums[:, 3], torch.sqrt(mass2(jet)))
    torch.testing.assert_close(mass2(resting), mass2(p4), atol=1e-9, rtol=1e-7)


def test_a_jet_without_mass_stays_put() -> None:
    p4 = torch.tensor([[0.0, 3, 4, 5]])
    assert torch.equal(frames.at_rest(p4, torch.tensor([0, 1])), p4)


def test_centred_keeps_pt_and_puts_the_jet_on_the_x_axis() -> None:
    p4, offsets = jets([5, 0, 7])
    moved = frames.centred(p4, offsets)
    jet = segments.sum(moved, offsets)[[0, 2]]
    torch.testing.assert_close(jet[:, 1:3], torch.zeros(2, 2, dtype=torch.float64), atol=1e-9, rtol=0)
    assert bool((jet[:, 0] > 0).all())
    torch.testing.assert_close(transverse(moved), transverse(p4))
    owner = segments.event_of(offsets)
    shift = rapidity(p4) - rapidity(moved)
    torch.testing.assert_close(shift, rapidity(segments.sum(p4, offsets))[owner], atol=1e-9, rtol=1e-9)


def test_principal_axes_by_hand() -> None:
    """Two of weights 3 and 1 at 45 degrees: the mean is a quarter of the way, the axis becomes the second, the heavier side,
    which has 3 of 4 of the weight, is positive."""
    step = math.sqrt(2.0)
    turned = frames.principal_axes(torch.tensor([[0.0, 0.0], [-4.0, -4.0]]), torch.tensor([3.0, 1.0]), torch.tensor([0, 2]))
    torch.testing.assert_close(turned, torch.tensor([[0.0, step], [0.0, -3 * step]]), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("angle", [0.3, 1.4, 2.0, 4.0])
def test_principal_axes_see_no_turn_and_no_mirror(angle: float) -> None:
    draw = torch.Generator().manual_seed(3)
    points = torch.randn(40, 2, generator=draw).double() * torch.tensor([1.0, 2.5])
    weight = torch.rand(40, generator=draw).double()
    offsets = torch.tensor([0, 25, 25, 40])
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
    before = frames.principal_axes(points, weight, offsets)
    torch.testing.assert_close(frames.principal_axes(points @ turn + 5.0, weight, offsets), before)
    torch.testing.assert_close(frames.principal_axes(points * torch.tensor([-1.0, 1.0]), weight, offsets), before)
    spread = segments.sum(weight[:, None] * before.square(), offsets)
    assert bool((spread[:, 1] >= spread[:, 0]).all())


def test_one_constituent_has_no_axis() -> None:
    for weight in (2.0, 0.0):
        moved = frames.principal_axes(torch.tensor([[3.0, 4.0]]), torch.tensor([weight]), torch.tensor([0, 1]))
        assert bool(torch.isfinite(moved).all())


def test_standard_frame_by_hand() -> None:
    """The jet (0, 0, 3, 5) of mass 4, of two massless halves in its rest frame along x, becomes one of mass 2 and energy 4:
    in its rest frame each has E = 1, so that boosted with gamma = 2 along the first axis E = 2, p = (sqrt 3, +-1, 0)."""
    halves = torch.tensor([[2.0, 0, 1.5, 2.5], [-2.0, 0, 1.5, 2.5]], dtype=torch.float64)
    seen = frames.standard(halves, torch.tensor([0, 2]), mass=2.0, energy=4.0)
    root = math.sqrt(3.0)
    torch.testing.assert_close(seen[:, 0], torch.tensor([root, root], dtype=torch.float64))
    torch.testing.assert_close(seen[:, 1].abs(), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(seen[:, 2:], torch.tensor([[0.0, 2], [0, 2]], dtype=torch.float64), atol=1e-9, rtol=1e-9)


def test_standard_frame_is_one_for_all_jets() -> None:
    """Turned, scaled and boosted along itself, a jet comes out the same, with the mass and energy asked for."""
    p4, offsets = jets([12, 0, 5, 1], seed=2)
    seen = frames.standard(p4, offsets)
    jet = segments.sum(seen, offsets)[[0, 2]]
    expected = torch.tensor([[(1 - 0.25**2) ** 0.5, 0, 0, 1.0]] * 2, dtype=torch.float64)
    torch.testing.assert_close(jet, expected, atol=1e-7, rtol=1e-7)
    turned = 7.0 * torch.cat([p4[:, :3] @ rotation(1).T, p4[:, 3:]], 1)
    torch.testing.assert_close(frames.standard(turned, offsets)[:17], seen[:17], atol=1e-7, rtol=1e-6)
    axis = segments.sum(p4, offsets)
    along = torch.cat([0.3 * axis[:, :3], torch.hypot(torch.linalg.vector_norm(axis[:, :3], dim=1), torch.ones(4))[:, None]], 1)
    boosted = frames.boost(p4, along[segments.event_of(offsets)])
    torch.testing.assert_close(frames.standard(boosted, offsets)[:17], seen[:17], atol=1e-6, rtol=1e-5)
    assert bool(torch.isfinite(seen).all())


def test_standard_frame_refuses_a_mass_above_the_energy() -> None:
    with pytest.raises(ValueError, match="0 < mass < energy"):
        frames.standard(torch.zeros(1, 4), torch.tensor([0, 1]), mass=2.0, energy=1.0)
