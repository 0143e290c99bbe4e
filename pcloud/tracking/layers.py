"""The layers of a detector as a track meets them: cylinders and discs, what they measure, how much matter stands in them.

`layers_of(detector)` works for any detectors table; compiled code walks through the result outward and inward.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcloud.tracking.detector import Table

SILICON_X0 = 93.7  # mm
# TrackML's volumes and how many layers each has, with ids 2, 4, 6, ... Another detector may use the same volume numbers for
# something else: the constants below hold where every layer bears one of these names and the field is TrackML's.
TRACKML = {7: 7, 8: 4, 9: 7, 12: 6, 13: 4, 14: 6, 16: 6, 17: 2, 18: 6}
# Matter crossed at a layer in mm of silicon, with its supports and those pipes, tubes and plates that stand before it. From the
# description of the official simulation's detector; by (volume, layer) where one layer differs from its volume.
MATTER = {7: 1.65, 8: 1.65, 9: 1.65, 12: 2.75, 13: 2.25, 14: 2.75, 16: 3.85, 17: 2.85, 18: 3.85}
MATTER_LAYER = {
    (8, 2): 1.9, (13, 2): 2.75, (9, 2): 3.15, (7, 14): 3.15, (14, 2): 5.25, (12, 12): 5.25, (18, 2): 7.35, (16, 12): 7.35,
}  # fmt: skip
MATTER_UNKNOWN = 2.0
PIPE = 0.22  # mm of silicon before the first layer
# It stands behind the sensors of the pixel barrel, before those of the strip barrels and between the two faces of discs: by where
# truth momenta turn between two hits, in a real event as in simulated ones. Two hits of a layer have but a sensor between them.
BEHIND = (8,)
# Errors (mm) along u and v where they differ from pitch / sqrt(12): charge sharing in the thick pixel barrel. From a real event's
# truth; strips and pixel discs agree with their pitch.
ERRORS = {8: (0.006, 0.0065), 7: (0.0156, 0.0095), 9: (0.0156, 0.0095), 13: (0.021, 0.33), 12: (0.019, 0.345), 14: (0.019, 0.345),
          17: (0.028, 3.15), 16: (0.028, 3.05), 18: (0.028, 3.05)}  # fmt: skip

# Barrels publish u beside the true place by this (mm): the drift of charge is corrected twice. From a real event's cells.
BESIDE = {8: 0.009, 13: -0.015, 17: -0.014}
# Barrel pixels collect charge along this depth (mm), over many channels in z if a track slants. What leaves a module at its rim
# is not read out; the published middle of the rest lies off the true place by up to a quarter of the path. From the same cells.
DEEP, DEPTH = (8,), 0.15


# Official: which discs of a volume a particle can hit is settled where it comes in, by its straight line from there. In through
# this |z| or this radius (mm); at the pixel discs a track has no room to bend.
ENTRANCE = {12: (1181.5, 200.0), 14: (1181.5, 200.0), 16: (1181.5, 720.0), 18: (1181.5, 720.0)}


class Layers(NamedTuple):
    """One row per (volume, layer) in the order of their ids; mm. u is the direction along phi, v along z or along r."""

    disc: np.ndarray  # [layers] true for discs
    at: np.ndarray  # [layers] radius of a cylinder or z of a disc
    low: np.ndarray  # [layers] where modules begin along z, or along r for discs
    high: np.ndarray
    thick: np.ndarray  # [layers] how far hits lie off the surface, at most
    error_u: np.ndarray
    error_v: np.ndarray
    turn: np.ndarray  # [layers] a disc module's v axis is off the radius by up to this (rad): half width / radius, at low
    matter: np.ndarray  # [layers] mm of silicon
    behind: np.ndarray  # [layers] 1 where it stands behind the sensors, seen from the beam, else 0
    beside: np.ndarray  # [layers] mean of measured minus true u
    deep: np.ndarray  # [layers] 1 where paths of DEPTH are read out channel by channel along z, else 0
    face: np.ndarray  # [layers] |z| and
    wall: np.ndarray  # [layers] radius through which tracks come into a disc's volume, 0 if that does not matter
    barrels: np.ndarray  # layer numbers by rising radius
    forward: np.ndarray  # layer numbers of discs at z > 0 by rising z
    backward: np.ndarray  # those at z < 0 by falling z
    rank: np.ndarray  # [layers] place in the list above that it is in


def layer_numbers(detector: Table, volume_id: np.ndarray, layer_id: np.ndarray) -> np.ndarray:
    """Row of `Layers` of each hit; -1 for a layer that the detectors table does not have."""
    keys = np.unique(detector["volume_id"] * 10_000 + detector["layer_id"])
    key = np.asarray(volume_id, np.int64) * 10_000 + np.asarray(layer_id, np.int64)
    place = np.searchsorted(keys, key).clip(max=max(len(keys) - 1, 0))
    return np.where(keys[place] == key, place, -1) if len(keys) else np.full(len(key), -1)


def layers_of(detector: Table) -> Layers:
    """Read the layers off a detectors table: a layer is a disc where its modules face along z."""
    keys, member = np.unique(detector["volume_id"] * 10_000 + detector["layer_id"], return_inverse=True)
    n, known = len(keys), _is_trackml(detector, keys)
    disc, columns = np.zeros(n, bool), np.zeros((13, n))
    at, low, high, thick, error_u, error_v, turn, matter, behind, beside, deep, face, wall = columns
    for i, key in enumerate(keys):
        rows = np.flatnonzero(member == i)
        volume, layer = divmod(int(key), 10_000)
        corner = _corners(detector, rows)
        r, z = np.hypot(corner[..., 0], corner[..., 1]), corner[..., 2]
        disc[i] = np.abs(detector["rot_zw"][rows]).mean() > 0.7
        across, along = (z, r) if disc[i] else (r, z)
        at[i] = np.median(across) if not disc[i] else (across.min() + across.max()) / 2
        thick[i] = np.abs(across - at[i]).max()
        low[i], high[i] = along.min(), along.max()
        error_u[i], error_v[i] = detector["pitch_u"][rows[0]] / np.sqrt(12), detector["pitch_v"][rows[0]] / np.sqrt(12)
        matter[i], behind[i] = MATTER_UNKNOWN, 1.0
        centre = np.hypot(detector["cx"][rows], detector["cy"][rows])
        turn[i] = (detector["module_maxhu"][rows] / np.maximum(centre, 1.0)).max() if disc[i] else 0.0
        if known:
            error_u[i], error_v[i] = ERRORS.get(volume, (error_u[i], error_v[i]))
            beside[i], deep[i] = BESIDE.get(volume, 0.0), volume in DEEP
            face[i], wall[i] = ENTRANCE.get(volume, (0.0, 0.0))
            matter[i], behind[i] = MATTER_LAYER.get((volume, layer), MATTER[volume]), volume in BEHIND
    barrels = np.flatnonzero(~disc)[np.argsort(at[~disc], kind="stable")]
    forward = np.flatnonzero(disc & (at > 0))
    forward = forward[np.lexsort((low[forward], at[forward]))]
    backward = np.flatnonzero(disc & (at <= 0))
    backward = backward[np.lexsort((low[backward], -at[backward]))]
    rank = np.zeros(n, np.int64)
    for order in (barrels, forward, backward):
        rank[order] = np.arange(len(order))
    return Layers(disc, *(np.ascontiguousarray(c) for c in columns), barrels, forward, backward, rank)


def _is_trackml(detector: Table, keys: np.ndarray) -> bool:
    """Whether every layer is named as one of TrackML's, in a detector that brings no field of its own."""
    names = (divmod(int(key), 10_000) for key in keys)
    named = all(layer in range(2, 2 * TRACKML.get(volume, 0) + 1, 2) for volume, layer in names)
    return named and "field_z" not in detector


def _corners(detector: Table, rows: np.ndarray) -> np.ndarray:
    """Outline points of modules: [modules, 5, 3] mm, four corners and the middle."""
    centre = np.stack([detector[name][rows] for name in ("cx", "cy", "cz")], axis=1)
    u = np.stack([detector[f"rot_{axis}u"][rows] for axis in "xyz"], axis=1)
    v = np.stack([detector[f"rot_{axis}v"][rows] for axis in "xyz"], axis=1)
    small, large, half = (detector[name][rows][:, None] for name in ("module_minhu", "module_maxhu", "module_hv"))
    points = [centre + 0 * u]
    points += [centre + side * small * u - half * v for side in (-1, 1)]
    points += [centre + side * large * u + half * v for side in (-1, 1)]
    return np.stack(points, axis=1)


def next_layers(layers: Layers, *, bins: int = 32, z_reach: float = 150.0, margin: float = 8.0) -> np.ndarray:
    """[2, layers, bins, 6] int64: layers that a line from near the origin meets first, and second, after each part of a layer.

    Bins divide low..high of the layer; lines start at z in -z_reach..z_reach (mm); -1 fills up. Both steps list a layer that
    the line passes within ``margin`` (mm) of, because tracks bend.
    """
    n = len(layers.at)
    table = np.full((2, n, bins, 6), -1, np.int64)
    origins = np.linspace(-z_reach, z_reach, 5)
    for a in range(n):
        for b in range(bins):
            found: tuple[list[int], list[int]] = ([], [])
            for part in (0.02, 0.5, 0.98):
                along = layers.low[a] + (b + part) / bins * (layers.high[a] - layers.low[a])
                for z0 in origins:
                    ray = (along, layers.at[a]) if layers.disc[a] else (layers.at[a], along)
                    for step, others in enumerate(_met(layers, a, ray[0], (ray[1] - z0) / ray[0], z0, margin)):
                        found[step].extend(int(o) for o in others if o not in found[step])
            for step, list_ in enumerate(found):
                kept = [one for one in list_ if not (step == 1 and one in found[0])][:6]
                table[step, a, b, : len(kept)] = kept
    return table


def _met(layers: Layers, a: int, r: float, slope: float, z0: float, margin: float) -> list[list[int]]:
    """Layers that the line z = z0 + slope r meets after radius r: those met first, then those met second."""
    with np.errstate(divide="ignore", invalid="ignore"):
        radius = np.where(layers.disc, (layers.at - z0) / slope, layers.at)
    along = np.where(layers.disc, radius, z0 + slope * radius)
    beyond = np.isfinite(radius) & (radius > r + (0.5 if layers.disc[a] else 3.0)) & (radius < 2000)
    beyond[a] = False
    same = layers.disc & (layers.at == layers.at[a]) if layers.disc[a] else np.zeros(len(radius), bool)
    near = beyond & ~same & (along > layers.low - margin) & (along < layers.high + margin)
    sure = near & (along > layers.low + margin) & (along < layers.high - margin)
    order = np.flatnonzero(near)[np.argsort(radius[near], kind="stable")]
    steps: list[list[int]] = [[], []]
    passed = 0
    for one in order:
        if passed > 1:
            break
        steps[passed].append(int(one))
        passed += int(sure[one])
    return steps
