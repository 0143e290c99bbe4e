"""Window attention: windows cut on paper, the formula as a loop, and rows that are never heard."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pcloud import segments
from pcloud.nn import WindowAttention, Windows


def cut(sizes: list[int], size: int, shift: int = 0, seed: int | None = None) -> Windows:
    offsets = segments.offsets_of(torch.tensor(sizes, dtype=torch.int64))
    owner = segments.event_of(offsets)
    order = torch.arange(len(owner))
    if seed is not None:
        order = torch.randperm(len(owner), generator=torch.Generator().manual_seed(seed))
        order = order[torch.argsort(owner[order], stable=True)]
    return Windows.cut(order, owner, offsets, size, shift=shift)


def layer(channels: int = 8, places: int = 3, heads: int = 2) -> WindowAttention:
    torch.manual_seed(1)
    return WindowAttention(channels, places, heads=heads)


def rows(count: int, channels: int, seed: int = 0) -> Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(seed))


def test_windows_on_paper() -> None:
    """Events of 5, 0 and 3 rows in windows of 4: one full, one of a single row; none; one of three."""
    windows = cut([5, 0, 3], 4)
    assert windows.slot.tolist() == [0, 1, 2, 3, 4, 8, 9, 10] and windows.windows >= 3


def test_shifted_windows_on_paper() -> None:
    """Two places stay empty before the first row of each event, so borders lie elsewhere."""
    windows = cut([5, 0, 3], 4, shift=2)
    owner = torch.tensor([0, 0, 0, 0, 0, 2, 2, 2])
    window = windows.slot // 4
    assert windows.slot[:5].tolist() == [2, 3, 4, 5, 6]
    assert [len(set(owner[window == one].tolist())) for one in window.unique()] == [1] * len(window.unique())


@pytest.mark.parametrize("shift", [0, 1, 3])
@pytest.mark.parametrize("sizes", [[0], [1], [4], [8, 0, 1, 3], [7] * 9, [], [3, 3]], ids=str)
def test_packing_loses_nothing_and_mixes_no_events(sizes: list[int], shift: int) -> None:
    windows, owner = cut(sizes, 4, shift, seed=5), segments.event_of(segments.offsets_of(torch.tensor(sizes, dtype=torch.int64)))
    x = rows(len(owner), 3)
    assert torch.equal(windows.unpack(windows.pack(x)), x)
    assert len(windows.slot.unique()) == len(owner) and bool((windows.slot < windows.windows * windows.size).all())
    for one in (windows.slot // 4).unique():
        assert len(owner[windows.slot // 4 == one].unique()) == 1


def test_the_formula() -> None:
    """softmax over the rows of a window of Q x_i . K x_j / sqrt(d) - |s_i - s_j|^2, worked pair by pair; heard are values, where
    they come from, and how far that is."""
    net, windows, x, place = layer(), cut([5, 3], 4, shift=1, seed=2), rows(8, 8), rows(8, 3, seed=1)
    out = net(x, place, windows)
    query, key, value = net.query(x).view(8, 2, 4), net.key(x).view(8, 2, 4), net.value(x).view(8, 2, 4)
    s = net.space(torch.cat([x, place], 1)).view(8, 2, 7)
    for i in range(8):
        mates = (windows.slot // 4 == windows.slot[i] // 4).nonzero()[:, 0]
        heard = []
        for head in range(2):
            away = s[mates, head] - s[i, head]
            far = away.square().sum(1)
            weight = (key[mates, head] @ query[i, head] / math.sqrt(4) - far).softmax(0)
            heard += [weight @ value[mates, head], weight @ away, torch.log1p(weight @ far)[None]]
        torch.testing.assert_close(out[i], net.out(torch.cat(heard)), rtol=1e-4, atol=1e-5)


def test_a_row_hears_its_window_and_no_other() -> None:
    net, windows = layer(), cut([9], 4, seed=3)
    x = rows(9, 8).requires_grad_()
    net(x, rows(9, 3), windows)[0].sum().backward()
    assert x.grad is not None
    same = windows.slot // 4 == windows.slot[0] // 4
    assert torch.equal((x.grad != 0).any(1), same)


def test_a_lone_row_hears_itself_and_nobody_away() -> None:
    net, x = layer(), rows(1, 8)
    heard = torch.cat([net.value(x).view(2, 4), torch.zeros(2, 8)], 1).flatten()[None]
    torch.testing.assert_close(net(x, rows(1, 3), cut([1], 128)), net.out(heard), rtol=1e-4, atol=1e-5)


def test_heads_must_share_out() -> None:
    with pytest.raises(ValueError, match="channels = 8 do not share out over heads = 3"):
        layer(heads=3)
