"""Clouds that many tests need: ragged random events with every kind of column, and small events of straight tracks.

``ragged([3, 0, 1])`` has three events of 3, 0 and 1 points; ``tracks(8)`` has eight events a network can learn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields

import torch
from hypothesis import settings
from torch import Tensor

from pcloud.cloud import PointCloud, collate

law = settings(deadline=None, max_examples=30)  # a busy machine is no reason to fail
BIG = 4611686018427387905  # 2^62 + 1: no float64 holds it


def ragged(sizes: Sequence[int], *, dim: int = 3, channels: int = 4, particles: int = 3, seed: int = 0) -> PointCloud:
    """Events of ``sizes`` points and ``particles`` particles each, with a column of every kind."""
    draw = torch.Generator().manual_seed(seed)
    points, events = sum(sizes), len(sizes)
    offsets = torch.tensor([0, *torch.tensor(sizes).cumsum(0).tolist()]) if events else torch.zeros(1, dtype=torch.int64)
    row = torch.arange(points)
    return PointCloud(
        pos=torch.randn(points, dim, generator=draw),
        feat=torch.randn(points, channels, generator=draw),
        offsets=offsets,
        point={"hit_id": row + 1, "hit_index": row, "shape": torch.randn(points, 2, generator=draw)},
        event={"event_id": BIG + torch.arange(events), "batch": torch.arange(events)},
        point_truth={"particle": torch.randint(-1, particles, (points,), generator=draw), "weight": torch.ones(points).double()},
        event_truth={"signal": torch.arange(events) % 2 == 0},
        particle={"particle_id": BIG + torch.arange(events * particles)},
        particle_offsets=particles * torch.arange(events + 1),
    )


def tracks(events: int, *, tracks: int = 4, layers: int = 6, noise: int = 4, seed: int = 0) -> PointCloud:
    """Straight tracks from the origin through cylinders of radius 40, 80 ... mm, and hits of noise; pos in mm, feat = r, z, eta
    and cos, sin of phi, about 1 in size."""
    return collate([_event(number, tracks, layers, noise, seed) for number in range(events)])


def _event(number: int, tracks: int, layers: int, noise: int, seed: int) -> PointCloud:
    draw = torch.Generator().manual_seed(1000 * seed + number)
    phi, slope = 2 * math.pi * torch.rand(tracks, generator=draw), torch.randn(tracks, generator=draw)
    radius = 40.0 * (1 + torch.arange(layers))
    hit = [tracks * [radius[layer].item()] for layer in range(layers)]
    r = torch.tensor(hit).reshape(-1)
    particle = torch.arange(tracks).repeat(layers)
    r = torch.cat([r, radius[torch.randint(0, layers, (noise,), generator=draw)]])
    phi = torch.cat([phi.repeat(layers), 2 * math.pi * torch.rand(noise, generator=draw)])
    z = torch.cat([(slope.repeat(layers) * r[: tracks * layers]), 200 * torch.randn(noise, generator=draw)])
    particle = torch.cat([particle, torch.full((noise,), -1)])
    order = torch.randperm(len(r), generator=draw)
    r, phi, z, particle = r[order], phi[order], z[order], particle[order]
    hits = tracks * layers
    return PointCloud(
        pos=torch.stack([r * phi.cos(), r * phi.sin(), z], 1),
        feat=torch.stack([r / 100, z / 300, torch.asinh(z / r), phi.cos(), phi.sin()], 1),
        offsets=torch.tensor([0, len(r)]),
        point={"hit_id": torch.arange(len(r)) + 1},
        event={"event_id": torch.tensor([number])},
        point_truth={"particle": particle, "weight": (particle >= 0).double() / max(hits, 1)},
        particle={"particle_id": BIG + torch.arange(tracks)},
        particle_offsets=torch.tensor([0, tracks]),
    )


def jets(events: int, *, constituents: int = 12, seed: int = 0) -> PointCloud:
    """Jets of one prong (label 0, even events) and of two (label 1) about pT = 600 GeV, hardest constituent first; feat = log_pt,
    log_e, log_pt_rel, log_e_rel, dr, deta, dphi, about 1 in size. Weights 1, of every fifth jet -0.5."""
    return collate([_jet(number, constituents, seed) for number in range(events)])


def _jet(number: int, constituents: int, seed: int) -> PointCloud:
    draw = torch.Generator().manual_seed(1000 * seed + number)
    pt, order = (600 * torch.rand(constituents, generator=draw).softmax(0)).sort(descending=True)
    angle = 2 * math.pi * torch.rand(1, generator=draw)
    prong = torch.stack([angle.cos(), angle.sin()], 1) * torch.tensor([0.3, -0.3])[torch.arange(constituents) % 2, None]
    place = 0.05 * torch.randn(constituents, 2, generator=draw) + prong[order] * (number % 2)
    eta, phi = 0.5 + place[:, 0], place[:, 1]
    momentum = {"px": pt * phi.cos(), "py": pt * phi.sin(), "pz": pt * eta.sinh(), "energy": pt * eta.cosh()}
    e, (px, py, pz, energy) = momentum["energy"], (one.sum() for one in momentum.values())
    logs = [pt.log() - 4, e.log() - 4, (pt / 600).log() + 3, (e / energy).log() + 3]
    mass = (energy**2 - px**2 - py**2 - pz**2).clamp(min=0).sqrt()
    return PointCloud(
        pos=place,
        feat=torch.stack([*logs, *(3 * one for one in (place.norm(dim=1), *place.unbind(1)))], 1),
        offsets=torch.tensor([0, constituents]),
        point=momentum,
        event={"event_id": torch.tensor([BIG + number]), "jet_pt": torch.hypot(px, py)[None], "jet_mass": mass[None]},
        event_truth={"label": torch.tensor([number % 2]), "weight": torch.tensor([-0.5 if number % 5 == 4 else 1.0])},
    )


def permute(cloud: PointCloud, order: Tensor) -> PointCloud:
    """The same cloud with its points in another order, which must keep every event's points together."""
    moved = {name: getattr(cloud, name)[order] for name in ("pos", "feat")}
    columns = {name: {key: value[order] for key, value in getattr(cloud, name).items()} for name in ("point", "point_truth")}
    rest = {f.name: getattr(cloud, f.name) for f in fields(cloud) if f.name not in moved and f.name not in columns}
    return PointCloud(**moved, **columns, **rest)


def shuffled(cloud: PointCloud, seed: int = 0) -> Tensor:
    """An order [points] that mixes the points of each event among themselves."""
    draw = torch.Generator().manual_seed(seed)
    bounds = cloud.offsets.tolist()
    parts = [a + torch.randperm(b - a, generator=draw) for a, b in zip(bounds, bounds[1:], strict=False)]
    return torch.cat([torch.zeros(0, dtype=torch.int64), *parts])


def assert_same(a: PointCloud, b: PointCloud) -> None:
    """Every field equal to the bit, types and shapes included."""
    for part in fields(a):
        x, y = getattr(a, part.name), getattr(b, part.name)
        if isinstance(x, Tensor):
            x, y = {"": x}, {"": y}
        if isinstance(x, dict):
            assert x.keys() == y.keys(), part.name
            for key in x:
                assert x[key].dtype == y[key].dtype and torch.equal(x[key], y[key]), f"{part.name} {key}"
        else:
            assert x == y, part.name
