"""The csv files of ACTS' examples: measurements, simulated hits, particles and detectors, read within bounds and checked.

``find(source)`` lists them by event; ``measurements``, ``hits_of``, ``particles`` and ``read_table`` give tables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from data_prep import trackml_files
from data_prep.trackml_files import FLOATS, SMALL, File, RawEvent, parse, refuse
from pcloud.tracking.detector import CENTRE, OPTIONAL, ROTATION, Table, wrong_field

LINK = "measurement-simhit-map"
PARTICLES = ("particles_initial", "particles_simulated", "particles")  # the first that is there is read
KINDS = ("measurements", "hits", LINK, *PARTICLES)

_ID = pa.uint64()
_GLOBAL = ("global_x", "global_y", "global_z")  # of newer versions
_LOCAL = ("local0", "local1", "var_local0", "var_local1")
# A particle's id: one number, or its parts, with their bits in that number from the highest on.
_PARTS = {"particle_id_pv": 12, "particle_id_sv": 12, "particle_id_part": 16, "particle_id_gen": 8, "particle_id_subpart": 16}
_PARTICLE_ID = {"particle_id": _ID, **dict.fromkeys(_PARTS, _ID)}
_HIT = ("tx", "ty", "tz", "tpx", "tpy", "tpz")
_RECTANGLE, _TRAPEZOID = 6, 7  # Acts::SurfaceBounds::BoundsType
WHOLE = 0.0  # as a pitch: as long as the module
_MOST_MODULES = 99_000  # the largest module id
_TWICE = " came already further up, expected once"


def find(source: str | os.PathLike[str]) -> tuple[dict[int, RawEvent], File | None]:
    """As `trackml_files.find`; an event is there if its measurements are."""
    return trackml_files.find(source, KINDS)


def places(geometry_id: np.ndarray) -> dict[str, np.ndarray]:
    """volume_id, layer_id and module_id in ACTS' geometry ids: 8 bits from bit 56, 12 from bit 36, 20 from bit 8."""
    bits = geometry_id.astype(np.uint64)
    fields = {"volume_id": (56, 8), "layer_id": (36, 12), "module_id": (8, 20)}
    return {
        name: ((bits >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)
        for name, (shift, width) in fields.items()
    }


def measurements(event: RawEvent) -> pd.DataFrame:
    """hit_id (the measurement's id), volume_id, layer_id, module_id, local0, local1 (mm), var_local0 ..., global_x ... if any."""
    file = event.files["measurements"]
    columns = {"measurement_id": _ID, "geometry_id": _ID, **dict.fromkeys(_LOCAL + _GLOBAL, FLOATS)}
    table = parse(file, columns, optional=_GLOBAL)
    hit_id = _signed(file, table, "measurement_id")
    refuse(file, table["measurement_id"].duplicated().to_numpy(), hit_id, "measurement_id", _TWICE)
    place = places(table["geometry_id"].to_numpy())
    bad = (place["volume_id"] == 0) | (place["module_id"] > _MOST_MODULES)
    wanted = f", expected that of a module: a volume from 1, a module up to {_MOST_MODULES}"
    refuse(file, bad, table["geometry_id"].to_numpy(), "geometry_id", wanted)
    return table.drop(columns=["measurement_id", "geometry_id"]).assign(hit_id=hit_id, **place)


def has_truth(event: RawEvent) -> bool:
    """Whether simulated hits, the way from measurements to them, and particles are all there."""
    return {"hits", LINK} <= event.files.keys() and any(kind in event.files for kind in PARTICLES)


def hits_of(event: RawEvent, hit_id: np.ndarray, truth: bool) -> pd.DataFrame:
    """For each measurement the first simulated hit that it is made of: tx, ty, tz (mm); with truth particle_id, tpx ... (GeV).

    Without ``truth`` the columns that tell which particle it was are not read.
    """
    lack = [kind for kind in ("hits", LINK) if kind not in event.files]
    if lack:
        raise ValueError(
            f"{event.files['measurements']}: neither {lack[0]} nor a detectors.csv beside it, so where hits lie is not told; "
            "put one of them there"
        )
    file, path = event.files["hits"], event.files[LINK]
    columns = dict.fromkeys(_HIT if truth else _HIT[:3], FLOATS)
    table = parse(file, columns | (_PARTICLE_ID if truth else {}), optional=tuple(_PARTICLE_ID))
    link = parse(path, {"measurement_id": _ID, "hit_id": _ID})
    unknown = link["hit_id"].to_numpy() >= np.uint64(len(table))
    refuse(path, unknown, link["hit_id"].to_numpy(), "hit_id", f", expected a row of {file}, counted from 0 to {len(table) - 1}")
    own = _signed(path, link, "measurement_id")
    refuse(path, ~np.isin(own, hit_id), own, "measurement_id", f", which {event.files['measurements']} lacks")
    first = pd.Series(link["hit_id"].to_numpy().astype(np.int64), index=own)
    first = first[~first.index.duplicated()]
    missing = f" has no row in {path}; expected the simulated hit that it comes from"
    refuse(event.files["measurements"], ~np.isin(hit_id, own), hit_id, "measurement_id", missing)
    if truth:
        table = table.assign(particle_id=_particle_id(file, table))[["particle_id", *_HIT]]
    return table.iloc[first.loc[hit_id].to_numpy()].reset_index(drop=True)


def particles(event: RawEvent) -> pd.DataFrame:
    """particle_id, particle_type, vx, vy, vz (mm), px, py, pz (GeV), q of every particle at its start."""
    file = event.files[next(kind for kind in PARTICLES if kind in event.files)]
    columns = {"particle_type": SMALL, **dict.fromkeys(("vx", "vy", "vz", "px", "py", "pz", "q"), FLOATS)}
    table = parse(file, _PARTICLE_ID | columns, optional=tuple(_PARTICLE_ID))
    ids = _particle_id(file, table)
    refuse(file, pd.Series(ids).duplicated().to_numpy(), ids, "particle_id", _TWICE)
    return pd.DataFrame({"particle_id": ids} | {name: table[name] for name in columns})


def _particle_id(file: File, table: pd.DataFrame) -> np.ndarray:
    """One number, int64, above 0."""
    if "particle_id" in table:
        ids = _signed(file, table, "particle_id")
    else:
        lack = [name for name in _PARTS if name not in table]
        if lack:
            raise ValueError(f"{file}: line 1: column {lack[0]!r} missing; expected particle_id, or {', '.join(_PARTS)}")
        whole = np.zeros(len(table), np.uint64)
        for name, bits in _PARTS.items():
            part = table[name].to_numpy()
            refuse(file, part >= np.uint64(1 << bits), part, f"column {name!r} holds", f", expected less than {1 << bits}")
            whole = (whole << np.uint64(bits)) | part
        ids = _signed(file, pd.DataFrame({"particle_id": whole}), "particle_id")
    refuse(file, ids == 0, ids, "particle_id", ", expected a number above 0: 0 stands for noise")
    return ids


def _signed(file: File, table: pd.DataFrame, name: str) -> np.ndarray:
    """Ids as int64; a store keeps no larger ones."""
    ids = table[name].to_numpy()
    refuse(file, ids >= np.uint64(1 << 63), ids, f"column {name!r} holds", f", expected less than {1 << 63}")
    signed: np.ndarray = ids.astype(np.int64)
    return signed


def read_table(file: File, pitch: Mapping[int, tuple[float, float]], field_z: float) -> Table:
    """A detectors table of ACTS' columns (see `detectors`) or of TrackML's; ``field_z`` (T) unless the file has that column."""
    if b"module_hv" not in file.read()[:4096].split(b"\n", 1)[0]:
        return detectors(file, pitch, field_z)
    table = trackml_files.read_detectors(file)
    return {"field_z": np.full(len(table["cx"]), field_z)} | table


def detectors(file: File, pitch: Mapping[int, tuple[float, float]], field_z: float) -> Table:
    """The modules of ACTS' detectors.csv, without its passive surfaces, as a detectors table.

    ``field_z``: T, unless the file has that column.
    ``pitch``: of each volume, along u and v (or WHOLE), for modules of which the file tells none; volume 0 for any other.
    """
    ids = {"geometry_id": _ID, "bounds_type": SMALL}
    bounds = tuple(f"bound_param{i}" for i in range(4))
    told = ("module_t", "pitch_u", "pitch_v", *OPTIONAL)
    table = parse(file, ids | dict.fromkeys((*CENTRE, *ROTATION, *bounds, *told), FLOATS), optional=told)
    sensitive = places(table["geometry_id"].to_numpy())["module_id"] > 0
    if not sensitive.any():
        raise ValueError(f"{file}: no module among its {len(table)} surfaces; expected geometry ids of sensitive ones")
    kind = np.where(sensitive, table["bounds_type"].to_numpy(), _RECTANGLE)
    wanted = f", expected {_RECTANGLE} (rectangle) or {_TRAPEZOID} (trapezoid)"
    refuse(file, ~np.isin(kind, (_RECTANGLE, _TRAPEZOID)), kind, "column 'bounds_type' holds", wanted)
    place = places(table["geometry_id"].to_numpy())
    doubled = pd.DataFrame(place).duplicated().to_numpy() & sensitive
    refuse(file, doubled, list(zip(*place.values(), strict=True)) if doubled.any() else [], "volume, layer, module", _TWICE)
    a, b, c, d = (table[name].to_numpy() for name in bounds)
    flat = kind == _RECTANGLE  # least u, least v, largest u, largest v; a trapezoid: half u at -v, half u at +v, half v
    off = flat & sensitive & ((np.abs(a + c) > 1e-3) | (np.abs(b + d) > 1e-3))
    refuse(file, off, np.stack([a, b, c, d], axis=1), "bounds", ", expected a rectangle about the module's centre")
    sizes = {
        "module_t": table["module_t"].to_numpy() if "module_t" in table else np.zeros(len(table)),
        "module_minhu": np.where(flat, c, a),
        "module_maxhu": np.where(flat, c, b),
        "module_hv": np.where(flat, d, c),
    }
    for axis, name in enumerate(("pitch_u", "pitch_v")):
        known = table[name].to_numpy() if name in table else np.full(len(table), -1.0)
        other = np.array([pitch.get(int(volume), pitch[0])[axis] for volume in place["volume_id"]])
        sizes[name] = np.where(known > 0, known, np.where(other == WHOLE, 2 * sizes["module_hv"], other))
    field = {name: table[name].to_numpy() if name in table else np.full(len(table), field_z) for name in OPTIONAL}
    made: Table = place | {name: table[name].to_numpy(copy=True) for name in (*CENTRE, *ROTATION)} | sizes | field
    if complaint := wrong_field(made):
        raise ValueError(f"{file}: {complaint}")
    return {name: column[sensitive] for name, column in made.items()}
