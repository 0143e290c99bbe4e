"""The sampler deals every event once an epoch, keeps the budget, and can be taken up at any batch."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcloud.data.sampler import Endless, PointBudget

SIZES = st.lists(st.integers(0, 50), min_size=1, max_size=40)
EPOCHS = st.integers(0, 5)


def test_hand_worked() -> None:
    """6 + 4 fill the budget, 11 exceeds it alone, an empty event costs nothing."""
    batches = PointBudget([6, 4, 3, 11, 0, 10], 10, seed=0, shuffle=False)
    assert list(batches) == [[0, 1], [2], [3], [4, 5]]
    assert len(batches) == 4


@given(sizes=SIZES, budget=st.integers(1, 80), seed=st.integers(0, 9), epoch=EPOCHS, shuffle=st.booleans())
def test_every_event_once_within_the_budget(
    sizes: list[int], budget: int, seed: int, epoch: int, shuffle: bool
) -> None:
    sampler = PointBudget(sizes, budget, seed=seed, shuffle=shuffle)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(index for batch in batches for index in batch) == list(range(len(sizes)))
    for batch in batches:
        total = sum(sizes[index] for index in batch)
        assert total <= budget or [sizes[index] for index in batch if sizes[index]] == [total]
    for batch, after in zip(batches, batches[1:], strict=False):
        assert sum(sizes[index] for index in batch) + sizes[after[0]] > budget  # no batch ends too early


@given(sizes=SIZES, epoch=EPOCHS)
def test_order_is_a_function_of_seed_and_epoch(sizes: list[int], epoch: int) -> None:
    used, fresh = PointBudget(sizes, 60, seed=7), PointBudget(sizes, 60, seed=7)
    for other in range(3):
        used.set_epoch(other)
        list(used)
    used.set_epoch(epoch)
    fresh.set_epoch(epoch)
    assert list(used) == list(fresh) == list(fresh)


def test_other_seed_or_epoch_other_order() -> None:
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        sampler = PointBudget([1] * 50, 50, seed=seed)
        sampler.set_epoch(epoch)
        return tuple(next(iter(sampler)))

    assert len({order(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


@given(sizes=SIZES, epoch=EPOCHS, data=st.data())
def test_start_batch_goes_on_exactly(sizes: list[int], epoch: int, data: st.DataObject) -> None:
    sampler = PointBudget(sizes, 60, seed=1)
    sampler.set_epoch(epoch)
    whole = list(sampler)
    start = data.draw(st.integers(0, len(whole)))
    sampler.set_epoch(epoch, start)
    assert list(sampler) == whole[start:]


@given(sizes=SIZES, start=st.integers(0, 60))
def test_endless_from_any_batch(sizes: list[int], start: int) -> None:
    stream = list(islice(Endless(PointBudget(sizes, 60, seed=2)), start + 10))
    assert list(islice(Endless(PointBudget(sizes, 60, seed=2), start), 10)) == stream[start:]


def test_endless_is_epoch_after_epoch() -> None:
    sampler = PointBudget([5, 9, 2, 7, 30], 12, seed=3)
    expected = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        expected += list(sampler)
    assert list(islice(Endless(sampler), len(expected))) == expected


@pytest.mark.parametrize(
    ("sizes", "budget", "seed", "message"),
    [([1], 0, 0, "budget 0"), ([1], 5, -1, "seed -1"), ([-1], 5, 0, "none negative"), ([[1]], 5, 0, "shape")],
)
def test_bad_input(sizes: list[int], budget: int, seed: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PointBudget(sizes, budget, seed=seed)


def test_start_beyond_the_epoch() -> None:
    with pytest.raises(ValueError, match="start_batch 3 came; epoch 4 has 2 batches"):
        PointBudget([5, 5], 5, seed=0).set_epoch(4, 3)
    with pytest.raises(ValueError, match="at least one"):
        Endless(PointBudget([], 5, seed=0))


def test_at_most_so_many_events() -> None:
    assert list(PointBudget([1, 1, 1, 5, 1, 9], 6, seed=0, shuffle=False, events=2)) == [[0, 1], [2, 3], [4], [5]]
    assert list(PointBudget([1] * 5, 100, seed=0, shuffle=False, events=2)) == [[0, 1], [2, 3], [4]]
    with pytest.raises(ValueError, match="events -1 came"):
        PointBudget([1], 1, seed=0, events=-1)
