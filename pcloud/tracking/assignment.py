"""Which candidate gets which hit: the likeliest first, each hit once, and what is left of a candidate must still be a track.

`assign` is compiled. A candidate that loses hits goes back into the queue with what remains.
"""

from __future__ import annotations

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.settings import Cuts


@compiled(lean=True)
def _sink(heap: np.ndarray, size: int, at: int, value: np.ndarray) -> None:
    """Let an entry of a heap, largest value on top and lower number first of equals, sink to its place."""
    one = heap[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size:
            left, right = heap[child], heap[child + 1]
            if value[right] > value[left] or (value[right] == value[left] and right < left):
                child += 1
        other = heap[child]
        if value[other] > value[one] or (value[other] == value[one] and other < one):
            heap[at] = other
            at = child
        else:
            break
    heap[at] = one


@compiled()
def assign(
    names: np.ndarray,
    gains: np.ndarray,
    sizes: np.ndarray,
    totals: np.ndarray,
    odds: np.ndarray,
    taken: np.ndarray,
    cuts: Cuts,
) -> np.ndarray:
    """Candidate numbers that are kept, likeliest first; their rows of names and sizes are cut down to the hits they keep.

    names, gains [candidates, most]; sizes, totals [candidates], size 0 = none; odds [candidates] a judge's,
    added to what the hits that are left bring; totals becomes that sum; taken [places] bool is updated.
    """
    heap, size = np.empty(len(sizes), np.int64), 0
    for i in range(len(sizes)):
        if sizes[i] > 0:
            heap[size] = i
            size += 1
        totals[i] += odds[i]
    for at in range(size // 2 - 1, -1, -1):
        _sink(heap, size, at, totals)
    kept, count = np.empty(size, np.int64), 0
    while size > 0:
        i = heap[0]
        n, total = 0, odds[i]
        for j in range(sizes[i]):
            if not taken[names[i, j]]:
                names[i, n], gains[i, n] = names[i, j], gains[i, j]
                total += gains[i, j]
                n += 1
        whole = n == sizes[i]
        if whole:
            total = totals[i]
        sizes[i], totals[i] = n, total
        enough = n >= cuts.hits_min and total >= cuts.accept and total >= cuts.accept_hit * n
        if whole and enough:
            kept[count] = i
            count += 1
            for j in range(n):
                taken[names[i, j]] = True
        if whole or not enough:
            size -= 1
            heap[0] = heap[size]
        if size > 0:
            _sink(heap, size, 0, totals)
    return kept[:count]
