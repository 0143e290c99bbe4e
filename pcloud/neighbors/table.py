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

    index      [queries, k] int32    row of the point, -1 where there are fewer than k
    distance2  [queries, k] float32  squared distance, +inf where there is no point; differentiable
    truncated  [queries] bool        more than k points were within the radius (false where none was given)
    nonfinite  [] int64              rows of points and queries left out, as they were not finite (only with ``check=False``)
    path       which code answered and why, where ``explain=True`` asked for it
    """

    index: Tensor
    distance2: Tensor
    truncated: Tensor
    nonfinite: Tensor
    path: str = ""

    @property
    def mask(self) -> Tensor:
        """[queries, k] bool: true where there is a neighbour."""
        return self.index >= 0

    def gather(self, values: Tensor) -> Tensor:
        """Neighbours' rows: [points, ...] -> [queries, k, ...]; for a missing neighbour the receiver's own row."""
        return rows_at(values, self.index)

    def edge_index(self) -> Tensor:
        """[2, edges] int64: senders (neighbours) above receivers (queries), as PyG's message passing reads it."""
        receiver, place = self.mask.nonzero(as_tuple=True)
        return torch.stack([self.index[receiver, place].long(), receiver])

    def csr(self) -> tuple[Tensor, Tensor]:
        """(offsets [queries + 1], neighbours [edges]), int64: compressed rows, one per query."""
        counts = self.mask.sum(1)
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)]), self.index[self.mask].long()

    def symmetric(self) -> Tensor:
        """[2, edges] int64: each pair that sees at least one way, both ways, once, sorted by receiver, then sender.

        For neighbours of the points themselves; with queries of their own there is no way back.
        """
        sender, receiver = self.edge_index()
        points = max(self.index.shape[0], 1)
        both = torch.unique(torch.cat([receiver * points + sender, sender * points + receiver]))
        return torch.stack([both % points, both // points])


def rows_at(values: Tensor, index: Tensor) -> Tensor:
    """values [points, ...] at a table of rows [queries, k], as :func:`known_rows` has it; zeros where there is no point."""
    if values.shape[0] == 0:
        return values.new_zeros(*index.shape, *values.shape[1:])
    return values.index_select(0, known_rows(index, values.shape[0])).view(*index.shape, *values.shape[1:])


def known_rows(index: Tensor, points: int, first: int = 0) -> Tensor:
    """A table's cells as one list of rows [queries * k] int64: torch adds up at int32 several times slower.

    In place of -1 stands the query's own row, ``first`` and up: a NaN in some row of another event would spoil this one even
    under a weight of zero. Queries that are not the points get some row.
    """
    own = torch.arange(first, first + index.shape[0], device=index.device).clamp(max=points - 1)
    return torch.where(index >= 0, index, own[:, None]).flatten()
