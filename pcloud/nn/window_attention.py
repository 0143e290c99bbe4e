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
FAR = 1e9  # the squared distance of a place without a row


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

    def empty(self) -> Tensor:
        """[windows, size] 1 where there is no row, 0 where there is one."""
        out = torch.ones(self.windows * self.size, device=self.slot.device)
        return out.index_fill(0, self.slot, 0.0).view(self.windows, self.size)

    def unpack(self, packed: Tensor) -> Tensor:
        """The inverse of ``pack``."""
        return packed.flatten(0, 1)[self.slot]


class WindowAttention(nn.Module):
    """x_i' = W_o sum_j a_ij V x_j,  a_ij = softmax_j(Q x_i . K x_j / sqrt(channels per head) - |s_i - s_j|^2), by head.

    s = W_s [x, place]: where a head puts a row, as in GravNet (arXiv 1902.07987) and HEPT's kernel (arXiv 2402.12535). j runs
    over the rows of i's window, i too. x [rows, channels], place [rows, places] -> [rows, channels]. V has SPACE + 1 channels
    a head more than K, because the fused kernels want values as wide as the keys with s in them.
    """

    def __init__(self, channels: int, places: int, *, heads: int = 4) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"channels = {channels} do not share out over heads = {heads}; choose a multiple")
        self.heads, self.scale = heads, (channels // heads) ** -0.5
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels, bias=False)  # it would add the same to all logits of a row
        self.value = nn.Linear(channels, channels + heads * (SPACE + 1))
        self.space = nn.Linear(channels + places, heads * SPACE, bias=False)
        self.out = nn.Linear(channels + heads * (SPACE + 1), channels)

    def forward(self, x: Tensor, place: Tensor, windows: Windows) -> Tensor:
        rows, channels = x.shape
        parts = [self.query(x), self.key(x), self.value(x)]
        with torch.autocast(x.device.type, enabled=False):  # in half precision the difference of squares would cancel
            s = self.space(torch.cat([x.float(), place.float()], dim=-1))
            own = torch.cat([part.float().view(rows, self.heads, part.shape[1] // self.heads) for part in (*parts, s)], dim=-1)
            width = channels // self.heads
            query, key, value, s = torch.split(
                windows.pack(own).transpose(1, 2), [width, width, width + SPACE + 1, SPACE], dim=-1
            )
            length = s.square().sum(-1, keepdim=True) + windows.empty()[:, None, :, None] * FAR
            query = torch.cat([self.scale * query, 2 * s, torch.ones_like(length)], dim=-1)
            key = torch.cat([key, s, -length], dim=-1)  # query . key: the logit, less |s_i|^2, which a softmax over j can't see
            heard = F.scaled_dot_product_attention(query, key, value, scale=1.0)
            heard = windows.unpack(heard.transpose(1, 2)).flatten(1)
        out: Tensor = self.out(heard.to(x.dtype))
        return out
