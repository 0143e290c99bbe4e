"""Neighbour tables that no search made: any pattern of present and missing neighbours, for layers to be tried on.

``table_of([[1, -1], [0, 2]])`` from rows; ``random_table(points, k)`` with missing neighbours and lonely points.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pcloud.neighbors import Neighbors


def table_of(rows: Sequence[Sequence[int]] | Tensor, distance2: Tensor | None = None) -> Neighbors:
    """The table of these rows; where no distances are given, the place in the row is the squared distance."""
    index = torch.as_tensor(rows, dtype=torch.int32)
    if distance2 is None:
        distance2 = torch.arange(index.shape[1]).float().expand(index.shape)
    distance2 = distance2.masked_fill(index < 0, torch.inf)
    return Neighbors(index, distance2, torch.zeros(len(index), dtype=torch.bool), torch.zeros((), dtype=torch.int64))


def random_table(queries: int, k: int, *, points: int | None = None, missing: float = 0.3, seed: int = 0) -> Neighbors:
    """Each query's k neighbours among the points, no point twice in a row; every fifth query has none."""
    draw, points = torch.Generator().manual_seed(seed), queries if points is None else points
    index = torch.rand(queries, max(points, k), generator=draw).argsort(1)[:, :k]
    count = (torch.rand(queries, 1, generator=draw) >= missing) * k + torch.randint(0, k + 1, (queries, 1), generator=draw)
    count[4::5] = 0
    index = index.masked_fill((torch.arange(k) >= count) | (index >= points), -1)
    index = torch.where(index >= 0, index, -1)
    order = (index < 0).int().argsort(dim=1, stable=True)  # those there are first
    return table_of(index.gather(1, order), torch.rand(queries, k, generator=draw).sort(1).values)


def numbers(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
