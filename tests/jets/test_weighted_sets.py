"""Jets as weighted sets: shares that add up, and a frame in which mass, pT and direction of the jet are gone."""

from __future__ import annotations

from dataclasses import replace
from math import pi

import pytest
import torch
from clouds import jets

from pcloud import segments
from pcloud.cloud import PointCloud, collate
from pcloud.jets.frames import boost
from pcloud.jets.momenta import momenta
from pcloud.jets.sets import as_cloud, as_set


def with_momenta(cloud: PointCloud, p4: torch.Tensor) -> PointCloud:
    return replace(cloud, point=dict(zip(("px", "py", "pz", "energy"), p4.unbind(1), strict=True)))


def test_shares_of_the_momentum() -> None:
    cloud = collate([jets(3), jets(1, constituents=0), jets(1, constituents=1)])
    same, seen = as_set(cloud)
    assert same is cloud and torch.equal(seen.pos, cloud.pos)
    torch.testing.assert_close(segments.sum(seen.share, seen.offsets), torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0]))
    pt = torch.hypot(cloud.point["px"], cloud.point["py"])
    torch.testing.assert_close(seen.share[:12], pt[:12] / pt[:12].sum())


def test_in_the_standard_frame_scale_boost_and_turn_are_gone() -> None:
    """A jet twice as heavy, one boosted along its direction and one turned about the beam are one and the same set."""
    cloud = jets(6, seed=3)
    p4 = torch.stack([cloud.point[name].double() for name in ("px", "py", "pz", "energy")], 1)
    jet = segments.sum(p4, cloud.offsets)
    slower = jet.clone()
    slower[:, 3] = (jet[:, :3].square().sum(1) / 0.36).sqrt()  # a frame along the jet, of velocity 0.6
    boosted = boost(p4, slower[cloud.event_of_point])
    turn = torch.tensor([[0.6, -0.8, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)
    plain = as_set(with_momenta(cloud, p4), "standard")
    for other in (2 * p4, boosted, p4 @ turn.T):
        moved = as_set(with_momenta(cloud, other), "standard")
        torch.testing.assert_close(moved[1].share, plain[1].share, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(moved[1].pos, plain[1].pos, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(moved[0].feat, plain[0].feat, atol=1e-3, rtol=1e-3)


def test_upright_keeps_the_mass_and_forgets_turn_and_mirror() -> None:
    """Turned about the beam, boosted along it and mirrored, it is the same set; wide along phi, the heavier half positive."""
    cloud = jets(6, seed=3)
    p4 = torch.stack([cloud.point[name].double() for name in ("px", "py", "pz", "energy")], 1)
    turn = torch.tensor([[0.6, -0.8, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)
    along = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1.25, 0.75], [0, 0, 0.75, 1.25]], dtype=torch.float64)
    mirror = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
    seen, plain = as_set(with_momenta(cloud, p4), "upright")
    for other in (p4 @ turn.T, p4 @ along.T, p4 * mirror):
        moved = as_set(with_momenta(cloud, other), "upright")[1]
        torch.testing.assert_close(moved.share, plain.share, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(moved.pos, plain.pos, atol=1e-4, rtol=1e-3)
    masses = [segments.sum(one, cloud.offsets) for one in (p4, momenta(seen, "a test").double())]
    before, after = ((one[:, 3].square() - one[:, :3].square().sum(1)).sqrt() for one in masses)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-2)
    deta, dphi = (segments.sum(plain.share * one.square(), plain.offsets) for one in plain.pos.unbind(1))
    assert bool((deta[1::2] < dphi[1::2]).all()), "two prongs lie along phi"
    sides = segments.sum(plain.share[:, None] * torch.sign(plain.pos), plain.offsets)
    assert bool((sides >= -1e-6).all())


def test_whole_events_forget_turn_boost_and_mirror_and_recoil_along_phi() -> None:
    """Two jets back to back, a third beside one of them: of the event frame at phi = pi / 2 and -pi / 2, at rapidity 0."""
    pt, eta, phi = torch.tensor([[330.0, 200.0, 100.0], [1.0, 0.4, 0.2], [2.9, -0.3, 0.1]], dtype=torch.float64)
    p4 = torch.stack([pt * phi.cos(), pt * phi.sin(), pt * eta.sinh(), pt * eta.cosh()], 1)
    cloud = with_momenta(PointCloud(torch.zeros(3, 2), torch.zeros(3, 7), torch.tensor([0, 3])), p4.float())
    turn = torch.tensor([[0.6, -0.8, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)
    along = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1.25, 0.75], [0, 0, 0.75, 1.25]], dtype=torch.float64)
    seen, plain = as_set(cloud, "event")
    for other in (p4 @ turn.T, p4 @ along.T, p4 * torch.tensor([-1.0, 1.0, -1.0, 1.0])):
        moved = as_set(with_momenta(cloud, other.float()), "event")[1]
        torch.testing.assert_close(moved.pos, plain.pos, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(moved.share, plain.share)
    torch.testing.assert_close(plain.share, torch.tensor([330.0, 200.0, 100.0]) / 630)
    torch.testing.assert_close(plain.pos[:, 1].abs(), torch.full((3,), pi / 2), atol=0.35, rtol=0)
    assert plain.pos[0, 1] * plain.pos[1, 1] < 0 < plain.pos[1, 1] * plain.pos[2, 1]
    gaps, before = plain.pos[:, 0].diff().abs(), eta.diff().abs().float()
    torch.testing.assert_close(gaps, before, atol=1e-4, rtol=1e-4)  # of massless jets
    total = momenta(seen, "a test").sum(0)
    assert abs(float(total[2])) < 1e-3 * float(total[3])
    torch.testing.assert_close(seen.feat[:, 5:], seen.pos)
    torch.testing.assert_close(seen.feat[:, 2].exp(), plain.share, rtol=1e-5, atol=0)  # log_pt_rel


@pytest.mark.parametrize("frame", ["upright", "standard", "event"])
def test_the_way_back_to_a_cloud(frame: str) -> None:
    """Of massless constituents, set and pT are all that the frame shows; a jet's gradient comes through."""
    cloud = collate([jets(3), jets(1, constituents=0), jets(1, constituents=2, seed=1)])
    seen, given = as_set(cloud, frame)
    pt = segments.sum(torch.hypot(seen.point["px"], seen.point["py"]), given.offsets)
    back = as_cloud(given, pt, frame)
    torch.testing.assert_close(back.pos, seen.pos, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(back.feat, seen.feat, atol=5e-3, rtol=1e-3)
    share = given.share.clone().requires_grad_()
    as_cloud(replace(given, share=share), pt, frame).feat.sum().backward()
    assert bool(torch.isfinite(share.grad).all()) and bool((share.grad != 0).any())


def test_one_line_for_what_is_missing() -> None:
    with pytest.raises(ValueError, match="an autoencoder of sets reads the point columns px, py, pz, energy"):
        as_set(replace(jets(2), point={}))
    with pytest.raises(ValueError, match="feat has 3 columns; in the standard frame these are made: log_pt"):
        as_set(replace(jets(2), feat=jets(2).feat[:, :3]), "standard")
