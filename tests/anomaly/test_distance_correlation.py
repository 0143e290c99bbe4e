"""Distance correlation in O(n log n) against the table of all distances, and what it must be where that is known."""

from __future__ import annotations

import numpy as np
import pytest

from pcloud.anomaly.distance_correlation import Distances, dcor2


def by_table(x: np.ndarray, y: np.ndarray) -> float:
    """U-statistic of Szekely & Rizzo (2014), eq. 3.1, written as it stands there."""
    n = len(x)
    tables = []
    for column in (x, y):
        a = np.abs(column[:, None] - column)
        a = a - a.sum(0) / (n - 2) - a.sum(1)[:, None] / (n - 2) + a.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(a, 0)
        tables.append(a)
    a, b = tables
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@pytest.mark.parametrize("rows", [5, 15, 16, 17, 64, 333, 1024])
def test_equals_the_table_of_distances(rows: int) -> None:
    draw = np.random.default_rng(rows)
    x = draw.normal(size=rows)
    for y in (draw.normal(size=rows), x**2 + 0.1 * draw.normal(size=rows), draw.integers(0, 3, rows).astype(float)):
        assert dcor2(x, y) == pytest.approx(by_table(x, y), abs=1e-12)
    ties = x.round(1)
    assert dcor2(ties, y) == pytest.approx(by_table(ties, y), abs=1e-12)


def test_shuffled_without_sorting_again() -> None:
    draw = np.random.default_rng(0)
    held = Distances.of(draw.exponential(size=200), draw.normal(size=200))
    order = draw.permutation(200)
    assert held.dcor2(order) == pytest.approx(by_table(held.x, held.y[order]), abs=1e-12)


def test_known_values() -> None:
    x = np.random.default_rng(1).normal(size=20_000)
    y = np.random.default_rng(2).normal(size=20_000)
    assert dcor2(x, 3 - 2 * x) == pytest.approx(1)
    assert dcor2(1e6 + 1e-3 * x, x) == pytest.approx(1, abs=1e-6)  # nothing is lost to an offset
    assert abs(dcor2(x, y)) < 5e-4
    # Gaussian columns of correlation r = 1/2: Szekely et al. (2007), theorem 7
    r = 0.5
    part = [a * np.arcsin(a) + np.sqrt(1 - a * a) - a * np.arcsin(a / 2) - np.sqrt(4 - a * a) + 1 for a in (r, 1.0)]
    assert dcor2(x, r * x + np.sqrt(1 - r * r) * y) == pytest.approx(part[0] / part[1], rel=0.05)
    assert dcor2(x, x**2) > 0.1 > abs(np.corrcoef(x, x**2)[0, 1])  # what Pearson does not see


def test_unbiased_where_there_is_nothing() -> None:
    draw = np.random.default_rng(3)
    values = [dcor2(draw.normal(size=20), draw.exponential(size=20)) for _ in range(2000)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(2000)


def test_refuses() -> None:
    with pytest.raises(ValueError, match="all values of column y are 2"):
        dcor2([1, 2, 3, 4], [2, 2, 2, 2])
    with pytest.raises(ValueError, match="at least 4"):
        dcor2([1, 2, 3], [1, 2, 4])
    with pytest.raises(ValueError, match="y of row 1 is nan"):
        dcor2([1, 2, 3, 4], [1, float("nan"), 3, 4])
