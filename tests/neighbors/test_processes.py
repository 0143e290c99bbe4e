"""The same neighbours from the main process, from forked and spawned loader workers after use, and from threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pcloud.neighbors import knn

POINTS, EVENTS = 9_000, 4  # enough for several threads


class Graphs(Dataset[Tensor]):
    """The neighbour table of event ``i``, made where the event is read."""

    def __len__(self) -> int:
        return EVENTS

    def __getitem__(self, i: int) -> Tensor:
        pos = torch.randn(POINTS, 3, generator=torch.Generator().manual_seed(i))
        # A loader's worker has one thread, which would leave ours untested; torch's own do not survive a fork.
        with mock.patch.object(torch, "get_num_threads", return_value=2):
            return knn(pos, torch.tensor([0, POINTS // 3, POINTS]), 8).index


@pytest.fixture(scope="module")
def expected() -> list[Tensor]:
    """From the main process, whose threads are then in use when children are made."""
    return [Graphs()[i] for i in range(EVENTS)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_in_loader_workers(method: str, expected: list[Tensor]) -> None:
    loader = DataLoader(Graphs(), batch_size=None, num_workers=2, multiprocessing_context=method, timeout=120)
    for made, known in zip(loader, expected, strict=True):
        assert torch.equal(made, known)
    assert torch.equal(Graphs()[0], expected[0]), "the main process is well after its children"


def test_from_four_threads_at_once(expected: list[Tensor]) -> None:
    with ThreadPoolExecutor(4) as pool:
        for made, known in zip(pool.map(Graphs().__getitem__, [0, 1, 2, 3] * 5), expected * 5, strict=True):
            assert torch.equal(made, known)


def test_workers_forked_from_a_thread(expected: list[Tensor]) -> None:
    """Children made while other threads search."""

    def load(_: int) -> bool:
        loader = DataLoader(Graphs(), batch_size=None, num_workers=1, multiprocessing_context="fork", timeout=120)
        return all(torch.equal(made, known) for made, known in zip(loader, expected, strict=True))

    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(Graphs().__getitem__, 1) for _ in range(6)]
        assert all(pool.map(load, range(2)))
        assert all(torch.equal(one.result(), expected[1]) for one in busy)
