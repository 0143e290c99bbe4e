"""EdgeConv beside torch-geometric's own on the same graph: values, gradients, ties; then compile, export and empty tables."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from clouds import law
from hypothesis import given
from hypothesis import strategies as st
from tables_by_hand import numbers, random_table, table_of
from torch import Tensor, nn

from pcloud.neighbors import Neighbors
from pcloud.nn import EdgeConv, blocks, by_blocks, strongest


@pytest.fixture(params=["at once", "in blocks"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "in blocks":
        monkeypatch.setattr(blocks, "CPU_BLOCK", 64)
    return str(request.param)


def edge_conv(channels_in: int, channels_out: int, dtype: torch.dtype = torch.float64) -> EdgeConv:
    torch.manual_seed(5)
    return EdgeConv(channels_in, channels_out).to(dtype)


def theirs(net: EdgeConv) -> Any:
    """torch-geometric's layer of the same function: A x_i + B (x_j - x_i) = (A - B) x_i + B x_j."""
    geometric = pytest.importorskip("torch_geometric.nn", reason="torch-geometric is not installed")
    receiver, sender = net.pair.receiver, net.pair.sender
    first = nn.Linear(2 * receiver.in_features, receiver.out_features, dtype=receiver.weight.dtype)
    other = geometric.EdgeConv(nn.Sequential(first, *net.pair.rest), aggr="max")
    with torch.no_grad():  # its constructor set all weights anew, ours too where they are shared
        for part in net.pair.modules():
            if isinstance(part, nn.Linear):
                part.weight.copy_(numbers(*part.weight.shape, seed=part.in_features, dtype=part.weight.dtype))
        first.weight.copy_(torch.cat([receiver.weight + sender.weight, sender.weight], 1))
        first.bias.copy_(receiver.bias)
    return other


def gradients(out: Tensor, *to: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad((out * numbers(*out.shape, seed=3, dtype=out.dtype)).sum(), to)


@law
@given(points=st.integers(2, 30), k=st.integers(1, 6), missing=st.floats(0, 1), seed=st.integers(0, 999), block=st.booleans())
def test_values_and_gradients_are_those_of_torch_geometric(points: int, k: int, missing: float, seed: int, block: bool) -> None:
    """In float64, where no two messages come so close that rounding chooses the winner."""
    net = edge_conv(3, 5)
    other, table = theirs(net), random_table(points, k, missing=missing, seed=seed)
    x = numbers(points, 3, seed=seed, dtype=torch.float64).requires_grad_()
    before, blocks.CPU_BLOCK = blocks.CPU_BLOCK, 64 if block else blocks.CPU_BLOCK
    try:
        ours, expected = net(x, table), other(x, table.edge_index())
        torch.testing.assert_close(ours, expected)
        rest = list(net.pair.rest.parameters())
        for a, b in zip(gradients(ours, x, *rest), gradients(expected, x, *rest), strict=True):
            torch.testing.assert_close(a, b)
    finally:
        blocks.CPU_BLOCK = before


def test_single_precision(way: str) -> None:
    net = edge_conv(8, 16, torch.float32)
    other, table, x = theirs(net), random_table(200, 8), numbers(200, 8).requires_grad_()
    ours, expected = net(x, table), other(x, table.edge_index())
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    (a,), (b,) = gradients(ours, x), gradients(expected, x)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_equal_messages_share_the_gradient_evenly_as_in_torch_geometric(way: str) -> None:
    """Small integers tie often and are never rounded; odd ones, as at 0 torch takes an empty place for one more winner."""
    geometric = pytest.importorskip("torch_geometric.nn", reason="torch-geometric is not installed")
    table = random_table(60, 6)
    x = numbers(60, 3, dtype=torch.float64).round().requires_grad_()
    ours = by_blocks(lambda mask, own, other: strongest(1 + 2 * (other - own[:, None]), mask), table, rows=[x], tables=[x])
    expected = geometric.EdgeConv(OddDifference(), aggr="max")(x, table.edge_index())
    assert torch.equal(ours, expected)
    (a,), (b,) = gradients(ours, x), gradients(expected, x)
    torch.testing.assert_close(a, b)
    winners = (1 + 2 * (table.gather(x) - x[:, None]) == ours[:, None]) & table.mask[..., None]
    assert int(winners.sum()) > 1.5 * int(winners.any(1).sum())  # there were ties


class OddDifference(nn.Module):
    def forward(self, pair: Tensor) -> Tensor:
        return 1 + 2 * pair[:, 3:]


def test_strongest_by_hand() -> None:
    values = torch.tensor([[[1.0, -5.0], [3.0, -2.0], [9.0, 9.0]], [[4.0, 4.0], [4.0, 2.0], [0.0, 0.0]], [[1.0, 1.0]] * 3])
    values.requires_grad_()
    mask = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    out = strongest(values, mask)
    assert out.tolist() == [[3, -2], [4, 4], [0, 0]]
    (out * torch.tensor([[1.0, 2.0], [3.0, 5.0], [7.0, 8.0]])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[[0, 0], [1, 2], [0, 0]], [[1.5, 5], [1.5, 0], [0, 0]], [[0, 0]] * 3]


def test_a_missing_neighbour_brings_nothing_in(way: str) -> None:
    """What would be read for it, the first row, changes neither values nor gradients, were it as large as can be."""
    net, x = edge_conv(3, 5), numbers(9, 3, dtype=torch.float64)
    table = table_of([[-1, -1], [2, -1], [1, 3], [2, -1], [-1, -1], [6, -1], [5, -1], [8, -1], [7, -1]])
    moved = torch.cat([x[:1] + 1e3, x[1:]])
    results = []
    for one in (x, moved):
        one = one.requires_grad_()
        out = net(one, table)
        results.append((out, *gradients(out, one)))
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)
    assert not results[0][0][[0, 4]].any() and not results[0][1][[0, 4]].any()


def test_gradcheck(way: str) -> None:
    net, table = edge_conv(3, 4), random_table(8, 3)
    x = numbers(8, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: net(x, table), x)


@pytest.mark.parametrize(("points", "k"), [(0, 3), (1, 1), (40, 1), (40, 2)])
def test_tables_with_little_or_nothing_in_them(points: int, k: int, way: str) -> None:
    net, x = edge_conv(3, 5), numbers(points, 3, dtype=torch.float64).requires_grad_()
    empty = table_of(torch.full((points, k), -1))
    out = net(x, empty)
    assert out.shape == (points, 5) and not out.any()
    for gradient in torch.autograd.grad(out.sum(), [x, *net.parameters()], allow_unused=True):
        assert gradient is None or not gradient.any()
    full = table_of(torch.arange(points)[:, None].expand(-1, k))
    assert net(x, full).shape == (points, 5)


class OnRows(nn.Module):
    """EdgeConv as a function of tensors alone, for torch.export."""

    def __init__(self) -> None:
        super().__init__()
        self.net = edge_conv(3, 5, torch.float32)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        gone = torch.zeros(index.shape, dtype=torch.float32)
        table = Neighbors(index, gone, torch.zeros(index.shape[:1], dtype=torch.bool), torch.zeros((), dtype=torch.int64))
        out: Tensor = self.net(x, table)
        return out


def test_compiled_whole_it_gives_the_same(way: str) -> None:
    net, table, x = edge_conv(3, 5, torch.float32), random_table(50, 4), numbers(50, 3).requires_grad_()
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    ours, expected = compiled(x, table), net(x, table)
    torch.testing.assert_close(ours, expected)
    for a, b in zip(gradients(ours, x, *net.parameters()), gradients(expected, x, *net.parameters()), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_exported_for_any_number_of_points(way: str) -> None:
    module, table = OnRows(), random_table(50, 4)
    points = torch.export.Dim("points", min=2)
    program = torch.export.export(module, (numbers(50, 3), table.index), dynamic_shapes=({0: points}, {0: points}))
    for size in (50, 70):
        x, index = numbers(size, 3, seed=size), random_table(size, 4, seed=size).index
        torch.testing.assert_close(program.module()(x, index), module(x, index))
