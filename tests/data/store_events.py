"""Events small enough to read, and a store of them, for the tests of the store and of its damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pcloud.data.event import Event
from pcloud.data.schema import SCOPES, Column
from pcloud.data.store import Store, StoreWriter

COLUMNS = (
    Column("point", "hit_id", "int64", "", "number of the hit"),
    Column("point", "x", "float32", "mm", "position"),
    Column("point", "layer", "int32"),
    Column("point_truth", "particle", "int64"),
    Column("event", "event_id", "int64"),
    Column("event_truth", "signal", "bool"),
    Column("particle", "particle_id", "int64"),
    Column("particle", "q", "float64", "e"),
)


def make(event_id: int, points: int = 4, particles: int = 2) -> Event:
    random = np.random.default_rng(event_id)
    return Event(
        event_id,
        point={
            "hit_id": random.permutation(points) + 1,
            "x": random.normal(size=points).astype(np.float32),
            "layer": random.integers(0, 9, points, dtype=np.int32),
        },
        event={"event_id": np.array([event_id])},
        point_truth={"particle": random.integers(-1, max(particles, 0), points)},
        event_truth={"signal": np.array([event_id % 2 == 0])},
        particle={"particle_id": 2**60 + np.arange(particles), "q": random.normal(size=particles)},
    )


def write(path: Path, events: list[Event], **options: object) -> Store:
    with StoreWriter(path, COLUMNS, **options) as writer:
        for event in events:
            writer.add(event)
    return Store.open(path)


def assert_same(came: Event, expected: Event) -> None:
    assert came.event_id == expected.event_id
    for scope in SCOPES:
        assert list(getattr(came, scope)) == list(getattr(expected, scope))
        for name, column in getattr(expected, scope).items():
            other = getattr(came, scope)[name]
            assert other.dtype == column.dtype and other.tobytes() == column.tobytes(), (scope, name)
