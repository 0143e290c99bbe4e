"""Plants the forest: each event's points in a balanced k-d tree of small leaves, laid out for vector loads.

A leaf is a block of 32 points, axis by axis; a node is the boxes of its 8 children; both are found by counting, not by pointers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcloud.neighbors.lanes import FAN, LEAF, compiled

Ints = NDArray[np.int64]
Run = Callable[[Callable[..., Any], Iterable[tuple[Any, ...]]], None]


class Forest(NamedTuple):
    """rows [points] int32: the finite points, event by event, in the order of the leaves; starts [events + 1]: where events
    begin in it. blocks [leaves, dim, LEAF] float32 and block_rows [leaves, LEAF] int32, ended by NaN and -1; boxes low, high
    [nodes, dim, FAN] float32 and the lowest row in each, least [nodes, FAN] int64; first_leaf, first_node [events + 1] share
    leaves and nodes out to the events."""

    rows: NDArray[np.int32]
    starts: Ints
    blocks: NDArray[np.float32]
    block_rows: NDArray[np.int32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    least: Ints
    first_leaf: Ints
    first_node: Ints


def plant(points: NDArray[np.float32], rows: NDArray[np.int32], starts: Ints, threads: int, run: Run) -> Forest:
    """The forest over ``rows`` of the points, which are put into its order. ``run`` calls a function on many arguments."""
    dim, events = points.shape[1], len(starts) - 1
    leaves = -(-np.diff(starts) // LEAF)
    first_leaf = np.concatenate([[0], leaves.cumsum()])
    nodes, level = np.zeros(events, np.int64), leaves
    while (level > 1).any():
        level = np.where(level > 1, -(-level // FAN), 0)
        nodes += level
    first_node = np.concatenate([[0], nodes.cumsum()])
    blocks = np.empty((first_leaf[-1], dim, LEAF), np.float32)
    block_rows = np.empty((first_leaf[-1], LEAF), np.int32)
    box = np.empty((2, first_leaf[-1], dim), np.float32)
    keys = np.empty(len(rows), np.int64)
    beds = np.stack([np.arange(events), np.zeros(events, np.int64), leaves], 1)  # event, first leaf, last leaf + 1
    grain = max(int(first_leaf[-1]) // (4 * threads), 128)
    while len(large := np.flatnonzero(beds[:, 2] - beds[:, 1] > grain)):
        run(_halve, [(points, rows, keys, starts, leaves, *beds[at]) for at in large])
        halves = beds[large]
        middle = np.array([first + _before(last - first) for _, first, last in halves])
        beds[large, 2] = middle
        halves[:, 1] = middle
        beds = np.concatenate([beds, halves])
    work = (beds[:, 2] - beds[:, 1]).cumsum()
    cuts = np.unique(np.searchsorted(work, np.arange(4 * threads + 1) * work[-1] / (4 * threads))) if len(work) else []
    cuts = np.unique([0, *cuts, len(beds)])
    forest = Forest(
        rows,
        starts,
        blocks,
        block_rows,
        np.full((first_node[-1], dim, FAN), np.inf, np.float32),
        np.full((first_node[-1], dim, FAN), -np.inf, np.float32),
        np.zeros((first_node[-1], FAN), np.int64),
        first_leaf,
        first_node,
    )
    args = (points, rows, keys, starts, leaves, first_leaf, blocks, block_rows, box)
    run(_plant_beds, [(beds[a:b], *args) for a, b in zip(cuts, cuts[1:], strict=False)])
    _enclose(box, forest)
    return forest


@compiled()
def _before(leaves: int) -> int:
    """How many of a node's leaves go left: the largest power of two below their number, so that nodes are whole subtrees."""
    left = 1
    while 2 * left < leaves:
        left *= 2
    return left


@compiled()
def _halve(points: Any, rows: Any, keys: Any, starts: Any, leaves: Any, event: int, first: int, last: int) -> int:
    """Sort the points of leaves first to last - 1 of an event into left and right along their widest axis."""
    start, count, all_leaves = starts[event], starts[event + 1] - starts[event], leaves[event]
    low, high = start + first * count // all_leaves, start + last * count // all_leaves
    middle = first + _before(last - first)
    axis, widest = 0, np.float32(-1.0)
    for x in range(points.shape[1]):
        least = most = points[rows[low], x]
        for at in range(low + 1, high):
            value = points[rows[at], x]
            least, most = min(least, value), max(most, value)
        if most - least > widest:
            axis, widest = x, most - least
    bits = np.empty(1, np.float32).view(np.int32)
    value = bits.view(np.float32)
    for at in range(low, high):
        value[0] = points[rows[at], axis] + np.float32(0.0)  # -0 becomes 0
        word = np.int64(bits[0])
        keys[at] = ((word ^ ((word >> 31) & 0x7FFFFFFF)) << 32) | rows[at]  # orders as (coordinate, row)
    _select(keys, low, high, start + middle * count // all_leaves)
    for at in range(low, high):
        rows[at] = keys[at] & 0xFFFFFFFF
    return middle


@compiled()
def _select(keys: Any, low: int, high: int, at: int) -> None:
    """Hoare's selection: the key at ``at`` is the one that sorting would put there, smaller ones before it, larger after."""
    while high - low > 1:
        a, b, c = keys[low], keys[(low + high) // 2], keys[high - 1]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high - 1
        while i <= j:
            while keys[i] < pivot:
                i += 1
            while keys[j] > pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                i += 1
                j -= 1
        if at <= j:
            high = j + 1
        elif at >= i:
            low = i
        else:
            return


@compiled()
def _plant_beds(
    beds: Any, points: Any, rows: Any, keys: Any, starts: Any, leaves: Any, first_leaf: Any, blocks: Any, names: Any, box: Any
) -> None:
    """Split beds (event, first leaf, last leaf + 1) down to single leaves, and fill those."""
    todo = np.empty((64, 2), np.int64)
    for bed in range(len(beds)):
        event = beds[bed, 0]
        start, count = starts[event], starts[event + 1] - starts[event]
        todo[0, 0], todo[0, 1] = beds[bed, 1], beds[bed, 2]
        waiting = 1 if count else 0
        while waiting:
            first, last = todo[waiting - 1]
            if last - first > 1:
                middle = _halve(points, rows, keys, starts, leaves, event, first, last)
                todo[waiting - 1, 1] = middle
                todo[waiting, 0], todo[waiting, 1] = middle, last
                waiting += 1
                continue
            waiting -= 1
            leaf = first_leaf[event] + first
            low, high = start + first * count // leaves[event], start + last * count // leaves[event]
            rows[low:high].sort()  # so that the lower lane is the lower row
            for place in range(LEAF):
                names[leaf, place] = rows[low + place] if low + place < high else -1
            for x in range(points.shape[1]):
                least = most = points[rows[low], x]
                for place in range(LEAF):
                    if low + place < high:
                        value = points[rows[low + place], x]
                        least, most = min(least, value), max(most, value)
                        blocks[leaf, x, place] = value
                    else:
                        blocks[leaf, x, place] = np.nan
                box[0, leaf, x], box[1, leaf, x] = least, most


@compiled()
def _enclose(box: Any, forest: Any) -> None:
    """Boxes and lowest rows of the children of every node: of leaves on the lowest level, then of nodes, up to the root."""
    low, high, least, block_rows = forest.low, forest.high, forest.least, forest.block_rows
    for event in range(len(forest.first_leaf) - 1):
        below, node = forest.first_leaf[event], forest.first_node[event]
        count = forest.first_leaf[event + 1] - below
        of_leaves, last = True, count
        while count > 1:
            for child in range(count):
                parent, lane = node + child // FAN, child % FAN
                row = np.int64(0x7FFFFFFF)
                for place in range(LEAF if of_leaves else min(FAN, last - child * FAN)):
                    inside = block_rows[below + child, place] if of_leaves else least[below + child, place]
                    if inside >= 0:
                        row = min(row, inside)
                least[parent, lane] = row
                for x in range(box.shape[2]):
                    if of_leaves:
                        low[parent, x, lane], high[parent, x, lane] = box[0, below + child, x], box[1, below + child, x]
                    else:
                        low[parent, x, lane], high[parent, x, lane] = low[below + child, x].min(), high[below + child, x].max()
            of_leaves, below, last, count = False, node, count, -(-count // FAN)
            node += count
