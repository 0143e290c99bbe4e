"""Events made here: helices from a beam spot through the TrackML modules, read out as TrackML tables and files.

`simulate_event(event_id, pileup=, seed=)` gives one event in memory, `simulate(out, events=, preset=, seed=)` writes many.
"""

from __future__ import annotations

import os
from pathlib import Path

from data_prep.simulate.event import Apparatus, simulate_event
from data_prep.simulate.files import write_files
from data_prep.simulate.recipe import PRESETS, Recipe
from data_prep.simulate.store import write_events
from pcloud.farm import Progress

__all__ = ["PRESETS", "Apparatus", "Recipe", "simulate", "simulate_event"]


def simulate(
    out: str | os.PathLike[str],
    *,
    events: int,
    seed: int,
    preset: str | None = None,
    pileup: float | None = None,
    phase: int = 2,
    generator: str | None = None,
    engine: str | None = None,
    detectors: str | os.PathLike[str] | None = None,
    first_event: int | None = None,
    store: bool = False,
    compress: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Path]:
    """Write `events` events into the folder `out`, as TrackML's files or as a store; returns the hits files, or the store.

    preset: one of PRESETS; pileup: mean number of collisions, in place of the preset's. phase, generator, engine: as of
    `simulate_event`. detectors: a detectors.csv in place of the TrackML one. first_event: 1000 if None, but 0 for a HepMC3
    file, whose events are taken by number. compress: .csv.gz or .csv. An event depends on its id and on seed, pile-up, phase,
    generator, engine and detector alone: not on the number of workers nor on other events. Files that are complete are left
    alone, so that a broken run goes on; a store is written whole or not at all. Raises ValueError on bad arguments and where
    other events stand in the way, OSError on a full disk. progress(done, to do) is called after each event.
    """
    recipe = Recipe.of(seed, preset, pileup, phase, generator, engine, detectors)
    ids = recipe.ids(events, first_event)
    if store:
        return [write_events(Path(out), recipe, ids, workers=workers, progress=progress).path]
    return write_files(Path(out), recipe, ids, compress=compress, workers=workers, progress=progress)
