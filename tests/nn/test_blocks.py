"""by_blocks gives what the message on all points at once gives: outputs, gradients, in any precision, and keeps nothing whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from clouds import law
from hypothesis import given
from hypothesis import strategies as st
from tables_by_hand import numbers, random_table, table_of
from torch import Tensor, nn

from pcloud.neighbors import Neighbors, knn
from pcloud.nn import EdgeConv, NeighborAttention, blocks, by_blocks, strongest

Layer = Callable[[Tensor, Neighbors], Tensor]


@contextmanager
def block_of(size: int) -> Iterator[None]:
    """Blocks of so many numbers; 0 for all at once."""
    before, blocks.CPU_BLOCK = blocks.CPU_BLOCK, size or 1 << 40
    try:
        yield
    finally:
        blocks.CPU_BLOCK = before


def layer(kind: str, channels: int = 4, **options: float) -> nn.Module:
    torch.manual_seed(3)
    if kind == "edge_conv":
        return EdgeConv(channels, 8, **options)
    net = NeighborAttention(channels, 8, heads=2, distance=True)
    nn.init.normal_(net.slope)
    return net


def by_blocks_of(size: int, *given: Any, **more: Any) -> Tensor:
    with block_of(size):
        return by_blocks(*given, **more)


def run(net: nn.Module, x: Tensor, table: Neighbors, size: int) -> list[Tensor]:
    """The output and the gradients to x and to every parameter of a random weighing of it."""
    x = x.clone().requires_grad_()
    with block_of(size):
        out = net(x, table)
        return [out, *torch.autograd.grad((out * numbers(*out.shape, seed=9)).sum(), [x, *net.parameters()])]


@pytest.mark.parametrize("kind", ["edge_conv", "attention"])
@law
@given(
    points=st.integers(1, 40), k=st.integers(1, 6), size=st.integers(1, 400), missing=st.floats(0, 1), seed=st.integers(0, 999)
)
def test_blocks_change_nothing(kind: str, points: int, k: int, size: int, missing: float, seed: int) -> None:
    net, table = layer(kind).double(), random_table(points, k, missing=missing, seed=seed)
    x = numbers(points, 4, seed=seed, dtype=torch.float64)
    for ours, whole in zip(run(net, x, table, size), run(net, x, table, 0), strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-10, atol=1e-12)


def test_nothing_whole_is_kept_for_the_backward() -> None:
    points, k = 200, 8
    net, table, x = layer("edge_conv"), random_table(points, k), numbers(points, 4).requires_grad_()
    kept: dict[int, list[int]] = {}
    for size in (0, 512):
        sizes = kept.setdefault(size, [])
        with block_of(size), torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            net(x, table)
    assert max(kept[0]) >= points * k * 8  # so that the hooks are known to see the messages
    assert max(kept[512]) <= points * k and sum(kept[512]) < points * k * 8


def test_queries_of_their_own_and_no_sender_at_all() -> None:
    """Receivers and senders differ in number; and many queries may meet an empty table."""
    table, rows, tables = random_table(30, 3, points=12), numbers(30, 5), numbers(12, 5)
    for size in (0, 40):
        out = by_blocks_of(size, lambda mask, a, b: strongest(a[:, None] * b, mask), table, rows=[rows], tables=[tables])
        for i, near in enumerate(table.index.tolist()):
            heard = [rows[i] * tables[j] for j in near if j >= 0]
            assert torch.equal(out[i], torch.stack(heard).amax(0) if heard else torch.zeros(5))
    edges = numbers(30, 3, 5)
    whole, parts = (by_blocks_of(size, lambda mask, e: strongest(e, mask), table, rows=[edges]) for size in (0, 40))
    assert torch.equal(whole, parts) and whole.any()
    out = by_blocks_of(40, lambda mask, b: strongest(b, mask), random_table(30, 3, points=0), tables=[tables[:0]])
    assert torch.equal(out, torch.zeros(30, 5))


def test_the_same_bytes_twice_and_on_any_number_of_threads() -> None:
    net, x, table = layer("edge_conv"), numbers(600, 4), random_table(600, 6)
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    results = []
    try:
        torch.use_deterministic_algorithms(True)
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            results.append(run(net, x, table, 1 << 12))
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(map(torch.equal, results[0][:2], other[:2]))
    assert all(map(torch.equal, results[1], results[2]))


def test_threads_at_once_and_after_a_failure() -> None:
    """The same module from several threads; what the threads are set to is as before, after an error too."""
    net, x, table, before = layer("edge_conv"), numbers(200, 4), random_table(200, 6), torch.get_num_threads()

    def step(_: int) -> list[Tensor]:
        own = x.clone().requires_grad_()
        out = net(own, table)
        return [out, *torch.autograd.grad(out.square().sum(), [own, *net.parameters()])]

    def fails(mask: Tensor, sender: Tensor) -> Tensor:
        raise ZeroDivisionError

    try:
        torch.set_num_threads(2)
        with block_of(200):
            alone = step(0)
            with ThreadPoolExecutor(4, initializer=torch.set_num_threads, initargs=(2,)) as pool:
                for other in pool.map(step, range(12)):
                    torch.testing.assert_close(other, alone)
            with pytest.raises(ZeroDivisionError):
                by_blocks(fails, table, tables=[x])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert all(one.requires_grad and one.is_leaf for one in net.parameters())


def test_second_derivatives() -> None:
    """They go all at once, and are those of the layer."""
    net, table = layer("edge_conv").double(), random_table(9, 3)
    x = numbers(9, 4, dtype=torch.float64).requires_grad_()
    found = []
    for size in (0, 40):
        with block_of(size):
            (slope,) = torch.autograd.grad(net(x, table).square().sum(), x, create_graph=True)
            found.append(torch.autograd.grad(slope.square().sum(), [x, *net.parameters()], allow_unused=True))
    assert found[0][0].abs().max() > 0
    for whole, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, whole)


@pytest.mark.parametrize("frozen", ["x", "parameters", "some"])
def test_frozen_parts_stay_so(frozen: str) -> None:
    net, table, x = layer("edge_conv"), random_table(20, 3), numbers(20, 4)
    x.requires_grad_(frozen != "x")
    for name, one in net.named_parameters():
        one.requires_grad_(frozen == "x" or (frozen == "some" and "receiver" not in name and "rest.0" not in name))
    gradients = []
    for size in (0, 60):
        net.zero_grad()
        with block_of(size):
            net(x, table).square().sum().backward()
        gradients.append({name: one.grad for name, one in net.named_parameters()})
    for name, whole in gradients[0].items():
        assert (whole is None) == (not net.get_parameter(name).requires_grad)
        torch.testing.assert_close(gradients[1][name], whole)


def test_no_gradient_asked_none_kept() -> None:
    net, table, x = layer("edge_conv"), random_table(20, 3), numbers(20, 4)
    with torch.no_grad(), block_of(60):
        assert not net(x, table).requires_grad
    with torch.inference_mode(), block_of(60):
        inferred = net(x, table)
    with block_of(0):
        torch.testing.assert_close(inferred, net(x, table))


def test_parameters_given_from_outside_get_the_gradient() -> None:
    """torch.func.functional_call lends a module other parameters during the call only; the backward comes later."""
    net, table, x = layer("edge_conv"), random_table(20, 3), numbers(20, 4)
    lent = {name: (2 * one.detach()).requires_grad_() for name, one in net.named_parameters()}
    found = []
    for size in (0, 60):
        with block_of(size):
            out = torch.func.functional_call(net, lent, (x, table))
        found.append(torch.autograd.grad(out.square().sum(), list(lent.values())))
    for whole, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, whole)


def test_dropout_and_statistics_go_all_at_once() -> None:
    """Neither a mask that was drawn nor a mean over the points could be made anew by a block."""
    table, x = random_table(40, 3), numbers(40, 4)
    for net in (layer("edge_conv", dropout=0.5), layer("edge_conv")):
        if not net.pair.rest[2].p:
            net.pair.rest[0] = nn.Sequential(nn.Flatten(0, 1), nn.BatchNorm1d(8), nn.Unflatten(0, (40, 3)))
        results = []
        for size in (0, 60):
            torch.manual_seed(0)
            results.append(run(net, x, table, size))
        assert all(map(torch.equal, *results))
    net = layer("edge_conv", dropout=0.5).eval()  # no mask is drawn: blocks again
    for ours, whole in zip(run(net, x, table, 60), run(net, x, table, 0), strict=True):
        torch.testing.assert_close(ours, whole)


def test_half_precision_by_autocast() -> None:
    """Values and gradients within half's rounding of the whole's."""
    net, table, x = layer("edge_conv", channels=8), random_table(60, 4), numbers(60, 8)
    results = []
    for size in (0, 128):
        with block_of(size), torch.autocast("cpu", dtype=torch.bfloat16):
            out = net(net(x, table), table)
        assert out.dtype == torch.bfloat16
        results.append([out, *torch.autograd.grad(out.float().square().sum(), list(net.parameters()))])
    for ours, whole in zip(results[1], results[0], strict=True):
        assert ours.dtype == whole.dtype
        assert (ours - whole).norm() <= 0.03 * whole.norm()


def test_autocast_does_not_cut_off_a_later_use_of_the_weights() -> None:
    """The copy of a weight in half precision that autocast keeps must not be one that was made without a gradient."""
    net, few, many = layer("edge_conv", channels=8), random_table(6, 4), random_table(60, 4)
    found = []
    for first in (few, many):
        with block_of(2000 // 8), torch.autocast("cpu", dtype=torch.bfloat16):
            net(numbers(len(first.index), 8), first)
            out = net(numbers(6, 8), few)
        found.append(torch.autograd.grad(out.float().sum(), list(net.parameters())))
    assert all(map(torch.equal, *found))


def test_messages_are_made_anew_in_the_precision_they_had() -> None:
    """A backward inside of autocast, of a forward outside of it."""
    net, table = layer("edge_conv", channels=8), random_table(60, 4)
    seen: list[torch.dtype] = []
    net.pair.rest[3].register_forward_hook(lambda part, inputs, out: seen.append(out.dtype))
    with block_of(128):
        out = net(numbers(60, 8), table)
    before = len(seen)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out.sum().backward()
    assert len(seen) > before and set(seen) == {torch.float32}


def test_half_precision_adds_up_in_single() -> None:
    """A sender heard by 1,000: in bfloat16 itself, 256 + 1 is 256."""
    table, sent = table_of([[0]] * 1000), torch.ones(1, 1, dtype=torch.bfloat16, requires_grad=True)
    by_blocks_of(10, lambda mask, sender: strongest(sender, mask), table, tables=[sent]).float().sum().backward()
    assert sent.grad is not None and sent.grad.item() == 1000


@pytest.mark.parametrize("kind", ["edge_conv", "attention"])
@pytest.mark.parametrize("size", [0, 40])
def test_a_nan_stays_in_its_event(kind: str, size: int) -> None:
    """Events of 3 and 30 points: those of the first lack neighbours, and the row that stands in for one must not be another's."""
    net, x, offsets = layer(kind), numbers(36, 4), torch.tensor([0, 3, 6, 36])
    table = knn(numbers(36, 2, seed=2), offsets, 5)
    spoilt = x.clone()
    spoilt[0] = torch.nan
    spoilt.requires_grad_()
    with block_of(size):
        clean, out = net(x, table), net(spoilt, table)
        out[3:].square().sum().backward()
    assert torch.equal(out[3:], clean[3:])
    assert spoilt.grad is not None and bool(spoilt.grad[3:].isfinite().all())
