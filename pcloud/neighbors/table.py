"""Neighbors: the dense table of who is near whom, and its views for message passing.

A table lets a layer gather and reduce along ``k`` without a scatter; ``edge_index`` and ``csr`` are made on demand.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Neighbors:
    """The k nearest points of each query, nearest first, ties by lower index, never across events.

    index      [queries, k] int64    row of the point, -1 where there are fewer than k
    distance2  [queries, k] float32  squared distance, +inf where there is no point
    """

    index: Tensor
    distance2: Tensor

    @property
    def mask(self) -> Tensor:
        """[queries, k] bool: true where there is a neighbour."""
        return self.index >= 0

    def gather(self, values: Tensor) -> Tensor:
        """Neighbours' rows: [points, ...] -> [queries, k, ...]; rows of missing neighbours are arbitrary."""
        return rows_at(values, self.index)

    def edge_index(self) -> Tensor:
        """[2, edges] int64: senders (neighbours) above receivers (queries), as PyG's message passing reads it."""
        receiver, place = self.mask.nonzero(as_tuple=True)
        return torch.stack([self.index[receiver, place], receiver])

    def csr(self) -> tuple[Tensor, Tensor]:
        """(offsets [queries + 1], neighbours [edges]): compressed rows, one per query."""
        counts = self.mask.sum(1)
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)]), self.index[self.mask]


def rows_at(values: Tensor, index: Tensor) -> Tensor:
    """values [points, ...] at a table of rows [queries, k]; -1 gives some row, and zeros where there is no point at all."""
    if not len(values):
        return values.new_zeros(*index.shape, *values.shape[1:])
    return values[index.clamp(min=0)]
