"""Events of a store as a torch dataset of PointClouds, and the split of events into training, validation and test.

``Events(Store.open(path), inputs)[i]`` is a cloud of one event; batches are made by ``pcloud.cloud.collate``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch.utils.data import Dataset

from pcloud.cloud import PointCloud
from pcloud.data.event import Inputs, to_cloud
from pcloud.data.store import Store


class Events(Dataset[PointCloud]):
    """One PointCloud per event. ``indices``: which events of the store, in this order (all, if None).

    A DataLoader asks for a batch at once (``__getitems__``), which is much the faster way to many small events. ``point``:
    which point columns go into such a batch beside pos and feat (all, if None).

    Raises ValueError where the store lacks an input column.
    """

    def __init__(
        self,
        store: Store,
        inputs: Inputs,
        indices: Sequence[int] | None = None,
        truth: bool = True,
        point: Collection[str] | None = None,
    ) -> None:
        lack = inputs.missing_from(store.schema.names("point"))
        if lack:
            raise ValueError(f"{store.path}: {lack}")
        self.store = store
        self.inputs = inputs
        self.truth = truth
        self.point = None if point is None else frozenset(point)
        self.indices = np.arange(len(store)) if indices is None else np.asarray(indices, dtype=np.int64)
        if self.indices.size and not (0 <= self.indices.min() and self.indices.max() < len(store)):
            raise ValueError(f"{store.path}: indices lie in 0..{len(store) - 1}; came {indices!r:.80}")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> PointCloud:
        return to_cloud(self.store.read(int(self.indices[i]), truth=self.truth), self.inputs, truth=self.truth)

    def __getitems__(self, places: Sequence[int]) -> list[PointCloud]:
        """One cloud of all these events, in a list, as what a DataLoader collates."""
        read = None if self.point is None else self.point | {*self.inputs.pos, *self.inputs.feat}
        block = self.store.read_many(self.indices[np.asarray(places, np.int64)], self.truth, read)
        cloud = to_cloud(block, self.inputs, truth=self.truth)
        if self.point is not None:
            cloud = replace(cloud, point={name: column for name, column in cloud.point.items() if name in self.point})
        return [cloud]

    @property
    def sizes(self) -> np.ndarray:
        """Points of each event [len(self)] int64: what a sampler by budget needs."""
        return self.store.sizes[self.indices]

    @property
    def event_ids(self) -> np.ndarray:
        return self.store.event_ids[self.indices]


def split(event_ids: Sequence[int] | np.ndarray, fractions: Mapping[str, float], seed: int) -> dict[str, list[int]]:
    """Positions in ``event_ids`` that fall to each named part.

    An event's part depends on its id, the fractions and the seed alone: adding or reordering events moves no other.
    Sizes therefore follow the fractions only on average. Fractions are positive and add up to one.
    """
    shares = list(fractions.values())
    if not shares or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"split fractions: {dict(fractions)} came; expected positive numbers that add up to 1")
    edges = np.cumsum(shares)[:-1]
    parts: dict[str, list[int]] = {name: [] for name in fractions}
    names = list(parts)
    for position, event_id in enumerate(event_ids):
        digest = hashlib.sha256(f"{seed}:{int(event_id)}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        parts[names[int(np.searchsorted(edges, place, side="right"))]].append(position)
    return parts
