"""From true crossings to what is read out: the channels a path lights, their centroid as the hit, and noise hits.

`read_out(...)` turns crossings into cells and measured places, `noise(...)` draws crossings that belong to no particle.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from data_prep.simulate.lookup import Lookup
from data_prep.simulate.transport import GRAZING
from pcloud.tracking.detector import Table

# Facts read off a real event's cells, whose centroid is the hit to the printed digit: barrels deposit charge along half of
# their sensor only and drift it sideways in u; the official position corrects twice the mean drift, which leaves a bias.
DRIFT = {8: (-1.0, 0.12), 13: (1.0, 0.12), 17: (1.0, 0.08)}  # barrel volume: side of the readout, tangent of the drift angle
ANALOG = (7, 8, 9)  # volumes whose cells hold charge (path length in mm); strips say 1
CHARGE_SPREAD = 0.1  # relative width of a cell's charge
NOISE_MOMENTUM = 1e6  # length of the nonsense momentum that TrackML writes for noise
NOISE_ANGLE = np.pi / 4  # noise points away from the origin, turned by up to this in phi and in theta


class Readout(NamedTuple):
    """Measured places, and one row per cell."""

    position: np.ndarray  # [hits, 3] mm, on the module's plane
    hit: np.ndarray  # [cells] row of the hit
    channel: np.ndarray  # [cells, 2] in u and v
    value: np.ndarray  # [cells] mm of path for pixels, 1 for strips


def local(points: np.ndarray, module: np.ndarray, lookup: Lookup) -> tuple[np.ndarray, np.ndarray]:
    """u and v (mm) of points [n, 3] in the frames of their modules."""
    offset = points - lookup.centre[module]
    return (offset * lookup.axes[module, 0]).sum(axis=1), (offset * lookup.axes[module, 1]).sum(axis=1)


def place(u: np.ndarray, v: np.ndarray, module: np.ndarray, lookup: Lookup) -> np.ndarray:
    """Points [n, 3] (mm) on the module planes."""
    points: np.ndarray = lookup.centre[module] + u[:, None] * lookup.axes[module, 0] + v[:, None] * lookup.axes[module, 1]
    return points


def read_out(
    rng: np.random.Generator, true: np.ndarray, momentum: np.ndarray, module: np.ndarray, detector: Table, lookup: Lookup
) -> Readout:
    """Cells and measured places of crossings, steeper than GRAZING, of modules [n] at `true` [n, 3] (mm) with `momentum`."""
    u, v = local(true, module, lookup)
    slope_u, slope_v = _slopes(momentum, module, lookup)
    thick, side, drift, analog = _sensors(detector, module)
    pitch = np.stack([detector["pitch_u"], detector["pitch_v"]], axis=1)[module]
    half = np.stack([detector["module_maxhu"], detector["module_hv"]], axis=1)[module]
    run = np.stack([slope_u - drift, slope_v], axis=1) * thick[:, None] / pitch
    middle = np.stack([u + side * drift * thick / 2, v], axis=1)
    row, channel, share = _pieces((middle + half) / pitch - run / 2, run, np.rint(2 * half / pitch))
    path = thick * np.sqrt(1 + slope_u**2 + slope_v**2)
    charge = share * path[row] * rng.normal(1.0, CHARGE_SPREAD, row.size).clip(0.2)
    value = np.where(analog[row], charge, 1.0)
    total = np.bincount(row, value, len(module))
    centre = np.stack([np.bincount(row, value * (channel[:, i] + 0.5), len(module)) / total for i in (0, 1)], axis=1)
    measured = centre * pitch - half
    measured[:, 0] -= side * drift * thick
    return Readout(place(measured[:, 0], measured[:, 1], module, lookup), row, channel, value)


def _pieces(start: np.ndarray, run: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hit row, channels and share of the path of every channel a path meets; all [hits, 2] in units of channels."""
    borders = np.abs(np.floor(start + run) - np.floor(start)).sum(axis=1).astype(np.int64)
    offset = np.concatenate([[0], np.cumsum(borders + 1)])
    row, channel, share = np.zeros(offset[-1], np.int64), np.zeros((offset[-1], 2), np.int64), np.zeros(offset[-1])
    _walk(start, run, size, offset, row, channel, share)
    kept = share > 0
    return row[kept], channel[kept], share[kept]


def _slopes(momentum: np.ndarray, module: np.ndarray, lookup: Lookup) -> tuple[np.ndarray, np.ndarray]:
    """du/dw and dv/dw of each path in its module's frame."""
    along = np.einsum("ni,nji->nj", momentum, lookup.axes[module])
    return along[:, 0] / along[:, 2], along[:, 1] / along[:, 2]


def _sensors(detector: Table, module: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    volume = detector["volume_id"][module]
    side, drift = np.zeros(len(module)), np.zeros(len(module))
    for barrel, (sign, tangent) in DRIFT.items():
        side[volume == barrel], drift[volume == barrel] = sign, tangent
    thick = detector["module_t"][module] * np.where(side == 0, 2, 1)
    return thick, side, drift, np.isin(volume, ANALOG)


def noise(rng: np.random.Generator, count: int, lookup: Lookup) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise uniform over modules and over each of them: module rows, positions [n, 3] (mm), nonsense momenta [n, 3].

    Directions that graze their module are drawn again, module included: like particles, they are not read out.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    missing = count
    while missing > 0:
        module, position, direction = _noise(rng, 2 * missing, lookup)
        seen = np.flatnonzero(np.abs((direction * lookup.axes[module, 2]).sum(axis=1)) > GRAZING)[:missing]
        parts.append((module[seen], position[seen], direction[seen]))
        missing -= len(seen)
    if not parts:
        return np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3))
    modules, positions, directions = (np.concatenate(column) for column in zip(*parts, strict=True))
    return modules, positions, NOISE_MOMENTUM * directions


def _noise(rng: np.random.Generator, count: int, lookup: Lookup) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    module = rng.integers(0, len(lookup.centre), count)
    half_v = lookup.sizes[module, 2]
    v = rng.uniform(-1, 1, count) * half_v
    half_u = lookup.sizes[module, 0] + (lookup.sizes[module, 1] - lookup.sizes[module, 0]) * (v + half_v) / (2 * half_v)
    position = place(rng.uniform(-1, 1, count) * half_u, v, module, lookup)
    x, y, z = position.T
    phi, theta = np.stack([np.arctan2(y, x), np.arctan2(np.hypot(x, y), z)]) + rng.uniform(-1, 1, (2, count)) * NOISE_ANGLE
    return module, position, np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)


@numba.njit(cache=True)
def _walk(
    start: np.ndarray,
    run: np.ndarray,
    size: np.ndarray,
    offset: np.ndarray,
    row: np.ndarray,
    channel: np.ndarray,
    share: np.ndarray,
) -> None:
    """Cut each path at the borders of its channels; a piece off the module keeps the share 0.

    start, run [hits, 2]: first end and extent of the path in channels; size [hits, 2]: channels of the module; offset: first
    row of each hit in the outputs, which have room for one piece per border crossed and one more.
    """
    for i in range(len(start)):
        a, b, step_a, step_b = start[i, 0], start[i, 1], run[i, 0], run[i, 1]
        ca, cb = math.floor(a), math.floor(b)
        t, kept = 0.0, False
        for n in range(offset[i], offset[i + 1]):
            to_a = ((ca + 1 if step_a > 0 else ca) - a) / step_a if step_a != 0 else 2.0
            to_b = ((cb + 1 if step_b > 0 else cb) - b) / step_b if step_b != 0 else 2.0
            end = min(to_a, to_b, 1.0)
            row[n], channel[n, 0], channel[n, 1] = i, ca, cb
            if end > t and 0 <= ca < size[i, 0] and 0 <= cb < size[i, 1]:
                share[n], kept = end - t, True
            t = max(t, end)
            if to_a <= to_b:
                ca += 1 if step_a > 0 else -1
            else:
                cb += 1 if step_b > 0 else -1
        if not kept:  # drifted off the rim: the channel of the rim that is next to the path's middle
            n = offset[i]
            share[n] = 1.0
            channel[n, 0] = int(min(max(a + step_a / 2, 0.0), size[i, 0] - 1.0))
            channel[n, 1] = int(min(max(b + step_b / 2, 0.0), size[i, 1] - 1.0))
