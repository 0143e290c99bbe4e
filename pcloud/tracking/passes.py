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
from pcloud.tracking.following import MOST, follow
from pcloud.tracking.hits import Grid, Hits, grid_of
from pcloud.tracking.layers import Layers
from pcloud.tracking.seeding import beam_seeds, free_seeds
from pcloud.tracking.settings import Cuts

CHUNK = 256  # first hits of seeds handled at once

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


def run_pass(hits: Hits, free: np.ndarray, layers: Layers, links: np.ndarray, field: np.ndarray, cuts: Cuts, threads: int) -> Found:
    """Tracks among the free hits (rows of Hits)."""
    grid = grid_of(hits, layers, free)
    layer_of = hits.layer[grid.row]
    starts = np.flatnonzero(grid.r < cuts.start_r)
    seek = beam_seeds if cuts.beam > 0 else free_seeds

    def work(first: int) -> tuple[np.ndarray, Candidates]:
        seeds = seek(first, min(first + CHUNK, len(starts)), starts, layer_of, grid, layers, links, cuts)
        return seeds, _followed(seeds, layer_of, field, grid, layers, cuts)

    parts = _run(work, list(range(0, len(starts), CHUNK)), threads)
    seeds = np.concatenate([part[0] for part in parts]) if parts else np.zeros((0, 3), np.int64)
    columns = zip(*(part[1] for part in parts), strict=True) if parts else iter(_empty())
    everything = Candidates(*(np.concatenate(column) for column in columns)) if parts else _empty()
    mine = Candidates(*(column.copy() for column in everything))
    kept = assign(*mine, np.zeros(len(grid.row), bool), cuts)
    return Found(grid.row[seeds], _named(everything, grid), _named(Candidates(*(column[kept] for column in mine)), grid))


def _empty() -> Candidates:
    return Candidates(np.zeros((0, MOST), np.int32), np.zeros((0, MOST)), np.zeros(0, np.int64), np.zeros(0))


def _followed(seeds: np.ndarray, layer_of: np.ndarray, field: np.ndarray, grid: Grid, layers: Layers, cuts: Cuts) -> Candidates:
    n = len(seeds)
    made = Candidates(np.zeros((n, MOST), np.int32), np.zeros((n, MOST)), np.zeros(n, np.int64), np.zeros(n))
    follow(0, n, seeds, layer_of, field, grid, layers, cuts, *made)
    good = made.sizes > 0
    return Candidates(*(column[good] for column in made))


def _named(candidates: Candidates, grid: Grid) -> Candidates:
    """The same with rows of Hits for places in the grid."""
    if not len(grid.row):
        return candidates
    return candidates._replace(names=grid.row[candidates.names].astype(np.int32))


def _run(work: Callable[[int], Any], calls: list[int], threads: int) -> list[Any]:
    """Answers in the order of the calls."""
    if threads == 1 or len(calls) < 2:
        return [work(call) for call in calls]
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="pcloud-tracking")
    return list(_pools[threads].map(work, calls))
