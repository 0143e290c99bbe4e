"""What a path behind the door is asked and what it answers: one form for the reference, the CPU and every GPU kernel.

The door checks and converts once, so that a path sees float32 coordinates only: ``path(Search(...)) -> Found``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Search:
    """The k nearest points of each query inside its event.

    points     [points, dim] float32, contiguous    a row holding a NaN is nobody's neighbour
    offsets    [events + 1] int64                   event e owns points ``offsets[e]:offsets[e + 1]``
    queries    [queries, dim] float32, contiguous   a row holding a NaN has no neighbour
    query_offsets  [events + 1] int64
    reach2     a point is near where its float32 squared distance is <= reach2, itself a float32; inf: everywhere
    skip_self  the queries are the points, and none is its own neighbour (told by its row, not by its place)
    wrap       the last axis is an azimuth in [-pi, pi], whose difference goes the short way round
    max_points most points in one event where the host knows it, else None
    """

    points: Tensor
    offsets: Tensor
    queries: Tensor
    query_offsets: Tensor
    k: int
    reach2: float = math.inf
    skip_self: bool = False
    wrap: bool = False
    max_points: int | None = None


class Found(NamedTuple):
    """index [queries, k] int32, by (distance2, index), -1 where there are fewer; distance2 [queries, k] float32, +inf there;
    truncated [queries] bool: more than k points were within a finite reach (always false where it is infinite)."""

    index: Tensor  # type: ignore[assignment]  # a tuple's index() is of no use here
    distance2: Tensor
    truncated: Tensor

    @classmethod
    def nothing(cls, search: Search) -> Found:
        """The answer where no query has a neighbour, for a path to fill in."""
        shape, device = (len(search.queries), search.k), search.points.device
        return cls(
            torch.full(shape, -1, dtype=torch.int32, device=device),
            torch.full(shape, math.inf, dtype=torch.float32, device=device),
            torch.zeros(shape[0], dtype=torch.bool, device=device),
        )


Path = Callable[[Search], Found]
