"""Pair features beside values worked out by hand, and the lists of pairs beside plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from clouds import law
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcloud import segments
from pcloud.jets.pairs import FLOOR, features, ordered, unordered


def massless(pt: float, eta: float, phi: float) -> list[float]:
    return [pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta), pt * math.cosh(eta)]


def test_two_massless_particles_by_hand() -> None:
    """pT 30 and 10 GeV, 0.3 apart in rapidity and 0.4 in azimuth: Delta = 0.5, kT = 10 * 0.5, z = 10 / 40 and
    m^2 = 2 * 30 * 10 (cosh 0.3 - cos 0.4)."""
    a, b = torch.tensor(massless(30, 0.1, 1.0)), torch.tensor(massless(10, 0.4, 1.4))
    m2 = 600 * (math.cosh(0.3) - math.cos(0.4))
    expected = torch.tensor([math.log(5.0), math.log(0.25), math.log(0.5), math.log(m2)])
    torch.testing.assert_close(features(a, b), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(features(b, a), features(a, b))


def test_two_heavy_particles_at_rest_to_each_other_by_hand() -> None:
    """m = 3 and pT = 4 give E = 5 and mT = 5 at y = 0; with one of m = 5, pT = 12, E = 13 beside it, at right angles:
    (p_a + p_b)^2 = 18^2 - 4^2 - 12^2 = 164."""
    a, b = torch.tensor([4.0, 0, 0, 5]), torch.tensor([0.0, 12, 0, 13])
    expected = torch.tensor([4 * math.pi / 2, 4 / 16, math.pi / 2, 164.0]).log()
    torch.testing.assert_close(features(a, b), expected, rtol=1e-6, atol=1e-6)


def test_the_azimuth_wraps() -> None:
    a, b = torch.tensor(massless(20, 0, math.pi - 0.05)), torch.tensor(massless(20, 0, -math.pi + 0.05))
    assert features(a, b)[2].item() == pytest.approx(math.log(0.1), abs=1e-4)


def test_rapidity_not_pseudorapidity() -> None:
    """E = 5, pz = 3, pT = 0: y = ln(8 / 2) / 2 = ln 2, where the pseudorapidity would be infinite."""
    a, b = torch.tensor([0.0, 0, 3, 5]), torch.tensor([0.0, 0, 0, 4])
    assert features(a, b)[2].item() == pytest.approx(math.log(math.log(2.0)), abs=1e-5)


def test_floors() -> None:
    """A particle with itself: no distance, half the momentum; nothing at all: all floors, nothing infinite."""
    own = features(torch.tensor(massless(16, 1, 1)).double(), torch.tensor(massless(16, 1, 1)).double())
    low = math.log(FLOOR)
    assert own[0].item() == low and own[2].item() == low and own[1].item() == pytest.approx(math.log(0.5))
    nothing = features(torch.zeros(4), torch.zeros(4))
    assert nothing.tolist() == pytest.approx([low] * 4)


def test_nearly_collinear_pairs_keep_their_digits() -> None:
    """Massless, 0.01 apart at hundreds of GeV in float32: m^2 is below 10^-4 of E^2, whose plain difference loses it."""
    draw = torch.Generator().manual_seed(0)
    pt, phi = 500 * torch.rand(200, generator=draw) + 100, torch.rand(200, generator=draw)
    a = torch.stack([pt * phi.cos(), pt * phi.sin(), 0 * pt, pt], 1)
    b = torch.stack([pt * (phi + 0.01).cos(), pt * (phi + 0.01).sin(), 0 * pt, pt], 1)
    exact = 2 * pt.double().square() * (1 - math.cos(0.01))
    ours = features(a, b)[:, 3].double().exp()
    square = (a + b).square()
    naive = (square[:, 3] - square[:, :3].sum(1)).double()
    assert (ours / exact - 1).abs().max() < 0.01
    assert (ours - exact).abs().mean() < (naive - exact).abs().mean()


def test_gradients_are_finite() -> None:
    p4 = torch.tensor([massless(30, 0.1, 1.0), massless(10, 0.4, 1.4), [0.0, 0, 0, 0]], requires_grad=True)
    first, second = unordered(torch.tensor([0, 3]))
    features(p4[first], p4[second]).sum().backward()
    assert p4.grad is not None and bool(torch.isfinite(p4.grad).all())


@law
@given(sizes=st.lists(st.integers(0, 9), max_size=6))
def test_lists_of_pairs_are_plain_loops(sizes: list[int]) -> None:
    offsets = segments.offsets_of(torch.tensor(sizes, dtype=torch.int64))
    bounds = offsets.tolist()
    events = [range(low, high) for low, high in zip(bounds, bounds[1:], strict=False)]

    def listed(found: tuple[Tensor, Tensor]) -> list[tuple[int, int]]:
        return list(zip(found[0].tolist(), found[1].tolist(), strict=True))

    assert listed(unordered(offsets)) == [(i, j) for rows in events for i in rows for j in rows if j <= i]
    assert listed(ordered(offsets)) == [(i, j) for rows in events for i in rows for j in rows if j != i]


def test_unordered_pairs_of_a_large_event() -> None:
    first, second = unordered(torch.tensor([0, 3000]))
    assert len(first) == 3000 * 3001 // 2
    assert bool((second <= first).all()) and first[-1] == 2999 and second[-1] == 2999
    assert len(torch.unique(first * 3000 + second)) == len(first)
