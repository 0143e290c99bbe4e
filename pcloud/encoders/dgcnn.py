"""DGCNN: edge convolutions whose neighbours are found anew in each layer's feature space (Wang et al., arXiv 1801.07829).

The first graph is in ``pos``; later ones follow what the network has learned, unless ``dynamic`` is off.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Encoding, at_least_one
from pcloud.neighbors import knn
from pcloud.nn import MLP, EdgeConv, Standardize


class DGCNN(nn.Module):
    """h_0 = x;  h_l = EdgeConv(h_{l-1}, knn(pos or h_{l-1}));  points = MLP([h_1, ..., h_L]),  events = mean of points."""

    edge_channels = 0

    def __init__(
        self, *, in_channels: int, channels: int = 32, layers: int = 3, k: int = 8, dynamic: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        at_least_one(channels=channels, layers=layers, k=k)
        self.k, self.dynamic = k, dynamic
        self.point_channels = self.event_channels = channels
        self.standardize = Standardize(in_channels)
        widths = [in_channels] + [channels] * layers
        self.layers = nn.ModuleList(EdgeConv(a, b, dropout=dropout) for a, b in zip(widths, widths[1:], strict=False))
        self.fuse = MLP([channels * layers, channels, channels], dropout=dropout)

    def forward(self, cloud: PointCloud) -> Encoding:
        h = self.standardize(cloud.feat)
        neighbors = knn(cloud.pos, cloud.offsets, self.k, max_points=cloud.max_points)
        levels: list[Tensor] = []
        for layer in self.layers:
            if levels and self.dynamic:
                neighbors = knn(h.detach(), cloud.offsets, self.k, max_points=cloud.max_points)
            h = layer(h, neighbors)
            levels.append(h)
        points = self.fuse(torch.cat(levels, dim=-1))
        return Encoding(points, events=segments.mean(points, cloud.offsets))
