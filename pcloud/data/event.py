"""One event as numpy columns, free of any storage format; readers make it, the store keeps it.

``to_cloud(event, Inputs(pos=("x", "y", "z"), feat=("r", "eta")))`` turns it into a PointCloud of one event; a ``Block`` holds
many small ones, which are dealt with together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pcloud.data.schema import SCOPES

if TYPE_CHECKING:
    from torch import Tensor

    from pcloud.cloud import PointCloud

Columns = dict[str, np.ndarray]


@dataclass
class Event:
    """The columns of one event; the fields are those of PointCloud.

    point, point_truth [points]; particle [particles]; event, event_truth [1]. ``point_truth["particle"]`` is the row of
    the particle table counted from 0 inside this event, -1 = noise. A tracking event always has ``event["event_id"]``
    and ``point["hit_id"]``, int64. Raises ValueError where columns of one scope differ in length.
    """

    event_id: int
    point: Columns = field(default_factory=dict)
    event: Columns = field(default_factory=dict)
    point_truth: Columns = field(default_factory=dict)
    event_truth: Columns = field(default_factory=dict)
    particle: Columns = field(default_factory=dict)

    def __post_init__(self) -> None:
        points, particles = (self.points,), (self.particles,)
        for scope, expected in zip(SCOPES, (points, (1,), points, (1,), particles), strict=True):
            for name, column in getattr(self, scope).items():
                if column.shape != expected:
                    came = list(column.shape)
                    raise ValueError(f"event {self.event_id}: {scope}[{name!r}] has shape {came}, expected {list(expected)}")

    @property
    def points(self) -> int:
        return _rows(self.point)

    @property
    def particles(self) -> int:
        return _rows(self.particle)


def _rows(columns: Columns) -> int:
    return next((column.size for column in columns.values()), 0)


@dataclass(frozen=True)
class Inputs:
    """Which point columns a model sees: ``pos`` defines nearness, ``feat`` is everything further. In this order."""

    pos: tuple[str, ...]
    feat: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.pos, str) or isinstance(self.feat, str) or not self.pos:
            raise ValueError(f"pos and feat are lists of column names, pos not empty; came {self.pos!r} and {self.feat!r}")
        object.__setattr__(self, "pos", tuple(self.pos))
        object.__setattr__(self, "feat", tuple(self.feat))

    def missing_from(self, names: tuple[str, ...]) -> str | None:
        """One line on what is missing among point columns ``names``, or None."""
        missing = [name for name in dict.fromkeys(self.pos + self.feat) if name not in names]
        if not missing:
            return None
        return f"point columns missing: {', '.join(missing)}; there are: {', '.join(names) or 'none'}"


@dataclass
class Block:
    """Many events, their columns laid end to end; ``points`` and ``particles`` [events] int64 say how many rows each has.

    Raises ValueError where a column has not as many rows as they add up to.
    """

    points: np.ndarray
    particles: np.ndarray
    point: Columns = field(default_factory=dict)
    event: Columns = field(default_factory=dict)
    point_truth: Columns = field(default_factory=dict)
    event_truth: Columns = field(default_factory=dict)
    particle: Columns = field(default_factory=dict)

    def __post_init__(self) -> None:
        points, particles, events = (int(self.points.sum()),), (int(self.particles.sum()),), (len(self.points),)
        for scope, expected in zip(SCOPES, (points, events, points, events, particles), strict=True):
            for name, column in getattr(self, scope).items():
                if column.shape != expected:
                    where = f"block of {len(self.points)} events: {scope}[{name!r}]"
                    raise ValueError(f"{where} has shape {list(column.shape)}, expected {list(expected)}")


def to_cloud(event: Event | Block, inputs: Inputs, truth: bool = True) -> PointCloud:
    """A cloud of this event or these, float32 pos [points, dim] and feat [points, channels], every column beside them.

    Without ``truth`` the cloud holds no labels and no particles. The cloud may share memory with the event.
    Raises ValueError naming a missing column.
    """
    import torch

    from pcloud.cloud import PointCloud

    lack = inputs.missing_from(tuple(event.point))
    if lack:
        raise ValueError(f"event {event.event_id}: {lack}" if isinstance(event, Event) else lack)
    sizes, particles = np.atleast_1d(event.points), np.atleast_1d(event.particles)

    def offsets(rows: np.ndarray) -> Tensor:
        return torch.from_numpy(np.concatenate([[0], np.cumsum(rows, dtype=np.int64)]))

    def table(names: tuple[str, ...]) -> Tensor:
        out = np.empty((int(sizes.sum()), len(names)), dtype=np.float32)
        for channel, name in enumerate(names):
            out[:, channel] = event.point[name]
        return torch.from_numpy(out)

    def tensors(columns: Columns) -> dict[str, Tensor]:
        return {name: torch.from_numpy(np.require(column, requirements=["C", "W"])) for name, column in columns.items()}

    return PointCloud(
        pos=table(inputs.pos),
        feat=table(inputs.feat),
        offsets=offsets(sizes),
        point=tensors(event.point),
        event=tensors(event.event),
        point_truth=tensors(event.point_truth) if truth else {},
        event_truth=tensors(event.event_truth) if truth else {},
        particle=tensors(event.particle) if truth else {},
        particle_offsets=offsets(particles if truth else np.zeros_like(particles)),
        max_points=int(sizes.max(initial=0)),
    )
