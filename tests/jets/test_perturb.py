"""Changed jets: what is asked changes, what follows from it is made anew, and nothing else moves."""

from __future__ import annotations

import math

import pytest
import torch

from pcloud.cloud import PointCloud, collate
from pcloud.jets.kinematics import constituent_features, jet_axis, jet_features
from pcloud.jets.perturb import MOMENTUM, Perturb

POS, FEAT = ("deta", "dphi"), ("log_pt", "log_e", "dr", "charge")
CHANGE = Perturb(POS, FEAT)


def jets(counts: list[int], seed: int = 0) -> PointCloud:
    draw = torch.Generator().manual_seed(seed)
    points, offsets = sum(counts), torch.tensor([0, *counts]).cumsum(0)
    pt = torch.rand(points, generator=draw).double() * 50 + 1
    eta, phi = 0.3 * torch.randn(2, points, generator=draw).double() + torch.tensor([[-0.8], [3.1]])
    p3 = torch.stack([pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()], dim=1)
    p4 = torch.cat([p3, (p3.square().sum(1, keepdim=True) + 0.0195).sqrt()], dim=1)
    made = constituent_features(p4, offsets) | dict(zip(MOMENTUM, p4.unbind(1), strict=True))
    made["charge"] = torch.randint(-1, 2, (points,), generator=draw).double()
    point = {name: column.float() for name, column in made.items()}
    cloud = PointCloud(
        pos=torch.stack([point[name] for name in POS], dim=1),
        feat=torch.stack([point[name] for name in FEAT], dim=1),
        offsets=offsets,
        point=point | {"row": torch.arange(points)},
        event={name: column.float() for name, column in jet_features(jet_axis(p4, offsets)).items()},
        event_truth={"label": torch.arange(len(counts))},
    )
    return CHANGE.smear(cloud)  # hardest first


def consistent(cloud: PointCloud) -> None:
    """Every column says what its four-vectors say, hardest first, and pos and feat hold the columns."""
    p4 = torch.stack([cloud.point[name] for name in MOMENTUM], dim=1).double()
    made = constituent_features(p4, cloud.offsets)
    for name, column in made.items():
        torch.testing.assert_close(cloud.point[name], column.float(), atol=2e-4, rtol=1e-4)
    for name, column in jet_features(jet_axis(p4, cloud.offsets)).items():
        torch.testing.assert_close(cloud.event[name], column.float(), atol=1e-3, rtol=1e-4)
    for table, names in ((cloud.pos, POS), (cloud.feat, FEAT)):
        for channel, name in enumerate(names):
            torch.testing.assert_close(table[:, channel], cloud.point[name])
    for a, b in zip(cloud.offsets.tolist(), cloud.offsets[1:].tolist(), strict=False):
        assert (cloud.point["log_pt"][a:b].diff() <= 0).all()


def directions(cloud: PointCloud) -> torch.Tensor:
    """eta and phi, [2, points]."""
    px, py, pz = (cloud.point[name] for name in MOMENTUM[:3])
    return torch.stack([torch.asinh(pz / torch.hypot(px, py)), torch.atan2(py, px)])


def test_no_smearing_changes_nothing() -> None:
    cloud = jets([4, 0, 1, 30])
    consistent(cloud)
    again = CHANGE.smear(cloud)
    torch.testing.assert_close(again.feat, cloud.feat, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(again.pos, cloud.pos, atol=1e-5, rtol=1e-5)
    assert torch.equal(again.point["row"], cloud.point["row"])


def test_smeared_energies_and_angles_have_the_widths_asked_for() -> None:
    cloud = jets([4000])
    hot = CHANGE.smear(cloud, energy=0.1, seed=1)
    consistent(hot)
    back = hot.point["row"].argsort()
    was = cloud.point["row"].argsort()
    ratio = hot.point["energy"][back] / cloud.point["energy"][was]
    assert ratio.mean().item() == pytest.approx(1, abs=0.01) and ratio.std().item() == pytest.approx(0.1, rel=0.05)
    assert torch.equal(hot.point["charge"][back], cloud.point["charge"][was])
    turned = CHANGE.smear(cloud, angle=0.02, seed=1)
    consistent(turned)
    back = turned.point["row"].argsort()
    old, new = (directions(one) for one in (cloud, turned))
    moved = torch.remainder(new[:, back] - old[:, was] + math.pi, 2 * math.pi) - math.pi
    assert moved.std(dim=1).tolist() == pytest.approx([0.02, 0.02], rel=0.05)
    torch.testing.assert_close(turned.point["energy"][back], cloud.point["energy"][was])  # masses stay too
    for c in (hot, turned):
        p4 = torch.stack([c.point[name] for name in MOMENTUM], dim=1).double()
        assert (p4[:, 3] >= p4[:, :3].norm(dim=1) * (1 - 1e-6)).all()


def test_dropped_constituents() -> None:
    cloud = jets([2000, 0, 1, 2000])
    less = CHANGE.drop(cloud, 0.25, seed=2)
    consistent(less)
    counts = less.offsets.diff().tolist()
    assert counts[1:3] == [0, 1] and all(abs(one - 1500) < 100 for one in (counts[0], counts[3]))
    kept = torch.isin(cloud.point["row"], less.point["row"])
    for name in MOMENTUM:
        torch.testing.assert_close(less.point[name], cloud.point[name][kept])
    assert (less.event["jet_pt"][[0, 3]] < cloud.event["jet_pt"][[0, 3]]).all()
    assert torch.equal(less.event_truth["label"], cloud.event_truth["label"]) and less.max_points == max(counts)


def test_a_jet_keeps_its_hardest() -> None:
    cloud = collate([jets([3], seed) for seed in range(200)])
    less = CHANGE.drop(cloud, 0.9)
    assert (less.offsets.diff() >= 1).all() and (less.offsets.diff() == 1).sum() > 100
    first = cloud.offsets[:-1]
    alone = less.offsets[:-1][less.offsets.diff() == 1]
    assert (less.point["dr"][alone] < 1e-3).all()  # the only one is the axis
    assert torch.isin(cloud.point["energy"][first], less.point["energy"]).float().mean() > 0.7


def test_a_jet_stays_relative_to_what_was_not_stored() -> None:
    cloud = jets([20])
    first = torch.arange(20) < 15
    short = cloud.keep(first)  # the event's columns still say all 20
    torch.testing.assert_close(CHANGE.smear(short).feat, short.feat, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(CHANGE.smear(short).event["jet_pt"], cloud.event["jet_pt"])


def test_the_same_seed_changes_alike() -> None:
    cloud = jets([50, 20])
    for change in (lambda s: CHANGE.drop(cloud, 0.3, seed=s), lambda s: CHANGE.smear(cloud, energy=0.1, seed=s)):
        assert torch.equal(change(3).feat, change(3).feat)
        assert change(3).feat.shape != change(4).feat.shape or not torch.equal(change(3).feat, change(4).feat)


def test_a_blank_group() -> None:
    cloud = jets([5, 3])
    blank = CHANGE.blank(cloud, ["charge", "dr"], means={"dr": 0.2})
    assert blank.feat[:, 3].tolist() == [0] * 8 and blank.feat[:, 2].tolist() == pytest.approx([0.2] * 8)
    assert blank.point["charge"].tolist() == [0] * 8 and torch.equal(blank.feat[:, :2], cloud.feat[:, :2])
    assert torch.equal(blank.pos, cloud.pos) and cloud.feat[:, 2].std() > 0  # the first stays as it was
    assert CHANGE.blank(cloud, ["deta"]).pos[:, 0].tolist() == [0] * 8


def test_mistakes_are_named() -> None:
    cloud = jets([3])
    with pytest.raises(ValueError, match="is_muon is no input of this model; it reads deta, dphi, log_pt"):
        CHANGE.blank(cloud, ["is_muon"])
    with pytest.raises(ValueError, match="fraction = 1 came"):
        CHANGE.drop(cloud, 1)
    with pytest.raises(ValueError, match="widths are not negative"):
        CHANGE.smear(cloud, energy=-1)
    bare = PointCloud(pos=cloud.pos, feat=cloud.feat, offsets=cloud.offsets)
    with pytest.raises(ValueError, match="lacks point column px"):
        CHANGE.drop(bare, 0.1)
