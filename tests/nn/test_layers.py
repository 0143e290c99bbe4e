"""Layers against their equations, written as loops over points and neighbours; EdgeConv also against torch-geometric's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pcloud.neighbors import Neighbors, knn
from pcloud.nn import MLP, EdgeConv, EdgeKernel, GravNet, Interaction, LineGraph, PairMLP, Standardize

# An event of 7, an empty one, one alone, one of 3: with k = 4 some points lack neighbours and one has none.
OFFSETS = torch.tensor([0, 7, 7, 8, 11])
K, LONELY = 4, 7


@pytest.fixture
def table() -> Neighbors:
    return knn(torch.randn(11, 3, generator=torch.Generator().manual_seed(0)), OFFSETS, K)


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seeded(build: type[nn.Module], *options: object, **more: object) -> nn.Module:
    torch.manual_seed(5)
    return build(*options, **more)


def cells(table: Neighbors) -> list[tuple[int, int, int]]:
    """(i, place in the table, j) of every neighbour."""
    return [(i, p, j) for i, row in enumerate(table.index.tolist()) for p, j in enumerate(row) if j >= 0]


def test_mlp_is_linear_layers_with_norm_and_silu_between() -> None:
    net = seeded(MLP, [3, 5, 4, 2])
    first, norm, act, second, norm2, _, last = net
    x = numbers(6, 3)
    h = nn.functional.silu(nn.functional.layer_norm(first(x), [5], norm.weight, norm.bias))
    h = nn.functional.silu(nn.functional.layer_norm(second(h), [4], norm2.weight, norm2.bias))
    assert isinstance(act, nn.SiLU)
    torch.testing.assert_close(net(x), last(h))
    assert net(x[:1]).shape == (1, 2) and net(x[:0]).shape == (0, 2)


def test_mlp_of_two_widths_is_one_linear_layer() -> None:
    assert [type(part) for part in MLP([3, 2])] == [nn.Linear]
    assert sum(isinstance(part, nn.Dropout) for part in MLP([3, 4, 4, 2], dropout=0.1)) == 2
    with pytest.raises(ValueError, match=r"widths \[3\] came"):
        MLP([3])


def test_mlp_on_a_row_alone() -> None:
    net, x = seeded(MLP, [3, 8, 2]), numbers(20, 3)
    torch.testing.assert_close(net(x)[7:8], net(x[7:8]))


def test_standardize() -> None:
    layer = Standardize(2)
    x = torch.tensor([[1.0, 10.0], [3.0, 10.0]])
    assert torch.equal(layer(x), x)
    layer.set(torch.tensor([1.0, 10.0]), torch.tensor([2.0, 0.0]))
    assert layer(x).tolist() == [[0, 0], [1, 0]]
    assert set(layer.state_dict()) == {"mean", "width"} and not list(layer.parameters())


def test_pair_mlp_is_an_mlp_on_the_concatenation(table: Neighbors) -> None:
    net, x, edges = seeded(PairMLP, 3, 2, 5), numbers(11, 3), numbers(11, K, 2, seed=2)
    whole = nn.Linear(8, 5)
    with torch.no_grad():
        whole.weight.copy_(torch.cat([net.receiver.weight, net.sender.weight, net.edge.weight], 1))
        whole.bias.copy_(net.receiver.bias)
    out = net(x, table, edges)
    assert out.shape == (11, K, 5)
    for i, p, j in cells(table):
        torch.testing.assert_close(out[i, p], net.rest(whole(torch.cat([x[i], x[j], edges[i, p]]))))
    bare = seeded(PairMLP, 3, 0, 5)
    assert bare.edge is None and bare(x, table).shape == (11, K, 5)


def test_edge_conv_is_the_strongest_pair(table: Neighbors) -> None:
    net, x = seeded(EdgeConv, 3, 5), numbers(11, 3)
    out, pair = net(x, table), net.pair(x, table)
    for i in range(11):
        own = [pair[i, p] for at, p, _ in cells(table) if at == i]
        torch.testing.assert_close(out[i], torch.stack(own).amax(0) if own else torch.zeros(5))
    assert bool((out[LONELY] == 0).all())


def test_edge_conv_equals_that_of_torch_geometric(table: Neighbors) -> None:
    """The paper's MLP([x_i, x_j - x_i]): A x_i + B (x_j - x_i) = (A - B) x_i + B x_j, so receiver = A - B and sender = B."""
    geometric = pytest.importorskip("torch_geometric.nn")
    net, x = seeded(EdgeConv, 3, 5), numbers(11, 3).requires_grad_()
    first = nn.Linear(6, 5)
    with torch.no_grad():
        first.weight.copy_(torch.cat([net.pair.receiver.weight + net.pair.sender.weight, net.pair.sender.weight], 1))
        first.bias.copy_(net.pair.receiver.bias)
    theirs = geometric.EdgeConv.__new__(geometric.EdgeConv)  # its constructor would set our weights anew
    geometric.MessagePassing.__init__(theirs, aggr="max")
    theirs.nn = nn.Sequential(first, *net.pair.rest)
    ours, expected = net(x, table), theirs(x, table.edge_index())
    torch.testing.assert_close(ours, expected)
    weight = numbers(11, 5, seed=3)
    gradient = [torch.autograd.grad((out * weight).sum(), x)[0] for out in (ours, expected)]
    torch.testing.assert_close(*gradient)


def test_gravnet_is_its_equation() -> None:
    net, x = seeded(GravNet, 3, 5, space=2, k=3), numbers(11, 3)
    offsets = torch.tensor([0, 7, 11])  # events larger than k: see the next test for smaller ones
    s, f = net.coordinates(x), net.message(x)
    out = net(x, offsets)
    for i in range(11):
        event = range(0, 7) if i < 7 else range(7, 11)
        near = sorted((j for j in event if j != i), key=lambda j: (s[i] - s[j]).square().sum().item())[:3]
        pull = torch.stack([torch.exp(-10 * (s[i] - s[j]).square().sum()) * f[j] for j in near])
        torch.testing.assert_close(out[i], net.update(torch.cat([x[i], pull.mean(0), pull.amax(0)])), rtol=1e-4, atol=1e-5)


def test_gravnet_teaches_its_coordinates_and_bears_loneliness() -> None:
    net = seeded(GravNet, 3, 5, space=2, k=3)
    alone = net(numbers(1, 3), torch.tensor([0, 1]))
    assert bool(torch.isfinite(alone).all())
    net(numbers(7, 3), torch.tensor([0, 7])).square().sum().backward()
    assert net.coordinates.weight.grad is not None and bool((net.coordinates.weight.grad != 0).any())


def test_interaction_is_its_equation(table: Neighbors) -> None:
    """Points of the first event have all their k neighbours, so mean and max are those of the equation."""
    net, x, edges = seeded(Interaction, 6), numbers(11, 6), numbers(11, K, 6, seed=2)
    points, after = net(x, edges, table)
    for i in range(7):
        heard = []
        for p, j in enumerate(table.index[i].tolist()):
            mlp = net.edge_update
            first = mlp.receiver(x[i]) + mlp.sender(x[j]) + mlp.edge(edges[i, p])
            edge = edges[i, p] + mlp.rest(first)
            torch.testing.assert_close(after[i, p], edge)
            heard.append(torch.sigmoid(net.gate(edge)) * edge)
        message = torch.stack(heard)
        update = net.point_update(torch.cat([x[i], message.mean(0), message.amax(0)]))
        torch.testing.assert_close(points[i], x[i] + update)


def test_edge_kernel_is_its_equation(table: Neighbors) -> None:
    heads = 2
    net, edges = seeded(EdgeKernel, 6, heads=heads, space=3), numbers(11, K, 6)
    out, x = net(edges, table), net.norm(edges)
    p = net.curve(x).reshape(11, K, heads, 3)
    v = net.value(x).reshape(11, K, heads, 3)
    for i, j, _ in cells(table):
        heard = [torch.zeros(3) for _ in range(heads)]
        count = torch.zeros(heads)
        for at, place, _ in cells(table):
            if at == i and place != j:
                for h in range(heads):
                    w = torch.exp(-(p[i, j, h] - p[i, place, h]).square().sum())
                    heard[h] = heard[h] + w * v[i, place, h]
                    count[h] = count[h] + w
        torch.testing.assert_close(out[i, j], edges[i, j] + net.out(torch.cat([*heard, count])), rtol=1e-4, atol=1e-5)


def test_edge_kernel_shares_channels_over_heads() -> None:
    with pytest.raises(ValueError, match="channels = 6 do not share out over heads = 4"):
        EdgeKernel(6, heads=4)


@pytest.mark.parametrize("layer", ["interaction", "kernel", "edge_conv"])
def test_what_stands_in_empty_cells_does_not_matter(layer: str, table: Neighbors) -> None:
    x, edges = numbers(11, 6), numbers(11, K, 6, seed=2)
    other = torch.where(table.mask[..., None], edges, 100 * numbers(11, K, 6, seed=3))
    if layer == "interaction":
        net = seeded(Interaction, 6)
        (a, b), (c, d) = net(x, edges, table), net(x, other, table)
        torch.testing.assert_close(a, c)
        torch.testing.assert_close(b[table.mask], d[table.mask])
    elif layer == "kernel":
        net = seeded(EdgeKernel, 6)
        torch.testing.assert_close(net(edges, table)[table.mask], net(other, table)[table.mask])
    else:
        net = seeded(EdgeConv, 6, 5)
        moved = x.clone()
        moved[0] += 100  # row 0 is what an empty cell would read
        far = [i for i in range(7, 11)]
        torch.testing.assert_close(net(x, table)[far], net(moved, table)[far])


NO_POINT: dict[str, Callable[[Tensor, Tensor, Neighbors], tuple[Tensor, ...]]] = {
    "edge_conv": lambda x, edges, table: (EdgeConv(6, 6)(x, table),),
    "gravnet": lambda x, edges, table: (GravNet(6, 6)(x, torch.tensor([0, 0])),),
    "interaction": lambda x, edges, table: Interaction(6)(x, edges, table),
    "kernel": lambda x, edges, table: (EdgeKernel(6)(edges, table),),
    "pair": lambda x, edges, table: (PairMLP(6, 6, 6)(x, table, edges),),
}


@pytest.mark.parametrize("layer", NO_POINT)
def test_no_point_at_all(layer: str) -> None:
    table = knn(torch.zeros(0, 3), torch.tensor([0, 0]), K)
    for out in NO_POINT[layer](torch.zeros(0, 6), torch.zeros(0, K, 6), table):
        assert out.shape in ((0, 6), (0, K, 6))


def test_line_graph() -> None:
    """Pairs 0-1, 1-2, 1-3, 4-1 and the triplets 0-1-2, 0-1-3, 4-1-2."""
    first, last = torch.tensor([0, 1, 1, 4]), torch.tensor([1, 2, 3, 1])
    inner, outer = torch.tensor([0, 0, 3]), torch.tensor([1, 2, 1])
    net, pairs, triplets = seeded(LineGraph, 6), numbers(4, 6), numbers(3, 6, seed=2)
    got_pairs, got_triplets = net(pairs, triplets, inner, outer, first, last, 5)
    judged = [
        triplets[t] + net.triplet_update(net.inner(pairs[inner[t]]) + net.outer(pairs[outer[t]]) + net.triplet(triplets[t]))
        for t in range(3)
    ]
    said = [torch.sigmoid(net.gate(one)) * one for one in judged]
    none = torch.zeros(6)
    onward, back = [said[0] + said[1], none, none, said[2]], [none, said[0] + said[2], said[1], none]
    inside = [onward[0], none, none, onward[3]]  # no two pairs begin at one hit and go on
    outside = [none, back[1], back[2], none]
    inside[1] = inside[2] = onward[1] + onward[2]
    outside[0] = outside[3] = back[0] + back[3]
    for p in range(4):
        want = pairs[p] + net.pair_update(torch.cat([pairs[p], onward[p], back[p], inside[p], outside[p]]))
        torch.testing.assert_close(got_pairs[p], want)
    torch.testing.assert_close(got_triplets, torch.stack(judged))
