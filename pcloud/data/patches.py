"""Events cut into slices in azimuth, so that full-density events can be trained on in bounded memory.

``Patches(events, 8000)`` is a dataset like ``events`` whose items have at most 8,000 points; what is smaller stays whole.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from pcloud.cloud import PointCloud
from pcloud.data.dataset import Events
from pcloud.physics import cylindrical


class Patches(Dataset[PointCloud]):
    """Each event in ceil(points / largest) slices of equally many points, ordered by phi of ``pos`` (x, y, z in mm).

    A slice keeps its density; only tracks that cross its two faces are cut. For training, never for evaluation.
    """

    def __init__(self, events: Events, largest: int) -> None:
        if largest < 1:
            raise ValueError(f"patch: {largest} points came, 1 or more expected")
        self.events = events
        self.slices = np.maximum(1, -(-events.sizes // largest))
        self.owner = np.repeat(np.arange(len(events)), self.slices)
        first = np.cumsum(self.slices) - self.slices
        self.number = np.arange(len(self.owner)) - first[self.owner]

    def __len__(self) -> int:
        return len(self.owner)

    def _bounds(self, i: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size, slices = self.events.sizes[self.owner[i]], self.slices[self.owner[i]]
        return self.number[i] * size // slices, (self.number[i] + 1) * size // slices

    def __getitem__(self, i: int) -> PointCloud:
        cloud = self.events[int(self.owner[i])]
        low, high = self._bounds(i)
        _, phi, _ = cylindrical(cloud.pos)
        keep = torch.zeros(cloud.points, dtype=torch.bool)
        keep[torch.argsort(phi, stable=True)[int(low) : int(high)]] = True
        return cloud.keep(keep)

    @property
    def sizes(self) -> np.ndarray:
        """Points of each slice [len(self)] int64."""
        low, high = self._bounds(np.arange(len(self)))
        sizes: np.ndarray = high - low
        return sizes

    @property
    def event_ids(self) -> np.ndarray:
        """Id of each slice's event."""
        return self.events.event_ids[self.owner]
