"""PointCloud: a collision event, a jet or a detector readout is a ragged set of points with features.

A cloud is always a batch of events (one event is a batch of one); ``collate`` joins clouds, ``split`` and ``select`` part them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from pcloud import segments

Columns = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
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
    max_points   int                 points of the largest event, known on the host (no device sync to choose a kernel); -1 where
                                     a compiler traces the making of a cloud, when offsets are not checked either
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
        if self.particle_offsets is None:
            if self.particle:
                raise ValueError("particle columns came without particle_offsets; give [events + 1] int64")
            object.__setattr__(self, "particle_offsets", torch.zeros_like(self.offsets))
        for name, offsets in (("offsets", self.offsets), ("particle_offsets", _known(self.particle_offsets))):
            if offsets.dtype != torch.int64 or offsets.dim() != 1 or offsets.shape[0] < 1:
                raise ValueError(f"{name} are int64 [events + 1]; came {offsets.dtype} {list(offsets.shape)}")
        _check("particle_offsets", _known(self.particle_offsets).shape[0], self.offsets.shape[0], "offsets")
        _check("feat", self.feat.shape[0], self.points, "points in pos")
        for scope in ("point", "point_truth", "event", "event_truth"):
            rows, what = (self.points, "points in pos") if scope.startswith("point") else (self.events, "events in offsets")
            for key, column in getattr(self, scope).items():
                _check(f"{scope}[{key!r}]", column.shape[0], rows, what)
        if self.max_points < 0 and not torch.compiler.is_compiling():
            self._check_offsets()
            object.__setattr__(self, "max_points", int(segments.lengths(self.offsets).max()) if self.events else 0)

    def _check_offsets(self) -> None:
        """What costs a sync with the device, so only when a cloud is first made."""
        particles = _known(self.particle_offsets)
        _check_ends("offsets", self.offsets, self.points)
        _check_ends("particle_offsets", particles, int(particles[-1]))
        for key, column in self.particle.items():
            _check(f"particle[{key!r}]", len(column), int(particles[-1]), "particles in particle_offsets")
        if "particle" in self.point_truth:
            own = self.point_truth["particle"]
            wrong = (own < -1) | (own >= segments.lengths(particles)[self.event_of_point])
            if bool(wrong.any()):
                row = int(wrong.nonzero()[0])
                raise ValueError(f"point_truth['particle'] row {row} is {int(own[row])}: its event has no such particle")

    @property
    def events(self) -> int:
        return self.offsets.shape[0] - 1

    @property
    def points(self) -> int:
        return self.pos.shape[0]

    @property
    def event_of_point(self) -> Tensor:
        """[points] int64: the event of each point."""
        return segments.event_of(self.offsets, self.points)

    @property
    def particle_of_point(self) -> Tensor:
        """[points] int64: row of the whole batch's particle table, -1 = noise."""
        own = self.point_truth["particle"]
        return torch.where(own < 0, own, own + _known(self.particle_offsets)[:-1][self.event_of_point])

    def map(self, change: Callable[[Tensor], Tensor]) -> PointCloud:
        """The same cloud with ``change`` applied to every tensor."""
        moved: dict[str, Any] = {}
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
        """The named events, in the order given; negative numbers count from the end. Raises IndexError on an unknown one."""
        chosen = torch.as_tensor(events, device=self.offsets.device)
        if chosen.dtype == torch.bool or chosen.is_floating_point() and len(chosen):
            raise ValueError(f"select takes event numbers; {chosen.dtype} came (of a mask give mask.nonzero())")
        chosen = chosen.to(torch.int64)
        unknown = (chosen < -self.events) | (chosen >= self.events)
        if bool(unknown.any()):
            raise IndexError(f"event {int(chosen[unknown][0])} was asked for; the cloud has {self.events}")
        chosen = torch.where(chosen < 0, chosen + self.events, chosen)
        points, offsets = _rows(self.offsets, chosen)
        particles, particle_offsets = _rows(_known(self.particle_offsets), chosen)
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
        if mask.dtype != torch.bool or mask.shape != (self.points,):
            raise ValueError(f"keep takes a mask: bool [{self.points}]; came {mask.dtype} {list(mask.shape)}")
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
    if len(parts) == 1:
        return parts[0]

    def join(name: str) -> Columns:
        columns = [getattr(part, name) for part in parts]
        for number, part in enumerate(columns):
            odd = part.keys() ^ columns[0].keys()
            if odd:
                raise ValueError(f"cloud {number}: {name} columns differ from those of cloud 0 in: {', '.join(sorted(odd))}")
        return {key: _stack(f"{name}[{key!r}]", [part[key] for part in columns]) for key in columns[0]}

    return PointCloud(
        pos=_stack("pos", [part.pos for part in parts]),
        feat=_stack("feat", [part.feat for part in parts]),
        offsets=_join_offsets([part.offsets for part in parts]),
        point=join("point"),
        event=join("event"),
        point_truth=join("point_truth"),
        event_truth=join("event_truth"),
        particle=join("particle"),
        particle_offsets=_join_offsets([_known(part.particle_offsets) for part in parts]),
        max_points=max(part.max_points for part in parts),
    )


def _stack(name: str, parts: Sequence[Tensor]) -> Tensor:
    """One column of all clouds. Types must agree: an id that torch promotes to float would lose its last digits."""
    for number, part in enumerate(parts):
        if part.dtype != parts[0].dtype or part.shape[1:] != parts[0].shape[1:]:
            came, expected = (f"{table.dtype}, {list(table.shape[1:])} a row" for table in (part, parts[0]))
            raise ValueError(f"cloud {number}: {name} is {came}; that of cloud 0 is {expected}; give all the same")
    return torch.cat(list(parts))


def _check(name: str, came: int, expected: int, what: str) -> None:
    if came != expected:
        raise ValueError(f"{name}: {came} rows came, {expected} expected, as many as there are {what}")


def _check_ends(name: str, offsets: Tensor, rows: int) -> None:
    if int(offsets[0]) != 0 or int(offsets[-1]) != rows or bool((segments.lengths(offsets) < 0).any()):
        raise ValueError(f"{name} must rise from 0 to the number of rows, {rows}; came {_brief(offsets)}")


def _brief(offsets: Tensor) -> str:
    some = offsets.tolist()
    return str(some if len(some) <= 8 else [*some[:4], "...", *some[-3:]])


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
