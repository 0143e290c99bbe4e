"""Nearest neighbours on the CPU: a forest of k-d trees, one an event, searched by many threads, exact to the last bit.

A query walks down to the leaves whose boxes can hold a neighbour, nearest first; a leaf's 32 distances are one vector loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcloud.neighbors.forest_build import plant
from pcloud.neighbors.lanes import FAN, LEAF, compiled, leaf_mask, leaf_ranks, lowest, node_mask, size
from pcloud.neighbors.search import Found, Search

SERIAL = 4096  # a thread is not worth its start for fewer queries
FEW = 4  # so many points of a leaf are faster taken one by one
HEAP = 96  # from this many neighbours on a heap beats insertion into a sorted list
FARTHEST = 3.4028235e38  # the largest finite float32

_pools: dict[int, ThreadPoolExecutor] = {}
os.register_at_fork(after_in_child=_pools.clear)  # a child inherits the pool but not its threads


class Queries(NamedTuple):
    """coordinates [queries, dim]; the rows to answer, event by event, and where each event begins among them."""

    coordinates: NDArray[np.float32]
    rows: NDArray[np.int32]
    starts: NDArray[np.int64]


class Rule(NamedTuple):
    """What is a neighbour: the k nearest up to ``reach`` (bits of a float32), whether more than k there are to be told of,
    never the query's own row where ``skip_self``, and the axis that wraps, or -1."""

    k: int
    reach: np.int32
    tell: bool
    skip_self: bool
    azimuth: int


def search(asked: Search) -> Found:
    """As :func:`pcloud.neighbors.reference.search`, on CPU tensors, with as many threads as torch has."""
    out = Found.nothing(asked)
    rows, starts = _finite(asked.points, asked.offsets)
    if not len(rows) or not len(asked.queries):
        return out
    threads = max(1, min(torch.get_num_threads(), len(asked.queries) // SERIAL))

    def run(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> None:
        if threads == 1:
            for call in calls:
                function(*call)
        else:
            for done in [_pool(threads).submit(function, *call) for call in calls]:
                done.result()

    forest = plant(asked.points.numpy(), rows, starts, threads, run)
    if asked.queries is asked.points or asked.skip_self:
        queries = Queries(asked.points.numpy(), forest.rows, starts)  # near in the order, near in memory
    else:
        queries = Queries(asked.queries.numpy(), *_finite(asked.queries, asked.query_offsets))
    reach = np.float32(min(asked.reach2, FARTHEST)).view(np.int32)
    azimuth = asked.points.shape[1] - 1 if asked.wrap else -1
    rule = Rule(asked.k, reach, asked.reach2 < np.inf, asked.skip_self, azimuth)
    answer = (out.index.numpy(), out.distance2.numpy().view(np.int32), out.truncated.numpy())
    cuts = np.linspace(0, len(queries.rows), 1 + (1 if threads == 1 else 8 * threads)).astype(np.int64)
    run(_search, [(a, b, queries, forest, rule, answer) for a, b in zip(cuts, cuts[1:], strict=False)])
    return out


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads of our own, kept between calls: numba's die with a fork or stop the process when two callers meet."""
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="pcloud-neighbors")
    return _pools[threads]


def _finite(table: Tensor, offsets: Tensor) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Rows without a NaN, event by event, and where each event begins among them."""
    bounds = offsets.numpy()
    if bounds[0] != 0 or bounds[-1] != len(table) or (np.diff(bounds) < 0).any():
        raise ValueError(f"offsets end at {bounds[-1]} for {len(table)} rows; they must rise from 0 to that number")
    bad = torch.isnan(table).any(1).numpy()
    if not bad.any():
        return np.arange(len(table), dtype=np.int32), bounds
    good = np.flatnonzero(~bad).astype(np.int32)
    return good, np.searchsorted(good, bounds)


@compiled()
def _search(first: int, last: int, queries: Any, forest: Any, rule: Any, answer: Any) -> None:
    """Answer ``queries.rows[first:last]``. A neighbour is one int64, the bits of its distance above its row, so that numbers
    order as (distance, row) do; so is a box, by its lowest row: what is above the k-th neighbour's number need not be opened."""
    k, (index, distance2_bits, truncated) = rule.k, answer
    best, spare, fresh = np.empty(k + 1, np.int64), np.empty(k + 1, np.int64), np.empty(LEAF + 1, np.int64)
    ranks = np.empty(LEAF, np.int32)
    query = np.empty(queries.coordinates.shape[1], np.float32)
    near, gaps = np.empty(LEAF, np.float32), np.empty(FAN, np.float32)
    near_bits, gap_bits = near.view(np.int32), gaps.view(np.int32)
    low, high, least, blocks, block_rows = forest.low, forest.high, forest.least, forest.blocks, forest.block_rows
    stack, names = np.empty(16 * FAN, np.int64), np.empty(16 * FAN, np.int64)
    event = np.searchsorted(queries.starts, first, side="right") - 2
    end, top, levels = first, 0, np.empty(16, np.int64)
    for place in range(first, last):
        while place >= end:
            event += 1
            end = queries.starts[event + 1]
            top = _levels(forest, event, levels)
        row = queries.rows[place]
        for x in range(len(query)):
            query[x] = queries.coordinates[row, x]
        own_leaf, own_lane = _own(forest, event, place) if rule.skip_self else (-1, 0)
        found, cut, limit, waiting = 0, False, (np.int64(rule.reach) << 32) | 0x7FFFFFFF, 0
        if top >= 0:
            stack[0], names[0], waiting = 0, np.int64(top) << 32, 1
        while waiting:
            waiting -= 1
            if stack[waiting] > limit:
                continue
            level, number = names[waiting] >> 32, names[waiting] & 0xFFFFFFFF
            if level:
                node = levels[level] + number
                mask = node_mask(low, high, node, query, rule.azimuth, np.int32(limit >> 32), gaps)
                name = ((level - 1) << 32) | (number * FAN)
                waiting = _push(stack, names, waiting, mask, gap_bits, least, node, name, limit)
            else:
                leaf = forest.first_leaf[event] + number
                mask = leaf_mask(blocks, leaf, query, rule.azimuth, np.int32(limit >> 32), near)
                if leaf == own_leaf:
                    mask &= ~(np.int64(1) << own_lane)
                count = size(mask)
                cut |= rule.tell and found + count > k
                if count <= FEW or k >= HEAP:
                    found = _insert(best, k, found, mask, near_bits, block_rows, leaf)
                else:
                    leaf_ranks(near_bits, mask, ranks)
                    found = _merge(best, spare, fresh, k, found, mask, ranks, near_bits, block_rows, leaf, count)
                if found == k and (cut or not rule.tell):
                    limit = best[0 if k >= HEAP else k - 1]
        if k >= HEAP:
            best[:found].sort()
        for at in range(found):
            index[row, at] = best[at] & 0xFFFFFFFF
            distance2_bits[row, at] = best[at] >> 32
        truncated[row] = cut


@compiled()
def _levels(forest: Any, event: int, levels: Any) -> int:
    """The level of an event's root, 0 where that is a leaf, -1 where there is no point; ``levels`` gets their first nodes."""
    top, count, node = 0, forest.first_leaf[event + 1] - forest.first_leaf[event], forest.first_node[event]
    while count > 1:
        count = -(-count // FAN)
        top += 1
        levels[top] = node
        node += count
    return top if count else -1


@compiled(inline="always")
def _push(
    stack: Any, names: Any, waiting: int, mask: int, gap_bits: Any, least: Any, node: int, name: int, limit: int
) -> int:
    """Put the children in the mask on the stack, the nearest on top; returns its new height."""
    bottom = waiting
    while mask:
        child = lowest(mask)
        mask &= mask - 1
        entry = (np.int64(gap_bits[child]) << 32) | least[node, child]
        if entry > limit:
            continue
        at = waiting
        waiting += 1
        while at > bottom and stack[at - 1] < entry:
            stack[at], names[at] = stack[at - 1], names[at - 1]
            at -= 1
        stack[at], names[at] = entry, name + child
    return waiting


@compiled(inline="always")
def _own(forest: Any, event: int, place: int) -> Any:
    """The leaf and lane of a point by its place in the forest's order."""
    first, leaves = forest.first_leaf[event], forest.first_leaf[event + 1] - forest.first_leaf[event]
    place, count = place - forest.starts[event], forest.starts[event + 1] - forest.starts[event]
    leaf = ((place + 1) * leaves - 1) // count
    return first + leaf, place - leaf * count // leaves


@compiled(inline="always")
def _insert(best: Any, k: int, found: int, mask: int, bits: Any, rows: Any, leaf: int) -> int:
    """Take the points in the mask one by one: into a sorted list, or where that is long, a heap with the largest on top."""
    while mask:
        lane = lowest(mask)
        mask &= mask - 1
        key = (np.int64(bits[lane]) << 32) | rows[leaf, lane]
        if k >= HEAP:
            _heap(best, k, found, key)
            found += found < k
        elif found < k or key < best[k - 1]:
            at = found if found < k else k - 1
            while at > 0 and best[at - 1] > key:
                best[at] = best[at - 1]
                at -= 1
            best[at] = key
            found += found < k
    return found


@compiled()
def _heap(best: Any, k: int, found: int, key: int) -> None:
    """Put a key on a heap of the ``found`` smallest seen; once there are k, the largest falls off."""
    if found < k:
        while found > 0 and best[(found - 1) // 2] < key:
            best[found] = best[(found - 1) // 2]
            found = (found - 1) // 2
        best[found] = key
    elif key < best[0]:
        hole = 0
        while 2 * hole + 1 < k:
            child = 2 * hole + 1
            if child + 1 < k and best[child + 1] > best[child]:
                child += 1
            if best[child] <= key:
                break
            best[hole] = best[child]
            hole = child
        best[hole] = key


@compiled(inline="always")
def _merge(
    best: Any, spare: Any, fresh: Any, k: int, found: int, mask: int, ranks: Any, bits: Any, rows: Any, leaf: int, count: int
) -> int:
    """Take the points in the mask, ``count`` of them, all at once: each to its rank, then two sorted lists into one."""
    while mask:
        lane = lowest(mask)
        mask &= mask - 1
        fresh[ranks[lane]] = (np.int64(bits[lane]) << 32) | rows[leaf, lane]
    return merge(best, spare, fresh, k, found, count)


@compiled(inline="always")
def merge(best: Any, spare: Any, fresh: Any, k: int, found: int, count: int) -> int:
    """Two sorted lists of neighbours into the first, ``found`` and ``count`` long; returns how long it is now, k at most."""
    best[found] = fresh[count] = np.int64(0x7FFFFFFFFFFFFFFF)
    kept, i, j = min(found + count, k), 0, 0
    for at in range(kept):
        a, b = best[i], fresh[j]
        spare[at] = min(a, b)
        i += a < b
        j += a >= b
    for at in range(kept):
        best[at] = spare[at]
    return kept
