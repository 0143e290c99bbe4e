"""Hits go to the likeliest candidate first: worked out by hand."""

from __future__ import annotations

import numpy as np

from pcloud.tracking.assignment import assign
from pcloud.tracking.settings import BEAM_PASS

CUTS = BEAM_PASS._replace(hits_min=3.0, accept=5.0, accept_hit=1.0)


def assigned(candidates: list[list[int]], gains: list[list[float]], cuts: object = CUTS) -> list[list[int]]:
    names, ratio = np.zeros((len(candidates), 8), np.int32), np.zeros((len(candidates), 8), np.float32)
    for i, (one, gain) in enumerate(zip(candidates, gains, strict=True)):
        names[i, : len(one)], ratio[i, : len(one)] = one, gain
    sizes, totals = np.array([len(one) for one in candidates]), np.array([float(sum(one)) for one in gains])
    kept = assign(names, ratio, sizes, totals, np.zeros(20, bool), cuts)
    return [names[i, : sizes[i]].tolist() for i in kept]


def test_the_likeliest_takes_its_hits_and_the_rest_must_still_be_a_track() -> None:
    candidates = [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8]]
    assert assigned(candidates, [[3] * 4, [4] * 4, [2] * 3]) == [[3, 4, 5, 6], [0, 1, 2]], "the third has two hits left"


def test_what_remains_is_weighed_again() -> None:
    """Candidate 1 loses its two best hits to candidate 0 and falls behind candidate 2, which shares one of the others."""
    kept = assigned([[0, 1, 2, 3], [0, 1, 4, 5, 6], [6, 7, 8]], [[9] * 4, [8, 8, 2, 2, 2], [3, 3, 3]])
    assert kept == [[0, 1, 2, 3], [6, 7, 8]]


def test_too_unlikely_is_no_track() -> None:
    assert assigned([[0, 1, 2]], [[1.5, 1.5, 1.5]]) == []
    assert assigned([[0, 1, 2, 3, 4, 5]], [[0.9] * 6]) == [], "enough in all, too little a hit"
    assert assigned([], []) == []
