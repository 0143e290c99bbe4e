"""One pass of the finder: seeds from the free hits, tracks followed from them, hits given to the likeliest.

`run_pass` is called again and again with the hits that earlier passes left; the answer does not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from pcloud.tracking.assignment import assign
from pcloud.tracking.following import room
from pcloud.tracking.hits import Grid, Hits, grid_of
from pcloud.tracking.judging import features
from pcloud.tracking.layers import Layers
from pcloud.tracking.motion import Field
from pcloud.tracking.searching import search
from pcloud.tracking.settings import Cuts

WEDGES = 64  # parts in phi that are worked on one by one

_pools: dict[int, ThreadPoolExecutor] = {}
os.register_at_fork(after_in_child=_pools.clear)  # a child inherits the pool but not its threads


class Candidates(NamedTuple):
    """One row per candidate; names are places in a grid, or rows of Hits once they have left this file."""

    names: np.ndarray  # [candidates, MOST] int32, the first `sizes` of a row count
    gains: np.ndarray  # [candidates, MOST] log likelihood ratio of each hit
    sizes: np.ndarray  # [candidates]
    totals: np.ndarray  # [candidates]


class Found(NamedTuple):
    """What a pass leaves: seeds and candidates as rows of Hits, and which candidates were kept, in the order of assignment."""

    seeds: np.ndarray  # [seeds, 3]
    candidates: Candidates
    kept: Candidates


def run_pass(
    hits: Hits,
    free: np.ndarray,
    layers: Layers,
    links: np.ndarray,
    field: Field,
    cuts: Cuts,
    threads: int,
    number: int = 0,
    judge: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Found:
    """Tracks among the free hits (rows of Hits); judge: log odds [candidates] to be added, of their `features`."""
    grid = grid_of(hits, layers, free)
    layer_of = hits.layer[grid.row]

    def work(first: int, last: int, starts: np.ndarray) -> tuple[np.ndarray, ...]:
        return search(first, last, starts, layer_of, field, grid, layers, links, cuts, room())

    seeds, *columns = in_wedges(grid, cuts, threads, work)
    everything = Candidates(*columns)
    mine = Candidates(*(column.copy() for column in everything))
    odds = np.zeros(len(everything.sizes)) if judge is None else judge(features(*everything, layer_of, grid, layers, number))
    kept = assign(*mine, odds, np.zeros(len(grid.row), bool), cuts)
    return Found(grid.row[seeds], _named(everything, grid), _named(Candidates(*(column[kept] for column in mine)), grid))


def in_wedges(
    grid: Grid, cuts: Cuts, threads: int, work: Callable[[int, int, np.ndarray], tuple[np.ndarray, ...]]
) -> list[np.ndarray]:
    """What ``work(first, last, starts)`` says of starts[first:last], for all wedges in phi, put together column by column.

    starts: places in the grid where tracks may begin.
    """
    starts = np.flatnonzero(grid.r < cuts.start_r)
    wedge = ((grid.phi[starts] + np.pi) * (WEDGES / (2 * np.pi))).astype(np.int64).clip(0, WEDGES - 1)
    starts = starts[np.lexsort((grid.r[starts], wedge))]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(wedge, minlength=WEDGES))])
    parts = run(lambda part: work(bounds[part], bounds[part + 1], starts), list(range(WEDGES)), threads)
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _named(candidates: Candidates, grid: Grid) -> Candidates:
    """The same with rows of Hits for places in the grid."""
    if not len(grid.row):
        return candidates
    inside = np.arange(candidates.names.shape[1]) < candidates.sizes[:, None]
    return candidates._replace(names=grid.row[np.where(inside, candidates.names, 0)].astype(np.int32))


def run(work: Callable[[int], Any], calls: list[int], threads: int) -> list[Any]:
    """Answers in the order of the calls."""
    if threads == 1 or len(calls) < 2:
        return [work(call) for call in calls]
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="pcloud-tracking")
    return list(_pools[threads].map(work, calls))
