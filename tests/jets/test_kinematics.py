"""Features of constituents against values worked out by hand; phi's seam and the sign of deta."""

from __future__ import annotations

import math

import torch

from pcloud.jets.kinematics import FEATURES, constituent_features, jet_axis, jet_features, mass


def massless(pt: float, eta: float, phi: float) -> list[float]:
    return [pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta), pt * math.cosh(eta)]


def test_two_constituents_by_hand() -> None:
    """(pT, eta, phi) = (3, .2, .1) and (1, .2, -.1): the sum has px = 4 cos .1, py = 2 sin .1, pz = 4 sinh .2, E = 4 cosh .2."""
    p4 = torch.tensor([massless(3, 0.2, 0.1), massless(1, 0.2, -0.1)], dtype=torch.float64)
    offsets = torch.tensor([0, 2])
    px, py = 4 * math.cos(0.1), 2 * math.sin(0.1)
    pt, pz, energy = math.hypot(px, py), 4 * math.sinh(0.2), 4 * math.cosh(0.2)
    jet = jet_features(jet_axis(p4, offsets))
    assert math.isclose(float(jet["jet_pt"]), pt)
    assert math.isclose(float(jet["jet_eta"]), math.asinh(pz / pt))
    assert math.isclose(float(jet["jet_mass"]), math.sqrt(energy**2 - pt**2 - pz**2))
    made = constituent_features(p4, offsets)
    assert tuple(made) == FEATURES
    deta, dphi = 0.2 - math.asinh(pz / pt), 0.1 - math.atan2(py, px)
    expected = [deta, dphi, math.log(3), math.log(3 * math.cosh(0.2)), math.log(3 / pt), math.log(0.75), math.hypot(deta, dphi)]
    for name, value in zip(FEATURES, expected, strict=True):
        assert math.isclose(float(made[name][0]), value, rel_tol=1e-9, abs_tol=1e-12), name


def test_deta_points_away_from_the_middle_and_phi_has_no_seam() -> None:
    near = torch.tensor([massless(5, 1.0, math.pi - 0.05), massless(1, 1.3, -math.pi + 0.05)], dtype=torch.float64)
    far = near * torch.tensor([1.0, 1.0, -1.0, 1.0], dtype=torch.float64)  # mirrored in z
    offsets = torch.tensor([0, 2])
    one, other = constituent_features(near, offsets), constituent_features(far, offsets)
    for name in FEATURES:
        torch.testing.assert_close(one[name], other[name])
    assert float(one["deta"][1]) > 0 and abs(float(one["dphi"][1])) < 0.1


def test_an_axis_of_its_own_and_empty_jets() -> None:
    p4 = torch.tensor([massless(2, 0.5, 0.3)], dtype=torch.float64)
    axis = torch.tensor([[0.0, 0, 0, 0], massless(4, 0.4, 0.0)], dtype=torch.float64)
    made = constituent_features(p4, torch.tensor([0, 0, 1]), axis)
    assert math.isclose(float(made["deta"]), 0.1) and math.isclose(float(made["dphi"]), 0.3)
    assert math.isclose(float(made["log_pt_rel"]), math.log(0.5))


def test_mass_of_light_is_nothing() -> None:
    light = torch.tensor([massless(600, 1.7, 2.0)], dtype=torch.float32)
    assert float(mass(light)) < 1.0
    assert all(torch.isfinite(column).all() for column in constituent_features(torch.zeros(1, 4), torch.tensor([0, 1])).values())
