"""Clouds to time neighbour searches on: seeded, made in memory, each like something that particle physics searches in.

``CASES[name].problem()`` gives points and what is asked of them; a ``scale`` below 1 makes a smaller one, for trying out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcloud import segments

# An all-silicon tracker in round numbers (mm): barrel layers as (radius, half length), disks as (z, inner, outer radius).
BARREL = [(r, 490.0) for r in (32, 72, 116, 172)] + [(r, 1080.0) for r in (260, 360, 500, 660, 820, 1020)]
DISKS = [(z, 30.0, 176.0) for z in (600, 700, 820, 960, 1120, 1300, 1500)]
DISKS += [(z, 240.0, 1000.0) for z in (1220, 1500, 1800, 2150, 2550, 2950)]
CURL = 1667.0  # radius of curvature (mm) of a charge of pT = 1 GeV in 2 T
NOISE, THICK = 0.15, 2.0  # share of noise hits; modules overlap, so that a surface is this thick (mm) to either side
REAL = Path("trackml/full_events/event000001001-hits.csv.gz")
Points = NDArray[np.float32]


@dataclass(frozen=True)
class Problem:
    """The ``k`` nearest others of each point inside its event, within ``r`` where given.

    pos [points, dim] float32; offsets [events + 1] int64, no event without a point.
    """

    pos: Tensor
    offsets: Tensor
    k: int
    r: float | None = None

    @property
    def events(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def longest(self) -> int:
        """Most points in one event, which padding needs to know."""
        return int(segments.lengths(self.offsets).max())

    @property
    def pairs(self) -> int:
        """Distances that comparing all with all takes."""
        return int(segments.lengths(self.offsets).square().sum())

    @cached_property
    def owner(self) -> Tensor:
        """The event of each point, which some peers ask for in place of offsets."""
        return segments.event_of(self.offsets)

    def on(self, device: torch.device) -> Problem:
        return replace(self, pos=self.pos.to(device), offsets=self.offsets.to(device)).ready()

    def ready(self) -> Problem:
        """Itself, once what a caller holds beside the points is made, so that it is in nobody's time."""
        assert self.longest <= len(self.owner)
        return self

    def small(self, points: int = 500) -> Problem:
        """The same question on few points, to warm up with: the first events, or points from all over the only one."""
        if self.events == 1:
            pos = self.pos[:: max(1, len(self.pos) // points)]
            return replace(self, pos=pos.contiguous(), offsets=torch.tensor([0, len(pos)])).ready()
        events = max(2, int((self.offsets <= points).sum()) - 1)
        few = self.offsets[: events + 1]
        return replace(self, pos=self.pos[: few[-1]].contiguous(), offsets=few).ready()


@dataclass(frozen=True)
class Case:
    """One block of the table. brute: peers that compare all with all are worth waiting for although the cloud is large.

    without: peers that would take a minute or more to tell nothing that another case does not.
    """

    title: str
    data: str
    make: Callable[[float], tuple[Points, Tensor]]
    k: int
    r: float | None = None
    brute: bool = False
    without: tuple[str, ...] = ()

    def problem(self, scale: float = 1.0) -> Problem:
        pos, offsets = self.make(scale)
        return Problem(torch.from_numpy(np.ascontiguousarray(pos, dtype=np.float32)), offsets, self.k, self.r).ready()


def jets(events: int, seed: int = 0) -> tuple[Points, Tensor]:
    """Jets of about 50 constituents (Poisson) around their axis in (eta, phi): dense in the middle, up to 0.8 away."""
    random = np.random.default_rng(seed)
    sizes = np.maximum(random.poisson(50, events), 1)
    away, turn = 0.8 * random.random(sizes.sum()) ** 2, 2 * np.pi * random.random(sizes.sum())
    pos = np.column_stack([away * np.cos(turn), away * np.sin(turn)]).astype(np.float32)
    return pos, segments.offsets_of(torch.from_numpy(sizes))


def batch(events: int, size: int, dim: int, seed: int = 0) -> tuple[Points, Tensor]:
    """Events of one size, normal in each coordinate."""
    pos = np.random.default_rng(seed).normal(size=(events * size, dim)).astype(np.float32)
    return pos, torch.arange(events + 1) * size


def tracker(points: int, seed: int = 0) -> tuple[Points, Tensor]:
    """Hits of one event (mm): helices from the beam line through barrel layers and disks, and noise on the same surfaces.

    A light generator of our own, with neither material nor modules; hits come layer by layer, as in files.
    """
    random = np.random.default_rng(seed)
    particles = points // 4 + 50  # about ten hits each: more than enough
    curl = CURL * (0.2 + random.exponential(0.7, particles))
    slope, start = np.sinh(random.uniform(-3.5, 3.5, particles)), random.normal(0, 5.5, particles)
    phi, charge = random.uniform(-np.pi, np.pi, particles), random.choice([-1.0, 1.0], particles)
    hits = []
    for radius, half in BARREL:
        with np.errstate(invalid="ignore"):
            half_turn = np.arcsin(radius / (2 * curl))  # NaN: curls up before it gets there
        z = start + 2 * curl * half_turn * slope
        seen = np.abs(z) <= half
        hits.append(np.column_stack([np.full(particles, radius), phi + charge * half_turn, z])[seen])
    for place, inner, outer in [(side * z, a, b) for z, a, b in DISKS for side in (-1, 1)]:
        half_turn = (place - start) / (2 * curl * slope)
        r = 2 * curl * np.sin(half_turn)
        seen = (half_turn > 0) & (half_turn < np.pi / 2) & (r >= inner) & (r <= outer)
        hits.append(np.column_stack([r, phi + charge * half_turn, np.full(particles, place)])[seen])
    surface = np.repeat(np.arange(len(hits)), [len(one) for one in hits])
    kept = np.sort(random.permutation(len(surface))[:points])
    assert len(kept) == points, "too few particles for so many hits"
    r, turn, z = np.concatenate(hits)[kept].T
    across = random.uniform(-THICK, THICK, points)
    on_barrel = surface[kept] < len(BARREL)
    r, z = np.where(on_barrel, r + across, r), np.where(on_barrel, z, z + across)
    turn = np.where(random.random(points) < NOISE, random.uniform(-np.pi, np.pi, points), turn)
    return np.column_stack([r * np.cos(turn), r * np.sin(turn), z]).astype(np.float32), torch.tensor([0, points])


def embedded(points: int, dim: int, seed: int = 0, decay: float = 1.0) -> tuple[Points, Tensor]:
    """A learned space with one cluster a particle: 10 points each, sigma 0.05, around centres uniform in [-1, 1]^dim, shuffled.

    ``decay`` below 1: each axis has that much less of the spread than the one before, and all are turned at random, as axes
    of a trained network are correlated.
    """
    random = np.random.default_rng(seed)
    centre = np.repeat(random.uniform(-1, 1, (-(-points // 10), dim)), 10, axis=0)[:points]
    pos = random.permutation(centre + random.normal(0, 0.05, (points, dim))) * decay ** np.arange(dim)
    if decay < 1:
        pos = pos @ np.linalg.qr(random.normal(size=(dim, dim)))[0]
    return pos.astype(np.float32), torch.tensor([0, points])


def real_file() -> Path:
    """Hits of one full real event, which is no part of this repository."""
    return Path(os.environ.get("PCLOUD_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / REAL


def real(scale: float) -> tuple[Points, Tensor]:
    import pandas as pd

    pos = pd.read_csv(real_file())[["x", "y", "z"]].to_numpy(np.float32)
    pos = pos[:: max(1, round(1 / scale))]
    return pos, torch.tensor([0, len(pos)])


def _many(number: int, scale: float) -> int:
    return max(100, round(number * scale))


HITS = "synthetic: helices through a barrel and disks, 15% noise, 100,000 hits"
CLUSTERS = "synthetic: 10,000 uniform centres in [-1, 1]^{0}, 10 points each, sigma 0.05"
CASES = {
    "jets": Case(
        "jets: 2,000 of about 50 points, d=2, k=16",
        "synthetic: Poisson(50) constituents around the jet axis",
        lambda scale: jets(max(4, round(2000 * scale))),
        k=16,
    ),
    "tracker": Case("one event of 100,000 hits, d=3, k=16", HITS, lambda scale: tracker(_many(100_000, scale)), k=16, brute=True),
    "embedded8": Case(
        "one learned space of 100,000 points, d=8, k=32",
        CLUSTERS.format(8),
        lambda scale: embedded(_many(100_000, scale), 8),
        k=32,
        brute=True,
        without=("cdist+topk, compiled",),
    ),
    "radius3": Case("100,000 hits, d=3, r=20 mm, k_max=32", HITS, lambda scale: tracker(_many(100_000, scale)), k=32, r=20.0),
    "radius8": Case(
        "learned space, 100,000 points, d=8, r=0.2, k_max=32",
        CLUSTERS.format(8),
        lambda scale: embedded(_many(100_000, scale), 8),
        k=32,
        r=0.2,
    ),
    "radius12": Case(
        "learned space, 100,000 points, d=12, r=0.3, k_max=32",
        CLUSTERS.format(12),
        lambda scale: embedded(_many(100_000, scale), 12),
        k=32,
        r=0.3,
    ),
    "lowrank8": Case(
        "correlated learned space, 100,000 points, d=8, k=32",
        CLUSTERS.format(8) + ", each axis 0.6 of the one before, turned at random",
        lambda scale: embedded(_many(100_000, scale), 8, decay=0.6),
        k=32,
    ),
    "batch": Case(
        "10,000 events of 128 points, d=3, k=16",
        "synthetic: normal in each coordinate",
        lambda scale: batch(max(4, round(10_000 * scale)), 128, 3),
        k=16,
    ),
    "million": Case(
        "one event of 1,000,000 hits, d=3, k=16",
        HITS.replace("100,000", "1,000,000"),
        lambda scale: tracker(_many(1_000_000, scale)),
        k=16,
    ),
    "real": Case("one full real event of 93,680 hits, d=3, k=16", "real: TrackML training event 1001", real, k=16),
}


def available() -> list[str]:
    """The names of the cases that can be made here."""
    return [name for name in CASES if name != "real" or real_file().exists()]


# Clouds that grow, for the plot of time against N: dimension -> (what it is, the cloud of about so many points); k = 16.
GROWING: dict[int, tuple[str, Callable[[int], tuple[Points, Tensor]]]] = {
    2: ("jets of about 50 points", lambda points: jets(points // 50)),
    3: ("one event of hits", tracker),
    8: ("one learned space", lambda points: embedded(points, 8)),
    12: ("one learned space", lambda points: embedded(points, 12)),
}
GROWTH = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)


def grown(dim: int, points: int, k: int = 16) -> Problem:
    pos, offsets = GROWING[dim][1](points)
    return Problem(torch.from_numpy(pos), offsets, k).ready()
