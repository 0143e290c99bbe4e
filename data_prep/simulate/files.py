"""Simulated events as TrackML files: event by event, each file renamed into place when complete, so a run can go on later.

`simulate(out, events=..., pileup=..., seed=...)` is what `pcloud simulate` calls.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import pandas as pd

from data_prep.simulate.event import simulate_event
from pcloud.tracking.detector import trackml_detector, write_detectors

TABLES = ("cells", "particles", "truth", "hits")  # hits last: an event is complete when its hits are there
FIRST_EVENT = 1000


def simulate(
    out: str | os.PathLike,
    *,
    events: int,
    pileup: float,
    seed: int,
    phase: int = 2,
    workers: int = 1,
    first_event: int = FIRST_EVENT,
    compress: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write `events` events and detectors.csv into the folder `out`; complete events already there are left alone.

    Event e is the same whatever the number of workers and whichever others are made. progress(done, total) is called after
    each event. Returns the hits files. Raises ValueError on bad arguments; a disk that is full raises OSError and leaves no
    half-written file.
    """
    if events < 1:
        raise ValueError(f"events: got {events}, expected at least 1")
    if workers < 1:
        raise ValueError(f"workers: got {workers}, expected at least 1")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    ending = ".csv.gz" if compress else ".csv"
    if not (folder / "detectors.csv").exists():
        write_detectors(folder / "detectors.csv", trackml_detector())
    wanted = range(first_event, first_event + events)
    make = partial(_write_event, folder, ending, pileup, seed, phase)
    todo = [e for e in wanted if not all((folder / _name(e, t, ending)).exists() for t in TABLES)]
    done = events - len(todo)
    for _ in _run(make, todo, workers):
        done += 1
        if progress is not None:
            progress(done, events)
    return [folder / _name(e, "hits", ending) for e in wanted]


def _run(make: Callable[[int], None], todo: list[int], workers: int):
    if workers == 1 or len(todo) < 2:
        for event_id in todo:
            yield make(event_id)
        return
    with ProcessPoolExecutor(min(workers, len(todo))) as pool:
        jobs = [pool.submit(make, event_id) for event_id in todo]
        try:
            for job in as_completed(jobs):
                yield job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _name(event_id: int, table: str, ending: str) -> str:
    return f"event{event_id:09d}-{table}{ending}"


def _write_event(folder: Path, ending: str, pileup: float, seed: int, phase: int, event_id: int) -> None:
    event = simulate_event(event_id, pileup=pileup, seed=seed, phase=phase)
    for table in TABLES:
        _write(folder / _name(event_id, table, ending), event[table])


def _write(path: Path, table: pd.DataFrame) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    compression = {"method": "gzip", "compresslevel": 4, "mtime": 0} if path.suffix == ".gz" else None
    try:
        table.to_csv(temporary, index=False, float_format="%.6g", compression=compression)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
