"""Deep Sets: every point sees itself and the mean of its event (Zaheer et al., arXiv 1703.06114).

The smallest encoder: no graph, linear in the number of points, the floor that every other encoder must beat.
"""

from __future__ import annotations

import torch
from torch import nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Encoding, at_least_one
from pcloud.nn import MLP, Standardize


class DeepSets(nn.Module):
    """h_i = phi(x_i);  g = mean_i h_i;  points = rho([h_i, g]),  events = g."""

    edge_channels = 0

    def __init__(self, *, in_channels: int, channels: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        at_least_one(channels=channels)
        self.point_channels = self.event_channels = channels
        self.standardize = Standardize(in_channels)
        self.phi = MLP([in_channels, channels, channels], dropout=dropout)
        self.rho = MLP([2 * channels, channels, channels], dropout=dropout)

    def forward(self, cloud: PointCloud) -> Encoding:
        h = self.phi(self.standardize(cloud.feat))
        g = segments.mean(h, cloud.offsets)
        return Encoding(self.rho(torch.cat([h, g[cloud.event_of_point]], dim=-1)), events=g)
