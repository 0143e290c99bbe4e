"""A step on the graph whose points are pairs of hits and whose edges are triplets: pairs hear what goes on from them and before.

The interaction network (arXiv 1612.00222) on a line graph, where an edge already sees how well two pairs fit on one helix.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcloud.nn.mlp import MLP


class LineGraph(nn.Module):
    """t' = t + MLP_t(W_i p_inner + W_o p_outer + W t);  p' = p + MLP_p([p, sum g t' of triplets outward, sum g t' inward,
    sum of both over the pairs that share its inner, its outer hit]), g = sigmoid(w t').

    pairs [pairs, channels], triplets [triplets, channels], inner and outer [triplets] int64 rows of pairs; first and last
    [pairs] int64: hits of each pair, below ``hits``. Both tables keep their shape.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(channels, channels, bias=False), nn.Linear(channels, channels, bias=False)
        self.triplet = nn.Linear(channels, channels)
        self.triplet_update = nn.Sequential(nn.LayerNorm(channels), nn.SiLU(), nn.Linear(channels, channels))
        self.gate = nn.Linear(channels, 1)
        self.pair_update = MLP([5 * channels, channels, channels])

    def forward(
        self, pairs: Tensor, triplets: Tensor, inner: Tensor, outer: Tensor, first: Tensor, last: Tensor, hits: int
    ) -> tuple[Tensor, Tensor]:
        seen = self.inner(pairs).index_select(0, inner) + self.outer(pairs).index_select(0, outer) + self.triplet(triplets)
        triplets = triplets + self.triplet_update(seen)
        message = torch.sigmoid(self.gate(triplets)) * triplets
        onward, back = (torch.zeros_like(pairs).index_add(0, side, message) for side in (inner, outer))
        rivals = [
            pairs.new_zeros(hits, pairs.shape[1]).index_add(0, hit, heard).index_select(0, hit)
            for hit, heard in ((first, onward), (last, back))
        ]
        return pairs + self.pair_update(torch.cat([pairs, onward, back, *rivals], dim=-1)), triplets
