"""A detectors table of whole layers, for events whose modules nobody wrote down: cylinders and discs in place of modules.

``detectors_of(layers, field_z)`` makes the table, ``layers_in_hits(...)`` reads layers off the hits of some events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pcloud.tracking.detector import COLUMNS, IDS, Table

FIRST_MODULE = 99_001  # stand-ins for modules are numbered from here, out of the way of real ones


class Layer(NamedTuple):
    """A cylinder about the beam (``at``: its radius; ``low``, ``high``: its ends along z) or a disc (z; radii). mm."""

    volume: int
    layer: int
    disc: bool
    at: float
    thick: float  # how far hits lie off the surface, at most
    low: float
    high: float
    error_u: float  # of a hit along phi
    error_v: float  # along z, or along the radius of a disc
    half_u: float = 0.0  # half width of a disc's modules: they measure u across their own middle, not across the radius


def detectors_of(layers: Sequence[Layer], field_z: float) -> Table:
    """Four points of each layer as modules without size, from which `pcloud.tracking.layers.layers_of` reads it again.

    ``field_z``: T, constant along z. pitch = error * sqrt(12). Matter is left to the finder's default.
    """
    rows = []
    for one in layers:
        middle = (one.low + one.high) / 2
        points = ((one.at, one.low), (one.at, one.high), (one.at - one.thick, middle), (one.at + one.thick, middle))
        for number, (across, along) in enumerate(points):
            r, z = (along, across) if one.disc else (across, along)
            axes = (0, 1, 0, -1, 0, 0, 0, 0, 1) if one.disc else (0, 0, 1, 1, 0, 0, 0, 1, 0)
            pitch = one.error_u * np.sqrt(12), one.error_v * np.sqrt(12)
            sizes = (0.0, one.half_u, one.half_u, 0.0, *pitch)
            rows.append((one.volume, one.layer, FIRST_MODULE + number, r, 0.0, z, *axes, *sizes))
    columns = np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS)).T
    table = {name: np.ascontiguousarray(column) for name, column in zip(COLUMNS, columns, strict=True)}
    table = {name: column.astype(np.int64) if name in IDS else column for name, column in table.items()}
    return table | {"field_z": np.full(len(rows), field_z)}


def layers_in_hits(
    volume: np.ndarray, layer: np.ndarray, r: np.ndarray, z: np.ndarray, errors: dict[int, tuple[float, float]]
) -> list[Layer]:
    """The layers that hits name, where their hits lie (mm); ``errors``: volume -> error along u and v.

    A volume holds discs if the hits of its layers spread less along z than along r, all layers together; where no layer has more
    than a hit, if they lie farther along z than along r.
    """
    layers = []
    for v in np.unique(volume):
        mine = [(int(one), (volume == v) & (layer == one)) for one in np.unique(layer[volume == v])]
        spread_z, spread_r = (sum(float(np.ptp(one[rows])) for _, rows in mine) for one in (z, r))
        disc = spread_z < spread_r or (spread_z == spread_r and np.abs(z[volume == v]).mean() > r[volume == v].mean())
        for name, rows in mine:
            across, along = (z[rows], r[rows]) if disc else (r[rows], z[rows])
            low, high = float(across.min()), float(across.max())
            ends = float(along.min()), float(along.max())
            layers.append(Layer(int(v), name, bool(disc), (low + high) / 2, (high - low) / 2, *ends, *errors[int(v)]))
    return layers
