"""Attention among the edges that meet at a point: does a third hit confirm this pair?

A track is three hits in line. Each edge of a point asks the point's other edges, so a pair is judged with its continuations.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pcloud.neighbors import Neighbors


class EdgeAttention(nn.Module):
    """e_ij' = e_ij + W sum_l softmax_l(q_ij . k_il) v_il over the neighbours l of i (Vaswani et al., arXiv 1706.03762).

    edges [points, k, channels] -> the same shape; missing neighbours are not listened to.
    """

    def __init__(self, channels: int, *, heads: int = 2) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"channels = {channels} do not share out over heads = {heads}; choose a multiple")
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, edges: Tensor, neighbors: Neighbors) -> Tensor:
        points, k, channels = edges.shape
        parts = self.project(self.norm(edges)).view(points, k, 3, self.heads, channels // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mask = neighbors.mask[:, None, None].expand(-1, self.heads, k, -1)
        mask = mask | ~mask.any(-1, keepdim=True)  # a point without neighbours listens to nobody's noise, but stays finite
        heard = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return edges + self.out(heard.transpose(1, 2).reshape(points, k, channels))
