"""The GravNet model: layers that each learn where points should sit and gather from neighbours there (arXiv 1902.07987).

Made for irregular detectors; each block also hears the mean of its event, as in the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Encoding, at_least_one
from pcloud.nn import MLP, GravNet, Standardize


class GravNetEncoder(nn.Module):
    """h_l = GravNet([h_{l-1}, mean of h_{l-1} over the event]);  points = MLP([h_1, ..., h_L]),  events = mean of points."""

    edge_channels = 0

    def __init__(
        self, *, in_channels: int, channels: int = 32, layers: int = 3, k: int = 16, space: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        at_least_one(channels=channels, layers=layers, k=k, space=space)
        self.point_channels = self.event_channels = channels
        self.standardize = Standardize(in_channels)
        widths = [in_channels] + [channels] * (layers - 1)
        self.layers = nn.ModuleList(GravNet(2 * width, channels, space=space, k=k, dropout=dropout) for width in widths)
        self.fuse = MLP([channels * layers, channels, channels], dropout=dropout)

    def forward(self, cloud: PointCloud) -> Encoding:
        h = self.standardize(cloud.feat)
        owner = cloud.event_of_point
        levels: list[Tensor] = []
        for layer in self.layers:
            h = layer(torch.cat([h, segments.mean(h, cloud.offsets)[owner]], dim=-1), cloud.offsets)
            levels.append(h)
        points = self.fuse(torch.cat(levels, dim=-1))
        return Encoding(points, events=segments.mean(points, cloud.offsets))
