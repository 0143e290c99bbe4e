"""What simulated events are made from: the presets, what may be changed in them, and how an event follows from its id.

`Recipe.of(seed=1, preset="mu50").make(event_id)` is one event; `files` and `store` write many.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.simulate import generators
from data_prep.simulate.event import ENGINES, Apparatus, Event, check, simulate_event, trackml_apparatus
from pcloud.tracking.detector import geometry_hash, read_detectors, trackml_detector

FIRST_EVENT = 1000
VERSION = 4  # raised whenever the same arguments give other events


class Preset(NamedTuple):
    """A mean number of collisions and the volumes that stand (all, if empty)."""

    pileup: float
    volumes: tuple[int, ...] = ()


PRESETS = {
    "mini": Preset(2),
    "pixel": Preset(200, (7, 8, 9)),
    "mu50": Preset(50),
    "mu200": Preset(200),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that an event depends on but its id. Build it with `of`, which checks it."""

    seed: int
    pileup: float
    phase: int
    generator: str
    engine: str
    volumes: tuple[int, ...]
    detectors: Path | None

    @classmethod
    def of(
        cls,
        seed: int,
        preset: str | None = None,
        pileup: float | None = None,
        phase: int = 2,
        generator: str | None = None,
        engine: str | None = None,
        detectors: str | os.PathLike[str] | None = None,
    ) -> Recipe:
        """A preset, with the pile-up given in place of its own; ValueError where there is neither, or a bad value."""
        if preset is not None and preset not in PRESETS:
            raise ValueError(f"preset: {preset!r} came, expected one of {', '.join(PRESETS)}")
        chosen = Preset(-1) if preset is None else PRESETS[preset]
        if preset is None and pileup is None:
            raise ValueError(f"neither preset nor pileup came; give one of the presets {', '.join(PRESETS)}, or a pileup")
        recipe = cls(
            seed,
            chosen.pileup if pileup is None else pileup,
            phase,
            generator or generators.TABLES,
            engine or ENGINES[0],
            chosen.volumes,
            None if detectors is None else Path(detectors),
        )
        check(**recipe._arguments(), event_id=0)
        return recipe

    def ids(self, events: int, first: int | None) -> range:
        """Event ids from the first: 1000 if None, but 0 for a HepMC3 file, whose events are taken by number."""
        if events < 1:
            raise ValueError(f"events: {events} came, expected at least 1")
        if first is None:
            first = 0 if generators.is_file(self.generator) else FIRST_EVENT
        for one in (first, first + events - 1):
            check(**self._arguments(), event_id=one)
        return range(first, first + events)

    def make(self, event_id: int) -> Event:
        return simulate_event(event_id, apparatus=self.apparatus(), **self._arguments())

    def apparatus(self) -> Apparatus:
        return _apparatus(self.detectors, self.volumes)

    def told(self) -> dict[str, Any]:
        """What is kept beside the events, so that others are never mixed with them."""
        told = {"pileup": self.pileup, "phase": self.phase, "seed": self.seed, "engine": self.engine, "version": VERSION}
        if self.engine == "acts":
            from data_prep.simulate import acts_engine

            told["engine"] = acts_engine.check()
        if self.detectors is not None or self.volumes:
            told["geometry"] = geometry_hash(self.apparatus().detector)
        return told | generators.recipe(self.generator)

    def _arguments(self) -> dict[str, Any]:
        names = ("seed", "pileup", "phase", "generator", "engine")
        return {name: getattr(self, name) for name in names}


@lru_cache(maxsize=4)
def _apparatus(detectors: Path | None, volumes: tuple[int, ...]) -> Apparatus:
    """Made once in each process."""
    if detectors is None and not volumes:
        return trackml_apparatus()
    table = trackml_detector() if detectors is None else read_detectors(detectors)
    if volumes:
        stands = [volume in volumes for volume in table["volume_id"]]
        table = {name: column[stands] for name, column in table.items()}
    return Apparatus.of(table)
