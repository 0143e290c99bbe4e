"""GravNet: neighbours in a learned space, weighted by a potential of their distance (Qasim et al., arXiv 1902.07987).

The graph is made anew by each layer; the gradient reaches the learned coordinates through the distances.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcloud.neighbors import knn
from pcloud.nn.blocks import by_blocks
from pcloud.nn.mlp import MLP
from pcloud.nn.reduce import strongest


class GravNet(nn.Module):
    """s = W_s x, f = W_f x;  x_i' = MLP([x_i, mean_j w_ij f_j, max_j w_ij f_j]),  w_ij = exp(-10 |s_i - s_j|^2).

    [points, in] and offsets [events + 1] -> [points, out]; j runs over the k nearest points in the learned space s, over
    fewer where the event has fewer; mean and max of no neighbour are 0.
    """

    def __init__(self, channels_in: int, channels_out: int, *, space: int = 4, k: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        self.k = k
        self.coordinates = nn.Linear(channels_in, space)
        self.message = nn.Linear(channels_in, channels_out)
        self.update = MLP([channels_in + 2 * channels_out, channels_out, channels_out], dropout=dropout)

    def forward(self, x: Tensor, offsets: Tensor) -> Tensor:
        neighbors = knn(self.coordinates(x), offsets, self.k)
        weight = torch.exp(-10.0 * neighbors.distance2)  # 0 where there is no neighbour
        pulled = by_blocks(_pull, neighbors, rows=[weight], tables=[self.message(x)])
        out: Tensor = self.update(torch.cat([x, pulled], dim=-1))
        return out


def _pull(mask: Tensor, weight: Tensor, message: Tensor) -> Tensor:
    """Mean and max of what the neighbours send: [points, k], [points, k, channels] -> [points, 2 channels]."""
    pull = weight[..., None] * message
    mean = pull.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
    return torch.cat([mean, strongest(pull, mask)], dim=-1)
