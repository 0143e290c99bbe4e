"""ParticleNet: edge convolutions on a jet's constituents, neighbours found anew in each block (Qu and Gouskos, arXiv 1902.08570).

``ParticleNet`` has three blocks and k = 16, ``ParticleNetLite`` two and k = 7, as published.
"""

from __future__ import annotations

from torch import nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Encoding, at_least_one
from pcloud.neighbors import knn
from pcloud.nn import EdgeBlock, Standardize


class ParticleNet(nn.Module):
    """h_0 = x;  h_l = EdgeBlock(h_{l-1}, knn(pos or h_{l-1}));  points = h_L;  events = dropout(relu(W mean of points)).

    ``widths`` are the blocks' channels, each with ``depth`` layers on pairs; ``hidden`` the channels of the dense layer after
    pooling. A jet of n <= k constituents has n - 1 neighbours each, and means over those.
    """

    edge_channels = 0
    point_columns = ()

    def __init__(
        self,
        *,
        in_channels: int,
        k: int = 16,
        widths: tuple[int, ...] = (64, 128, 256),
        depth: int = 3,
        hidden: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        at_least_one(k=k, depth=depth, hidden=hidden, widths=min(widths, default=0))
        self.k = k
        self.point_channels, self.event_channels = widths[-1], hidden
        self.standardize = Standardize(in_channels)
        sizes = [in_channels, *widths]
        self.blocks = nn.ModuleList(EdgeBlock(a, [b] * depth) for a, b in zip(sizes, widths, strict=False))
        self.dense = nn.Sequential(nn.Linear(widths[-1], hidden), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, cloud: PointCloud) -> Encoding:
        h = self.standardize(cloud.feat)
        neighbors = knn(cloud.pos, cloud.offsets, self.k, max_points=cloud.max_points)
        for number, block in enumerate(self.blocks):
            if number:
                neighbors = knn(h.detach(), cloud.offsets, self.k, max_points=cloud.max_points)
            h = block(h, neighbors)
        return Encoding(h, events=self.dense(segments.mean(h, cloud.offsets)))


class ParticleNetLite(ParticleNet):
    """ParticleNet with two blocks, k = 7 and a dense layer of 128: a twelfth of the parameters."""

    def __init__(
        self,
        *,
        in_channels: int,
        k: int = 7,
        widths: tuple[int, ...] = (32, 64),
        depth: int = 3,
        hidden: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(in_channels=in_channels, k=k, widths=widths, depth=depth, hidden=hidden, dropout=dropout)
