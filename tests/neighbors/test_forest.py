"""The CPU's forest equals the reference to the last bit, for any cloud, number of neighbours, reach, metric and thread."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from clouds import law
from clouds_of_trouble import TROUBLE
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import forest, knn, reference
from pcloud.neighbors.lanes import FAN, LEAF
from pcloud.neighbors.search import Search

SIZES = st.lists(st.one_of(st.integers(0, 12), st.integers(0, 400)), min_size=1, max_size=4)


def assert_equal(asked: Search) -> None:
    for name, fast, slow in zip(("index", "distance2", "truncated"), forest.search(asked), reference.search(asked), strict=True):
        assert torch.equal(fast, slow), name


def thirds(pos: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Every third point of each event, as queries of their own."""
    counts = segments.lengths(offsets)
    picked = [event[::3] for event in pos.split(counts.tolist())] + [pos[:0]]
    return torch.cat(picked).contiguous(), segments.offsets_of((counts + 2) // 3)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Three threads, whatever the machine: chunks end in the middle of events and leaves."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("name", TROUBLE)
def test_it_equals_the_reference(name: str, wrap: bool) -> None:
    pos, offsets = TROUBLE[name]()
    if wrap:
        pos[:, -1] = pos[:, -1].clamp(-3.1, 3.1)
    query, query_offsets = thirds(pos, offsets)
    for k in (1, 7, 39, 100, 200):
        for reach2 in (0.0, 2.0, math.inf):
            for skip in (True, False):
                assert_equal(Search(pos, offsets, pos, offsets, k, reach2, skip, wrap))
            assert_equal(Search(pos, offsets, query, query_offsets, k, reach2, False, wrap))


@law
@given(
    sizes=SIZES,
    dim=st.integers(1, 9),
    k=st.sampled_from([1, 2, 3, 16, 31, 32, 33, 95, 96, 97, 150]),
    grid=st.sampled_from([0.0, 0.25, 1.0]),
    reach=st.sampled_from([0.0, 0.5, 1.0, math.inf]),
    bad=st.floats(0, 0.5),
    own=st.booleans(),
    skip=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_it_equals_the_reference_anywhere(
    sizes: list[int], dim: int, k: int, grid: float, reach: float, bad: float, own: bool, skip: bool, seed: int
) -> None:
    """Ragged events of up to many leaves, on lattices where most distances tie, with rows that are not finite."""
    draw = torch.Generator().manual_seed(seed)
    pos = torch.randn(sum(sizes), dim, generator=draw)
    pos = torch.round(pos / grid) * grid if grid else pos
    pos[torch.rand(len(pos), generator=draw) < bad / 2] = math.nan
    offsets = segments.offsets_of(torch.tensor(sizes))
    queries = (pos, offsets) if own else thirds(pos.flip(0), segments.offsets_of(torch.tensor(sizes[::-1])))
    if not own:
        offsets = segments.offsets_of(torch.tensor(sizes[::-1]))
    assert_equal(Search(pos, offsets, *queries, k, reach, skip and own))


@pytest.mark.parametrize("points", [1, LEAF, LEAF + 1, LEAF * FAN, LEAF * FAN + 1, 3 * LEAF * FAN**2 + 5])
def test_every_number_of_levels(points: int) -> None:
    pos = torch.randn(points, 3, generator=torch.Generator().manual_seed(points))
    offsets = torch.tensor([0, points])
    query = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    assert_equal(Search(pos, offsets, query, torch.tensor([0, 50]), 20))
    assert_equal(Search(pos, offsets, query, torch.tensor([0, 50]), 20, 0.25))


@pytest.mark.parametrize("k", [16, 1024])
def test_any_number_of_threads_gives_the_same_bytes(k: int) -> None:
    pos = torch.randn(13_000, 4, generator=torch.Generator().manual_seed(0))
    offsets = torch.tensor([0, 5_000, 5_000, 12_999, 13_000])
    tables = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found = knn(pos, offsets, k)
        tables.append((found.index.numpy().tobytes(), found.distance2.numpy().tobytes()))
    assert tables[0] == tables[1] == tables[2]
    some = torch.arange(0, 13_000, 997)
    slow = reference.search(Search(pos[:5000], torch.tensor([0, 5_000]), pos[some[:6]], torch.tensor([0, 6]), k + 1))
    assert torch.equal(slow.index[:, 1:], found.index[some[:6]]) and torch.equal(slow.index[:, 0], some[:6].int())


def test_round_the_cylinder() -> None:
    """Azimuths either side of the seam are near; far round both ways is far."""
    draw = torch.Generator().manual_seed(5)
    pos = torch.stack([torch.randn(3000, generator=draw), (torch.rand(3000, generator=draw) - 0.5) * 2 * math.pi], 1)
    seam = pos[:, 1].abs() > 3.0
    asked = Search(pos, torch.tensor([0, 3000]), pos, torch.tensor([0, 3000]), 12, math.inf, True, True)
    assert_equal(asked)
    straight = forest.search(Search(pos, torch.tensor([0, 3000]), pos, torch.tensor([0, 3000]), 12, math.inf, True, False))
    assert bool((forest.search(asked).index[seam] != straight.index[seam]).any())


def test_few_leaves_are_opened() -> None:
    """The boxes do their work: a count of what a query must look at, which no machine's speed can change."""
    pos = torch.rand(40_000, 3, generator=torch.Generator().manual_seed(0))
    rows, starts = forest._finite(pos, torch.tensor([0, len(pos)]))
    grown = forest.plant(pos.numpy(), rows, starts, 1, lambda function, calls: [function(*call) for call in calls])
    reach = forest.search(Search(pos, torch.tensor([0, len(pos)]), pos, torch.tensor([0, len(pos)]), 16)).distance2[:, -1]
    lows, highs = np.nanmin(grown.blocks, 2), np.nanmax(grown.blocks, 2)
    some = np.arange(0, len(pos), 100)
    gaps = np.maximum(np.maximum(lows[None] - pos.numpy()[some, None], pos.numpy()[some, None] - highs[None]), 0)
    opened = ((gaps**2).sum(2) <= reach.numpy()[some, None]).sum(1)
    assert opened.mean() < 10, "32 points a leaf, 1,250 leaves: a ball of 16 points touches a few of them"


def test_offsets_that_do_not_fit_are_refused() -> None:
    pos = torch.zeros(5, 2)
    for offsets in ([0, 4], [0, 6], [1, 5], [0, 4, 3, 5]):
        with pytest.raises(ValueError, match="they must rise from 0 to that number|offsets end at"):
            knn(pos, torch.tensor(offsets), 2)
        with pytest.raises(ValueError, match="they must rise from 0 to that number"):
            knn(pos, torch.tensor(offsets), 2, check=False)
