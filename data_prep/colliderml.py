"""Events of ColliderML (the OpenDataDetector) as one JSON file each, ``event_0.json``, to Events or to a store.

``prepare(source, store)`` writes a store; ``open_event(source, event_id)`` reads one Event without a store. The points are the
tracker's hits; `read_event` gives the calorimeter's too. A file holds hits and truth together: without truth no key that tells
it is looked at.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from data_prep import acts_files, odd, trackml
from data_prep.trackml_files import LARGEST, File
from pcloud import farm
from pcloud.data.event import Event
from pcloud.data.store import Store
from pcloud.scorer import hit_weights
from pcloud.tracking.detector import Table
from pcloud.tracking.layers import layers_of

PathLike = str | os.PathLike[str]

LIMIT = 64 << 20  # bytes of one event; a parsed file takes some ten times as much memory
EVENTS_TO_COUNT = 20  # events of which notes say how complete they are
OFF_LAYER = 5.0  # mm, how far beyond a layer's hits another one may lie
POSITION = ("x", "y", "z")
# Charges (e) of particles that live long enough to be tracked, by PDG code; an antiparticle's is the opposite.
_CHARGE = {11: -1, 13: -1, 15: -1, 211: 1, 321: 1, 2212: 1, 3112: -1, 3222: 1, 3312: -1, 3334: -1, 411: 1, 431: 1, 521: 1}
_NAME = re.compile(r"event_(\d{1,18})\.json(\.gz)?")
ESTIMATED = (
    "the files tell pT of a particle alone: its direction is that of its innermost hit seen from the event's vertex, which is "
    "taken as its production point"
)


def recognises(source: PathLike) -> bool:
    """Whether an event's file lies there."""
    try:
        return bool(_find(source))
    except (ValueError, FileNotFoundError):
        return False


def list_events(source: PathLike) -> list[int]:
    """Ids, ascending, of the events of a folder, or of one file or its name without the ending (``FOLDER/event_0``)."""
    return list(_find(source))


def read_event(source: PathLike, event_id: int | None = None, truth: bool = True) -> dict[str, pd.DataFrame]:
    """The tables hits, truth and particles of one event in TrackML's columns, and calorimeter: x, y, z (mm), energy (GeV)."""
    file, _ = _choose(source, event_id)
    content = _content(file)
    names: dict[str, type] = {name: float for name in (*POSITION, "energy")} | ({"particle_id": int} if truth else {})
    return _tables(file, content, read_detectors(source), truth) | {"calorimeter": _rows(file, content, "calo_hits", names)}


def read_detectors(source: PathLike, detectors: PathLike | None = None) -> Table:
    """The detectors table given, of ACTS' columns or of TrackML's; else the OpenDataDetector's layers (`data_prep.odd`)."""
    if detectors is None:
        return odd.open_data_detector()
    return acts_files.read_table(File(Path(detectors)), odd.PITCH, odd.FIELD)


def notes(source: PathLike, detectors: PathLike | None = None) -> tuple[str, ...]:
    """What must stand beside figures of these events."""
    contents = [(file, _content(file)) for file in islice(_find(source).values(), EVENTS_TO_COUNT)]
    ids = [_rows(file, content, "all_tracker_hits", {"HIT_ID": int})["HIT_ID"] for file, content in contents]
    there, all_ = sum(map(len, ids)), sum(int(one.max()) + 1 for one in ids if len(one))
    partial_ = f"{there:,} of at least {all_:,} hits of the events are in their files: with the others tracks are harder to find"
    return (ESTIMATED, partial_) if there < all_ else (ESTIMATED,)


def open_event(source: PathLike, event_id: int | None = None, *, truth: bool = True, detectors: PathLike | None = None) -> Event:
    """One raw event as an Event: the same columns, bit by bit, as the store made from it gives."""
    return _prepared(_choose(source, event_id), read_detectors(source, detectors), truth)


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
    """Write the events of a folder to a store, with their detector, and open it.

    ``events``: ids (all, if None). ``detectors``: another table than the OpenDataDetector's. ``progress(done, total)`` after
    each event. On any error, Ctrl-C or full disk no store is left; start again. Raises ValueError naming file and hit.
    """
    chosen = trackml.choose_all(source, {one: (file, one) for one, file in _find(source).items()}, events)
    table = read_detectors(source, detectors)
    results = farm.run(partial(_prepared, table=table, truth=truth), chosen, workers=workers, progress=progress)
    about = {"name": "colliderml", "from": Path(source).absolute().name, "truth": truth, "synthetic": True}
    about["notes"] = list(notes(source, detectors))
    return trackml.write_store(store, results, source=about, detectors=table, overwrite=overwrite)


def _find(source: PathLike) -> dict[int, File]:
    """The file of each event, by id."""
    path = Path(source)
    if path.is_dir():
        files = [path / name for name in sorted(os.listdir(path))]
    else:
        files = [one for one in (path, Path(f"{path}.json"), Path(f"{path}.json.gz")) if one.is_file()]
        if not files:
            raise FileNotFoundError(f"{path}: no folder and no event file there")
    found: dict[int, File] = {}
    for file in files:
        if match := _NAME.fullmatch(file.name):
            if int(match[1]) in found:
                raise ValueError(f"{file}: the same event as {found[int(match[1])]}; keep one of them")
            found[int(match[1])] = File(file)
    if not found:
        raise ValueError(f"{path}: no event there; expected files named like event_0.json or event_0.json.gz")
    return dict(sorted(found.items()))


def _choose(source: PathLike, event_id: int | None) -> tuple[File, int]:
    events = _find(source)
    chosen: int = trackml.choose(source, {one: one for one in events}, event_id)
    return events[chosen], chosen


def _content(file: File) -> dict[str, Any]:
    if file.path.stat().st_size > LIMIT or len(raw := file.read()) > LIMIT:
        raise ValueError(f"{file}: more than {LIMIT >> 20} MB, too many for one event; split or thin the file")
    try:
        content = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: not a readable JSON file ({str(error)[:200]}); fetch or copy the file again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: a {type(content).__name__} came, expected an object with the key all_tracker_hits")
    return content


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} came, expected finite numbers alone")


def _rows(file: File, content: dict[str, Any], key: str, names: dict[str, type]) -> pd.DataFrame:
    """A list of objects as a table of the named columns: int64 where the type is int, else float64."""
    rows = content.get(key)
    if not isinstance(rows, list):
        came = "nothing" if rows is None else f"a {type(rows).__name__}"
        raise ValueError(f"{file}: {key}: {came} came, expected a list of objects with {', '.join(names)}")
    for place, row in enumerate(rows):
        for name, kind in names.items():
            value = row.get(name) if isinstance(row, dict) else None
            if type(value) is not int and not (kind is float and type(value) is float):
                _wrong(file, f"{key}[{place}]", name, value, "a finite number" if kind is float else "a whole number")
            if not abs(value) < (LARGEST if kind is float else 2**63):
                _wrong(file, f"{key}[{place}]", name, value, "a number within reason")
    return pd.DataFrame({name: np.array([row[name] for row in rows], dtype=np.dtype(kind)) for name, kind in names.items()})


def _wrong(file: File, place: str, name: str, value: Any, expected: str) -> NoReturn:
    raise ValueError(f"{file}: {place}: {name!r} is {json.dumps(value)[:40]}, expected {expected}; mend the file")


def _vertex(file: File, content: dict[str, Any]) -> np.ndarray:
    vertex: Any = content.get("vertex")
    three = isinstance(vertex, list) and len(vertex) == 3
    if not three or not all(type(one) in (int, float) and abs(one) < LARGEST for one in vertex):
        raise ValueError(f"{file}: vertex: {json.dumps(vertex)[:40]} came, expected x, y, z in mm; mend the file")
    return np.array(vertex, dtype=np.float64)


def _prepared(chosen: tuple[File, int], table: Table, truth: bool = True) -> Event:
    file, event_id = chosen
    return trackml.to_event(_tables(file, _content(file), table, truth), event_id=event_id)


def _tables(file: File, content: dict[str, Any], table: Table, truth: bool) -> dict[str, pd.DataFrame]:
    """hits, truth and particles in TrackML's columns; layer_id by place, module_id 0: neither is told."""
    names: dict[str, type] = {"HIT_ID": int, **dict.fromkeys(POSITION, float), "volume_id": int}
    if truth:
        names |= {"particle_id": int, "pdg_id": int, "pT": float}
    rows = _rows(file, content, "all_tracker_hits", names).rename(columns={"HIT_ID": "hit_id"})
    twice = rows["hit_id"].duplicated().to_numpy()
    if twice.any():
        place = int(twice.argmax())
        raise ValueError(f"{file}: all_tracker_hits[{place}]: HIT_ID {rows['hit_id'][place]} came already, expected once")
    rows["layer_id"], rows["module_id"] = _layers(file, rows, table), 0
    hits = rows[["hit_id", *POSITION, "volume_id", "layer_id", "module_id"]]
    if not truth:
        return {"hits": hits}
    rows["particle_id"] = rows["particle_id"].clip(lower=0)  # noise, should there be any
    particles = _particles(file, rows, _vertex(file, content))
    known = pd.DataFrame({"hit_id": rows["hit_id"], "particle_id": rows["particle_id"], "tz": rows["z"]})
    weight = hit_weights(known, particles, phase=1)
    return {"hits": hits, "truth": known.drop(columns="tz").assign(weight=weight), "particles": particles}


def _layers(file: File, rows: pd.DataFrame, table: Table) -> np.ndarray:
    """layer_id of each hit: of the layers of its volume the one nearest to it."""
    layers, keys = layers_of(table), np.unique(table["volume_id"] * 10_000 + table["layer_id"])
    r, z = np.hypot(rows["x"], rows["y"]).to_numpy(), rows["z"].to_numpy()
    off = np.where(layers.disc, z[:, None], r[:, None]) - layers.at
    off = np.where(keys // 10_000 == rows["volume_id"].to_numpy()[:, None], np.abs(off), np.inf)
    nearest = off.argmin(axis=1)
    beyond = off[np.arange(len(off)), nearest] > layers.thick[nearest] + OFF_LAYER
    if beyond.any():
        hit = int(beyond.argmax())
        raise ValueError(
            f"{file}: all_tracker_hits[{hit}]: volume {rows['volume_id'][hit]}, r {r[hit]:.1f}, z {z[hit]:.1f} mm is on no layer "
            "of the detector, expected one; give the table of this detector (--detectors F)"
        )
    names: np.ndarray = keys[nearest] % 10_000
    return names


def _particles(file: File, rows: pd.DataFrame, vertex: np.ndarray) -> pd.DataFrame:
    """A row per particle with a hit in the tracker. Its direction and production point are estimates, see ESTIMATED."""
    mine = rows[rows["particle_id"] > 0]
    away = mine[list(POSITION)].to_numpy() - vertex
    order = np.argsort((away**2).sum(axis=1), kind="stable")
    ids, first, owner, nhits = np.unique(
        mine["particle_id"].to_numpy()[order], return_index=True, return_inverse=True, return_counts=True
    )
    inner = order[first]
    for name in ("pT", "pdg_id"):
        values = mine[name].to_numpy()
        other = values[order] != values[inner][owner]
        if other.any():
            place = int(mine.index[order[other][0]])
            raise ValueError(
                f"{file}: all_tracker_hits[{place}]: {name!r} differs from that of other hits of its particle; mend the file"
            )
    pt, code = mine["pT"].to_numpy()[inner], mine["pdg_id"].to_numpy()[inner]
    dx, dy, dz = away[inner].T
    r = np.maximum(np.hypot(dx, dy), 1e-6)
    return pd.DataFrame(
        {"particle_id": ids, "particle_type": code}
        | {f"v{axis}": value for axis, value in zip(POSITION, vertex, strict=True)}
        | {"px": pt * dx / r, "py": pt * dy / r, "pz": pt * dz / r}
        | {"q": [_CHARGE.get(abs(int(one)), 0) * (1 if one > 0 else -1) for one in code], "nhits": nhits}
    )
