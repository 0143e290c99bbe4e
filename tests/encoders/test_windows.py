"""The window encoder's own promises: no seam in phi, borders that move, ties that do not matter, the same when recomputed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from clouds import permute, ragged
from torch import Tensor

from pcloud.cloud import PointCloud
from pcloud.encoders import WindowEncoder
from pcloud.encoders.windows import View, sorted_by, view


def encoder(**options: object) -> WindowEncoder:
    torch.manual_seed(3)
    return WindowEncoder(in_channels=4, **{"channels": 8, "layers": 2, "heads": 2, "window": 8, **options}).eval()


def event(points: int, seed: int = 0) -> PointCloud:
    cloud = ragged([points], seed=seed)
    return replace(cloud, pos=300 * cloud.pos)


def at(r: float, phi: float, eta: float) -> Tensor:
    return torch.tensor([[r * math.cos(phi), r * math.sin(phi), r * math.sinh(eta)]])


@pytest.mark.parametrize("eta", [-2.0, -0.31, 0.0, 0.1, 0.77, 3.3])
@pytest.mark.parametrize("number", range(6))
def test_phi_has_no_seam(number: int, eta: float) -> None:
    """Two hits a hair apart on either side of phi = pi are neighbours in every order, as they are anywhere else."""
    looks = view(number)._replace(bend=0.0)
    pair = torch.cat([at(100.0, math.pi - 1e-4, eta), at(100.0, math.pi + 1e-4, eta)])
    low, high = sorted_by(pair, looks, 0.25).tolist()
    assert abs(low - high) < 1e-3


def test_a_spiral_visits_all_azimuths_of_a_turn() -> None:
    """One turn further in phi is one strip further in eta: 1 in the order."""
    turns = torch.cat([at(100.0, 2 * math.pi * part, 0.05) for part in (0.0, 0.25, 0.5, 0.75)])
    place = sorted_by(turns, View(True, 0.0, 0.0, 0.0), 0.25) % 1.0
    torch.testing.assert_close(place, torch.tensor([0.0, 0.25, 0.5, 0.75]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("number", range(10))
def test_hits_of_a_track_as_guessed_lie_together(number: int) -> None:
    """A helix of the bend and the vertex that a block guesses: its hits span a part of a strip, whatever their radius."""
    looks = view(number)
    r = torch.tensor([30.0, 70.0, 110.0, 170.0, 260.0, 360.0, 500.0, 660.0])
    phi = 1.0 + torch.asin(looks.bend * r)
    hits = torch.stack([r * torch.cos(phi), r * torch.sin(phi), looks.vertex + 0.5 * r], 1)
    order = sorted_by(hits, looks, 0.25)
    assert order.max() - order.min() < 1e-3


def test_borders_move_from_block_to_block() -> None:
    """With one layer a hit hears a window; with three, where borders lie half a window on, hits beyond it too."""
    heard = []
    for layers in (1, 3):
        cloud = event(64)
        feat = cloud.feat.clone().requires_grad_()
        encoder(layers=layers)(replace(cloud, feat=feat)).points[0].sum().backward()
        assert feat.grad is not None
        heard.append(int((feat.grad != 0).any(1).sum()))
    assert heard[0] == 8 and heard[1] > 24


def test_hits_in_one_place_may_come_in_any_order() -> None:
    """Ties go by features, then to hits that are the same in all the encoder sees."""
    cloud = event(40)
    pos = cloud.pos.clone()
    pos[1::2] = pos[::2]
    cloud = replace(cloud, pos=pos)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    net = encoder()
    torch.testing.assert_close(net(permute(cloud, order)).points, net(cloud).points[order], rtol=1e-4, atol=1e-5)


def test_recomputing_changes_no_gradient() -> None:
    cloud, grads = event(30), []
    for recompute in (False, True):
        net = encoder(recompute=recompute).train()
        net(cloud).points.square().sum().backward()
        grads.append([parameter.grad for parameter in net.parameters()])
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two)


def test_options_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="width = 2.0 came"):
        encoder(width=2.0)
    flat = PointCloud(torch.zeros(5, 2), torch.zeros(5, 4), torch.tensor([0, 5]))
    with pytest.raises(ValueError, match="pos has 2 columns; windows reads x, y, z in mm"):
        encoder()(flat)
