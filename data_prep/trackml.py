"""TrackML events into pcloud: raw csv, csv.gz or zip, of either phase, to Events in memory or to a store on disk.

``prepare(source, store)`` writes a store; ``open_event(source, event_id)`` reads one Event without a store.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from data_prep import clusters, trackml_files
from data_prep.trackml_files import File, RawEvent
from pcloud import farm
from pcloud.data.event import Event
from pcloud.data.schema import Column
from pcloud.data.store import Store, StoreWriter
from pcloud.tracking.detector import Table, geometry_hash, trackml_detector

PathLike = str | os.PathLike[str]
Chosen = TypeVar("Chosen")

# scope, name, dtype, unit, meaning
_KNOWN = (
    ("event", "event_id", "int64", "", "number of the event"),
    ("point", "hit_id", "int64", "", "number of the hit inside its event"),
    ("point", "x", "float32", "mm", "measured position"),
    ("point", "y", "float32", "mm", "measured position"),
    ("point", "z", "float32", "mm", "measured position, along the beam"),
    ("point", "volume_id", "int32", "", "detector volume"),
    ("point", "layer_id", "int32", "", "layer inside the volume"),
    ("point", "module_id", "int32", "", "module inside the layer"),
    ("point", "r", "float32", "mm", "distance from the beam line"),
    ("point", "phi", "float32", "rad", "azimuth, -pi to pi"),
    ("point", "eta", "float32", "", "pseudorapidity of the position as seen from the origin, asinh(z / r)"),
    ("point", "cell_count", "float32", "", "cells of the hit"),
    ("point", "charge", "float32", "", "sum of the cells' values"),
    ("point", "extent_u", "float32", "mm", "size of the cluster along u: span of ch0 times pitch"),
    ("point", "extent_v", "float32", "mm", "size of the cluster along v: span of ch1 times pitch"),
    *(("point", f"dir_{axis}", "float32", "", "|direction| through the module, in its own frame") for axis in "uvw"),
    ("point_truth", "particle", "int64", "", "row of the particle table inside the same event, -1 = noise"),
    ("point_truth", "weight", "float64", "", "weight of the hit in the TrackML score"),
    *(("point_truth", f"t{axis}", "float32", "mm", "true position on the module") for axis in "xyz"),
    *(("point_truth", f"tp{axis}", "float32", "GeV", "true momentum there") for axis in "xyz"),
    ("particle", "particle_id", "int64", "", "TrackML's particle id"),
    ("particle", "particle_type", "int32", "", "PDG code (throughput phase alone)"),
    *(("particle", f"v{axis}", "float32", "mm", "production vertex") for axis in "xyz"),
    *(("particle", f"p{axis}", "float32", "GeV", "momentum at production") for axis in "xyz"),
    ("particle", "q", "int32", "e", "charge"),
    ("particle", "nhits", "int32", "", "hits the particle left"),
)
COLUMNS = tuple(Column(*row) for row in _KNOWN)


def recognises(source: PathLike) -> bool:
    """Whether events of TrackML lie there: hits, and no measurements, which ACTS has beside hits of its own."""
    try:
        found = trackml_files.find(source, ("hits", "measurements"))[0]
    except (ValueError, FileNotFoundError):
        return False
    return not any("measurements" in event.files for event in found.values())


def list_events(source: PathLike) -> list[int]:
    """Ids, ascending, of the events with hits in a folder, a zip, or under a prefix like ``FOLDER/event000001000``."""
    return list(trackml_files.find(source)[0])


def read_event(source: PathLike, event_id: int | None = None, truth: bool = True) -> dict[str, pd.DataFrame]:
    """The tables hits, cells, particles, truth (where there are files) of one event, checked; particle_id is int64.

    ``event_id`` may be left out where the source holds one event. Without ``truth``, truth and particles stay unopened.
    """
    return trackml_files.read(choose(source, trackml_files.find(source)[0], event_id), truth)


def read_detectors(source: PathLike, detectors: PathLike | None = None) -> Table | None:
    """The detectors table given, or the one beside the events or a folder above; None where there is none."""
    file = File(Path(detectors)) if detectors is not None else trackml_files.find(source)[1]
    return None if file is None else trackml_files.read_detectors(file)


def open_event(source: PathLike, event_id: int | None = None, *, truth: bool = True, detectors: PathLike | None = None) -> Event:
    """One raw event as an Event: the same columns, bit by bit, as the store made from it gives."""
    raw = choose(source, trackml_files.find(source)[0], event_id)
    return _prepared(raw, read_detectors(source, detectors), truth)


def to_event(tables: Mapping[str, pd.DataFrame], detectors: Table | None = None, *, event_id: int = 0) -> Event:
    """Tables in TrackML's layout -> Event with the columns of ``COLUMNS`` they allow.

    Inputs come from hits, cells and detectors alone; rows keep their order. Truth without a particles table makes a
    particle table of the ids seen, with nhits counted. ValueError: cells without detectors, a hit in an unknown module.
    """
    hits = tables["hits"]
    xyz = {name: hits[name].to_numpy(dtype=np.float64) for name in "xyz"}
    r = np.hypot(xyz["x"], xyz["y"])
    point = {
        "hit_id": hits["hit_id"],
        **xyz,
        **{name: hits[name] for name in ("volume_id", "layer_id", "module_id")},
        "r": r,
        "phi": np.arctan2(xyz["y"], xyz["x"]),
        "eta": np.arcsinh(xyz["z"] / np.maximum(r, 1e-6)),
    }
    if "cells" in tables:
        if detectors is None:
            raise ValueError("cells came without a detectors table, which gives their size; put detectors.csv beside them")
        point |= clusters.shapes(hits, tables["cells"], detectors)
    elif detectors is not None:
        clusters.module_rows(hits, detectors)
    particle, point_truth = {}, {}
    if "particles" in tables:
        particle = {name: tables["particles"][name] for name in tables["particles"]}
    if "truth" in tables:
        truth = tables["truth"].set_index("hit_id").loc[hits["hit_id"]]
        if not particle:
            ids, counts = np.unique(truth["particle_id"][truth["particle_id"] != 0], return_counts=True)
            particle = {"particle_id": ids, "nhits": counts}
        point_truth = {name: truth[name] for name in ("weight", "tx", "ty", "tz", "tpx", "tpy", "tpz") if name in truth}
        point_truth["particle"] = _row_of(truth["particle_id"].to_numpy(), np.asarray(particle["particle_id"]))
    scopes = {"point": point, "event": {"event_id": [event_id]}, "point_truth": point_truth, "particle": particle}
    return Event(event_id, **{scope: _typed(scope, columns) for scope, columns in scopes.items()})


def _row_of(ids: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Place of each id in the table, -1 for 0 (noise). Every other id is there: the reader checked."""
    if not table.size:
        return np.full(ids.shape, -1)
    order = np.argsort(table)
    row = order[np.minimum(np.searchsorted(table, ids, sorter=order), table.size - 1)]
    assert ((table[row] == ids) | (ids == 0)).all(), "truth names a particle that the particles table lacks"
    return np.where(ids == 0, -1, row)


def _typed(scope: str, columns: Mapping[str, Iterable[float]]) -> dict[str, np.ndarray]:
    """The columns in the order and types of COLUMNS, owned and contiguous."""
    return {c.name: np.array(columns[c.name], dtype=c.dtype) for c in COLUMNS if c.scope == scope and c.name in columns}


def choose(source: PathLike, events: Mapping[int, Chosen], event_id: int | None) -> Chosen:
    """The event of this id, or the only one; ValueError naming those that are there."""
    if event_id is None and len(events) == 1:
        return next(iter(events.values()))
    if event_id is not None and event_id in events:
        return events[event_id]
    some = ", ".join(map(str, list(events)[:5])) + (", ..." if len(events) > 5 else "")
    raise ValueError(f"{source}: event {event_id} came, expected one of the {len(events)} there: {some}")


def choose_all(source: PathLike, events: Mapping[int, Chosen], wanted: Sequence[int] | None) -> list[Chosen]:
    """The events of these ids (all, if None), at least one; else ValueError."""
    chosen = list(events.values()) if wanted is None else [choose(source, events, event_id) for event_id in wanted]
    if not chosen:
        raise ValueError(f"{source}: no event chosen; give at least one, or leave the choice out for all {len(events)}")
    return chosen


def _prepared(raw: RawEvent, detectors: Table | None, truth: bool = True) -> Event:
    tables = trackml_files.read(raw, truth)
    try:
        return to_event(tables, detectors, event_id=raw.event_id)
    except ValueError as error:
        raise ValueError(f"{raw.files['hits']}: {error}") from error


def _synthetic(source: Path) -> dict[str, Any]:
    """What the simulator says of a folder that it made, so that figures from these events are marked as synthetic."""
    file = (source if source.is_dir() else source.parent) / "simulation.json"
    if not file.is_file():
        return {}
    try:
        return {"synthetic": True, "series": json.loads(file.read_text(encoding="utf-8"))}
    except ValueError:
        return {"synthetic": True}


def prepare(
    source: PathLike,
    store: PathLike,
    *,
    workers: int = 1,
    events: Sequence[int] | None = None,
    detectors: PathLike | None = None,
    truth: bool = True,
    overwrite: bool = False,
    progress: farm.Progress | None = None,
) -> Store:
    """Write the events of a TrackML folder, zip or prefix to a store, and open it.

    ``events``: ids (all, if None). ``detectors``: the table, if not beside the events. ``progress(done, total)`` after
    each event. On any error, Ctrl-C or full disk no store is left; start again. Raises ValueError naming file and line.
    """
    found, _ = trackml_files.find(source)
    chosen = choose_all(source, found, events)
    table = read_detectors(source, detectors)
    results = farm.run(partial(_prepared, detectors=table, truth=truth), chosen, workers=workers, progress=progress)
    about = {"name": "trackml", "from": Path(source).absolute().name, "truth": truth, **_synthetic(Path(source))}
    return write_store(store, results, source=about, detectors=table, overwrite=overwrite)


def write_store(
    store: PathLike,
    events: Generator[Event, None, None],
    *,
    source: dict[str, Any],
    detectors: Table | None,
    overwrite: bool = False,
) -> Store:
    """Write events of COLUMNS as they come and open the store; the first says which columns, and which phase, they have.

    The phase is of TrackML's events alone. The detector goes into the store where it is not TrackML's, which pcloud knows.
    """
    with closing(events):
        first = next(events)
        columns = [c for c in COLUMNS if c.name in getattr(first, c.scope)]
        foreign = source["name"] != "trackml" or "vx" not in first.particle
        phase = None if foreign else 2 if "particle_type" in first.particle else 1
        geometry = None if detectors is None else geometry_hash(detectors)
        carried = None if geometry in (None, geometry_hash(trackml_detector())) else detectors
        with StoreWriter(
            store, columns, source=source, geometry=geometry, detector=carried, phase=phase, overwrite=overwrite
        ) as writer:
            for event in chain([first], events):
                writer.add(event)
    return Store.open(store)
