"""Events of ACTS' examples (Fatras, Geant4, digitisation) as their csv writers leave them, to Events or to a store.

``prepare(source, store)`` writes a store; ``open_event(source, event_id)`` reads one Event without a store. Hits are the
measurements; simulated hits and particles give truth. Positions come, the first of these that is there, from the measurements'
global_x, global_y, global_z; from local positions and the modules of a detectors.csv; from the simulated hits themselves.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep import acts_files, trackml, trackml_files
from data_prep.acts_files import WHOLE
from data_prep.layer_table import detectors_of, layers_in_hits
from data_prep.trackml_files import File, RawEvent
from pcloud import farm
from pcloud.data.event import Event
from pcloud.data.store import Store
from pcloud.scorer import hit_weights
from pcloud.tracking.detector import CENTRE, IDS, Table

PathLike = str | os.PathLike[str]

FIELD = 2.0  # T, what ACTS' examples take; another one: a column field_z in the detectors table
PITCH = (0.05, 0.05)  # mm, where neither the detectors table nor the measurements' variances tell how well a hit is known
STRIP = 100.0  # mm, length of strips where no table of modules tells it
EVENTS_FOR_LAYERS = 20  # where there is no detectors table, layers are read off the hits of this many events
NO_TABLE = (
    "no detectors.csv came with the events: layers as the hits of up to 20 events show them, field 2 T, hit errors as of 0.05 mm "
    "pitch where no variance is told; --detectors F names a table"
)
SIMULATED = "no detectors.csv and no global positions: hits lie where the simulation put them, not where they were measured"


def recognises(source: PathLike) -> bool:
    """Whether measurements of an event lie there."""
    try:
        return bool(acts_files.find(source)[0])
    except (ValueError, FileNotFoundError):
        return False


def list_events(source: PathLike) -> list[int]:
    """Ids, ascending, of the events with measurements in a folder, a zip, or under a prefix like ``FOLDER/event000000000``."""
    return list(acts_files.find(source)[0])


def read_event(source: PathLike, event_id: int | None = None, truth: bool = True) -> dict[str, pd.DataFrame]:
    """The tables hits, truth and particles (where there are files) of one event, in TrackML's columns."""
    raw = trackml.choose(source, acts_files.find(source)[0], event_id)
    return _tables(raw, _modules(source, None), truth)


def read_detectors(source: PathLike, detectors: PathLike | None = None) -> Table:
    """The detectors table given, or the one beside the events or a folder above, of ACTS' columns or of TrackML's.

    Where there is none, the layers that the hits of the first events show, in the same form.
    """
    table = _modules(source, detectors)
    if table is not None:
        return table
    events = acts_files.find(source)[0].values()
    hits = pd.concat([_tables(raw, None, False)["hits"] for raw in islice(events, EVENTS_FOR_LAYERS)])
    pitch = _pitch(next(iter(events)))
    errors = {int(v): _errors(pitch.get(int(v), PITCH)) for v in np.unique(hits["volume_id"])}
    volume, layer, x, y, z = (hits[name].to_numpy() for name in (*IDS[:2], "x", "y", "z"))
    return detectors_of(layers_in_hits(volume, layer, np.hypot(x, y), z, errors), FIELD)


def notes(source: PathLike, detectors: PathLike | None = None) -> tuple[str, ...]:
    """What must stand beside figures of these events."""
    found, file = acts_files.find(source)
    if detectors is not None or file is not None:
        return ()
    measured = "global_x" in acts_files.measurements(next(iter(found.values())))
    return (NO_TABLE,) if measured else (NO_TABLE, SIMULATED)


def open_event(source: PathLike, event_id: int | None = None, *, truth: bool = True, detectors: PathLike | None = None) -> Event:
    """One raw event as an Event: the same columns, bit by bit, as the store made from it gives."""
    raw = trackml.choose(source, acts_files.find(source)[0], event_id)
    return _prepared(raw, _modules(source, detectors), truth)


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
    """Write the events of a folder, zip or prefix to a store, with their detector, and open it.

    ``events``: ids (all, if None). ``detectors``: the table, if not beside the events. ``progress(done, total)`` after
    each event. On any error, Ctrl-C or full disk no store is left; start again. Raises ValueError naming file and line.
    """
    found, _ = acts_files.find(source)
    chosen = trackml.choose_all(source, found, events)
    modules = _modules(source, detectors)
    results = farm.run(partial(_prepared, modules=modules, truth=truth), chosen, workers=workers, progress=progress)
    about = {"name": "acts", "from": Path(source).absolute().name, "truth": truth, "synthetic": True}
    about["notes"] = list(notes(source, detectors))
    table = read_detectors(source, detectors)
    return trackml.write_store(store, results, source=about, detectors=table, overwrite=overwrite)


def _modules(source: PathLike, detectors: PathLike | None) -> Table | None:
    """The table of modules from a file; None where there is no file."""
    found, beside = acts_files.find(source)
    file = File(Path(detectors)) if detectors is not None else beside
    if file is None:
        return None
    return acts_files.read_table(file, _pitch(next(iter(found.values()))), FIELD)


def _pitch(event: RawEvent) -> dict[int, tuple[float, float]]:
    """Volume -> pitch along u and v (mm) that would give the measurements' median variances; PITCH where none is told.

    A volume whose local1 is never told, for strips measure u alone, gets WHOLE as its pitch along v.
    """
    table, pitch = acts_files.measurements(event), {0: PITCH}
    for volume, rows in table.groupby("volume_id"):
        told = [rows[name][rows[name] > 0] for name in ("var_local0", "var_local1")]
        u, v = (float(np.sqrt(12 * one.median())) if len(one) else PITCH[0] for one in told)
        strips = not rows["local1"].any() and not len(told[1])
        pitch[int(volume)] = (u, WHOLE if strips else v)
    return pitch


def _errors(pitch: tuple[float, float]) -> tuple[float, float]:
    u, v = pitch
    return u / np.sqrt(12), (STRIP if v == WHOLE else v) / np.sqrt(12)


def _prepared(raw: RawEvent, modules: Table | None, truth: bool = True) -> Event:
    return trackml.to_event(_tables(raw, modules, truth), event_id=raw.event_id)


def _tables(raw: RawEvent, modules: Table | None, truth: bool) -> dict[str, pd.DataFrame]:
    """hits, truth and particles in TrackML's columns; hit_id is the measurement's id.

    Hits of several particles are given to the first of them. nhits counts measurements. Weights are those of the accuracy phase:
    which particles come from the collision itself is told otherwise in ACTS' ids.
    """
    measured = acts_files.measurements(raw)
    truth = truth and acts_files.has_truth(raw)
    placed = {"global_x", "global_y", "global_z"} <= set(measured)
    simulated = None
    if truth or not (placed or modules is not None):
        simulated = acts_files.hits_of(raw, measured["hit_id"].to_numpy(), truth)
    if placed:
        xyz = measured[["global_x", "global_y", "global_z"]].to_numpy()
    elif modules is not None:
        xyz = _on_modules(raw, measured, modules)
    else:
        assert simulated is not None
        xyz = simulated[["tx", "ty", "tz"]].to_numpy()
    hits = pd.DataFrame({"hit_id": measured["hit_id"], **dict(zip("xyz", xyz.T, strict=True))} | {n: measured[n] for n in IDS})
    if not truth:
        return {"hits": hits}
    assert simulated is not None
    particles = acts_files.particles(raw)
    ids = simulated["particle_id"].to_numpy()
    known = np.isin(ids, particles["particle_id"])
    if not known.all():
        raise ValueError(
            f"{raw.files['hits']}: particle_id {ids[~known][0]} of a hit is in no row of the particles; put the whole table there"
        )
    particles["nhits"] = particles["particle_id"].map(pd.Series(ids).value_counts()).fillna(0).astype(np.int64)
    simulated = simulated.assign(hit_id=hits["hit_id"])
    simulated["weight"] = hit_weights(simulated, particles, phase=1)
    return {"hits": hits, "truth": simulated, "particles": particles}


def _on_modules(raw: RawEvent, measured: pd.DataFrame, modules: Table) -> np.ndarray:
    """Measured positions [hits, 3] in mm: the module's centre, and local0, local1 along its u and v axes."""
    names = pd.MultiIndex.from_arrays([modules[name] for name in IDS])
    row = names.get_indexer(pd.MultiIndex.from_arrays([measured[name] for name in IDS]))
    place = list(map(tuple, measured[list(IDS)].to_numpy().tolist())) if (row < 0).any() else []
    lack = " is no module of the detectors table, expected one; give the table of this detector"
    trackml_files.refuse(raw.files["measurements"], row < 0, place, "volume, layer, module", lack)
    u, v = measured["local0"].to_numpy(), measured["local1"].to_numpy()
    axes = zip(CENTRE, "xyz", strict=True)
    return np.stack([modules[c][row] + u * modules[f"rot_{a}u"][row] + v * modules[f"rot_{a}v"][row] for c, a in axes], axis=1)
