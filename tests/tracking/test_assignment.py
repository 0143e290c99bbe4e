"""Hits go to the likeliest candidate: three candidates worked out by hand."""

from __future__ import annotations

import numpy as np

from pcloud.tracking.assignment import assign
from pcloud.tracking.settings import BEAM_PASS

CUTS = BEAM_PASS._replace(hits_min=3.0, accept=5.0, accept_hit=1.0)


def table(*candidates: dict[int, float]) -> tuple[np.ndarray, ...]:
    names, gains = np.zeros((len(candidates), 8), np.int32), np.zeros((len(candidates), 8), np.float32)
    for i, one in enumerate(candidates):
        names[i, : len(one)], gains[i, : len(one)] = list(one), list(one.values())
    sizes = np.array([len(one) for one in candidates])
    return names, gains, sizes, gains.sum(axis=1).astype(np.float64)


def test_the_likelier_candidate_keeps_the_shared_hit() -> None:
    names, gains, sizes, totals = table({0: 4, 1: 4, 2: 4, 3: 4}, {3: 9, 4: 9, 5: 9, 6: 9}, {0: 1, 6: 1, 7: 9})
    taken = np.zeros(8, bool)
    kept = assign(names, gains, sizes, totals, np.zeros(3), taken, CUTS)
    assert kept.tolist() == [1, 0]  # 36, then 16 - 4 = 12; the third keeps one hit of three and goes
    assert names[0, : sizes[0]].tolist() == [0, 1, 2]
    assert taken.tolist() == [True] * 7 + [False]


def test_of_equals_the_first_wins() -> None:
    names, gains, sizes, totals = table({0: 3, 1: 3, 2: 3}, {0: 3, 1: 3, 2: 3})
    assert assign(names, gains, sizes, totals, np.zeros(2), np.zeros(3, bool), CUTS).tolist() == [0]
