"""Every pair compared: equal to the reference to the last bit, for any small cloud, number of neighbours, reach and metric."""

from __future__ import annotations

import math

import pytest
import torch
from clouds_of_trouble import TROUBLE
from searches import SEARCHES, assert_equal

from pcloud.neighbors import pairs
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


@pytest.mark.parametrize("bounds", [[0, 3, 2, 4], [0, 3], [1, 4]])
def test_offsets_that_do_not_share_out_the_rows(bounds: list[int]) -> None:
    pos, offsets = torch.rand(4, 2), torch.tensor(bounds)
    with pytest.raises(ValueError, match="they must rise from 0 to that number"):
        pairs.search(Search(pos, offsets, pos, offsets, 2))
