"""Batches by a budget of points: events differ by orders of magnitude in size, so their number is no batch size.

``PointBudget`` deals one epoch, ``Endless`` epoch after epoch from any batch on, as functions of their arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray


class PointBudget:
    """Lists of dataset indices whose points sum to at most ``budget``; an event above it is a batch of its own.

    sizes [events]: points of each event. Each comes once in an epoch, in an order that is a function of (seed, epoch).
    ``events``: at most so many in a batch; 0: as many as the budget allows.
    """

    def __init__(
        self, sizes: Sequence[int] | NDArray[np.integer], budget: int, *, seed: int, shuffle: bool = True, events: int = 0
    ) -> None:
        self.sizes = np.asarray(sizes, np.int64)
        if self.sizes.ndim != 1 or (self.sizes < 0).any():
            raise ValueError(f"sizes are points per event, none negative; came shape {self.sizes.shape}")
        if budget < 1 or min(seed, events) < 0:
            came = f"budget {budget}, seed {seed} and events {events} came"
            raise ValueError(f"{came}; expected budget >= 1 point, seed >= 0 and events >= 0")
        self.budget, self.seed, self.shuffle, self.events = budget, seed, shuffle, events or len(self.sizes)
        self.set_epoch(0)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Deal the epoch numbered ``epoch``; iteration starts at its batch ``start_batch``."""
        events = len(self.sizes)
        self._order = np.arange(events)
        if self.shuffle:
            self._order = np.random.default_rng([self.seed, epoch]).permutation(events)
        spent = np.concatenate([[0], np.cumsum(self.sizes[self._order])])
        cuts = [0]
        while cuts[-1] < events:
            fits = int(np.searchsorted(spent, spent[cuts[-1]] + self.budget, side="right")) - 1
            cuts.append(max(min(fits, cuts[-1] + self.events), cuts[-1] + 1))
        if not 0 <= start_batch < len(cuts):
            raise ValueError(f"start_batch {start_batch} came; epoch {epoch} has {len(cuts) - 1} batches")
        self._cuts = cuts[start_batch:]

    def __len__(self) -> int:
        """Batches that one iteration gives."""
        return len(self._cuts) - 1

    def __iter__(self) -> Iterator[list[int]]:
        order, cuts = self._order, self._cuts
        for a, b in zip(cuts, cuts[1:], strict=False):
            yield order[a:b].tolist()


class Endless:
    """The batches of epoch 0, 1, 2, ... without end, from the batch numbered ``start`` (over all epochs) on."""

    def __init__(self, epochs: PointBudget, start: int = 0) -> None:
        if not len(epochs.sizes):
            raise ValueError("there is no event to draw batches from; give at least one")
        self.epochs, self.start = epochs, start

    def __iter__(self) -> Iterator[list[int]]:
        skip = self.start
        for epoch in count():
            self.epochs.set_epoch(epoch)
            if skip >= len(self.epochs):
                skip -= len(self.epochs)
                continue
            self.epochs.set_epoch(epoch, skip)
            skip = 0
            yield from self.epochs
