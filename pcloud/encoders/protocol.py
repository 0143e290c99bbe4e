"""What an encoder promises a task: a cloud goes in, an Encoding comes out.

An encoder owns its graph, never sees truth, and says by ``point_channels``, ``event_channels`` and ``edge_channels`` what it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from pcloud.cloud import PointCloud
from pcloud.neighbors import Neighbors
from pcloud.nn import Standardize


@dataclass(frozen=True)
class Edges:
    """Features [points, k, channels] of the edges in a neighbour table."""

    features: Tensor
    neighbors: Neighbors


@dataclass(frozen=True)
class Encoding:
    """points [points, channels] always; events [events, channels] and edges where the encoder has them."""

    points: Tensor
    events: Tensor | None = None
    edges: Edges | None = None


def at_least_one(**options: int) -> None:
    """ValueError naming the first option below 1."""
    for name, value in options.items():
        if value < 1:
            raise ValueError(f"{name} = {value} came; an encoder needs {name} of at least 1")


class Encoder(Protocol):
    """A whole backbone. 0 channels of a kind mean that its Encoding lacks that part. One for jets says by ``point_columns`` which
    columns it reads beside pos and feat, so that no others are fetched from a store."""

    point_channels: int
    event_channels: int
    edge_channels: int
    standardize: Standardize

    def __call__(self, cloud: PointCloud) -> Encoding: ...
