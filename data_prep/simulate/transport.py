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

from data_prep.simulate.crossing import cross_matter, first_module, first_surface
from data_prep.simulate.lookup import CELL, REACH_R, REACH_Z, STEP, Lookup
from data_prep.simulate.stepping import CURVE, advance, between, field_at

MAX_HITS = 64  # of one particle; the half turn after which tracking ends leaves room for a third of it
LONGEST_STEP = 60.0  # mm
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
    efficiency: np.ndarray,
    rng: np.random.Generator,
) -> Tracks:
    """Positions [n, 3] mm, momenta [n, 3] GeV, charges [n] (e); the rest as their makers give them.
    efficiency: chance of a crossing to give a hit, per layer.

    Zeros in `layers` and an empty `surfaces` switch all effects of matter off.
    """
    hits, kinematics, lost, lost_state = _carry_all(
        position, momentum, charge.astype(np.float64), lookup, field, layers, surfaces, efficiency, rng
    )
    return Tracks(hits[:, 0], hits[:, 1], kinematics[:, :3], kinematics[:, 3:], lost, lost_state[:, :3], lost_state[:, 3:])


@numba.njit(cache=True)
def _layer_at(lookup: Lookup, s: np.ndarray) -> int:
    """Layer between whose modules a point lies, -1 if none."""
    r = math.sqrt(s[0] * s[0] + s[1] * s[1])
    for layer in range(lookup.envelope.shape[0]):
        low, high, back, front = lookup.envelope[layer]
        if low - 0.3 < r < high + 0.3 and back - 0.3 < s[2] < front + 0.3:
            return layer
    return -1


@numba.njit(cache=True)
def _zone(s: np.ndarray) -> int:
    """Which part of the detector a point is in: 0 none with barrel layers, else 1, 2, 3 for the barrels from the inside out."""
    r, z = math.sqrt(s[0] * s[0] + s[1] * s[1]), abs(s[2])
    if r < 200.0:
        return 1 if r > 27.0 and z < 570.0 else 0
    if z > 1181.0:
        return 0
    return 2 if r < 720.0 else 3


@numba.njit(cache=True)
def _carry(
    s: np.ndarray,
    p: float,
    charge: float,
    lookup: Lookup,
    field: np.ndarray,
    layers: np.ndarray,
    surfaces: np.ndarray,
    efficiency: np.ndarray,
    rng: np.random.Generator,
    modules: np.ndarray,
    states: np.ndarray,
) -> tuple[int, float]:
    """Carry one particle from state s; fills its hits, moves s to the end, returns their number and the momentum there.

    The momentum is negative if the particle was lost to an interaction.
    """
    n, crossed, travelled, module, surface = 0, 0, 0.0, -1, -1
    end, best, point = np.empty(6), np.empty(6), np.empty(6)
    bx, by, bz = field_at(field, s[0], s[1], s[2])
    limit = math.pi * p / (CURVE * max(0.01, math.sqrt(bx * bx + by * by + bz * bz)))  # half a turn
    birth, zone, outward = _layer_at(lookup, s), -1, True
    while travelled < limit and crossed < MAX_HITS:
        r = math.sqrt(s[0] * s[0] + s[1] * s[1])
        if r >= REACH_R or abs(s[2]) >= REACH_Z:
            break
        if zone != _zone(s):
            zone, outward = _zone(s), s[0] * s[3] + s[1] * s[4] > 0
        free = lookup.distance[int(r / CELL), int((s[2] + REACH_Z) / CELL)] - CELL
        h = min(max(free, STEP), LONGEST_STEP, 300.0 * p)
        advance(field, CURVE * charge / p, h, s, end)
        m, t = -1, 2.0
        if h <= STEP:
            m, t = first_module(lookup, s, end, h, module, best, point)
        i, at = first_surface(s, end, surfaces, surface)
        module, surface = -1, -1
        if i >= 0 and at < t:
            between(s, end, h, at, best)
            s[:], surface, travelled = best, i, travelled + at * h
            r = math.sqrt(s[0] * s[0] + s[1] * s[1])
            cosine = s[5] if surfaces[i, 0] > 0.5 else (s[0] * s[3] + s[1] * s[4]) / r
            p = cross_matter(s, p, surfaces[i, 4:], cosine, rng)
        elif m >= 0:
            s[:], module, travelled, crossed = best, m, travelled + t * h, crossed + 1
            # official: a barrel's layers are listed once, for the way (in or out) that a particle enters it, and the
            # layer where a particle starts is not listed at all
            layer = lookup.layer[m]
            if (zone and outward != (s[0] * s[3] + s[1] * s[4] > 0)) or (layer == birth and travelled < 100.0):
                continue
            w = lookup.axes[m, 2]
            cosine = s[3] * w[0] + s[4] * w[1] + s[5] * w[2]
            if abs(cosine) > GRAZING and rng.random() < efficiency[layer]:
                modules[n] = m
                states[n, :3], states[n, 3:] = s[:3], p * s[3:]
                n += 1
            p = cross_matter(s, p, layers[layer], cosine, rng)
        else:
            s[:], travelled = end, travelled + h
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
    efficiency: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n = len(position)
    room = 16 * n + MAX_HITS
    hits, kinematics = np.empty((room, 2), np.int64), np.empty((room, 6))
    lost, lost_state = np.empty(n, np.int64), np.empty((n, 6))
    n_hits = n_lost = 0
    s, modules, states = np.empty(6), np.empty(MAX_HITS, np.int64), np.empty((MAX_HITS, 6))
    for particle in range(n):
        if n_hits + MAX_HITS > room:
            room *= 2
            more, more_kinematics = np.empty((room, 2), np.int64), np.empty((room, 6))
            more[:n_hits], more_kinematics[:n_hits] = hits[:n_hits], kinematics[:n_hits]
            hits, kinematics = more, more_kinematics
        p = math.sqrt((momentum[particle] ** 2).sum())
        s[:3], s[3:] = position[particle], momentum[particle] / p
        made, p = _carry(s, p, charge[particle], lookup, field, layers, surfaces, efficiency, rng, modules, states)
        hits[n_hits : n_hits + made, 0], hits[n_hits : n_hits + made, 1] = particle, modules[:made]
        kinematics[n_hits : n_hits + made] = states[:made]
        n_hits += made
        if p < 0:
            lost[n_lost], lost_state[n_lost, :3], lost_state[n_lost, 3:] = particle, s[:3], -p * s[3:]
            n_lost += 1
    return hits[:n_hits].copy(), kinematics[:n_hits].copy(), lost[:n_lost].copy(), lost_state[:n_lost].copy()
