"""Simulated events as TrackML files: each renamed into place when complete, so that a broken run can go on later.

`simulate(out, events=..., pileup=..., seed=...)` is what `pcloud simulate` calls.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from data_prep.simulate import acts_engine
from data_prep.simulate.event import check, simulate_event
from pcloud import farm
from pcloud.tracking.detector import trackml_detector, write_detectors

TABLES = ("cells", "particles", "truth", "hits")  # hits last: an event is complete when its hits are there
FIRST_EVENT = 1000
RECIPE = "simulation.json"  # what the events of a folder were made from, a series each
VERSION = 2  # raised whenever the same arguments give other events


def simulate(
    out: str | os.PathLike[str],
    *,
    events: int,
    pileup: float,
    seed: int,
    phase: int = 2,
    engine: str = "pcloud",
    workers: int = 1,
    first_event: int = FIRST_EVENT,
    compress: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write `events` events and detectors.csv into the folder `out`; complete events already there are left alone.

    An event depends on its id, `pileup`, `seed`, `phase` and `engine` alone: not on the number of workers nor on other events.
    progress(done, to do) is called after each event made. Returns the hits files. Raises ValueError on bad arguments, OSError
    on a full disk; neither they nor Ctrl-C leave a half-written file. A folder may hold several series; event ids that were
    made from another recipe are refused.
    """
    check(pileup=pileup, phase=phase, seed=seed, event_id=first_event, engine=engine)
    if events < 1:
        raise ValueError(f"events: {events} came, expected at least 1")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    ending = ".csv.gz" if compress else ".csv"
    carried_by = acts_engine.check() if engine == "acts" else engine
    recipe = {"pileup": pileup, "phase": phase, "seed": seed, "engine": carried_by, "version": VERSION}
    series = _with_series(folder / RECIPE, first_event, events, recipe)
    if not (folder / "detectors.csv").exists():
        write_detectors(folder / "detectors.csv", trackml_detector())
    _replace(folder / RECIPE, (json.dumps(series, indent=1) + "\n").encode())
    wanted = range(first_event, first_event + events)
    todo = [e for e in wanted if not all((folder / _name(e, table, ending)).exists() for table in TABLES)]
    make = partial(_write_event, folder, ending, pileup, seed, phase, engine)
    for _ in farm.run(make, todo, workers=workers, progress=progress):
        pass
    return [folder / _name(e, "hits", ending) for e in wanted]


def _name(event_id: int, table: str, ending: str) -> str:
    return f"event{event_id:09d}-{table}{ending}"


def _write_event(folder: Path, ending: str, pileup: float, seed: int, phase: int, engine: str, event_id: int) -> None:
    event = simulate_event(event_id, pileup=pileup, seed=seed, phase=phase, engine=engine)
    for table in TABLES:
        _write(folder / _name(event_id, table, ending), event[table])


def _with_series(path: Path, first: int, events: int, recipe: dict[str, Any]) -> list[dict[str, Any]]:
    """The series of this folder with the one asked for; the same ids may only be asked for again from the same recipe."""
    fresh = {"first_event": first, "events": events, **recipe}
    known: list[dict[str, Any]] = []
    if path.exists():
        try:
            known = [{"engine": "pcloud"} | one for one in json.loads(path.read_text(encoding="utf-8"))]
            ranges = [range(one["first_event"], one["first_event"] + one["events"]) for one in known]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}: not as pcloud writes it; choose another folder, or remove it with its events") from None
        for one, ids in zip(known, ranges, strict=True):
            before = {key: one.get(key) for key in recipe}
            if before != recipe and set(ids) & set(range(first, first + events)):
                raise ValueError(
                    f"{path}: events {ids[0]} to {ids[-1]} here were made with {before}, asked for are {recipe}; "
                    "choose another folder, or another --first-event"
                )
    same = [one for one in known if one | {"events": 0} == fresh | {"events": 0}]
    longest = max([fresh, *same], key=lambda one: one["events"])
    return [one for one in known if one not in same] + [longest]


def _write(path: Path, table: pd.DataFrame) -> None:
    digits = "%.9g" if "weight" in table or "vx" in table else "%.6g"  # so that weights recomputed from the files agree
    data = table.to_csv(index=False, float_format=digits).encode()
    # packed here, not by pandas, which would put the temporary name into the header: same events, same bytes
    _replace(path, gzip.compress(data, compresslevel=4, mtime=0) if path.suffix == ".gz" else data)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
