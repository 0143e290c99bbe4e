"""Small searches that go wrong, for every path's tests, and a way to run a GPU path on a machine without one.

``SEARCHES[name]()`` is a Search; ``assert_equal(path, asked)`` compares with the reference to the bit; ``interpreted(where)``
does so for all under Triton's interpreter, which has to be told before triton is imported: hence a process of its own.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterable

import processes
import torch
from clouds_of_trouble import TROUBLE
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import reference
from pcloud.neighbors.search import Path, Search


def _search(
    points: Tensor, sizes: list[int], k: int, queries: Tensor | None = None, query_sizes: list[int] | None = None, **more: object
) -> Search:
    offsets = segments.offsets_of(torch.tensor(sizes, dtype=torch.int64))
    if queries is None or query_sizes is None:
        queries, query_offsets = points, offsets
    else:
        query_offsets = segments.offsets_of(torch.tensor(query_sizes, dtype=torch.int64))
    return Search(points, offsets, queries, query_offsets, k, max_points=max(sizes, default=0), **more)  # type: ignore[arg-type]


def _noise(points: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(points, dim, generator=torch.Generator().manual_seed(seed))


def _cylinder(points: int) -> Tensor:
    """(eta, phi) crowding about the seam, some of it exactly on it."""
    pos = _noise(points, 2)
    pos[:, 1] = torch.where(pos[:, 1] > 0, torch.pi - pos[:, 1].abs() * 0.2, -torch.pi + pos[:, 1].abs() * 0.2)
    pos[:4, 1] = torch.tensor([torch.pi, -torch.pi, torch.pi, -torch.pi])
    return pos


def _broken(points: int, dim: int) -> Tensor:
    pos = _noise(points, dim)
    pos[3, 0] = math.nan
    pos[points // 2] = math.nan
    pos[points - 1, dim - 1] = math.inf
    pos[7] = 1e30  # its square overflows
    return pos


def _trouble(name: str, k: int) -> Search:
    pos, offsets = TROUBLE[name]()
    return _search(pos, offsets.diff().tolist(), k, skip_self=True)


SEARCHES: dict[str, Callable[[], Search]] = {
    "ragged, empty events first, middle and last": lambda: _search(_noise(93, 3), [0, 30, 1, 0, 0, 60, 2, 0], 5, skip_self=True),
    "no point": lambda: _search(_noise(0, 3), [0, 0], 4, skip_self=True),
    "no event": lambda: _search(_noise(0, 3), [], 4, skip_self=True),
    "one point": lambda: _search(_noise(1, 2), [1], 3, skip_self=True),
    "one point, itself": lambda: _search(_noise(1, 2), [1], 3),
    "k of one": lambda: _search(_noise(40, 2), [40], 1, skip_self=True),
    "k above the points": lambda: _search(_noise(45, 2), [5, 40], 70, skip_self=True),
    "coincident": lambda: _trouble("coincident", 7),
    "crowds": lambda: _trouble("crowds", 16),
    "lattice": lambda: _trouble("lattice", 10),
    "collinear": lambda: _trouble("collinear", 6),
    "near ties": lambda: _trouble("near ties", 9),
    "huge": lambda: _trouble("huge", 4),
    "tiny": lambda: _trouble("tiny", 4),
    "vanishing": lambda: _trouble("vanishing", 4),
    "signed zeros": lambda: _trouble("signed zeros", 5),
    "not finite": lambda: _search(_broken(50, 3), [20, 30], 8, skip_self=True),
    "not finite, within reach": lambda: _search(_broken(50, 3), [20, 30], 8, reach2=1.0),
    "reach cuts some rows short, others off": lambda: _search(_noise(80, 2), [50, 30], 6, skip_self=True, reach2=0.25),
    "reach of exactly k, lattice": lambda: _search(TROUBLE["lattice"]()[0], [125], 6, skip_self=True, reach2=1.0),
    "reach of one more than k, lattice": lambda: _search(TROUBLE["lattice"]()[0], [125], 5, skip_self=True, reach2=1.0),
    "reach of nothing but its own place": lambda: _search(TROUBLE["coincident"]()[0], [25, 15], 4, skip_self=True, reach2=0.0),
    "a reach beyond all": lambda: _search(_noise(80, 2), [5, 40, 35], 6, skip_self=True, reach2=1e38),
    "seam": lambda: _search(_cylinder(60), [40, 20], 8, skip_self=True, wrap=True),
    "seam, within reach": lambda: _search(_cylinder(60), [40, 20], 4, skip_self=True, wrap=True, reach2=0.1),
    "queries of their own": lambda: _search(_noise(70, 3), [30, 0, 40, 0], 6, _noise(55, 3, 1), [35, 5, 0, 15]),
    "many queries, few points": lambda: _search(_noise(6, 2), [4, 2], 3, _noise(150, 2, 1), [100, 50], reach2=2.0),
    "queries, no point": lambda: _search(_noise(0, 2), [0, 0], 3, _noise(5, 2), [2, 3]),
    "points, no query": lambda: _search(_noise(9, 2), [9], 3, _noise(0, 2), [0]),
    "d = 1": lambda: _search(_noise(70, 1), [70], 12, skip_self=True),
    "d = 8": lambda: _search(_noise(90, 8), [60, 30], 17, skip_self=True),
    "d = 17": lambda: _search(_noise(50, 17), [50], 33, skip_self=True, reach2=30.0),
    "d = 32, wrapped": lambda: _search(_noise(40, 32).clamp(-3, 3), [40], 16, skip_self=True, wrap=True),
}


def assert_equal(path: Path, asked: Search) -> None:
    """Index, distance and flag, to the bit."""
    truth, found = reference.search(asked), path(asked)
    for name, want, got in zip(truth._fields, truth, found, strict=True):
        assert got.dtype == want.dtype and torch.equal(got, want), f"{name}: {got.tolist()} came; {want.tolist()} is right"


def interpreted(where: str, names: Iterable[str] = ()) -> None:
    """Run ``module:path`` on the named SEARCHES, by default on all, without a GPU. AssertionError: those it got wrong."""
    said = processes.interpreted(__file__, where, *names)
    assert said.strip() == f"{len(list(names) or SEARCHES)} right", said


def main(where: str, *names: str) -> int:
    """What the process of ``interpreted`` does: prints each failure, or how many were right."""
    module, path = where.split(":")
    wrong = 0
    for name in names or SEARCHES:
        try:
            assert_equal(getattr(importlib.import_module(module), path), SEARCHES[name]())
        except Exception as error:
            wrong += 1
            print(f"{name}: {type(error).__name__}: {str(error)[:2000]}")
    if not wrong:
        print(f"{len(names or SEARCHES)} right")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
