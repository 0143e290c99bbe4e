"""From scores of triplets to tracks: the best chain of overlapping triplets, then the best of what it leaves, and so on.

`extend(...)` walks through the graph of `triplets.py`; a chain of n hits is worth the sum of its n - 2 triplets' log odds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.triplets import Triplets

MOST = 24  # hits of a track


def extend(
    graph: Triplets, radius: np.ndarray, log_odds: np.ndarray, track: NDArray[np.int64], *, worth: float, rounds: int = 20
) -> None:
    """Put the hits of a graph on tracks, in place: on those that are there and on new ones, numbered on.

    radius, track [hits]: a chain's hits rise in the first; the second is -1 for free hits. log_odds [triplets]: of one
    particle against not, 0 = follow just about. worth: least log odds of a new chain.
    """
    inside_out = np.argsort(radius[graph.row[graph.pairs[:, 0]]], kind="stable")
    place = np.empty_like(inside_out)
    place[inside_out] = np.arange(len(place))
    order = np.argsort(place[graph.outer], kind="stable")
    bounds = np.searchsorted(place[graph.outer][order], np.arange(len(place) + 1))
    here = track[graph.row]
    odds = log_odds[order].astype(np.float64)
    found = track.max(initial=-1) + 1
    elsewhere = np.zeros(found + len(here), np.int64)  # hits of each track, old or to come, that are not in the graph
    elsewhere[:found] = np.bincount(track[track >= 0], minlength=found) - np.bincount(here[here >= 0], minlength=found)
    _walk(graph.pairs, inside_out, graph.inner[order], bounds, odds, here, elsewhere, found, worth, rounds)
    names = merged(here, elsewhere, graph.hits, log_odds, worth=worth)
    renamed = np.arange(found + len(here))
    renamed[here[here >= 0]] = names[here >= 0]
    track[graph.row] = here
    track[track >= 0] = renamed[track[track >= 0]]


def merged(
    track: NDArray[np.int64], elsewhere: np.ndarray, triplets: np.ndarray, log_odds: np.ndarray, *, worth: float
) -> NDArray[np.int64]:
    """Pieces of one track put together: tracks that choose each other by the sum of the log odds of triplets across them.

    track [places]; elsewhere [tracks]: hits that they have beside these; triplets [triplets, 3] places. A triplet speaks, for
    or against, where one track holds two of its hits and the other the third. A sum of at least ``worth`` is needed; what is
    put together bears the lower of both names.
    """
    track, elsewhere = track.copy(), elsewhere.copy()
    for _ in range(4):
        names = track[triplets]
        low, high = names.min(1), names.max(1)
        across = (low >= 0) & (low < high) & ((names == low[:, None]) | (names == high[:, None])).all(1)
        if not across.any():
            break
        n = int(track.max()) + 1
        key, at = np.unique(low[across] * n + high[across], return_inverse=True)
        votes = np.bincount(at, weights=log_odds[across])
        key, votes = key[votes >= worth], votes[votes >= worth]
        ends = np.stack([key // n, key % n])
        best = np.zeros(n)
        np.maximum.at(best, ends.ravel(), np.tile(votes, 2))
        size = np.bincount(track[track >= 0], minlength=n) + elsewhere[:n]
        mutual = (votes == best[ends[0]]) & (votes == best[ends[1]]) & (size[ends].sum(0) <= MOST)
        if not mutual.any():
            break
        elsewhere[ends[0, mutual]] += elsewhere[ends[1, mutual]]
        into = np.arange(n)
        into[ends[1, mutual]] = ends[0, mutual]
        track[track >= 0] = into[track[track >= 0]]
    return track


def ends(radius: np.ndarray, track: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hits that a track may go on from: its two innermost and its two outermost; and all hits on none."""
    order = np.lexsort((radius, track))
    name = track[order]
    n = len(name)
    change = np.flatnonzero(np.diff(name, prepend=name[0] - 1)) if n else np.zeros(0, np.int64)
    size = np.diff(np.append(change, n))
    rank = np.arange(n) - np.repeat(change, size)
    left = np.repeat(size, size) - rank
    return np.sort(order[(name < 0) | (rank < 2) | (left <= 2)])


@compiled()
def _walk(pairs, start, inner, bounds, log_odds, track, elsewhere, found, worth, rounds):
    """Rounds of: free hits join tracks; the best chain that ends in each pair, by dynamic programming; chains taken, best
    first, if no hit is taken."""
    total, came = np.empty(len(pairs)), np.empty(len(pairs), np.int64)
    last_of = np.empty(len(pairs), np.bool_)
    for _ in range(rounds):
        while _join(pairs, start, inner, bounds, log_odds, track, elsewhere):
            pass
        total[:], came[:] = 0.0, -1
        for i in range(len(start)):
            p = start[i]
            if track[pairs[p, 0]] >= 0 or track[pairs[p, 1]] >= 0:
                continue
            for j in range(bounds[i], bounds[i + 1]):
                q = inner[j]
                if track[pairs[q, 0]] >= 0:
                    continue
                value = total[q] + log_odds[j]
                if value > total[p]:
                    total[p], came[p] = value, q
        for p in range(len(pairs)):
            last_of[p] = came[p] >= 0 and total[p] >= worth and total[p] > total[came[p]]
        last = np.flatnonzero(last_of)
        last = last[np.argsort(-total[last], kind="mergesort")]
        before = found
        for p in last:
            q, clean = p, track[pairs[p, 1]] < 0
            while clean and q >= 0:
                clean = track[pairs[q, 0]] < 0
                q = came[q]
            if not clean:
                continue
            track[pairs[p, 1]] = found
            q = p
            while q >= 0:
                track[pairs[q, 0]] = found
                q = came[q]
            found += 1
        if found == before:
            break


@compiled()
def _join(pairs, start, inner, bounds, log_odds, track, elsewhere):
    """Free hits join the track that holds the other two hits of their likeliest triplet: the next hit, and double hits where
    modules overlap. Says whether any did."""
    best, chain = np.zeros(len(track)), np.full(len(track), -1, np.int64)
    for i in range(len(start)):
        p = start[i]
        b, c = pairs[p]
        for j in range(bounds[i], bounds[i + 1]):
            a = pairs[inner[j], 0]
            for one, two, free in ((a, b, c), (a, c, b), (b, c, a)):
                if track[free] < 0 and track[one] >= 0 and track[one] == track[two] and log_odds[j] > best[free]:
                    best[free], chain[free] = log_odds[j], track[one]
    size = elsewhere.copy()
    for h in range(len(track)):
        if track[h] >= 0:
            size[track[h]] += 1
    joined = False
    for h in range(len(track)):
        if chain[h] >= 0 and size[chain[h]] < MOST:
            track[h] = chain[h]
            size[chain[h]] += 1
            joined = True
    return joined
