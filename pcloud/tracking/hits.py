"""The hits of an event in the order a track finder wants them: by layer, then by cells in phi and z (barrels) or r (discs).

`prepare(...)` reads an event once; `grid_of(...)` sorts those hits that are still free before every pass.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.detector import Table
from pcloud.tracking.layers import Layers, layer_numbers

PER_CELL = 1.5  # hits of a cell, on average
FAR = 1e9


class Hits(NamedTuple):
    """Columns, one row per hit."""

    layer: np.ndarray  # row of Layers, -1 where the detectors table has no such layer
    x: np.ndarray  # mm
    y: np.ndarray
    z: np.ndarray
    r: np.ndarray
    phi: np.ndarray
    ux: np.ndarray  # unit vector in the transverse plane along which u is measured
    uy: np.ndarray
    uu: np.ndarray  # variances of u and v, mm^2
    vv: np.ndarray
    rim: np.ndarray  # mm along z to the nearest rim of a deep module, negative if that is the lower one; FAR if there is none


class Grid(NamedTuple):
    """Free hits in cells, and the shape of the cells of each layer."""

    row: np.ndarray  # [free] rows of Hits, cell by cell
    x: np.ndarray  # [free] their columns in this order
    y: np.ndarray
    z: np.ndarray
    r: np.ndarray
    phi: np.ndarray
    ux: np.ndarray
    uy: np.ndarray
    uu: np.ndarray
    vv: np.ndarray
    rim: np.ndarray
    crowd: np.ndarray  # log of the hits per mm^2 about each hit
    start: np.ndarray  # [cells + 1] offsets into row
    first: np.ndarray  # [layers + 1] first cell of each layer
    n_phi: np.ndarray  # [layers] cells in phi
    n_v: np.ndarray  # [layers] cells along z or r
    low: np.ndarray  # [layers] where cells begin along z or r
    scale: np.ndarray  # [layers] cells per mm along z or r


def prepare(hits: dict[str, np.ndarray], detector: Table, layers: Layers) -> tuple[Hits, float]:
    """Columns of an event from x, y, z (mm), volume_id, layer_id and, where it is there and true, module_id.

    Also the share of named modules that do lie where their hits are: 1 for a detector in its place (and where none is named).
    """
    x, y, z = (np.ascontiguousarray(hits[name], dtype=np.float64) for name in "xyz")
    layer = layer_numbers(detector, hits["volume_id"], hits["layer_id"])
    layer[~(np.isfinite(x) & np.isfinite(y) & np.isfinite(z))] = -1
    phi = np.arctan2(y, x)
    ux, uy = -np.sin(phi), np.cos(phi)
    safe = layer.clip(0)
    uu, vv = layers.error_u[safe] ** 2, layers.error_v[safe] ** 2
    turned = layers.disc[safe] & (layer >= 0)
    rim, true = np.full(len(x), FAR), 1.0
    if "module_id" in hits:
        row = np.flatnonzero(layer >= 0)
        module = _modules(detector, hits, row)
        good = module >= 0
        good[good] = _inside(detector, module[good], x[row[good]], y[row[good]], z[row[good]])
        true = float(good.mean()) if len(good) else 1.0
        row, module = row[good], module[good]
        ax, ay = detector["rot_xu"][module], detector["rot_yu"][module]
        scale = np.sign(ux[row] * ax + uy[row] * ay) / np.hypot(ax, ay)
        ux[row], uy[row] = scale * ax, scale * ay
        turned[row] = False
        deep = layers.deep[layer[row]] > 0
        row, module = row[deep], module[deep]
        off = z[row] - detector["cz"][module]
        rim[row] = np.copysign(np.maximum(detector["module_hv"][module] - np.abs(off), 0.0), off)
    uu[turned] += vv[turned] * layers.turn[layer[turned]] ** 2 / 3
    x, y = x - layers.beside[safe] * ux, y - layers.beside[safe] * uy
    return Hits(layer, x, y, z, np.hypot(x, y), np.arctan2(y, x), ux, uy, uu, vv, rim), true


def _modules(detector: Table, hits: dict[str, np.ndarray], row: np.ndarray) -> np.ndarray:
    """Row of the detectors table of each hit, -1 where it has none."""
    keys = (detector["volume_id"] * 10_000 + detector["layer_id"]) * 100_000 + detector["module_id"]
    order = np.argsort(keys, kind="stable")
    volume, layer, module = (np.asarray(hits[name])[row].astype(np.int64) for name in ("volume_id", "layer_id", "module_id"))
    wanted = (volume * 10_000 + layer) * 100_000 + module
    place = np.searchsorted(keys[order], wanted).clip(max=len(keys) - 1)
    return np.where(keys[order][place] == wanted, order[place], -1)


def _inside(detector: Table, module: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Whether a hit lies on the module that it names, to 0.2 mm: rotated copies of events keep names that are no longer true."""
    dx, dy, dz = x - detector["cx"][module], y - detector["cy"][module], z - detector["cz"][module]
    u, v, w = (
        dx * detector[f"rot_x{axis}"][module] + dy * detector[f"rot_y{axis}"][module] + dz * detector[f"rot_z{axis}"][module]
        for axis in "uvw"
    )
    half_v = detector["module_hv"][module]
    share = (v + half_v) / (2 * half_v)
    half_u = detector["module_minhu"][module] * (1 - share) + detector["module_maxhu"][module] * share
    ok: np.ndarray = (np.abs(w) < 0.2) & (np.abs(v) < half_v + 0.2) & (np.abs(u) < half_u + 0.2)
    return ok


def grid_of(hits: Hits, layers: Layers, free: np.ndarray) -> Grid:
    """Sort the free hits (rows of Hits) into cells."""
    n = len(layers.at)
    count = np.bincount(hits.layer[free], minlength=n)
    mean = np.where(layers.disc, (layers.low + layers.high) / 2, layers.at)
    round_, length = 2 * np.pi * mean, layers.high - layers.low + 2.0
    cell = np.sqrt(round_ * length / np.maximum(count / PER_CELL, 1.0))
    n_phi = np.clip(round_ / cell, 4, 2048).astype(np.int64)
    n_v = np.clip(length / cell, 1, 1024).astype(np.int64)
    low, scale = layers.low - 1.0, n_v / length
    first = np.concatenate([[0], np.cumsum(n_phi * n_v)])
    order, start = _sorted(free, hits.layer, hits.phi, hits.z, hits.r, layers.disc, first, n_phi, n_v, low, scale)
    area = round_ * length / (n_phi * n_v)
    crowd = _crowd(start, first, n_phi, n_v, area, len(order))
    columns = (np.ascontiguousarray(c[order]) for c in hits[1:])
    return Grid(order, *columns, crowd, start, first, n_phi, n_v, low, scale)


@compiled(lean=True)
def cell_phi(phi: float, n_phi: int) -> int:
    return min(max(int((phi + math.pi) / (2 * math.pi) * n_phi), 0), n_phi - 1)


@compiled()
def _sorted(free, layer, phi, z, r, disc, first, n_phi, n_v, low, scale):
    """Rows cell by cell (a counting sort, stable), and where each cell begins."""
    start = np.zeros(first[-1] + 1, np.int64)
    cell = np.empty(len(free), np.int64)
    for i in range(len(free)):
        h = free[i]
        a = layer[h]
        v = r[h] if disc[a] else z[h]
        b = min(max(int((v - low[a]) * scale[a]), 0), n_v[a] - 1)
        cell[i] = first[a] + cell_phi(phi[h], n_phi[a]) * n_v[a] + b
        start[cell[i] + 1] += 1
    for c in range(len(start) - 1):
        start[c + 1] += start[c]
    order, filled = np.empty(len(free), np.int64), start.copy()
    for i in range(len(free)):
        order[filled[cell[i]]] = free[i]
        filled[cell[i]] += 1
    return order, start


@compiled()
def _crowd(start, first, n_phi, n_v, area, total):
    """log(hits per mm^2) about each hit: in its cell and those around it, 5 along phi by 5 along z or r."""
    crowd = np.empty(total)
    for a in range(len(n_phi)):
        for i in range(n_phi[a]):
            for j in range(n_v[a]):
                c = first[a] + i * n_v[a] + j
                if start[c + 1] == start[c]:
                    continue
                lo, hi = max(j - 2, 0), min(j + 2, n_v[a] - 1)
                count, wide = 0, min(2, (n_phi[a] - 1) // 2)
                for k in range(-wide, wide + 1):
                    other = first[a] + (i + k) % n_phi[a] * n_v[a]
                    count += start[other + hi + 1] - start[other + lo]
                value = math.log(count / (area[a] * (hi - lo + 1) * (2 * wide + 1)))
                for h in range(start[c], start[c + 1]):
                    crowd[h] = value
    return crowd
