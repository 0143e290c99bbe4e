"""Carries charged particles through field, modules and matter until they leave, stop, turn back or interact.

Runge-Kutta steps, cut at the first thing they meet; every crossing of a module inside its outline is a hit, so overlapping
modules give double hits. `transport(...)` returns the hits and the interactions. Where the official simulation takes a
shortcut that shows in its truth (a comment says "official"), so does this one: networks trained here meet its events.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from data_prep.simulate.crossing import NONE, cross_matter, first_module, first_surface
from data_prep.simulate.lookup import CELL, REACH_R, REACH_Z, STEP, Lookup
from data_prep.simulate.stepping import CURVE, advance, between, copy
from pcloud.tracking.field import field_at

MAX_HITS = 64  # of one particle; the half turn after which tracking ends leaves room for a third of it
LONGEST_STEP = 60.0  # mm
CHUNK = 4096  # particles carried at once, to bound the memory of their hits
LOWEST_PT = 0.15  # GeV; official: softer particles are dropped where they next meet matter
GRAZING = 0.1  # cosine of the crossing angle; official: nothing is read out below


class Tracks(NamedTuple):
    """What transport returns: hits in the order made, then where particles were lost to nuclear interactions."""

    particle: np.ndarray  # [hits] row of the particle
    module: np.ndarray  # [hits] row of the detectors table
    position: np.ndarray  # [hits, 3] mm, on the module's plane
    momentum: np.ndarray  # [hits, 3] GeV, there
    lost: np.ndarray  # [interactions] row of the particle
    lost_position: np.ndarray  # [interactions, 3] mm
    lost_momentum: np.ndarray  # [interactions, 3] GeV


def transport(
    position: np.ndarray,
    momentum: np.ndarray,
    charge: np.ndarray,
    lookup: Lookup,
    field: np.ndarray,
    layers: np.ndarray,
    surfaces: np.ndarray,
    efficiency: float,
    rng: np.random.Generator,
) -> Tracks:
    """Positions [n, 3] mm, momenta [n, 3] GeV, charges [n] (e); the rest as their makers give them.
    efficiency: chance of a crossing to give a hit.

    Zeros in `layers` and an empty `surfaces` switch all effects of matter off.
    """
    parts = []
    for start in range(0, max(1, len(position)), CHUNK):
        rows = slice(start, start + CHUNK)
        made = _carry_all(
            position[rows], momentum[rows], charge[rows].astype(np.float64), lookup, field, layers, surfaces, efficiency, rng
        )
        particle, module, state, lost, lost_state = made
        state, lost_state = state[: len(module)], lost_state[: len(lost)]
        parts.append((particle + start, module, state[:, :3], state[:, 3:], lost + start, lost_state[:, :3], lost_state[:, 3:]))
    return Tracks(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@numba.njit(cache=True)
def _layer_at(lookup: Lookup, s: np.ndarray) -> int:
    """Layer between whose modules a point lies, -1 if none."""
    r = math.sqrt(s[0] * s[0] + s[1] * s[1])
    for layer in range(lookup.envelope.shape[0]):
        inside_r = lookup.envelope[layer, 0] - 0.3 < r < lookup.envelope[layer, 1] + 0.3
        if inside_r and lookup.envelope[layer, 2] - 0.3 < s[2] < lookup.envelope[layer, 3] + 0.3:
            return layer
    return -1


@numba.njit(cache=True)
def _zone(s: np.ndarray) -> int:
    """Which part of the detector a point is in: 0 for the beam pipe, 1, 2, 3 for the barrels from the inside out, and 4, 5, 6
    for the discs that go on from them."""
    r, z = math.sqrt(s[0] * s[0] + s[1] * s[1]), abs(s[2])
    if r < 27.0:
        return 0
    if r < 200.0:
        return 1 if z < 570.0 else 4
    return (2 if r < 720.0 else 3) + (3 if z > 1181.0 else 0)


@numba.njit(cache=True)
def _listed(lookup: Lookup, layer: int, entry: np.ndarray, s: np.ndarray) -> bool:
    """Official: which layers of a part can be hit is settled where a particle enters it.

    Of a barrel all, for the way (in or out) that it then goes; of discs those that the straight line from there meets. A soft
    track bends back, so that it crosses discs near their outer edge that its straight line has passed by: there is no hit in
    the real small event at 66 of 68 such crossings, where others have one in 19 of 20.
    """
    if not lookup.disc[layer]:
        return bool((entry[0] * entry[3] + entry[1] * entry[4] > 0) == (s[0] * s[3] + s[1] * s[4] > 0))
    along = (0.5 * (lookup.envelope[layer, 2] + lookup.envelope[layer, 3]) - entry[2]) / entry[5]
    x, y = entry[0] + along * entry[3], entry[1] + along * entry[4]
    r = math.sqrt(x * x + y * y)
    return bool(along > 0 and lookup.envelope[layer, 0] - 1.0 < r < lookup.envelope[layer, 1] + 1.0)


@numba.njit(cache=True)
def _carry(
    s: np.ndarray,
    p: float,
    charge: float,
    lookup: Lookup,
    field: np.ndarray,
    layers: np.ndarray,
    surfaces: np.ndarray,
    efficiency: float,
    rng: np.random.Generator,
    modules: np.ndarray,
    states: np.ndarray,
    n: int,
) -> tuple[int, float]:
    """Carry one particle from state s: moves s to the end, writes its hits from row n on, returns the next free row and p.

    The momentum p is negative if the particle was lost to an interaction.
    """
    crossed, travelled, module, surface = 0, 0.0, NONE, NONE
    end, best, point = np.empty(6), np.empty(6), np.empty(6)
    bx, by, bz = field_at(field, s[0], s[1], s[2])
    limit = math.pi * p / (CURVE * max(0.01, math.sqrt(bx * bx + by * by + bz * bz)))  # half a turn
    birth, zone, entry = _layer_at(lookup, s), -1, np.empty(6)
    while travelled < limit and crossed < MAX_HITS:
        r = math.sqrt(s[0] * s[0] + s[1] * s[1])
        if r >= REACH_R or abs(s[2]) >= REACH_Z:
            break
        if zone != _zone(s):
            zone = _zone(s)
            copy(s, entry)
        free = lookup.distance[int(r / CELL), int((s[2] + REACH_Z) / CELL)] - CELL
        h = min(max(free, STEP), LONGEST_STEP, 300.0 * p)
        advance(field, CURVE * charge / p, h, s, end)
        m, t = NONE, 2.0
        if h <= STEP:
            m, t = first_module(lookup, s, end, h, module, best, point)
        i, at = first_surface(s, end, surfaces, surface)
        module, surface = NONE, NONE
        if i >= 0 and at < t:
            between(s, end, h, at, best)
            copy(best, s)
            surface, travelled = i, travelled + at * h
            r = math.sqrt(s[0] * s[0] + s[1] * s[1])
            cosine = s[5] if surfaces[i, 0] > 0.5 else (s[0] * s[3] + s[1] * s[4]) / r
            p = cross_matter(s, p, surfaces[i, 4:], cosine, rng)
        elif m >= 0:
            copy(best, s)
            module, travelled, crossed = m, travelled + t * h, crossed + 1
            layer = lookup.layer[m]
            if (zone and not _listed(lookup, layer, entry, s)) or (layer == birth and travelled < 100.0):
                continue  # official: nor is the layer where a particle starts
            cosine = 0.0
            for k in range(3):
                cosine += s[3 + k] * lookup.axes[m, 2, k]
            if abs(cosine) > GRAZING and rng.random() < efficiency:
                modules[n] = m
                for k in range(3):
                    states[n, k], states[n, 3 + k] = s[k], p * s[3 + k]
                n += 1
            p = cross_matter(s, p, layers[layer], cosine, rng)
        else:
            copy(end, s)
            travelled += h
            continue
        if p < 0 or p * math.sqrt(s[3] * s[3] + s[4] * s[4]) < LOWEST_PT:
            break
    return n, p


@numba.njit(cache=True)
def _carry_all(
    position: np.ndarray,
    momentum: np.ndarray,
    charge: np.ndarray,
    lookup: Lookup,
    field: np.ndarray,
    layers: np.ndarray,
    surfaces: np.ndarray,
    efficiency: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Particle, module and state of each hit, then particle and state of each one lost; unused rows of states follow."""
    n = len(position)
    owner, module, state = np.empty(n * MAX_HITS, np.int64), np.empty(n * MAX_HITS, np.int64), np.empty((n * MAX_HITS, 6))
    lost, lost_state = np.empty(n, np.int64), np.empty((n, 6))
    n_hits, n_lost = NONE + 1, 0  # typed like the rows that come back, so that one version is compiled
    s = np.empty(6)
    for particle in range(n):
        p = math.sqrt(momentum[particle, 0] ** 2 + momentum[particle, 1] ** 2 + momentum[particle, 2] ** 2)
        for i in range(3):
            s[i], s[3 + i] = position[particle, i], momentum[particle, i] / p
        first = n_hits
        n_hits, p = _carry(s, p, charge[particle], lookup, field, layers, surfaces, efficiency, rng, module, state, n_hits)
        for hit in range(first, n_hits):
            owner[hit] = particle
        if p < 0:
            lost[n_lost] = particle
            for i in range(3):
                lost_state[n_lost, i], lost_state[n_lost, 3 + i] = s[i], -p * s[3 + i]
            n_lost += 1
    return owner[:n_hits], module[:n_hits], state, lost[:n_lost], lost_state
