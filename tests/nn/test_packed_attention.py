"""Packed attention beside plain attention, event by event, pair by pair; how little of it is padding."""

from __future__ import annotations

import pytest
import torch
from clouds import law
from hypothesis import given
from hypothesis import strategies as st
from tables_by_hand import numbers
from torch import Tensor

from pcloud import segments
from pcloud.nn import ClassAttention, PackedAttention, Packs


def attended(query: Tensor, key: Tensor, value: Tensor, heads: int, bias: Tensor | float = 0.0) -> Tensor:
    """Plain softmax attention of [rows, channels] on [others, channels], bias [heads, rows, others]."""
    q, k, v = (one.unflatten(1, (heads, -1)).transpose(0, 1) for one in (query, key, value))
    weight = ((q @ k.transpose(1, 2)) * q.shape[2] ** -0.5 + bias).softmax(-1)
    return (weight @ v).transpose(0, 1).flatten(1)


@law
@given(sizes=st.lists(st.integers(0, 9), max_size=7), seed=st.integers(0, 99))
def test_each_event_attends_to_itself_with_its_bias(sizes: list[int], seed: int) -> None:
    offsets = segments.offsets_of(torch.tensor(sizes, dtype=torch.int64))
    torch.manual_seed(seed)
    net, packs = PackedAttention(6, heads=2).double(), Packs.of(offsets)
    x = numbers(sum(sizes), 6, seed=seed, dtype=torch.float64).requires_grad_()
    assert torch.equal(packs.order[packs.back], torch.arange(sum(sizes)))
    sorted_sizes = segments.lengths(packs.offsets).tolist()
    assert sorted_sizes == sorted(sizes, reverse=True)
    pairs = numbers(sum(n * (n + 1) // 2 for n in sizes), 2, seed=seed + 1, dtype=torch.float64).requires_grad_()
    ours = net(x[packs.order], packs, packs.pair_bias(pairs))
    expected, row, pair = [], 0, 0
    for n in sorted_sizes:
        mine = x[packs.order[row : row + n]]
        bias = torch.zeros(2, n, n, dtype=torch.float64)
        for i in range(n):
            for j in range(i + 1):
                bias[:, i, j] = bias[:, j, i] = pairs[pair]
                pair += 1
        expected.append(net.out(attended(*net.qkv(mine).chunk(3, 1), 2, bias)))
        row += n
    wanted = torch.cat([torch.zeros(0, 6, dtype=torch.float64), *expected])
    torch.testing.assert_close(ours, wanted)
    if sum(sizes):
        for a, b in zip(*(torch.autograd.grad(out.square().sum(), [x, pairs]) for out in (ours, wanted)), strict=True):
            torch.testing.assert_close(a, b)


def test_class_attention_is_plain_attention_of_one_query() -> None:
    torch.manual_seed(0)
    net = ClassAttention(6, heads=3).double()
    offsets = torch.tensor([0, 4, 4, 5])
    c, u_c, u_x = (numbers(n, 6, seed=n, dtype=torch.float64) for n in (3, 3, 5))
    ours = net(c, u_c[:3] + 1, u_x, offsets)
    for event, (low, high) in enumerate([(0, 4), (4, 4), (4, 5)]):
        u = torch.cat([u_c[event : event + 1] + 1, u_x[low:high]])
        query = net.qkv(c[event : event + 1])[:, :6]
        expected = net.out(attended(query, *net.qkv(u)[:, 6:].chunk(2, 1), 3))
        torch.testing.assert_close(ours[event : event + 1], expected)


def test_little_is_padding() -> None:
    """512 jets of 5 to 100 constituents: less than a fifth of the padded rows is padding; to the longest it would be half."""
    sizes = torch.randint(5, 100, (512,), generator=torch.Generator().manual_seed(0))
    packs = Packs.of(segments.offsets_of(sizes))
    padded = sum(pack.events * pack.longest for pack in packs.packs)
    assert padded < 1.25 * int(sizes.sum()) < 512 * 99 / 1.5
    assert len(packs.packs) < 20


def test_heads_must_share_out() -> None:
    for kind in (PackedAttention, ClassAttention):
        with pytest.raises(ValueError, match="channels = 6 do not share out over heads = 4"):
            kind(6, heads=4)
