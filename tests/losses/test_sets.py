"""Laws that every set loss keeps: no order, no leak, zero for equal sets, what empty events give, and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pcloud.losses.sets import SET_LOSSES

OPTIONS: dict[str, dict[str, Any]] = {"sliced": {"seed": 3}, "emd": {"R": 0.7}, "mmd": {"bandwidth": (0.3, 1.0)}}
# what an event of one empty set costs, by the summed weight of the other
ALONE: dict[str, Callable[[float], float]] = {"emd": lambda weight: weight}
every = pytest.mark.parametrize("name", SET_LOSSES)
kinds = pytest.mark.parametrize("kind", [torch.float32, torch.float64])
EMPTY_AND_NOT = ([0, 5, 1, 0, 7, 30, 0, 4], [0, 5, 1, 3, 4, 26, 0, 0])


def offsets_of(sizes: list[int]) -> Tensor:
    return torch.tensor([0, *sizes]).cumsum(0)


def batch(
    sizes: list[int], others: list[int], *, dim: int = 2, seed: int = 0, kind: torch.dtype = torch.float32
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Random events: (x, x_offsets, y, y_offsets) and weights between 0.2 and 1.2."""
    draw = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(sum(some), dim, generator=draw, dtype=kind) for some in (sizes, others))
    a, b = (0.2 + torch.rand(sum(some), generator=draw, dtype=kind) for some in (sizes, others))
    return [x, offsets_of(sizes), y, offsets_of(others)], {"x_weight": a, "y_weight": b}


def loss(name: str, sets: list[Tensor], weights: dict[str, Tensor] | None = None, **options: Any) -> Tensor:
    return SET_LOSSES[name](*sets, **(weights or {}), **OPTIONS.get(name, {}), **options)


def event(number: int, sets: list[Tensor], weights: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """One event alone."""
    x, x_offsets, y, y_offsets = sets
    one, two = slice(*x_offsets[number : number + 2].tolist()), slice(*y_offsets[number : number + 2].tolist())
    alone = [x[one], offsets_of([one.stop - one.start]), y[two], offsets_of([two.stop - two.start])]
    return alone, {"x_weight": weights["x_weight"][one], "y_weight": weights["y_weight"][two]}


@every
@kinds
@pytest.mark.parametrize("weighted", [False, True])
def test_order_says_nothing(name: str, kind: torch.dtype, weighted: bool) -> None:
    sets, weights = batch([9, 0, 6], [5, 3, 8], kind=kind)
    draw = torch.Generator().manual_seed(1)
    order = torch.cat([part + torch.randperm(n, generator=draw) for part, n in ((0, 9), (9, 6))])
    other = torch.cat([part + torch.randperm(n, generator=draw) for part, n in ((0, 5), (5, 3), (8, 8))])
    mixed = [sets[0][order], sets[1], sets[2][other], sets[3]]
    moved = {"x_weight": weights["x_weight"][order], "y_weight": weights["y_weight"][other]}
    found = loss(name, mixed, moved if weighted else None)
    assert found.tolist() == pytest.approx(loss(name, sets, weights if weighted else None).tolist(), abs=1e-6, rel=1e-6)


@every
@kinds
def test_events_know_nothing_of_each_other(name: str, kind: torch.dtype) -> None:
    """Values alone and in company are the same, and an event's value has no gradient by another's points and weights."""
    sets, weights = batch(*EMPTY_AND_NOT, kind=kind)
    inputs = [sets[0].requires_grad_(), sets[2].requires_grad_(), *(one.requires_grad_() for one in weights.values())]
    together = loss(name, sets, weights)
    assert together.shape == (8,) and together.dtype == kind
    for number in range(8):
        alone = loss(name, *event(number, sets, weights))
        assert alone.item() == pytest.approx(together[number].item(), rel=1e-6, abs=1e-7), number
        grown = torch.autograd.grad(together[number], inputs, retain_graph=True, allow_unused=True)
        for by, bounds in zip(grown, (sets[1], sets[3], sets[1], sets[3]), strict=True):
            if by is not None:
                by[bounds[number] : bounds[number + 1]] = 0
                assert not by.any(), number


@every
@kinds
def test_what_is_empty(name: str, kind: torch.dtype) -> None:
    sets, weights = batch([0, 3, 0], [4, 0, 0], kind=kind)
    x, y = sets[0].requires_grad_(), sets[2].requires_grad_()
    price = ALONE.get(name, lambda weight: 1.0)
    values = loss(name, sets, weights)
    if name != "ordered":
        sums = [weights["y_weight"].sum().item(), weights["x_weight"].sum().item()]
        assert values.tolist() == pytest.approx([price(sums[0]), price(sums[1]), 0.0])
    assert values[2] == 0
    if values.requires_grad:
        values.sum().backward()
        assert all(one.grad is None or bool(torch.isfinite(one.grad).all()) for one in (x, y))


@pytest.mark.parametrize("name", ["chamfer", "sinkhorn", "sliced", "energy", "mmd"])
def test_the_price_of_one_empty_set_is_an_option(name: str) -> None:
    sets, weights = batch([0, 3, 0, 2], [4, 0, 0, 2])
    assert loss(name, sets, weights, empty=7.5).tolist()[:3] == [7.5, 7.5, 0.0]


@every
def test_no_event_at_all(name: str) -> None:
    sets, weights = batch([], [])
    assert loss(name, sets, weights).shape == (0,)


@every
@kinds
def test_no_weight_is_no_point(name: str, kind: torch.dtype) -> None:
    sets, weights = batch([4, 3, 2, 0], [5, 0, 3, 2], kind=kind)
    more, ghosts = batch([2, 1, 3, 2], [1, 2, 2, 1], kind=kind, seed=1)
    lengths = [torch.diff(one) for one in (sets[1], sets[3], more[1], more[3])]

    def merged(one: Tensor, two: Tensor, first: int) -> Tensor:
        parts = zip(one.split(lengths[first].tolist()), two.split(lengths[first + 2].tolist()), strict=True)
        return torch.cat([part for pair in parts for part in pair])

    joined = [merged(sets[0], more[0], 0), sets[1] + more[1], merged(sets[2], more[2], 1), sets[3] + more[3]]
    nothing = {side: torch.zeros_like(one) for side, one in ghosts.items()}
    all_weights = {side: merged(weights[side], nothing[side], place) for place, side in enumerate(weights)}
    assert loss(name, joined, all_weights).tolist() == pytest.approx(loss(name, sets, weights).tolist(), rel=1e-5, abs=1e-6)


@every
@kinds
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_equal_sets_are_at_no_distance(name: str, kind: torch.dtype, dim: int) -> None:
    sets, weights = batch([6, 1, 12], [6, 1, 12], dim=dim, kind=kind)
    draw = torch.Generator().manual_seed(1)
    order = torch.cat([torch.randperm(6, generator=draw), torch.tensor([6]), 7 + torch.randperm(12, generator=draw)])
    x, a = sets[0].requires_grad_(), weights["x_weight"]
    values = loss(name, [x, sets[1], x.detach()[order], sets[1]], {"x_weight": a, "y_weight": a[order]})
    assert values.tolist() == pytest.approx([0, 0, 0], abs=3e-6 if kind == torch.float32 else 1e-9)
    values.sum().backward()
    assert x.grad is not None and bool(torch.isfinite(x.grad).all())
    if name not in ("emd", "sliced"):  # these two are kinks there where points or places coincide
        assert x.grad.abs().max().item() < 1e-5


def grid(kind: torch.dtype) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Events of coincident points, of all weight on one point, of ties everywhere, and of points on a line."""
    one = torch.zeros(4, 2), torch.zeros(3, 2)
    tied = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([[0.0, 0], [1, 1], [2, 0]])
    line = torch.arange(5.0)[:, None].expand(5, 2), torch.arange(5.0)[:, None].expand(5, 2) / 2
    x, y = (torch.cat([one[side], tied[side], tied[side], line[side]]).to(kind) for side in (0, 1))
    a = torch.tensor([1.0] * 4 + [5, 0, 0, 0] + [1] * 9).to(kind)
    b = torch.tensor([1.0] * 3 + [0, 0, 2] + [1] * 8).to(kind)
    return [x, offsets_of([4, 4, 4, 5]), y, offsets_of([3, 3, 3, 5])], {"x_weight": a, "y_weight": b}


@every
@kinds
def test_gradients_are_finite_in_degenerate_events(name: str, kind: torch.dtype) -> None:
    sets, weights = grid(kind)
    inputs = [sets[0].requires_grad_(), sets[2].requires_grad_(), *(one.requires_grad_() for one in weights.values())]
    values = loss(name, sets, weights)
    assert bool(torch.isfinite(values).all())
    grown = torch.autograd.grad(values.sum(), inputs, allow_unused=True)
    assert all(bool(torch.isfinite(one).all()) for one in grown if one is not None)
    assert grown[0] is not None and grown[1] is not None and bool(grown[0].any())


@every
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients(name: str, weighted: bool) -> None:
    """Against central differences, by points and by weights, away from where a matching or an order changes."""
    sets, weights = batch([4, 1, 0, 2], [3, 2, 1, 2], kind=torch.float64, seed=4)
    options = {"epsilon": 2.0, "iterations": 35} if name == "sinkhorn" else {}
    given = [sets[0], sets[2], *(weights.values() if weighted else ())]

    def value(x: Tensor, y: Tensor, *some: Tensor) -> Tensor:
        return loss(name, [x, sets[1], y, sets[3]], dict(zip(weights, some, strict=False)), **options)

    assert torch.autograd.gradcheck(value, [one.requires_grad_() for one in given], eps=1e-6, atol=1e-6)


@every
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_single_precision_is_double_precision(name: str, dim: int) -> None:
    """Values and gradients; for sinkhorn and sliced that is compiled code against torch."""
    sizes = [3, 40, 0, 1, 17, 90], [5, 33, 2, 1, 17, 80]
    options = {"epsilon": 0.05} if name == "sinkhorn" else {}
    results = []
    for kind in (torch.float32, torch.float64):
        sets, weights = batch(*sizes, dim=dim, seed=6)
        sets[0], sets[2] = sets[0].to(kind), sets[2].to(kind)
        weights = {side: one.to(kind) for side, one in weights.items()}
        inputs = [sets[0].requires_grad_(), sets[2].requires_grad_(), *(one.requires_grad_() for one in weights.values())]
        values = loss(name, sets, weights, **options)
        grown = torch.autograd.grad(values.square().sum(), inputs, allow_unused=True)
        results.append([values.detach(), *(one for one in grown if one is not None)])
    for single, double in zip(*results, strict=True):
        assert single.dtype == torch.float32 and double.dtype == torch.float64
        assert torch.allclose(single.double(), double, rtol=2e-5, atol=1e-5 * max(1.0, double.abs().max().item()))


@every
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(name: str, kind: torch.dtype) -> None:
    sets, weights = batch([6, 3], [5, 4])
    half = [sets[0].to(kind), sets[1], sets[2].to(kind), sets[3]]
    exact = [half[0].float(), sets[1], half[2].float(), sets[3]]
    found = loss(name, half, {side: one.to(kind) for side, one in weights.items()})
    expected = loss(name, exact, {side: one.to(kind).float() for side, one in weights.items()})
    assert found.dtype == torch.float32 and found.tolist() == expected.tolist()


@every
@kinds
def test_autocast_changes_nothing(name: str, kind: torch.dtype) -> None:
    sets, weights = batch([6, 30], [5, 34], kind=kind)
    expected = loss(name, sets, weights)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(name, sets, weights).tolist() == pytest.approx(expected.tolist(), rel=1e-6)


@every
def test_threads_change_nothing(name: str) -> None:
    sets, weights = batch([6, 30, 0, 4, 5, 5, 9, 8, 7], [5, 34, 2, 4, 4, 4, 9, 8, 0])
    before = torch.get_num_threads()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            results.append(loss(name, sets, weights))
        finally:
            torch.set_num_threads(before)
    assert results[0].tolist() == pytest.approx(results[1].tolist(), rel=1e-6, abs=1e-7)


@every
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": torch.zeros(3, 5)}, "same d"),
        ({"x": torch.tensor([[0.0, 1.0], [float("nan"), 0.0], [1.0, 1.0]])}, "x: row 1"),
        ({"y_weight": torch.tensor([1.0, -1.0])}, "y: row 1"),
        ({"y_weight": torch.tensor([1.0, float("inf")])}, "y: row 1"),
        ({"x_weight": torch.ones(2)}, r"x_weight \[2\]"),
        ({"x_offsets": torch.tensor([0, 2])}, "x_offsets"),
        ({"y_offsets": torch.tensor([0, 1, 2])}, "offsets"),
    ],
)
def test_errors(name: str, change: dict[str, Tensor], words: str) -> None:
    given = {"x": torch.zeros(3, 2), "x_offsets": offsets_of([3]), "y": torch.ones(2, 2), "y_offsets": offsets_of([2])}
    with pytest.raises(ValueError, match=words):
        SET_LOSSES[name](**{**given, **change})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sinkhorn", {"power": 3}),
        ("sinkhorn", {"epsilon": 0.0}),
        ("sinkhorn", {"scaling": 1.0}),
        ("sinkhorn", {"iterations": -1}),
        ("sliced", {"power": 3}),
        ("sliced", {"projections": 0}),
        ("sliced", {"directions": torch.ones(4, 3)}),
        ("mmd", {"bandwidth": 0.0}),
        ("mmd", {"bandwidth": ()}),
        ("emd", {"R": 0.0}),
        ("emd", {"beta": -1.0}),
    ],
)
def test_options_out_of_range(name: str, options: dict[str, Any]) -> None:
    sets, _ = batch([3], [2])
    with pytest.raises(ValueError, match="came"):
        SET_LOSSES[name](*sets, **options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every
@kinds
def test_the_device_changes_nothing(name: str, kind: torch.dtype) -> None:
    sets, weights = batch(*EMPTY_AND_NOT, kind=kind)
    found = loss(name, [one.cuda() for one in sets], {side: one.cuda() for side, one in weights.items()})
    assert found.is_cuda and found.tolist() == pytest.approx(loss(name, sets, weights).tolist(), rel=1e-5, abs=1e-6)
