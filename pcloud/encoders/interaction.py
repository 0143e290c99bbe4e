"""The interaction network for tracks: edges between hits seen close together from the beam, judged with their continuations.

The only encoder here with edge features; a task that links hits into tracks reads them.
"""

from __future__ import annotations

import torch
from torch import nn

from pcloud import physics
from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Edges, Encoding
from pcloud.neighbors import knn
from pcloud.nn import MLP, EdgeAttention, Interaction, Standardize


class InteractionNetwork(nn.Module):
    """Edges to the k nearest hits in (phi, eta); e_ij from both ends and their helix geometry; then ``layers`` times
    attention among a hit's edges and an interaction step (arXiv 1612.00222, 2103.16701).

    ``pos`` must be x, y, z in mm; ``eta_scale`` weighs pseudorapidity against azimuth when neighbours are sought.
    """

    event_channels = 0

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int = 32,
        layers: int = 2,
        k: int = 16,
        eta_scale: float = 0.2,
        heads: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.k, self.eta_scale = k, eta_scale
        self.point_channels = self.edge_channels = channels
        self.standardize = Standardize(in_channels)
        self.point_input = MLP([in_channels, channels, channels], dropout=dropout)
        self.edge_input = MLP([2 * channels + physics.PAIR_CHANNELS, channels, channels], dropout=dropout)
        self.attend = nn.ModuleList(EdgeAttention(channels, heads=heads) for _ in range(layers))
        self.interact = nn.ModuleList(Interaction(channels, dropout=dropout) for _ in range(layers))

    def forward(self, cloud: PointCloud) -> Encoding:
        neighbors = knn(physics.direction_space(cloud.pos, self.eta_scale), cloud.offsets, self.k)
        x = self.point_input(self.standardize(cloud.feat))
        x_i = x[:, None].expand(-1, self.k, -1)
        pair = physics.pair_geometry(cloud.pos[:, None].expand(-1, self.k, -1), neighbors.gather(cloud.pos))
        edges = self.edge_input(torch.cat([x_i, neighbors.gather(x), pair], dim=-1))
        for attend, interact in zip(self.attend, self.interact, strict=True):
            x, edges = interact(x, attend(edges, neighbors), neighbors)
        return Encoding(x, edges=Edges(edges, neighbors))
