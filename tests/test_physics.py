"""Kinematics and coordinates: numbers worked on paper, and the laws of a helix and of rotation about the beam."""

from __future__ import annotations

import math

import pytest
import torch
from clouds import law
from hypothesis import given
from hypothesis import strategies as st

from pcloud import physics

BEND, CROSSING = 0, 1  # channels of pair_geometry


@law
@given(angle=st.floats(-50, 50))
def test_wrap(angle: float) -> None:
    wrapped = physics.wrap(torch.tensor(angle, dtype=torch.float64)).item()
    assert -math.pi <= wrapped < math.pi
    assert math.remainder(wrapped - angle, 2 * math.pi) == pytest.approx(0, abs=1e-12)


def test_wrap_at_the_seam() -> None:
    assert physics.wrap(torch.tensor([0.0, math.pi - 0.01, math.pi + 0.01])).tolist() == pytest.approx(
        [0, math.pi - 0.01, -math.pi + 0.01], abs=1e-6
    )


def test_cylindrical() -> None:
    r, phi, z = physics.cylindrical(torch.tensor([[3.0, 4.0, -7.0], [-2.0, 0.0, 1.0]]))
    assert r.tolist() == [5, 2] and z.tolist() == [-7, 1]
    assert phi.tolist() == pytest.approx([math.atan2(4, 3), math.pi])


def test_pseudorapidity() -> None:
    """eta = -ln tan(theta / 2); 45 degrees is 0.8814."""
    theta = torch.tensor([math.pi / 4, math.pi / 2, 3 * math.pi / 4, 0.01], dtype=torch.float64)
    eta = physics.pseudorapidity(theta.sin(), theta.cos())
    torch.testing.assert_close(eta, -torch.log(torch.tan(theta / 2)))
    assert eta[0].item() == pytest.approx(0.881373587)
    assert math.isfinite(physics.pseudorapidity(torch.tensor(0.0), torch.tensor(1.0)).item())


def test_transverse() -> None:
    assert physics.transverse(torch.tensor(-3.0), torch.tensor(4.0)).item() == 5


def test_bend_radius() -> None:
    """1 GeV in 2 T: 1 / (0.3 * 2) m = 1667.8 mm."""
    assert physics.bend_radius(torch.tensor(1.0), 2.0).item() == pytest.approx(1667.82, abs=0.01)


def helix(radius: float, phi: float, slope: float, z0: float, arcs: list[float]) -> torch.Tensor:
    """Points at turning angles ``arcs`` (rad) on a helix through (0, 0, z0)."""
    a = torch.tensor(arcs, dtype=torch.float64)
    x = radius * (torch.sin(phi + a) - math.sin(phi))
    y = radius * (math.cos(phi) - torch.cos(phi + a))
    return torch.stack([x, y, z0 + radius * slope * a], 1)


@law
@given(radius=st.floats(300, 20000), phi=st.floats(-3, 3), sign=st.sampled_from([-1, 1]))
def test_a_circle_unbent(radius: float, phi: float, sign: int) -> None:
    """All points of a circle through the beam line left it in one direction, by its own bend: one over the signed diameter."""
    x, y, _ = helix(sign * radius, phi, 1.0, 0.0, [sign * part * math.pi for part in (0.01, 0.1, 0.5, 0.8)]).unbind(1)
    left = physics.unbent(torch.hypot(x, y), torch.atan2(y, x), sign / (2 * radius))
    torch.testing.assert_close(physics.wrap(left - phi), torch.zeros(4, dtype=torch.float64), atol=1e-6, rtol=0)


def test_beyond_its_diameter_a_circle_is_unbent_by_a_quarter_turn() -> None:
    r = torch.tensor([5000.0], requires_grad=True)
    left = physics.unbent(r, torch.zeros(1), 1e-3)
    left.sum().backward()
    assert left.item() == pytest.approx(-math.pi / 2, abs=0.05) and r.grad is not None and r.grad.item() == 0


@law
@given(
    radius=st.floats(2000, 20000),
    phi=st.floats(-3, 3),
    slope=st.floats(-3, 3),
    z0=st.floats(-100, 100),
    sign=st.sampled_from([-1, 1]),
)
def test_pairs_of_one_helix_agree_on_bend_and_crossing(radius: float, phi: float, slope: float, z0: float, sign: int) -> None:
    """bend = 1 / 2R and crossing = z_0 of a helix from the beam line, whichever two hits are looked at, in either order."""
    hits = helix(sign * radius, phi, sign * slope, z0, [sign * r / radius for r in (50.0, 120.0, 300.0)])
    for i, j in [(0, 1), (1, 2), (2, 0)]:
        pair = physics.pair_geometry(hits[i], hits[j])
        bend, crossing = math.sinh(pair[BEND]) / 5e3, 10 * math.sinh(pair[CROSSING])
        assert bend == pytest.approx(sign / (2 * radius), rel=0.02)
        assert crossing == pytest.approx(z0, abs=abs(slope) * 300 * (300 / radius) ** 2 / 8 + 0.01)


@law
@given(turn=st.floats(-4, 4), seed=st.integers(0, 50))
def test_pair_geometry_does_not_see_a_turn_about_the_beam(turn: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    a, b = 100 * torch.randn(2, 5, 3, generator=draw, dtype=torch.float64)
    c, s = math.cos(turn), math.sin(turn)
    about = torch.tensor([[c, s, 0], [-s, c, 0], [0, 0, 1]], dtype=torch.float64)
    pair, turned = physics.pair_geometry(a, b), physics.pair_geometry(a @ about, b @ about)
    assert pair.shape == (5, physics.PAIR_CHANNELS)
    torch.testing.assert_close(pair, turned, rtol=1e-6, atol=1e-6)


def test_pair_geometry_is_finite_everywhere() -> None:
    """A hit with itself, two of one radius, two of one z, the origin, the far end of the detector."""
    spots = torch.tensor([[0.0, 0, 0], [30, 0, 0], [0, 30, 0], [30, 0, 5], [1000, 0, 3000], [-1000, 1e-3, -3000]])
    pairs = physics.pair_geometry(spots[:, None], spots[None])
    assert bool(torch.isfinite(pairs).all()) and pairs.abs().max() < 20
    assert bool(torch.isfinite(physics.direction_space(spots, 0.8, 0.15)).all())


def test_direction_space_has_no_seam() -> None:
    """Hits just either side of phi = pi are near, and hits along one ray differ in ln rho alone."""
    near = physics.direction_space(torch.tensor([[-100.0, 0.1, 50.0], [-100.0, -0.1, 50.0]]), 0.8, 0.15)
    assert (near[0] - near[1]).norm() < 0.01
    ray = physics.direction_space(torch.tensor([[30.0, 40, 50], [60, 80, 100]]), 0.8, 0.15)
    torch.testing.assert_close(ray[1] - ray[0], torch.tensor([0, 0, 0, 0.15 * math.log(2)]), atol=1e-5, rtol=0)
