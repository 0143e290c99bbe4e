"""Edges of a point that describe the same curve support each other: does a third hit confirm this pair?

A track is three hits in line. Each edge puts itself in a learned space of curves and gathers from the point's other edges nearby.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcloud.neighbors import Neighbors


class EdgeKernel(nn.Module):
    """p = W_p norm(e), v = W_v norm(e);  e_ij' = e_ij + W [sum_{l != j} w_jl v_il, sum_{l != j} w_jl],
    w_jl = exp(-|p_ij - p_il|^2), by head, over the neighbours l of i.

    As GravNet's potential (arXiv 1902.07987), between edges instead of points. The sum is not normalised: how many other
    hits agree is what tells a track from chance. edges [points, k, channels] -> the same shape.
    """

    def __init__(self, channels: int, *, heads: int = 2, space: int = 4) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"channels = {channels} do not share out over heads = {heads}; choose a multiple")
        self.heads, self.space = heads, space
        self.norm = nn.LayerNorm(channels)
        self.curve = nn.Linear(channels, heads * space)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels + heads, channels)

    def forward(self, edges: Tensor, neighbors: Neighbors) -> Tensor:
        points, k, channels = edges.shape
        x = self.norm(edges)
        curve = self.curve(x).view(points, k, self.heads, self.space).transpose(1, 2)
        value = self.value(x).view(points, k, self.heads, channels // self.heads).transpose(1, 2)
        with torch.autocast(edges.device.type, enabled=False):  # in half precision the difference of squares would cancel
            curve = curve.float()
            size = curve.square().sum(-1, keepdim=True)
            distance2 = size + size.transpose(-1, -2) - 2 * curve @ curve.transpose(-1, -2)
        deaf = torch.eye(k, dtype=torch.bool, device=edges.device) | ~neighbors.mask[:, None, None]
        weight = torch.exp(-distance2.clamp(min=0)).masked_fill(deaf, 0.0)
        heard = (weight @ value).transpose(1, 2).reshape(points, k, channels)
        support: Tensor = self.out(torch.cat([heard, weight.sum(-1).transpose(1, 2)], dim=-1))
        return edges + support
