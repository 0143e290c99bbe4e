"""Every pair compared: equal to the reference to the last bit, for any small cloud, number of neighbours, reach and metric."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from clouds_of_trouble import TROUBLE
from searches import SEARCHES, assert_equal

from pcloud.neighbors import knn, pairs
from pcloud.neighbors.search import Search


@pytest.mark.parametrize("name", SEARCHES)
def test_small_searches_that_go_wrong(name: str) -> None:
    assert_equal(pairs.search, SEARCHES[name]())


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("name", TROUBLE)
def test_it_equals_the_reference(name: str, wrap: bool) -> None:
    pos, offsets = TROUBLE[name]()
    if wrap:
        pos[:, -1] = pos[:, -1].clamp(-3.1, 3.1)
    for k in (1, 7, 100):
        for reach2 in (0.0, 2.0, math.inf):
            for skip in (True, False):
                assert_equal(pairs.search, Search(pos, offsets, pos, offsets, k, reach2, skip, wrap))


@pytest.mark.parametrize("points", [0, 1, 63, 64, 65, 128, 129, 200])
@pytest.mark.parametrize("dim", [1, 2, 5, 32])
def test_blocks_that_are_full_or_not(points: int, dim: int) -> None:
    """On a grid, so that many are equally far; events before and after; more neighbours asked for than a block has."""
    pos = torch.randint(-2, 3, (points + 6, dim), generator=torch.Generator().manual_seed(points)).float()
    offsets = torch.tensor([0, 3, 3, 3 + points, points + 6])
    for k in (1, 16, 70, 150):
        for reach2 in (1.0, math.inf):
            assert_equal(pairs.search, Search(pos, offsets, pos, offsets, k, reach2, skip_self=True))


@pytest.mark.parametrize("name", TROUBLE)
def test_without_gradients_the_answer_or_the_error_is_the_same(name: str) -> None:
    """The short way to a search of few points looks at them itself."""

    def answer(pos: torch.Tensor, offsets: torch.Tensor, **more: Any) -> list[torch.Tensor] | str:
        try:
            found = knn(pos, offsets, 5, **more)
        except ValueError as error:
            return str(error)
        return [found.index, found.distance2, found.truncated, found.nonfinite]

    pos, offsets = TROUBLE[name]()
    spoiled = pos.clone()
    spoiled[len(pos) // 2 :, 0] = math.inf
    wrong = [(pos, offsets + 1), (pos, offsets.flip(0)), (spoiled, offsets), (pos * 1e30, offsets)]
    cases = [(pos, offsets), (pos.T.clone().T, offsets), *wrong]
    for case in cases:
        for more in ({}, {"r_max": 0.7}, {"loop": True}):
            expected = answer(*case, **more)
            for mode in (torch.no_grad, torch.inference_mode):
                with mode():
                    found = answer(*case, **more)
                assert type(found) is type(expected)
                if isinstance(found, str):
                    assert found == expected
                else:
                    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("bounds", [[0, 3, 2, 4], [0, 3], [1, 4]])
def test_offsets_that_do_not_share_out_the_rows(bounds: list[int]) -> None:
    pos, offsets = torch.rand(4, 2), torch.tensor(bounds)
    with pytest.raises(ValueError, match="they must rise from 0 to that number"):
        pairs.search(Search(pos, offsets, pos, offsets, 2))
