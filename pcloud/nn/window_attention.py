"""Attention inside windows: rows cut into pieces of one size, event by event, and all pairs of a piece seen exactly.

``Windows.cut(order, owner, offsets, size)`` says where each row lies; ``WindowAttention`` works on rows as they came.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcloud import segments

SPACE = 7  # and one channel more for the length of s: kernels like multiples of 8
NEVER = -1e9  # the logit of a place without a row


class Windows(NamedTuple):
    """slot [rows]: the place of each row among ``windows`` windows of ``size`` places; no window holds rows of two events."""

    slot: Tensor
    windows: int
    size: int

    @classmethod
    def cut(cls, order: Tensor, owner: Tensor, offsets: Tensor, size: int, *, shift: int = 0) -> Windows:
        """Rows in ``order`` (event after event), ``size`` to a window; an event's first window has ``shift`` places empty.

        owner [rows] is the event of each row, offsets [events + 1]. The windows of an event depend on that event alone. Their
        number is rounded up, to what is known without asking the device.
        """
        rows, events = owner.shape[0], offsets.shape[0] - 1
        windows = (segments.lengths(offsets) + shift + size - 1) // size
        first = size * segments.offsets_of(windows)[:-1] + shift - offsets[:-1]
        place = torch.arange(rows, device=owner.device) + first[owner[order]]
        return cls(torch.empty_like(place).scatter(0, order, place), rows // size + (2 if shift else 1) * events, size)

    def pack(self, x: Tensor) -> Tensor:
        """[rows, ...] -> [windows, size, ...], zero where there is no row."""
        out = x.new_zeros(self.windows * self.size, *x.shape[1:]).index_copy(0, self.slot, x)
        return out.view(self.windows, self.size, *x.shape[1:])

    def unpack(self, packed: Tensor) -> Tensor:
        """The inverse of ``pack``."""
        return packed.flatten(0, 1)[self.slot]

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """softmax_j(query_i . key_j) value_j over the rows j of i's window: three times [rows, heads, width] -> the same.

        The last channel of every query is 1: there a place without a row gets the key that nobody hears.
        """
        query, key, value = self.pack(query), self.pack(key), self.pack(value)
        nobody = torch.full_like(key[..., 0], NEVER).flatten(0, 1).index_fill(0, self.slot, 0.0).view(key.shape[:3])
        key = torch.cat([key[..., :-1], (key[..., -1] + nobody)[..., None]], dim=-1)
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        return self.unpack(F.scaled_dot_product_attention(query, key, value, scale=1.0).transpose(1, 2))


class WindowAttention(nn.Module):
    """x_i' = W_o [sum_j a_ij V x_j, sum_j a_ij (s_j - s_i), sum_j a_ij |s_j - s_i|^2], by head,
    a_ij = softmax_j(Q x_i . K x_j / sqrt(channels per head) - |s_i - s_j|^2), over the rows j of i's window, i too.

    s = W_s [x, place]: where a head puts a row, as in GravNet (arXiv 1902.07987) and HEPT's kernel (arXiv 2402.12535). That a
    row hears where others are from here spares it the difference of large numbers. x [rows, channels], place [rows, places]
    -> [rows, channels].
    """

    def __init__(self, channels: int, places: int, *, heads: int = 4) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"channels = {channels} do not share out over heads = {heads}; choose a multiple")
        self.heads, self.scale = heads, (channels // heads) ** -0.5
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels, bias=False)  # it would add the same to all logits of a row
        self.value = nn.Linear(channels, channels)
        self.space = nn.Linear(channels + places, heads * SPACE, bias=False)
        self.out = nn.Linear(channels + heads * (SPACE + 1), channels)

    def forward(self, x: Tensor, place: Tensor, windows: Windows) -> Tensor:
        parts = [self.query(x), self.key(x), self.value(x)]
        with torch.autocast(x.device.type, enabled=False):  # in half precision the difference of squares would cancel
            query, key, value = (part.float().unflatten(1, (self.heads, -1)) for part in parts)
            s = self.space(torch.cat([x.float(), place.float()], dim=-1)).unflatten(1, (self.heads, -1))
            length = s.square().sum(-1, keepdim=True)
            query = torch.cat([self.scale * query, 2 * s, torch.ones_like(length)], dim=-1)
            key = torch.cat([key, s, -length], dim=-1)  # query . key: the logit, less |s_i|^2, which a softmax over j can't see
            value = torch.cat([value, s, length], dim=-1)
            heard = windows.attend(query, key, value)
            told, there, size = torch.split(heard, [value.shape[-1] - SPACE - 1, SPACE, 1], dim=-1)
            spread = size + length - 2 * (s * there).sum(-1, keepdim=True)
            heard = torch.cat([told, there - s, torch.log1p(spread.clamp(min=0))], dim=-1).flatten(1)
        out: Tensor = self.out(heard.to(x.dtype))
        return out
