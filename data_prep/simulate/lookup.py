"""Which modules can a track step touch: layers by (r, z) cell, modules of a layer by (phi, z or r) cell.

`Lookup.of(detector)` builds the arrays once; the transport reads them inside its compiled loop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcloud.tracking.detector import Table

CELL = 10.0  # mm, of the (r, z) map
STEP = 20.0  # mm, the longest step taken near modules
REACH_R, REACH_Z = 1060.0, 3000.0  # where tracking ends
_SLACK = 0.5 * STEP + 2.0  # a step's middle is this near to all of it
MAX_LAYERS = 6  # that one (r, z) cell can be near to


class Lookup(NamedTuple):
    """Arrays over modules (rows of the detectors table), over layers and over cells."""

    centre: np.ndarray  # [modules, 3] mm
    axes: np.ndarray  # [modules, 3 (u, v, w), 3]
    sizes: np.ndarray  # [modules, 3]: half u at -v, half u at +v, half v
    within: np.ndarray  # [modules] least cosine of the azimuth from a module's centre to a crossing of it
    layer: np.ndarray  # [modules] dense layer number
    envelope: np.ndarray  # [layers, 4]: range in r and range in z of its modules, mm
    distance: np.ndarray  # [r, z] from the cell's middle to the nearest layer, mm
    near: np.ndarray  # [r, z, MAX_LAYERS] layers that a step from this cell may touch, -1 = none
    disc: np.ndarray  # [layers] cells run along r if true, along z if not
    rows: np.ndarray  # [layers] cells in phi
    columns: np.ndarray  # [layers] cells along r or z
    start: np.ndarray  # [layers] r or z of the first cell's edge, mm
    width: np.ndarray  # [layers] of a cell in r or z, mm
    first: np.ndarray  # [layers] the layer's first cell
    cells: np.ndarray  # offsets into `members`
    members: np.ndarray  # module rows

    @classmethod
    def of(cls, detector: Table) -> Lookup:
        centre = np.stack([detector[name] for name in ("cx", "cy", "cz")], axis=1)
        axes = np.stack([[detector[f"rot_{axis}{local}"] for axis in "xyz"] for local in "uvw"]).transpose(2, 0, 1)
        sizes = np.stack([detector[name] for name in ("module_minhu", "module_maxhu", "module_hv")], axis=1)
        _, layer = np.unique(detector["volume_id"] * 1000 + detector["layer_id"], return_inverse=True)
        corners = _outline(centre, axes, sizes)
        envelope = _envelopes(corners, layer)
        distance, near = _map(envelope)
        within = _within(centre, axes, layer)
        arrays = (centre, axes, sizes, within, layer, envelope, distance, near, *_layer_cells(corners, axes, layer))
        return cls(*(np.ascontiguousarray(a) for a in arrays))


def _within(centre: np.ndarray, axes: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Official: of a ring of a disc only the module nearest in phi and its two neighbours are looked at.

    Near the beam four lie over one another, but of 2,048 places at r < 35 mm in three real events none has more than three hits.
    """
    ring = np.stack([layer, np.rint(np.hypot(centre[:, 0], centre[:, 1])), np.abs(axes[:, 2, 2]) > 0.5], axis=1)
    _, member, count = np.unique(ring, axis=0, return_inverse=True, return_counts=True)
    reach = 1.5 * 2 * np.pi / count[member.reshape(-1)]
    return np.where(ring[:, 2] > 0, np.cos(np.minimum(reach, np.pi)), -1.0)


def _outline(centre: np.ndarray, axes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Corners and edge middles of each module: [modules, 8, 3] mm."""
    points = []
    for v in (-1.0, 0.0, 1.0):
        half = np.where(v < 0, sizes[:, 0], np.where(v > 0, sizes[:, 1], sizes[:, :2].mean(axis=1)))
        for u in (-1.0, 0.0, 1.0):
            if u or v:
                points.append(centre + (u * half)[:, None] * axes[:, 0] + (v * sizes[:, 2])[:, None] * axes[:, 1])
    return np.stack(points, axis=1)


def _envelopes(corners: np.ndarray, layer: np.ndarray) -> np.ndarray:
    r, z = np.hypot(corners[..., 0], corners[..., 1]), corners[..., 2]
    limits = [(r[m].min(), r[m].max(), z[m].min(), z[m].max()) for m in (layer == k for k in range(layer.max() + 1))]
    return np.array(limits)


def _map(envelope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r = (np.arange(int(REACH_R / CELL) + 1) + 0.5) * CELL
    z = (np.arange(int(2 * REACH_Z / CELL)) + 0.5) * CELL - REACH_Z
    distance = np.full((r.size, z.size), np.inf)
    near = np.full((r.size, z.size, MAX_LAYERS), -1, dtype=np.int64)
    count = np.zeros((r.size, z.size), dtype=np.int64)
    for number, (r_low, r_high, z_low, z_high) in enumerate(envelope):
        dr = np.maximum(0, np.maximum(r_low - r, r - r_high))
        dz = np.maximum(0, np.maximum(z_low - z, z - z_high))
        away = np.hypot(dr[:, None], dz[None, :])
        distance = np.minimum(distance, away)
        rows, columns = np.nonzero(away < STEP + CELL)
        assert (count[rows, columns] < MAX_LAYERS).all(), "more layers near one cell than the table holds"
        near[rows, columns, count[rows, columns]] = number
        count[rows, columns] += 1
    return distance, near


def _layer_cells(corners: np.ndarray, axes: np.ndarray, layer: np.ndarray) -> tuple[np.ndarray, ...]:
    shape: list[tuple[bool, int, int, float, float, int]] = []
    members, counts = [], []
    total = 0
    for number in range(layer.max() + 1):
        rows = np.flatnonzero(layer == number)
        disc = abs(axes[rows[0], 2, 2]) > 0.5
        radius = np.hypot(corners[rows, :, 0], corners[rows, :, 1])
        second = radius if disc else corners[rows, :, 2]
        low, high = second.min() - _SLACK, second.max() + _SLACK
        n_phi, n_second = max(8, int(np.sqrt(rows.size * 8))), max(1, int((high - low) / 30.0))
        width = (high - low) / n_second
        middle = corners[rows].mean(axis=1)
        phi = np.arctan2(middle[:, 1], middle[:, 0])
        spread = np.angle(np.exp(1j * (np.arctan2(corners[rows, :, 1], corners[rows, :, 0]) - phi[:, None])))
        reach = np.abs(spread).max(axis=1) + _SLACK / np.maximum(radius.min(axis=1) - _SLACK, 5.0)
        scale = n_phi / (2 * np.pi)
        turn = np.floor((phi[:, None] + reach[:, None] * [-1, 1] + np.pi) * scale).astype(np.int64)
        span = ((np.stack([second.min(axis=1) - _SLACK, second.max(axis=1) + _SLACK], axis=1) - low) / width).astype(np.int64)
        span = span.clip(0, n_second - 1)
        # every module stands in a rectangle of cells, first..last in phi and along: all pairs (module, cell) at once
        size = np.stack([turn[:, 1] - turn[:, 0] + 1, span[:, 1] - span[:, 0] + 1], axis=1)
        module = np.repeat(np.arange(rows.size), size.prod(axis=1))
        place = np.arange(module.size) - np.repeat(np.cumsum(size.prod(axis=1)) - size.prod(axis=1), size.prod(axis=1))
        i, j = np.divmod(place, size[module, 1])
        cell = (turn[module, 0] + i) % n_phi * n_second + span[module, 0] + j
        members.append(rows[module[np.argsort(cell, kind="stable")]])
        counts.append(np.bincount(cell, minlength=n_phi * n_second))
        shape.append((bool(disc), n_phi, n_second, low, width, total))
        total += n_phi * n_second
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return (*(np.array(column) for column in zip(*shape, strict=True)), offsets, np.concatenate(members))
