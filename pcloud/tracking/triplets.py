"""The graph that the learned track finder judges: pairs and triplets of hits that lie on one helix, roughly.

`triplets_of(...)` gives the graph of the free hits, `pair_features` and `triplet_features` what can be measured on it.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.hits import Grid, Hits, grid_of
from pcloud.tracking.layers import Layers
from pcloud.tracking.passes import in_wedges
from pcloud.tracking.searching import all_seeds
from pcloud.tracking.seeding import ANGLE, BEAM, BEND, arc_of, third
from pcloud.tracking.settings import Cuts

PAIR_FEATURES = 15
MOST = 3_000_000  # triplets of a pass: what 8 GB hold with their network
TRIPLET_FEATURES = 12


class Triplets(NamedTuple):
    """A graph whose points are pairs of hits on neighbouring layers and whose edges join pairs that share a hit."""

    row: np.ndarray  # [places] rows of Hits: pairs and triplets name places
    pairs: np.ndarray  # [pairs, 2] places, inner hit first, no pair twice
    inner: np.ndarray  # [triplets] row of pairs: first and second hit
    outer: np.ndarray  # [triplets] row of pairs: second and third hit
    pair_features: np.ndarray  # [pairs, PAIR_FEATURES] float32
    triplet_features: np.ndarray  # [triplets, TRIPLET_FEATURES] float32

    @property
    def hits(self) -> np.ndarray:
        """[triplets, 3] places."""
        return np.concatenate([self.pairs[self.inner], self.pairs[self.outer, 1:]], axis=1)


def triplets_of(hits: Hits, free: np.ndarray, layers: Layers, links: np.ndarray, cuts: Cuts, threads: int) -> Triplets:
    """The graph of the free hits (rows of Hits) within the windows of the cuts, in an order of its own."""
    grid = grid_of(hits, layers, free)
    layer_of = hits.layer[grid.row]

    def work(first: int, last: int, starts: np.ndarray) -> tuple[np.ndarray, ...]:
        return (all_seeds(first, last, starts, layer_of, grid, layers, links, cuts),)

    (seeds,) = in_wedges(grid, cuts, threads, work)
    while len(seeds) > MOST:
        words = f"{len(free):,} hits make {len(seeds):,} triplets, more than {MOST:,}: the likelier ones alone are taken"
        warnings.warn(words, stacklevel=2)
        cuts = cuts._replace(seed_gain=cuts.seed_gain + 1)
        (seeds,) = in_wedges(grid, cuts, threads, work)
    n = len(grid.row)
    if cuts.beam > 0:
        seeds = over_holes(seeds, n, layer_of, grid, layers, links, cuts)
    keys, which = np.unique(np.concatenate([seeds[:, 0] * n + seeds[:, 1], seeds[:, 1] * n + seeds[:, 2]]), return_inverse=True)
    pairs = np.stack([keys // n, keys % n], axis=1) if n else np.zeros((0, 2), np.int64)
    bend = _Bend(grid, pairs[:, 0], pairs[:, 1])
    inner, outer = which[: len(seeds)], which[len(seeds) :]
    return Triplets(
        grid.row, pairs, inner, outer, pair_features(grid, layers, layer_of, pairs, bend),
        triplet_features(grid, layers, layer_of, seeds, bend, inner, outer),
    )  # fmt: skip


def over_holes(
    seeds: np.ndarray, n: int, layer_of: np.ndarray, grid: Grid, layers: Layers, links: np.ndarray, cuts: Cuts
) -> np.ndarray:
    """Where a pair goes on on no next layer, it may go on on the one after: those triplets, and what continues them, besides."""
    inner, outer = seeds[:, 0] * n + seeds[:, 1], seeds[:, 1] * n + seeds[:, 2]
    loose = np.setdiff1d(outer, inner)
    bridges = thirds(loose // n, loose % n, layer_of, grid, layers, links, cuts._replace(first_step=1.0))
    across = np.setdiff1d(bridges[:, 1] * n + bridges[:, 2], inner)
    onward = thirds(across // n, across % n, layer_of, grid, layers, links, cuts._replace(first_step=0.0))
    return np.concatenate([seeds, bridges, onward])


@compiled()
def thirds(
    first: np.ndarray, second: np.ndarray, layer_of: np.ndarray, grid: Grid, layers: Layers, links: np.ndarray, cuts: Cuts
) -> np.ndarray:
    """The triplets that pairs make: [triplets, 3] places."""
    seeds, count = np.empty((256, 3), np.int64), 0
    for i in range(len(first)):
        a, b = first[i], second[i]
        ra, rb = grid.r[a], grid.r[b]
        dx, dy = grid.x[b] - grid.x[a], grid.y[b] - grid.y[a]
        w = 2 * (grid.x[a] * dy - grid.y[a] * dx) / (ra * rb * math.sqrt(dx * dx + dy * dy))
        sa, sb = arc_of(ra, w), arc_of(rb, w)
        t = (grid.z[b] - grid.z[a]) / (sb - sa)
        found = third(seeds, count, a, b, layer_of[a], layer_of[b], w, sa, sb, t, grid, layers, links, cuts)
        if found > len(seeds):
            larger = np.empty((2 * found, 3), np.int64)
            larger[:count] = seeds[:count]
            seeds = larger
            third(seeds, count, a, b, layer_of[a], layer_of[b], w, sa, sb, t, grid, layers, links, cuts)
        count = found
    return seeds[:count]


class _Bend:
    """Of pairs: the circle through the beam line and both hits, of curvature w (1/mm), and the line in z along its arc."""

    def __init__(self, grid: Grid, a: np.ndarray, b: np.ndarray) -> None:
        ra, rb = grid.r[a], grid.r[b]
        dx, dy = grid.x[b] - grid.x[a], grid.y[b] - grid.y[a]
        self.base = np.hypot(dx, dy)
        self.w = 2 * (grid.x[a] * dy - grid.y[a] * dx) / np.maximum(ra * rb * self.base, 1e-9)
        self.sa, self.sb = arc(ra, self.w), arc(rb, self.w)
        self.t = (grid.z[b] - grid.z[a]) / np.maximum(self.sb - self.sa, 0.1)  # cot(theta)
        self.z0 = grid.z[a] - self.t * self.sa
        self.chord = (grid.z[b] - grid.z[a]) / np.maximum(self.base, 0.1)


def turned(r: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Azimuth gained along a circle of curvature w through the beam line, out to the radius r."""
    out: np.ndarray = np.arcsin(np.clip(0.5 * w * r, -0.999, 0.999))
    return out


def arc(r: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Way along it."""
    x = np.clip(0.5 * w * r, -0.999, 0.999)
    out: np.ndarray = r * np.where(np.abs(x) < 1e-3, 1 + x * x / 6, np.arcsin(x) / np.where(np.abs(x) < 1e-3, 1.0, x))
    return out


def pair_features(grid: Grid, layers: Layers, layer_of: np.ndarray, pairs: np.ndarray, bend: _Bend) -> np.ndarray:
    """[pairs, PAIR_FEATURES] float32: where both hits are, how crowded it is there, and the helix from the beam line."""
    a, b = pairs[:, 0], pairs[:, 1]
    turn = (grid.phi[b] - grid.phi[a] + np.pi) % (2 * np.pi) - np.pi
    columns = [
        grid.r[a] / 300, grid.r[b] / 300, grid.z[a] / 1000, grid.z[b] / 1000,
        layers.disc[layer_of[a]], layers.disc[layer_of[b]], grid.crowd[a], grid.crowd[b],
        np.arcsinh(bend.w / BEND), np.arcsinh(bend.t), np.arcsinh(bend.z0 / 20), np.arcsinh(bend.chord),
        np.log(np.maximum(bend.base, 0.1)) - 3, np.arcsinh(turn * 30), np.abs(bend.w) / BEND / 3,
    ]  # fmt: skip
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def triplet_features(
    grid: Grid, layers: Layers, layer_of: np.ndarray, seeds: np.ndarray, bend: _Bend, inner: np.ndarray, outer: np.ndarray
) -> np.ndarray:
    """[triplets, TRIPLET_FEATURES] float32: how far the third hit is from where the first two point, in mm and in errors;
    the circle through all three and how far it passes the beam line."""
    a, b, c = seeds.T
    w, t, sa, sb = (getattr(bend, name)[inner] for name in ("w", "t", "sa", "sb"))
    ra, rb, rc, disc = grid.r[a], grid.r[b], grid.r[c], layers.disc[layer_of[c]]
    sc = arc(rc, w)
    base, lever = np.maximum(sb - sa, 0.1), np.maximum(sc - sb, 0.1)
    du = rc * ((grid.phi[c] - grid.phi[a] - turned(rc, w) + turned(ra, w) + np.pi) % (2 * np.pi) - np.pi)
    soft = np.abs(w) / BEND
    theta = ANGLE * soft * np.sqrt(1 + 0.0195 * soft * soft)
    uu = grid.uu[c] + grid.uu[b] * (rc * (rc - ra) / (rb * base)) ** 2 + grid.uu[a] * (rc * lever / (ra * base)) ** 2
    uu += (BEAM * (rc - ra) * lever / (ra * rb)) ** 2 + (lever * theta) ** 2 * (1 + ((sc - sa) / sb) ** 2)
    slope = np.where(disc, np.maximum(np.abs(t), 0.1), 1.0)  # a disc measures r: a miss along z is seen through the slope
    dv = (grid.z[c] - grid.z[a] - t * (sc - sa)) / slope
    q = lever / base
    near = np.where(layers.disc[layer_of[b]] == disc, 1.0, np.where(disc, 1 / slope, np.abs(t)))
    vv = grid.vv[c] + (grid.vv[b] * (1 + q) ** 2 + grid.vv[a] * q**2) * near**2
    vv += (lever * theta) ** 2 * (1 + t * t) / slope**2
    # the circle through all three hits
    ax, ay, bx, by = grid.x[b] - grid.x[a], grid.y[b] - grid.y[a], grid.x[c] - grid.x[b], grid.y[c] - grid.y[b]
    cx, cy = ax + bx, ay + by
    size = np.hypot(ax, ay), np.hypot(bx, by), np.hypot(cx, cy)
    w3 = 2 * (ax * by - ay * bx) / np.maximum(size[0] * size[1] * size[2], 1e-9)
    half = np.clip(0.5 * w3 * size[0], -0.999, 0.999)
    cos, sin = np.sqrt(1 - half * half), -half  # heading at a: the chord turned back by half its angle
    ex, ey = (ax * cos - ay * sin) / np.maximum(size[0], 1e-6), (ay * cos + ax * sin) / np.maximum(size[0], 1e-6)
    across = -grid.x[a] * ey + grid.y[a] * ex
    bottom = 1 + np.sqrt(np.maximum(1 + 2 * w3 * across + w3 * w3 * ra * ra, 0.0))
    impact = (2 * across + w3 * ra * ra) / bottom
    one, two = arc(size[0], w3), arc(size[1], w3)
    bent = (grid.z[c] - grid.z[b] - (grid.z[b] - grid.z[a]) * two / np.maximum(one, 0.1)) / slope
    columns = [
        np.arcsinh(du / np.sqrt(uu)), np.arcsinh(dv / np.sqrt(vv)), np.arcsinh(bent / np.sqrt(vv)),
        0.5 * np.log(uu) + 1, 0.5 * np.log(vv) + 1, 0.5 * np.log(uu * vv) + grid.crowd[c],
        np.arcsinh((bend.w[outer] - w) / BEND), np.arcsinh((bend.t[outer] - t) * 5),
        np.arcsinh((bend.z0[outer] - bend.z0[inner]) / 5),
        np.arcsinh(w3 / BEND), np.arcsinh(impact / 0.2), np.arcsinh(impact / 10),
    ]  # fmt: skip
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)
