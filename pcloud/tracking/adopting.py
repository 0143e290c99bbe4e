"""Hits left over, given to finished tracks: each track is followed once more, with its own hits fixed, past all that is free.

`adopt` answers for all tracks of an event; what a pass took from a candidate, or passed over, often lies on a track found later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.following import Room, follow, room
from pcloud.tracking.hits import Grid, Hits, grid_of
from pcloud.tracking.layers import Layers
from pcloud.tracking.motion import Field
from pcloud.tracking.passes import Candidates, run
from pcloud.tracking.settings import Cuts

OWN, TAKEN = -60.0, 1e9  # in place of log(hits per mm^2): a track's own hit is always the likeliest, another's never
PART = 128  # tracks that are worked on at once


class Tracks(NamedTuple):
    """Tracks of one pass, as rows of Hits, and how they were followed."""

    kept: Candidates
    cuts: Cuts


def adopt(
    hits: Hits, track: np.ndarray, passes: Sequence[Tracks], layers: Layers, field: Field, least: float, threads: int
) -> np.ndarray:
    """Track ids [rows of Hits] with those of the hits that were on none (-1) and now are on one.

    passes: whose tracks are numbered on in the order given. least: log likelihood ratio of a hit, against one by chance at the
    density of hits left over, to be taken; of two tracks that ask for a hit the one where it is likelier has it.
    """
    grid = _open(hits, track, layers)
    layer_of = hits.layer[grid.row]
    place = np.full(len(track), -1, np.int64)
    place[grid.row] = np.arange(len(grid.row))
    calls, first = [], 0
    for kept, cuts in passes:
        inside = np.arange(kept.names.shape[1]) < kept.sizes[:, None]
        names = np.where(inside, place[np.where(inside, kept.names, 0)], 0)
        easy = cuts._replace(
            accept=-np.inf, accept_hit=-np.inf, hits_min=0.0, seed_gain=-np.inf, miss=-least, inner=least, double=least
        )
        for a in range(0, len(names), PART):
            calls.append((names[a : a + PART], kept.sizes[a : a + PART], easy, first + a))
        first += len(names)

    def work(call: int) -> tuple[np.ndarray, ...]:
        names, sizes, easy, start = calls[call]
        asked: tuple[np.ndarray, ...] = _asked_for(
            names, sizes, start, layer_of, field, grid._replace(crowd=grid.crowd.copy()), layers, easy, room()
        )
        return asked

    parts = run(work, list(range(len(calls))), threads)
    if not parts:
        return track
    hit, by, gain = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((by, -gain, hit))
    mine = order[np.diff(hit[order], prepend=-1) != 0]
    grown = track.copy()
    grown[grid.row[hit[mine]]] = by[mine]
    return grown


def _open(hits: Hits, track: np.ndarray, layers: Layers) -> Grid:
    """All hits on layers; those on tracks are not to be had, the density about others is that of what is left."""
    rows = np.flatnonzero(hits.layer >= 0)
    grid = grid_of(hits, layers, rows)
    left = grid_of(hits, layers, rows[track[rows] < 0])
    crowd = np.full(len(track), TAKEN)
    crowd[left.row] = left.crowd
    return grid._replace(crowd=crowd[grid.row])


@compiled()
def _asked_for(
    names: np.ndarray, sizes: np.ndarray, first: int, layer_of: np.ndarray, field: Field, grid: Grid, layers: Layers, cuts: Cuts,
    room: Room,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Free places that tracks first, first + 1, ... would take, by which track, and their log likelihood ratios."""
    hit, by, gain, n = np.empty(256, np.int64), np.empty(256, np.int64), np.empty(256), 0
    seed, crowd = np.empty(3, np.int64), grid.crowd
    for i in range(len(sizes)):
        begun = 0
        for j in range(sizes[i]):
            h = names[i, j]
            crowd[h] = OWN
            if begun < 3 and (begun == 0 or layer_of[h] != layer_of[seed[begun - 1]]):
                seed[begun] = h
                begun += 1
        found = 0
        if begun == 3:
            found, _ = follow(seed, layer_of, field, grid, layers, cuts, True, room)
        for j in range(found):
            h = room.out[j]
            if crowd[h] != OWN and room.out_gain[j] > cuts.inner:
                if n == len(hit):
                    hit, by, gain = np.append(hit, hit), np.append(by, by), np.append(gain, gain)
                hit[n], by[n], gain[n] = h, first + i, room.out_gain[j]
                n += 1
        for j in range(sizes[i]):
            crowd[names[i, j]] = TAKEN
    return hit[:n], by[:n], gain[:n]
