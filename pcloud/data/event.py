"""One event as numpy columns, free of any storage format; readers make it, the store keeps it.

``to_cloud(event, Inputs(pos=("x", "y", "z"), feat=("r", "eta")))`` turns it into a PointCloud of one event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pcloud.data.schema import PER_EVENT, SCOPES

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
        rows = {"point": self.points, "point_truth": self.points, "particle": self.particles}
        for scope in SCOPES:
            for name, column in getattr(self, scope).items():
                expected = 1 if scope in PER_EVENT else rows[scope]
                if np.shape(column) != (expected,):
                    came = list(np.shape(column))
                    raise ValueError(f"event {self.event_id}: {scope}[{name!r}] has shape {came}, expected [{expected}]")

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


def to_cloud(event: Event, inputs: Inputs, truth: bool = True) -> PointCloud:
    """A cloud of this one event, float32 pos [points, dim] and feat [points, channels], every column beside them.

    Without ``truth`` the cloud holds no labels and no particles. The cloud may share memory with the event.
    Raises ValueError naming a missing column.
    """
    import torch

    from pcloud.cloud import PointCloud

    lack = inputs.missing_from(tuple(event.point))
    if lack:
        raise ValueError(f"event {event.event_id}: {lack}")

    def table(names: tuple[str, ...]) -> Tensor:
        out = np.empty((event.points, len(names)), dtype=np.float32)
        for channel, name in enumerate(names):
            out[:, channel] = event.point[name]
        return torch.from_numpy(out)

    def tensors(columns: Columns) -> dict[str, Tensor]:
        return {name: torch.from_numpy(np.require(column, requirements=["C", "W"])) for name, column in columns.items()}

    return PointCloud(
        pos=table(inputs.pos),
        feat=table(inputs.feat),
        offsets=torch.tensor([0, event.points]),
        point=tensors(event.point),
        event=tensors(event.event),
        point_truth=tensors(event.point_truth) if truth else {},
        event_truth=tensors(event.event_truth) if truth else {},
        particle=tensors(event.particle) if truth else {},
        particle_offsets=torch.tensor([0, event.particles if truth else 0]),
        max_points=event.points,
    )
