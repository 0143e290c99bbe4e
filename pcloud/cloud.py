"""PointCloud: a collision event, a jet or a detector readout is a ragged set of points with features.

A cloud is always a batch of events (one event is a batch of one); ``collate`` joins clouds, ``split`` and ``select`` part them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from pcloud import segments

Columns = dict[str, Tensor]
# Which count rules the rows of each field; a field that is not named here holds no rows.
POINT_FIELDS = ("pos", "feat", "point", "point_truth")
EVENT_FIELDS = ("event", "event_truth")


@dataclass(frozen=True)
class PointCloud:
    """A batch of events. The field decides scope and role of a column, never its name.

    pos          [points, dim]       coordinates that define nearness (mm, or eta / phi)
    feat         [points, channels]  further continuous inputs
    offsets      [events + 1] int64  event e owns rows offsets[e]:offsets[e + 1]; empty events are legal anywhere
    point        columns [points]    further inputs per point (hit_id, layer_id, charge)
    event        columns [events]    further inputs per event (event_id, jet pT)
    point_truth  columns [points]    labels; ``particle`` counts rows of the particle table inside the same event, -1 = noise
    event_truth  columns [events]    labels
    particle     columns [particles] true particles of each event, those without a hit included; ids stay int64
    particle_offsets [events + 1] int64
    max_points   int                 points of the largest event, known on the host (no device sync to choose a kernel)
    """

    pos: Tensor
    feat: Tensor
    offsets: Tensor
    point: Columns = field(default_factory=dict)
    event: Columns = field(default_factory=dict)
    point_truth: Columns = field(default_factory=dict)
    event_truth: Columns = field(default_factory=dict)
    particle: Columns = field(default_factory=dict)
    particle_offsets: Tensor | None = None
    max_points: int = -1

    def __post_init__(self) -> None:
        if self.pos.dim() != 2 or self.feat.dim() != 2:
            raise ValueError(f"pos and feat are tables; came {list(self.pos.shape)} and {list(self.feat.shape)}")
        if self.offsets.dtype != torch.int64 or self.offsets.dim() != 1 or len(self.offsets) < 1:
            raise ValueError(f"offsets are int64 [events + 1]; came {self.offsets.dtype} {list(self.offsets.shape)}")
        self._check("pos", len(self.pos), len(self.feat), "feat")
        for name in ("point", "point_truth"):
            for key, column in getattr(self, name).items():
                self._check(f"{name}[{key!r}]", len(self.pos), len(column), "rows as pos has points")
        for name in EVENT_FIELDS:
            for key, column in getattr(self, name).items():
                self._check(f"{name}[{key!r}]", self.events, len(column), "rows as offsets have events")
        if self.max_points < 0:
            longest = int(segments.lengths(self.offsets).max()) if self.events else 0
            object.__setattr__(self, "max_points", longest)
        if self.particle_offsets is None:
            if self.particle:
                raise ValueError("particle columns came without particle_offsets; give [events + 1] int64")
            object.__setattr__(self, "particle_offsets", torch.zeros_like(self.offsets))

    @staticmethod
    def _check(name: str, expected: int, came: int, what: str) -> None:
        if came != expected:
            raise ValueError(f"{name}: {came} rows came, {expected} expected, as many {what}")

    @property
    def events(self) -> int:
        return len(self.offsets) - 1

    @property
    def points(self) -> int:
        return len(self.pos)

    @property
    def event_of_point(self) -> Tensor:
        """[points] int64: the event of each point."""
        return segments.event_of(self.offsets, self.points)

    @property
    def particle_of_point(self) -> Tensor:
        """[points] int64: row of the whole batch's particle table, -1 = noise."""
        assert self.particle_offsets is not None
        own = self.point_truth["particle"]
        return torch.where(own < 0, own, own + self.particle_offsets[:-1][self.event_of_point])

    def map(self, change: Callable[[Tensor], Tensor]) -> PointCloud:
        """The same cloud with ``change`` applied to every tensor."""
        moved = {}
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, Tensor):
                moved[part.name] = change(value)
            elif isinstance(value, dict):
                moved[part.name] = {key: change(column) for key, column in value.items()}
        return replace(self, **moved)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PointCloud:
        return self.map(lambda value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PointCloud:
        return self.map(Tensor.pin_memory)

    def without_truth(self) -> PointCloud:
        """What an encoder may see: no labels, no particles."""
        return replace(self, point_truth={}, event_truth={}, particle={}, particle_offsets=None)

    def split(self) -> list[PointCloud]:
        """Its events, each a cloud of its own."""
        return [self.select([e]) for e in range(self.events)]

    def select(self, events: Sequence[int] | Tensor) -> PointCloud:
        """The named events, in the order given; negative numbers count from the end."""
        assert self.particle_offsets is not None
        chosen = torch.as_tensor(events, dtype=torch.int64, device=self.offsets.device) % max(self.events, 1)
        points, offsets = _rows(self.offsets, chosen)
        particles, particle_offsets = _rows(self.particle_offsets, chosen)
        return PointCloud(
            pos=self.pos[points],
            feat=self.feat[points],
            offsets=offsets,
            point=_take(self.point, points),
            event=_take(self.event, chosen),
            point_truth=_take(self.point_truth, points),
            event_truth=_take(self.event_truth, chosen),
            particle=_take(self.particle, particles),
            particle_offsets=particle_offsets,
        )

    def keep(self, mask: Tensor) -> PointCloud:
        """The points where ``mask`` [points] is true; events and particles stay, even when they lose every point."""
        rows = mask.nonzero().squeeze(1)
        counts = segments.sum(mask.to(torch.int64), self.offsets)
        return replace(
            self,
            pos=self.pos[rows],
            feat=self.feat[rows],
            offsets=segments.offsets_of(counts),
            point=_take(self.point, rows),
            point_truth=_take(self.point_truth, rows),
            max_points=-1,
        )


def collate(clouds: Iterable[PointCloud]) -> PointCloud:
    """Join clouds into one batch; all must have the same columns. Nothing is shifted: truth counts inside its event."""
    parts = list(clouds)
    if not parts:
        raise ValueError("collate got no cloud; give at least one")
    first = parts[0]
    for number, part in enumerate(parts):
        for name in ("point", "event", "point_truth", "event_truth", "particle"):
            came, expected = set(getattr(part, name)), set(getattr(first, name))
            if came != expected:
                odd = ", ".join(sorted(came ^ expected))
                raise ValueError(f"cloud {number}: {name} columns differ from those of cloud 0 in: {odd}")

    def join(name: str) -> Columns:
        return {key: torch.cat([getattr(part, name)[key] for part in parts]) for key in getattr(first, name)}

    return PointCloud(
        pos=torch.cat([part.pos for part in parts]),
        feat=torch.cat([part.feat for part in parts]),
        offsets=_join_offsets([part.offsets for part in parts]),
        point=join("point"),
        event=join("event"),
        point_truth=join("point_truth"),
        event_truth=join("event_truth"),
        particle=join("particle"),
        particle_offsets=_join_offsets([_known(part.particle_offsets) for part in parts]),
        max_points=max(part.max_points for part in parts),
    )


def _known(offsets: Tensor | None) -> Tensor:
    assert offsets is not None
    return offsets


def _join_offsets(parts: Sequence[Tensor]) -> Tensor:
    return segments.offsets_of(torch.cat([segments.lengths(offsets) for offsets in parts]))


def _rows(offsets: Tensor, events: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that the chosen events own, in order, and their new offsets."""
    counts = segments.lengths(offsets)[events]
    fresh = segments.offsets_of(counts)
    owner = segments.event_of(fresh)
    return torch.arange(len(owner), device=offsets.device) - fresh[owner] + offsets[events][owner], fresh


def _take(columns: Columns, rows: Tensor) -> Columns:
    return {key: column[rows] for key, column in columns.items()}
