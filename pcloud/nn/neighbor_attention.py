"""Attention of each point over its neighbours (Vaswani et al., arXiv 1706.03762, made local as in Zhao et al., arXiv 2012.09164).

Takes point features and a neighbour table; its cost grows with points times k, not with the square of an event.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from pcloud.neighbors import Neighbors
from pcloud.nn.blocks import by_blocks


class NeighborAttention(nn.Module):
    """x_i' = W_o sum_j a_ij V x_j,  a_ij = softmax_j(Q x_i . K x_j / sqrt(channels per head) - s ln(1 + d_ij^2)), by head.

    [points, in] -> [points, out]; j runs over the neighbours of i, and without one the sum is 0. The last term is there with
    ``distance=True``: s, one slope a head, is learned from 0, and d^2 is the table's ``distance2``, whose unit should make
    near pairs about 1; the gradient reaches the coordinates too.
    """

    def __init__(self, channels_in: int, channels_out: int, *, heads: int = 4, distance: bool = False) -> None:
        super().__init__()
        if heads < 1 or channels_out % heads:
            raise ValueError(f"channels_out = {channels_out} do not share out over heads = {heads}; choose a multiple")
        self.heads = heads
        self.query = nn.Linear(channels_in, channels_out)
        self.key = nn.Linear(channels_in, channels_out)
        self.value = nn.Linear(channels_in, channels_out)
        self.slope = nn.Parameter(torch.zeros(heads)) if distance else None
        self.out = nn.Linear(channels_out, channels_out)

    def forward(self, x: Tensor, neighbors: Neighbors) -> Tensor:
        rows, tables = [self.query(x)], [self.key(x), self.value(x)]
        if self.slope is not None:
            far = torch.log1p(neighbors.distance2.masked_fill(~neighbors.mask, 0.0))
            rows.append(self.slope * far[..., None])
        out: Tensor = self.out(by_blocks(partial(_attend, self.heads), neighbors, rows=rows, tables=tables))
        return out


def _attend(heads: int, mask: Tensor, query: Tensor, *more: Tensor) -> Tensor:
    """query [points, channels], penalty [points, k, heads] or none, key and value [points, k, channels] -> [points, channels]."""
    *penalty, key, value = more
    split = (*key.shape[:2], heads, key.shape[2] // heads)
    score = (query[:, None] * key).view(split).sum(-1) * split[3] ** -0.5
    for one in penalty:
        score = score - one
    missing = ~mask[..., None]
    lowest = torch.finfo(score.dtype).min  # and not -inf: without any neighbour a softmax of nothing would be NaN
    weight = score.masked_fill(missing, lowest).softmax(1).masked_fill(missing, 0.0)
    heard: Tensor = (weight[..., None] * value.view(split)).sum(1).flatten(1)
    return heard
