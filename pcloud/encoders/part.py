"""The Particle Transformer: attention between all constituents, biased by what each pair is (Qu et al., arXiv 2202.03772).

Rows are packed: jets are sorted by size, and only queries, keys and values are padded, among jets of about one size.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Encoding, at_least_one
from pcloud.jets import pairs
from pcloud.jets.momenta import COLUMNS, momenta
from pcloud.nn import BatchNorm, ClassAttention, PackedAttention, Packs, Standardize


class ParticleTransformer(nn.Module):
    """points: embedding, then ``layers`` attention blocks with bias U_ij;  events: a class token through ``class_layers`` blocks.

    U_ij = BN W ... gelu BN W [ln kT, ln z, ln Delta, ln m^2], one bias a head, the same in all blocks. Needs the point columns
    px, py, pz, energy (GeV).

    embed          widths of the embedding of a constituent; the last one is the width of all blocks
    pair_channels  widths of the embedding of a pair
    expand         a block's dense layer is so many times wider
    """

    edge_channels = 0
    point_columns = COLUMNS

    def __init__(
        self,
        *,
        in_channels: int,
        embed: tuple[int, ...] = (128, 512, 128),
        pair_channels: tuple[int, ...] = (64, 64, 64),
        heads: int = 8,
        layers: int = 8,
        class_layers: int = 2,
        expand: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        at_least_one(
            heads=heads, layers=layers, class_layers=class_layers, expand=expand,
            embed=min(embed, default=0), pair_channels=min(pair_channels, default=0),
        )  # fmt: skip
        channels = embed[-1]
        self.point_channels = self.event_channels = channels
        self.standardize = Standardize(in_channels)
        steps = [part for a, b in pairwise((in_channels, *embed)) for part in (nn.LayerNorm(a), nn.Linear(a, b), nn.GELU())]
        self.embed = nn.Sequential(*steps)
        widths = (pairs.CHANNELS, *pair_channels, heads)
        links = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b, bias=False), BatchNorm(b), nn.GELU())]
        self.pair = nn.Sequential(BatchNorm(pairs.CHANNELS), *links[:-1])
        self.blocks = nn.ModuleList(
            Block(channels, PackedAttention(channels, heads=heads, dropout=dropout), expand=expand, dropout=dropout, number=n + 1)
            for n in range(layers)
        )
        self.token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, channels), std=0.02))
        self.class_blocks = nn.ModuleList(
            Block(channels, ClassAttention(channels, heads=heads), expand=expand, dropout=0.0) for _ in range(class_layers)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, cloud: PointCloud) -> Encoding:
        p4 = momenta(cloud, "part")
        packs = Packs.of(cloud.offsets)
        first, second = pairs.unordered(packs.offsets)
        with torch.autocast(p4.device.type, enabled=False):  # logarithms of small differences
            p4 = p4[packs.order]
            seen = pairs.features(p4.index_select(0, first), p4.index_select(0, second))
        bias = packs.pair_bias(self.pair(seen.to(self.token.dtype)))
        x = self.embed(self.standardize(cloud.feat))[packs.order]
        for block in self.blocks:
            x = block(x, packs, bias)
        points = x[packs.back]
        token = self.token.expand(cloud.events, -1)
        for block in self.class_blocks:
            token = block.token(token, points, cloud.offsets)  # type: ignore[operator]
        return Encoding(points, events=self.norm(token))


class Block(nn.Module):
    """x = x + norm(s_h Attention(norm x));  x = r x + W norm(gelu(W norm x)): the NormFormer block (arXiv 2110.09456), with a
    learned scale s_h by head and r by channel. ``number`` makes later blocks start smaller."""

    def __init__(
        self, channels: int, attention: PackedAttention | ClassAttention, *, expand: int, dropout: float, number: int = 0
    ) -> None:
        super().__init__()
        self.attention = attention
        self.before, self.after = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.head_scale = nn.Parameter(torch.ones(attention.heads))
        self.channel_scale = nn.Parameter(torch.ones(channels))
        self.norm = nn.LayerNorm(channels)
        self.widen, self.narrow = nn.Linear(channels, expand * channels), nn.Linear(expand * channels, channels)
        self.norm_wide = nn.LayerNorm(expand * channels)
        self.dropout = nn.Dropout(dropout)
        for linear in (attention.out, self.widen, self.narrow):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        if number:
            with torch.no_grad():
                for linear in (attention.out, self.narrow):
                    linear.weight /= (2.0 * number) ** 0.5

    def forward(self, x: Tensor, packs: Packs, bias: list[Tensor]) -> Tensor:
        return self.rest(x, self.attention(self.before(x), packs, bias))

    def token(self, token: Tensor, points: Tensor, offsets: Tensor) -> Tensor:
        """The class token [events, channels] hears the points of its event and itself."""
        return self.rest(token, self.attention(token, self.before(token), self.before(points), offsets))

    def rest(self, x: Tensor, heard: Tensor) -> Tensor:
        heard = heard * self.head_scale.repeat_interleave(heard.shape[1] // len(self.head_scale))
        x = x + self.dropout(self.after(heard))
        wide = self.norm_wide(self.dropout(nn.functional.gelu(self.widen(self.norm(x)))))
        out: Tensor = self.channel_scale * x + self.dropout(self.narrow(wide))
        return out
