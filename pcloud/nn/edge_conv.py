"""EdgeConv, the layer of dynamic graph CNNs (Wang et al., arXiv 1801.07829; ParticleNet, arXiv 1902.08570).

Takes point features and a neighbour table; gathers, applies an MLP to each pair, reduces along k without a scatter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcloud.neighbors import Neighbors
from pcloud.nn.mlp import MLP


class EdgeConv(nn.Module):
    """x_i' = max_j MLP([x_i, x_j - x_i]) over the neighbours j of i: [points, in] -> [points, out]; 0 without a neighbour."""

    def __init__(self, channels_in: int, channels_out: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.mlp = MLP([2 * channels_in, channels_out, channels_out], dropout=dropout)

    def forward(self, x: Tensor, neighbors: Neighbors) -> Tensor:
        x_i = x[:, None].expand(-1, neighbors.index.shape[1], -1)
        message = self.mlp(torch.cat([x_i, neighbors.gather(x) - x_i], dim=-1))
        lonely = ~neighbors.mask[..., None]
        strongest = message.masked_fill(lonely, -torch.inf).amax(1)
        return strongest.masked_fill(lonely.all(1), 0.0)
