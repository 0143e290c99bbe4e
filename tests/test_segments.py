"""Reductions over ragged rows: answers worked on paper, a loop over events as oracle, half precision on a full-size event."""

from __future__ import annotations

import pytest
import torch
from clouds import law
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcloud import segments

SIZES = st.lists(st.integers(0, 5), min_size=1, max_size=6)


def rows(sizes: list[int], channels: int = 2) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(sum(sizes))
    return torch.randn(sum(sizes), channels, generator=draw, dtype=torch.float64), segments.offsets_of(torch.tensor(sizes))


def test_on_paper() -> None:
    offsets = torch.tensor([0, 2, 2, 3])
    values = torch.tensor([1.0, 3.0, -5.0])
    assert segments.lengths(offsets).tolist() == [2, 0, 1]
    assert segments.event_of(offsets).tolist() == [0, 0, 2]
    assert segments.sum(values, offsets).tolist() == [4, 0, -5]
    assert segments.mean(values, offsets).tolist() == [2, 0, -5]
    assert segments.max(values, offsets).tolist() == [3, 0, -5]
    assert segments.max(values, offsets, empty=-torch.inf).tolist() == [3, -torch.inf, -5]
    half = 1 / (1 + torch.e**2)
    assert segments.softmax(values, offsets).tolist() == pytest.approx([half, 1 - half, 1])
    padded, mask = segments.pad(values, offsets, 2, fill=9.0)
    assert padded.tolist() == [[1, 3], [9, 9], [-5, 9]]
    assert mask.tolist() == [[True, True], [False, False], [True, False]]


def test_no_events_and_no_rows() -> None:
    none, empty = torch.zeros(0, 2), torch.tensor([0])
    for reduce in (segments.sum, segments.mean, segments.max):
        assert reduce(none, empty).shape == (0, 2)
        assert reduce(none, torch.tensor([0, 0, 0])).tolist() == [[0, 0], [0, 0]]
    assert segments.softmax(none, torch.tensor([0, 0])).shape == (0, 2)
    assert segments.pad(none, torch.tensor([0, 0]), 0)[0].shape == (1, 0, 2)


@law
@given(sizes=SIZES)
def test_each_event_as_if_alone(sizes: list[int]) -> None:
    values, offsets = rows(sizes)
    events = values.split(sizes)
    full = [(number, event) for number, event in enumerate(events) if len(event)]
    softmax = segments.softmax(values, offsets).split(sizes)
    for number, event in full:
        torch.testing.assert_close(segments.sum(values, offsets)[number], event.sum(0))
        torch.testing.assert_close(segments.mean(values, offsets)[number], event.mean(0))
        assert torch.equal(segments.max(values, offsets)[number], event.amax(0))
        torch.testing.assert_close(softmax[number], event.softmax(0))


@law
@given(sizes=SIZES)
def test_offsets_and_owners_agree(sizes: list[int]) -> None:
    offsets = segments.offsets_of(torch.tensor(sizes))
    assert segments.lengths(offsets).tolist() == sizes
    assert torch.bincount(segments.event_of(offsets), minlength=len(sizes)).tolist() == sizes


@law
@given(sizes=SIZES)
def test_pad_and_back(sizes: list[int]) -> None:
    values, offsets = rows(sizes)
    padded, mask = segments.pad(values, offsets, max(sizes), fill=torch.nan)
    assert torch.equal(segments.unpad(padded, mask), values)
    assert bool(padded[~mask].isnan().all())


def test_jagged_holds_the_same_rows() -> None:
    values, offsets = rows([2, 0, 3])
    nested = segments.jagged(values, offsets)
    assert torch.equal(nested.values(), values)
    assert [len(event) for event in nested.unbind()] == [2, 0, 3]


@law
@given(sizes=SIZES)
def test_gradients(sizes: list[int]) -> None:
    values, offsets = rows(sizes)
    values.requires_grad_()
    for reduce in (segments.sum, segments.mean, segments.max, segments.softmax):
        assert torch.autograd.gradcheck(reduce, (values, offsets))


def test_softmax_of_large_numbers() -> None:
    assert segments.softmax(torch.tensor([1e4, 1e4, -1e4]), torch.tensor([0, 3])).tolist() == [0.5, 0.5, 0]


def test_whole_numbers() -> None:
    values, offsets = torch.tensor([2**62, 1, 5]), torch.tensor([0, 2, 3])
    assert segments.sum(values, offsets).tolist() == [2**62 + 1, 5]
    assert segments.max(values, offsets).tolist() == [2**62, 5]
    assert segments.mean(torch.tensor([1, 2]), torch.tensor([0, 2])).tolist() == [1.5]
    few = torch.tensor([1, 2, 3], dtype=torch.int32)
    assert segments.sum(few, torch.tensor([0, 3])).dtype == segments.sum(few, torch.tensor([0, 1, 3])).dtype == torch.int32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_on_a_full_event(dtype: torch.dtype) -> None:
    """100,000 ones: half cannot count them, bfloat16 stops at 256."""
    ones, offsets = torch.ones(100_000, dtype=dtype), torch.tensor([0, 100_000])
    assert segments.sum(ones, offsets).tolist() == [100_000]
    assert segments.mean(ones, offsets).tolist() == [1] and segments.mean(ones, offsets).dtype == dtype
    weight = segments.softmax(ones, offsets)
    assert weight.dtype == dtype and weight[0].item() == pytest.approx(1e-5, rel=0.01)
