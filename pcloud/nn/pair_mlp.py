"""An MLP on pairs of neighbours whose first layer is taken apart, so that point parts are computed per point, not per pair.

W [x_i, x_j, e_ij] = W_i x_i + W_j x_j + W_e e_ij: the same function as on the concatenation at a fraction of time and memory.
"""

from __future__ import annotations

from torch import Tensor, nn

from pcloud.neighbors import Neighbors


class PairMLP(nn.Module):
    """f(x_i, x_j, e_ij) = V act(norm(W_i x_i + W_j x_j + W_e e_ij + b)) + c.

    x [points, points_in], edges [points, k, edges_in] or none -> [points, k, out].
    """

    def __init__(self, points_in: int, edges_in: int, out: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.receiver = nn.Linear(points_in, out)
        self.sender = nn.Linear(points_in, out, bias=False)
        self.edge = nn.Linear(edges_in, out, bias=False) if edges_in else None
        self.rest = nn.Sequential(nn.LayerNorm(out), nn.SiLU(), nn.Dropout(dropout), nn.Linear(out, out))

    def forward(self, x: Tensor, neighbors: Neighbors, edges: Tensor | None = None) -> Tensor:
        pair = self.receiver(x)[:, None] + neighbors.gather(self.sender(x))
        if self.edge is not None:
            assert edges is not None
            pair = pair + self.edge(edges)
        out: Tensor = self.rest(pair)
        return out
