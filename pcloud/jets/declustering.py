"""Jets clustered anew, all constituents into one: Cambridge/Aachen to groom, kT with winner-take-all to find axes.

``soft_drop_mass(p4, offsets)`` and ``subjet_axes(p4, offsets, 2)``; compiled by numba, with cached nearest neighbours, so that a
jet of N constituents takes of the order of N^2 steps. A test holds them to FastJet's numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


def soft_drop_mass(
    p4: np.ndarray, offsets: np.ndarray, *, cut: float = 0.1, beta: float = 0.0, radius: float = 0.8
) -> np.ndarray:
    """Mass (GeV) of each jet after soft drop (arXiv:1402.2657), [jets].

    The Cambridge/Aachen tree is walked from its root along the harder branch until z > cut (dR / radius)^beta, with
    z = min(pT) / sum(pT) of two branches. p4 [constituents, 4] (px, py, pz, energy; GeV), offsets [jets + 1].
    """
    return np.asarray(_groomed(*_given(p4, offsets), cut, beta, radius))


def subjet_axes(p4: np.ndarray, offsets: np.ndarray, prongs: int) -> np.ndarray:
    """Rapidity and azimuth of ``prongs`` exclusive kT subjets, winner-take-all (arXiv:1401.2158): [jets, prongs, 2].

    A jet of fewer constituents has NaN in the axes it lacks.
    """
    return np.asarray(_axes(*_given(p4, offsets), prongs))


def _given(p4: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(p4, np.float64), np.ascontiguousarray(offsets, np.int64)


@njit(cache=True)
def _direction(p):
    """pT, rapidity and azimuth of a four-momentum."""
    pt = math.hypot(p[0], p[1])
    across = math.sqrt(max(p[3] ** 2 - p[2] ** 2, pt**2))
    return pt, math.asinh(p[2] / across) if across > 0 else 0.0, math.atan2(p[1], p[0])


@njit(cache=True)
def _apart(y_i, phi_i, y_j, phi_j):
    dphi = abs(phi_i - phi_j)
    dphi = min(dphi, 2 * math.pi - dphi)
    return (y_i - y_j) ** 2 + dphi**2


@njit(cache=True)
def _between(i, j, pt, y, phi, by_pt):
    """kT distance where by_pt, else that of Cambridge/Aachen."""
    away = _apart(y[i], phi[i], y[j], phi[j])
    return min(pt[i], pt[j]) ** 2 * away if by_pt else away


@njit(cache=True)
def _look(i, alive, n, pt, y, phi, by_pt, near, least):
    """Find the nearest of ``i`` anew, among ``alive[:n]``."""
    near[i], least[i] = -1, math.inf
    for place in range(n):
        j = alive[place]
        if j != i:
            d = _between(i, j, pt, y, phi, by_pt)
            if d < least[i]:
                near[i], least[i] = j, d


@njit(cache=True)
def _cluster(p4, by_pt, winner, stop):
    """Merge until ``stop`` are left: momenta, pt, y, phi [2N - 1] of all nodes, their children [2N - 1, 2], those left."""
    count = len(p4)
    nodes = max(2 * count - 1, 0)
    p, children = np.zeros((nodes, 4)), np.full((nodes, 2), -1)
    pt, y, phi = np.zeros(nodes), np.zeros(nodes), np.zeros(nodes)
    near, least = np.full(nodes, -1), np.full(nodes, math.inf)
    alive, n, made = np.arange(count), count, count
    p[:count] = p4
    for i in range(count):
        pt[i], y[i], phi[i] = _direction(p[i])
    for i in range(count):
        _look(i, alive, n, pt, y, phi, by_pt, near, least)
    while n > max(stop, 1):
        a = alive[0]
        for place in range(1, n):
            if least[alive[place]] < least[a]:
                a = alive[place]
        b = near[a]
        new = made
        made += 1
        children[new, 0], children[new, 1] = a, b
        p[new] = p[a] + p[b]
        if winner:
            hard = a if pt[a] >= pt[b] else b
            pt[new], y[new], phi[new] = pt[a] + pt[b], y[hard], phi[hard]
        else:
            pt[new], y[new], phi[new] = _direction(p[new])
        left = 0
        for place in range(n):
            if alive[place] != a and alive[place] != b:
                alive[left] = alive[place]
                left += 1
        alive[left] = new
        n = left + 1
        _look(new, alive, n, pt, y, phi, by_pt, near, least)
        for place in range(n - 1):
            i = alive[place]
            if near[i] == a or near[i] == b:
                _look(i, alive, n, pt, y, phi, by_pt, near, least)
            else:
                d = _between(i, new, pt, y, phi, by_pt)
                if d < least[i]:
                    near[i], least[i] = new, d
    return p, pt, y, phi, children, alive[:n]


@njit(cache=True)
def _groomed(p4, offsets, cut, beta, radius):
    found = np.zeros(len(offsets) - 1)
    for j in range(len(found)):
        if offsets[j + 1] == offsets[j]:
            continue
        p, pt, y, phi, children, left = _cluster(p4[offsets[j] : offsets[j + 1]], False, False, 1)
        at = left[0]
        while children[at, 0] >= 0:
            a, b = children[at, 0], children[at, 1]
            if pt[a] < pt[b]:
                a, b = b, a
            share = pt[b] / (pt[a] + pt[b]) if pt[a] > 0 else 0.0
            away = math.sqrt(_apart(y[a], phi[a], y[b], phi[b]))
            if share > cut * (away / radius) ** beta:
                break
            at = a
        found[j] = math.sqrt(max(p[at, 3] ** 2 - p[at, 0] ** 2 - p[at, 1] ** 2 - p[at, 2] ** 2, 0.0))
    return found


@njit(cache=True)
def _axes(p4, offsets, prongs):
    found = np.full((len(offsets) - 1, prongs, 2), math.nan)
    for j in range(len(found)):
        if offsets[j + 1] == offsets[j]:
            continue
        _, _, y, phi, _, left = _cluster(p4[offsets[j] : offsets[j + 1]], True, True, prongs)
        for place in range(len(left)):
            found[j, place, 0], found[j, place, 1] = y[left[place]], phi[left[place]]
    return found
