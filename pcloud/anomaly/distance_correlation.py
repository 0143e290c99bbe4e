"""Distance correlation of two columns, exact in O(n log n): 0 in expectation only where neither tells of the other.

``Distances.of(x, y)`` does once what shuffling leaves alone; ``.dcor2()`` and ``.dcor2(order)`` are then cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pcloud.anomaly.columns import Floats, Ints, checked

LEAST = 4  # rows of an unbiased estimate
BLOCK = 16


@dataclass(frozen=True)
class Distances:
    """Two columns in standard units and rising order of ``x``: ``y`` beside it, ``rank`` of y; ``x_sum``, ``y_sum`` [rows]:
    sum of distances to all rows; ``scale``: square root of the product of the distance variances."""

    x: Floats
    y: Floats
    rank: Ints
    x_sum: Floats
    y_sum: Floats
    scale: float

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike) -> Distances:
        """ValueError where a column is constant, too short or not finite."""
        first, second = checked(x=x, y=y)
        if len(first) < LEAST:
            raise ValueError(f"{len(first)} rows came; a distance correlation needs at least {LEAST}")
        for name, column in (("x", first), ("y", second)):
            if column.min() == column.max():
                raise ValueError(f"all values of column {name} are {column[0]:g}; it can be correlated with nothing")
        order = np.argsort(first, kind="stable")
        a, b = ((column - column.mean()) / column.std() for column in (first[order], second[order]))
        rank = np.empty(len(b), dtype=np.int64)
        rank[np.argsort(b, kind="stable")] = np.arange(len(b))
        sums = _sums(a), _sums(b)
        of_x, of_y = (_unbiased(len(a), 2 * len(a) * float(v @ v), total, total) for v, total in zip((a, b), sums, strict=True))
        return cls(a, b, rank, *sums, float(np.sqrt(max(of_x * of_y, 0.0))))

    def dcor2(self, order: Ints | None = None) -> float:
        """Squared distance correlation, bias-corrected (Szekely & Rizzo, Ann. Stat. 42 (2014) 2382): 1 of a straight line,
        and of columns that are independent 0 in the mean, so that it may be negative. ``order`` [rows]: y shuffled so."""
        y, rank, y_sum = (
            (self.y, self.rank, self.y_sum) if order is None else (self.y[order], self.rank[order], self.y_sum[order])
        )
        products = float((self.x @ y) * 2 * len(y)) - 4 * _inverted(self.x, y, rank)
        return _unbiased(len(y), products, self.x_sum, y_sum) / self.scale if self.scale else 0.0


def dcor2(x: ArrayLike, y: ArrayLike) -> float:
    """Squared distance correlation of two columns [rows], bias-corrected; see ``Distances.dcor2``."""
    return Distances.of(x, y).dcor2()


def _unbiased(rows: int, products: float, a: Floats, b: Floats) -> float:
    """U-centred inner product of two tables of distances: from the sum of their products and their row sums."""
    inner = products - 2 / (rows - 2) * float(a @ b) + float(a.sum() * b.sum()) / ((rows - 1) * (rows - 2))
    return inner / (rows * (rows - 3))


def _sums(values: Floats) -> Floats:
    """sum_j |v_i - v_j| [rows], from one sort."""
    order = np.argsort(values, kind="stable")
    rising, rows = values[order], len(values)
    before = np.cumsum(rising) - rising
    found = np.empty(rows)
    found[order] = rising * (2 * np.arange(rows) - rows) + rising.sum() - 2 * before
    return found


def _inverted(x: Floats, y: Floats, rank: Ints) -> float:
    """Sum of (x_j - x_i) (y_j - y_i) over the pairs i < j with rank_i > rank_j; x rises. At most 0.

    Since |x_i - x_j| |y_i - y_j| is the product of the differences but for their sign, this is all that is not O(n). Rows are
    split by the bits of their rank, the highest first: among those alike so far, each with a 1 before one with a 0 is such a
    pair. Rows are added at the end, above all others, to a power of 2: they are in no pair, and every split is into halves.
    """
    rows, size = len(x), max(BLOCK, 1 << (len(x) - 1).bit_length())
    x, y = (np.append(column, np.full(size - rows, column.max())) for column in (x, y))
    rank = np.append(rank, np.arange(rows, size))
    table, half, total = np.stack([np.ones(size), x, y, x * y]), size // 2, 0.0
    while half >= BLOCK:
        high = (rank & half) > 0
        place = np.flatnonzero(~high).reshape(-1, half), np.flatnonzero(high).reshape(-1, half)
        low, above = (table.take(one, axis=1) for one in place)
        before = place[0] - np.arange(half) - 2 * half * np.arange(len(place[0]))[:, None]  # rows with a 1 before each with a 0
        sums = np.concatenate([np.zeros((4, len(before), 1)), np.cumsum(above, axis=2)], axis=2).reshape(4, -1)
        sums = sums.take(before + (half + 1) * np.arange(len(before))[:, None], axis=1)
        total += float((low[3] * sums[0] - low[2] * sums[1] - low[1] * sums[2] + sums[3]).sum())
        table = np.stack([low, above], axis=2).reshape(4, -1)
        rank = rank.take(np.stack(place, axis=1).ravel())
        half //= 2
    a, b = table[1].reshape(-1, BLOCK), table[2].reshape(-1, BLOCK)  # few enough to take every pair
    return total + sum(float(np.minimum((a[:, d:] - a[:, :-d]) * (b[:, d:] - b[:, :-d]), 0).sum()) for d in range(1, BLOCK))
