"""Products in tiles beside numpy's, for tables that fill no tile, and with what lies beyond them left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pcloud.neighbors.lanes import compiled
from pcloud.nn.tiles import LANES, ROWS, add_outer, affine, matrix, whole


@compiled()
def _affine(x: Any, rows: int, w: Any, out: Any, floor: float) -> None:
    affine(x, rows, w, out, floor)


@compiled()
def _add_outer(x: Any, w: Any, rows: int, out: Any) -> None:
    add_outer(x, w, rows, out)


def near(kind: type) -> dict[str, float]:
    return {"rtol": 1e-12, "atol": 1e-12} if kind is np.float64 else {"rtol": 1e-4, "atol": 1e-4}


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [(1, 1, 1), (ROWS, 3, LANES), (ROWS + 1, 33, LANES + 1), (100, 64, 7), (0, 5, 5)]
)
def test_affine(rows: int, inputs: int, outputs: int, kind: type) -> None:
    """The last rows of ``out`` belong to somebody else; x has columns that the matrix does not know."""
    chance = np.random.default_rng(0)
    x, weight, shift = (chance.normal(size=size).astype(kind) for size in ((rows + 2, inputs + 1), (inputs, outputs), outputs))
    out = np.full((rows + 2, whole(outputs)), 7, kind)
    _affine(x, rows, matrix(weight, inputs, shift), out, kind(-0.5))
    np.testing.assert_allclose(out[:rows, :outputs], np.maximum(x[:rows, :inputs] @ weight + shift, -0.5), **near(kind))
    assert (out[:rows, outputs:] == 0).all() and (out[rows:] == 7).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "channels", "others"), [(1, 1, 1), (40, ROWS, LANES), (65, ROWS + 1, LANES + 1), (3, 64, 7), (0, 5, 5)]
)
def test_add_outer(rows: int, channels: int, others: int, kind: type) -> None:
    chance = np.random.default_rng(1)
    x, w = (chance.normal(size=size).astype(kind) for size in ((rows + 2, channels), (rows + 2, whole(others))))
    out = np.ones((channels, whole(others)), kind)
    _add_outer(x, w, rows, out)
    np.testing.assert_allclose(out, 1 + x[:rows].T @ w[:rows], **near(kind))


def test_a_nan_is_not_lifted_to_the_floor() -> None:
    x = np.array([[1.0], [np.nan]], np.float32)
    out = np.empty((2, LANES), np.float32)
    _affine(x, 2, matrix(np.ones((1, LANES), np.float32), 1), out, np.float32(2))
    assert (out[0] == 2).all() and np.isnan(out[1]).all()


def test_kernels_on_disk_are_kept_for_the_sources_about_them_alone() -> None:
    """Numba looks at a function's own file: tiles and lanes that are built into it would stay as they were."""
    from pcloud.nn import edge_block_loops

    _, written = edge_block_loops.step._cache._cache_file._source_stamp
    assert {"edge_block_loops.py", "tiles.py", "lanes.py"} <= {name for name, *_ in written}
