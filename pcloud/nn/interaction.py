"""The interaction network's step: edges learn from their ends, points from their edges (Battaglia et al., arXiv 1612.00222).

Edges are the cells of a neighbour table, so points gather their own row and nothing is scattered.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcloud.neighbors import Neighbors
from pcloud.nn.mlp import MLP
from pcloud.nn.pair_mlp import PairMLP


class Interaction(nn.Module):
    """e_ij' = e_ij + MLP_e([e_ij, x_i, x_j]);  x_i' = x_i + MLP_x([x_i, mean_j g_ij e_ij', max_j g_ij e_ij']).

    g_ij = sigmoid(w e_ij') opens the edges worth listening to. x [points, channels], edges [points, k, channels], both
    kept in shape; missing neighbours take no part.
    """

    def __init__(self, channels: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.edge_update = PairMLP(channels, channels, channels, dropout=dropout)
        self.gate = nn.Linear(channels, 1)
        self.point_update = MLP([3 * channels, channels, channels], dropout=dropout)

    def forward(self, x: Tensor, edges: Tensor, neighbors: Neighbors) -> tuple[Tensor, Tensor]:
        edges = edges + self.edge_update(x, neighbors, edges)
        message = (torch.sigmoid(self.gate(edges)) * edges).masked_fill(~neighbors.mask[..., None], 0.0)
        mean = message.sum(1) / neighbors.mask.sum(1, keepdim=True).clamp(min=1)
        return x + self.point_update(torch.cat([x, mean, message.amax(1)], dim=-1)), edges
