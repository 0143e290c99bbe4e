"""The interaction network for tracks: edges between hits seen close together from the beam, judged with their continuations.

The only encoder here with edge features; a task that links hits into tracks reads them.
"""

from __future__ import annotations

from torch import nn

from pcloud import physics
from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Edges, Encoding, at_least_one
from pcloud.neighbors import knn
from pcloud.nn import MLP, EdgeKernel, Interaction, PairMLP, Standardize


class InteractionNetwork(nn.Module):
    """Edges to the k nearest hits in (phi, eta, ln rho); e_ij from both ends and their helix geometry; then ``layers`` times
    support among a hit's edges and an interaction step (arXiv 1612.00222, 2103.16701).

    ``pos`` must be x, y, z in mm; ``eta_scale`` and ``radial_scale`` weigh pseudorapidity and the logarithm of the distance
    from the origin against azimuth when neighbours are sought.
    """

    event_channels = 0

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int = 32,
        layers: int = 2,
        k: int = 16,
        eta_scale: float = 0.8,
        radial_scale: float = 0.15,
        heads: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        at_least_one(channels=channels, layers=layers, k=k, heads=heads)
        self.k, self.scales = k, (eta_scale, radial_scale)
        self.point_channels = self.edge_channels = channels
        self.standardize = Standardize(in_channels)
        self.point_input = MLP([in_channels, channels, channels], dropout=dropout)
        self.edge_input = PairMLP(channels, physics.PAIR_CHANNELS, channels, dropout=dropout)
        self.support = nn.ModuleList(EdgeKernel(channels, heads=heads) for _ in range(layers))
        self.interact = nn.ModuleList(Interaction(channels, dropout=dropout) for _ in range(layers))

    def forward(self, cloud: PointCloud) -> Encoding:
        if (columns := cloud.pos.shape[1]) != 3:
            raise ValueError(f"pos has {columns} columns; interaction reads x, y, z in mm")
        space = physics.direction_space(cloud.pos, *self.scales)
        neighbors = knn(space, cloud.offsets, self.k, max_points=cloud.max_points)
        x = self.point_input(self.standardize(cloud.feat))
        edges = self.edge_input(x, neighbors, physics.pair_geometry(cloud.pos[:, None], neighbors.gather(cloud.pos)))
        for support, interact in zip(self.support, self.interact, strict=True):
            x, edges = interact(x, support(edges, neighbors), neighbors)
        return Encoding(x, edges=Edges(edges, neighbors))
