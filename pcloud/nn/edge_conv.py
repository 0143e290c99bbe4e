"""EdgeConv, the layer of dynamic graph CNNs (Wang et al., arXiv 1801.07829; ParticleNet, arXiv 1902.08570).

Takes point features and a neighbour table; gathers, applies an MLP to each pair, reduces along k without a scatter.
"""

from __future__ import annotations

from torch import Tensor, nn

from pcloud.neighbors import Neighbors
from pcloud.nn.blocks import by_blocks
from pcloud.nn.pair_mlp import PairMLP
from pcloud.nn.reduce import strongest


class EdgeConv(nn.Module):
    """x_i' = max_j MLP([x_i, x_j - x_i]) over the neighbours j of i: [points, in] -> [points, out]; 0 without a neighbour.

    The first linear layer acts on x_i and x_j apart, which is the same function of the pair.
    """

    def __init__(self, channels_in: int, channels_out: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.pair = PairMLP(channels_in, 0, channels_out, dropout=dropout)

    def forward(self, x: Tensor, neighbors: Neighbors) -> Tensor:
        pair = self.pair
        return by_blocks(_strongest, neighbors, rows=[pair.receiver(x)], tables=[pair.sender(x)], nets=[pair.rest])


def _strongest(mask: Tensor, receiver: Tensor, sender: Tensor, rest: nn.Module) -> Tensor:
    return strongest(rest(receiver[:, None] + sender), mask)
