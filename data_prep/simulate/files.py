"""Simulated events as TrackML files: each renamed into place when complete, so that a broken run can go on later.

`write_files(folder, recipe, ids)` is what `pcloud simulate` calls.
"""

from __future__ import annotations

import gzip
import io
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from data_prep.simulate.recipe import Recipe
from pcloud import farm
from pcloud.tracking.detector import Table, geometry_hash, read_detectors, write_detectors

TABLES = ("cells", "particles", "truth", "hits")  # hits last: an event is complete when its hits are there
RECIPE = "simulation.json"  # what the events of a folder were made from, a series each


def write_files(
    folder: Path, recipe: Recipe, ids: range, *, compress: bool = True, workers: int = 1, progress: farm.Progress | None = None
) -> list[Path]:
    """Write the events and detectors.csv; complete events already there are left alone. Returns the hits files.

    OSError on a full disk; neither it nor Ctrl-C leaves a half-written file. A folder may hold several series; ValueError for
    event ids that were made from another recipe, and for a detectors.csv of another detector.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ending = ".csv.gz" if compress else ".csv"
    series = _with_series(folder / RECIPE, ids, recipe.told())
    _put_detectors(folder / "detectors.csv", recipe.apparatus().detector)
    _replace(folder / RECIPE, (json.dumps(series, indent=1) + "\n").encode())
    todo = [e for e in ids if not all((folder / _name(e, table, ending)).exists() for table in TABLES)]
    for _ in farm.run(partial(_write_event, folder, ending, recipe), todo, workers=workers, progress=progress):
        pass
    return [folder / _name(e, "hits", ending) for e in ids]


def _name(event_id: int, table: str, ending: str) -> str:
    return f"event{event_id:09d}-{table}{ending}"


def _write_event(folder: Path, ending: str, recipe: Recipe, event_id: int) -> None:
    event = recipe.make(event_id)
    for table in TABLES:
        _write(folder / _name(event_id, table, ending), event[table])


def _put_detectors(path: Path, detector: Table) -> None:
    if path.exists() and geometry_hash(read_detectors(path)) != geometry_hash(detector):
        raise ValueError(f"{path}: another detector than the one asked for; choose another folder, or remove it with its events")
    if not path.exists():
        write_detectors(path, detector)


def _with_series(path: Path, asked: range, recipe: dict[str, Any]) -> list[dict[str, Any]]:
    """The series of this folder with the one asked for; the same ids may only be asked for again from the same recipe."""
    fresh = {"first_event": asked[0], "events": len(asked), **recipe}
    known: list[dict[str, Any]] = []
    if path.exists():
        try:
            known = [{"engine": "pcloud"} | one for one in json.loads(path.read_text(encoding="utf-8"))]
            ranges = [range(one["first_event"], one["first_event"] + one["events"]) for one in known]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}: not as pcloud writes it; choose another folder, or remove it with its events") from None
        for one, ids in zip(known, ranges, strict=True):
            before = {key: one.get(key) for key in recipe}
            if before != recipe and set(ids) & set(asked):
                raise ValueError(
                    f"{path}: events {ids[0]} to {ids[-1]} here were made with {before}, asked for are {recipe}; "
                    "choose another folder, or another --first-event"
                )
    same = [one for one in known if one | {"events": 0} == fresh | {"events": 0}]
    longest = max([fresh, *same], key=lambda one: one["events"])
    return [one for one in known if one not in same] + [longest]


def _write(path: Path, table: pd.DataFrame) -> None:
    stream = io.BytesIO((",".join(table.columns) + "\n").encode())
    stream.seek(0, io.SEEK_END)
    # Arrow writes eight times faster than pandas: the shortest digits that read back as the same numbers
    csv.write_csv(pa.Table.from_pandas(table, preserve_index=False), stream, csv.WriteOptions(include_header=False))
    data = stream.getvalue()
    # packed here, not by pandas, which would put the temporary name into the header: same events, same bytes
    _replace(path, gzip.compress(data, compresslevel=1, mtime=0) if path.suffix == ".gz" else data)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
