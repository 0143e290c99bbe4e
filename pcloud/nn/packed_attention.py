"""Attention inside events of unequal size: rows stay packed, and only queries, keys and values are padded, among events alike.

``Packs.of(offsets)`` sorts events by size; ``PackedAttention`` attends inside each, with a bias on every pair of rows if wanted;
``attend_once`` is the attention of one query an event, which needs no padding at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcloud import segments

ALIKE, FEW = 0.8, 4  # events share a pack down to this part of the largest one's size, and so many do in any case


@dataclass(frozen=True)
class Pack:
    """Rows ``rows`` of the packed order belong to ``events`` events of at most ``longest`` rows; place [rows] is where each lies
    in [events * longest]; size [events] is the number of rows of each."""

    rows: slice
    place: Tensor
    size: Tensor
    events: int
    longest: int

    def pad(self, x: Tensor) -> Tensor:
        """The pack's rows of x [rows, channels] -> [events, longest, channels], zero where there is no row."""
        out = x.new_zeros(self.events * self.longest, x.shape[1]).index_copy(0, self.place, x[self.rows])
        return out.view(self.events, self.longest, -1)


@dataclass(frozen=True)
class Packs:
    """order [rows]: the packed order, events sorted by size; offsets [events + 1] in that order; back [rows] undoes it."""

    order: Tensor
    back: Tensor
    offsets: Tensor
    packs: list[Pack]

    @classmethod
    def of(cls, offsets: Tensor) -> Packs:
        """Of the events that ``offsets`` [events + 1] bound; empty ones are in no pack."""
        size = segments.lengths(offsets)
        events = torch.argsort(size, descending=True, stable=True)
        fresh = segments.offsets_of(size[events])
        owner = segments.event_of(fresh)
        order = torch.arange(len(owner), device=offsets.device) - fresh[owner] + offsets[events][owner]
        back = torch.empty_like(order).scatter(0, order, torch.arange(len(order), device=order.device))
        counts, packs, first = [count for count in size[events].tolist() if count], [], 0
        while first < len(counts):
            longest, last = counts[first], first + 1
            while last < len(counts) and (counts[last] >= ALIKE * longest or last - first < FEW):
                last += 1
            low, high = sum(counts[:first]), sum(counts[:last])
            mine = owner[low:high]
            place = torch.arange(low, high, device=order.device) - fresh[mine] + (mine - first) * longest
            packs.append(Pack(slice(low, high), place, size[events][first:last], last - first, longest))
            first = last
        return cls(order, back, fresh, packs)

    def pair_bias(self, pairs: Tensor) -> list[Tensor]:
        """For each pack [events, heads, longest, longest], from a row [heads] for each unordered pair of rows of an event, in the
        order (0, 0), (1, 0), (1, 1), (2, 0), ... event after event. Nobody hears a row that is not there."""
        lowest = torch.finfo(pairs.dtype).min / 2
        table = torch.cat([pairs, pairs.new_full((1, pairs.shape[1]), lowest)])
        found, start = [], 0
        for pack in self.packs:
            count = pack.size * (pack.size + 1) // 2
            base = start + segments.offsets_of(count)
            row = torch.arange(pack.longest, device=pairs.device)
            high, low = torch.maximum(row[:, None], row), torch.minimum(row[:, None], row)
            cell = base[:-1, None, None] + (high * (high + 1) // 2 + low)
            cell = torch.where(high < pack.size[:, None, None], cell, len(pairs))
            bias = table.index_select(0, cell.flatten()).view(*cell.shape, -1)
            found.append(bias.permute(0, 3, 1, 2))
            start = int(base[-1])
        return found


class PackedAttention(nn.Module):
    """x_i' = W_o sum_j softmax_j(Q x_i . K x_j / sqrt(channels per head) + b_ij) V x_j, by head, over the rows j of i's event.

    x [rows, channels] in the packed order -> the same shape; bias, of each pack, as ``Packs.pair_bias`` gives it.
    """

    def __init__(self, channels: int, *, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"channels = {channels} do not share out over heads = {heads}; choose a multiple")
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.qkv.weight, gain=2**-0.5)  # as three square matrices
        nn.init.zeros_(self.qkv.bias)

    def forward(self, x: Tensor, packs: Packs, bias: Sequence[Tensor]) -> Tensor:
        qkv, heard = self.qkv(x), []
        for pack, pairs in zip(packs.packs, bias, strict=True):
            query, key, value = pack.pad(qkv).view(pack.events, pack.longest, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            dropout = self.dropout if self.training else 0.0
            seen = F.scaled_dot_product_attention(query, key, value, attn_mask=pairs.to(query.dtype), dropout_p=dropout)
            heard.append(seen.transpose(1, 2).flatten(2).flatten(0, 1)[pack.place])
        out: Tensor = self.out(torch.cat(heard) if heard else qkv[:, : x.shape[1]])
        return out


class ClassAttention(nn.Module):
    """c' = W_o softmax over (c, x_j) of (Q c . K u) / sqrt(channels per head), times V u, u = (norm c, norm x_j): one query an
    event (Touvron et al., arXiv 2103.17239). c, u_c [events, channels], u_x [rows, channels] -> [events, channels].
    """

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"channels = {channels} do not share out over heads = {heads}; choose a multiple")
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.qkv.weight, gain=2**-0.5)
        nn.init.zeros_(self.qkv.bias)

    def forward(self, c: Tensor, u_c: Tensor, u_x: Tensor, offsets: Tensor) -> Tensor:
        wq, wkv = self.qkv.weight.tensor_split([c.shape[1]])
        bq, bkv = self.qkv.bias.tensor_split([c.shape[1]])
        width = c.shape[1] // self.heads
        query = F.linear(c, wq, bq).view(-1, self.heads, width)
        own = F.linear(u_c, wkv, bkv).view(-1, 2, self.heads, width)
        rows = F.linear(u_x, wkv, bkv).view(-1, 2, self.heads, width)
        owner, scale = segments.event_of(offsets, u_x.shape[0]), width**-0.5
        score = (query[owner] * rows[:, 0]).sum(-1).float() * scale
        own_score = (query * own[:, 0]).sum(-1).float() * scale
        highest = torch.maximum(segments.max(score.detach(), offsets, empty=-torch.inf), own_score.detach())
        weight, own_weight = torch.exp(score - highest[owner]), torch.exp(own_score - highest)
        whole = segments.sum(weight, offsets) + own_weight
        heard = segments.sum(weight[..., None] * rows[:, 1], offsets) + own_weight[..., None] * own[:, 1]
        out: Tensor = self.out((heard / whole[..., None]).flatten(1).to(c.dtype))
        return out
