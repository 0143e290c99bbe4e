"""Faiss as a path gives the reference's bytes, though it rounds otherwise: what it leaves in doubt is looked at again."""

from __future__ import annotations

import math

import pytest
import torch
from clouds_of_trouble import TROUBLE
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import faiss, knn, reference
from pcloud.neighbors.search import Search

installed = pytest.mark.usefixtures("library")


@pytest.fixture(scope="module")
def library() -> None:
    pytest.importorskip("faiss", reason="faiss is not installed")


def assert_equal(asked: Search) -> None:
    for name, fast, slow in zip(("index", "distance2", "truncated"), faiss.search(asked), reference.search(asked), strict=True):
        assert torch.equal(fast, slow), name


@installed
@pytest.mark.parametrize("name", TROUBLE)
def test_it_equals_the_reference(name: str) -> None:
    pos, offsets = TROUBLE[name]()
    counts = segments.lengths(offsets)
    query = torch.cat([event[::3] for event in pos.split(counts.tolist())] + [pos[:0]])
    for k in (1, 7, 200):
        for reach2 in (1.0, math.inf):
            for skip in (True, False):
                assert_equal(Search(pos, offsets, pos, offsets, k, reach2, skip))
            assert_equal(Search(pos, offsets, query, segments.offsets_of((counts + 2) // 3), k, reach2))


@installed
@pytest.mark.parametrize("shift", [0.0, 3e3])
def test_doubtful_queries_are_asked_again(shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud faiss can tell apart settles all; one with a point far out, where it rounds all to the same, none."""
    pos = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    pos[-1] += shift
    again: list[int] = []
    plain = faiss._ask_again

    def counted(out: object, asked: Search, points: Tensor, queries: Tensor) -> None:
        again.append(len(queries))
        plain(out, asked, points, queries)  # type: ignore[arg-type]

    monkeypatch.setattr(faiss, "_ask_again", counted)
    assert_equal(Search(pos, torch.tensor([0, 400]), pos, torch.tensor([0, 400]), 8, skip_self=True))
    assert (sum(again) > 300) == bool(shift)


def test_what_it_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pos, offsets = torch.zeros(5, 2), torch.tensor([0, 5])
    with pytest.raises(ValueError, match="path 'faiss' knows no cylinder"):
        knn(pos, offsets, 2, metric="cylinder", path="faiss")
    with pytest.raises(ValueError, match="k = 3000 came; path 'faiss' gives 2030 at most"):
        knn(pos, offsets, 3000, path="faiss")
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(ValueError, match="faiss is not installed"):
        knn(pos, offsets, 2, path="faiss")
