"""NeighborAttention and GravNet beside their equations and torch-geometric's layers on the same graph."""

from __future__ import annotations

import math

import pytest
import torch
from tables_by_hand import numbers, random_table, table_of
from torch import nn

from pcloud.neighbors import knn
from pcloud.nn import GravNet, NeighborAttention, blocks

OFFSETS = torch.tensor([0, 7, 7, 8, 11])  # with k = 4 some points lack neighbours and one has none
WIDE = torch.float64


def attention(*, distance: bool = False) -> NeighborAttention:
    torch.manual_seed(2)
    net = NeighborAttention(3, 8, heads=2, distance=distance).to(WIDE)
    if distance:
        nn.init.normal_(net.slope)
    return net


def test_attention_is_its_equation() -> None:
    net, table, x = attention(distance=True), random_table(10, 4), numbers(10, 3, dtype=WIDE)
    out = net(x, table)
    for i, row in enumerate(table.index.tolist()):
        heard = []
        for head in range(2):
            part = slice(4 * head, 4 * head + 4)
            near = [(j, d.item()) for j, d in zip(row, table.distance2[i], strict=True) if j >= 0]
            score = [
                net.query(x[i])[part] @ net.key(x[j])[part] / math.sqrt(4) - net.slope[head] * math.log(1 + d) for j, d in near
            ]
            weight = torch.stack(score).softmax(0) if near else []
            heard.append(sum((w * net.value(x[j])[part] for w, (j, _) in zip(weight, near, strict=True)), torch.zeros(4)))
        torch.testing.assert_close(out[i], net.out(torch.cat(heard).to(WIDE)), rtol=1e-6, atol=1e-7)


def test_attention_equals_that_of_torch_geometric() -> None:
    geometric = pytest.importorskip("torch_geometric.nn", reason="torch-geometric is not installed")
    net, table = attention(), random_table(30, 4)
    net.out = nn.Identity()
    other = geometric.TransformerConv(3, 4, heads=2, root_weight=False).to(WIDE)
    for name in ("query", "key", "value"):
        getattr(other, f"lin_{name}").load_state_dict(getattr(net, name).state_dict())
    x = numbers(30, 3, dtype=WIDE).requires_grad_()
    results = []
    for out in (net(x, table), other(x, table.edge_index())):
        results.append((out, *torch.autograd.grad((out * numbers(30, 8, seed=3, dtype=WIDE)).sum(), x)))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected)


def test_attention_hears_only_who_is_there() -> None:
    """One neighbour alone has all the weight; a lonely point hears 0; what a missing cell would read changes nothing."""
    net, x = attention(distance=True), numbers(4, 3, dtype=WIDE)
    table = table_of([[-1, -1], [3, -1], [-1, -1], [2, 1]])
    moved = torch.cat([x[:1] + 100, x[1:]]).requires_grad_()
    out = net(moved, table)
    torch.testing.assert_close(out[1:], net(x, table)[1:])
    torch.testing.assert_close(out[1], net.out(net.value(x[3])))
    torch.testing.assert_close(out[[0, 2]], net.out.bias.expand(2, -1))
    with torch.autograd.set_detect_anomaly(True):
        net(moved, table).square().sum().backward()
    assert moved.grad is not None and bool(moved.grad.isfinite().all()) and not moved.grad[0].any()


def test_attention_bends_the_coordinates() -> None:
    net, pos = attention(distance=True), numbers(11, 2).requires_grad_()
    net(numbers(11, 3, dtype=WIDE), knn(pos, OFFSETS, 4)).square().sum().backward()
    assert pos.grad is not None and bool(pos.grad.isfinite().all()) and bool(pos.grad[:7].any())
    assert net.slope.grad is not None and bool((net.slope.grad != 0).all())
    assert attention().slope is None


def test_heads_share_the_channels() -> None:
    with pytest.raises(ValueError, match="channels_out = 6 do not share out over heads = 4; choose a multiple"):
        NeighborAttention(3, 6)


@pytest.mark.parametrize("way", ["at once", "in blocks"])
def test_gravnet_equals_that_of_torch_geometric(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its propagation on our graph, as its own search needs a package that few have; lonely and small events included."""
    geometric = pytest.importorskip("torch_geometric.nn", reason="torch-geometric is not installed")
    if way == "in blocks":
        monkeypatch.setattr(blocks, "CPU_BLOCK", 64)
    torch.manual_seed(4)
    net = GravNet(3, 5, space=2, k=4)
    x = numbers(11, 3).requires_grad_()
    table = knn(net.coordinates(x), OFFSETS, 4)
    other = geometric.GravNetConv.__new__(geometric.GravNetConv)
    geometric.MessagePassing.__init__(other, aggr=["mean", "max"])
    sender, receiver = table.edge_index()
    place = net.coordinates(x)
    weight = torch.exp(-10 * (place[sender] - place[receiver]).square().sum(1))
    pulled = other.propagate(torch.stack([sender, receiver]), x=(net.message(x), None), edge_weight=weight, size=(11, 11))
    expected = net.update(torch.cat([x, pulled], 1))
    ours = net(x, OFFSETS)
    torch.testing.assert_close(ours, expected)
    gradient = [torch.autograd.grad((out * numbers(11, 5, seed=3)).sum(), x)[0] for out in (ours, expected)]
    torch.testing.assert_close(*gradient, rtol=1e-4, atol=1e-5)


def test_gravnet_takes_the_maximum_over_neighbours_there_are() -> None:
    """Two points, k = 3: the only neighbour sends -1, and no missing one's 0 stands above it."""
    net = GravNet(1, 1, space=1, k=3)
    with torch.no_grad():
        for part, weight, bias in ((net.coordinates, 0.0, 0.0), (net.message, 0.0, -1.0)):
            part.weight.fill_(weight)
            part.bias.fill_(bias)
    net.update = nn.Identity()
    out = net(torch.zeros(3, 1), torch.tensor([0, 2, 3]))
    assert out.tolist() == [[0, -1, -1], [0, -1, -1], [0, 0, 0]]
