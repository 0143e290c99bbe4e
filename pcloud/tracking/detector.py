"""The TrackML detector: 48 layers of 18,728 flat modules, as a compact description and as the official table of columns.

Build the standard one with `trackml_detector()`, read any other with `read_detectors(path)`, name it with `geometry_hash(table)`.
A table of another detector may carry its magnetic field too, as a column (`OPTIONAL`).
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

Table = dict[str, np.ndarray]

IDS = ("volume_id", "layer_id", "module_id")
CENTRE = ("cx", "cy", "cz")
ROTATION = tuple(f"rot_{axis}{local}" for axis in "xyz" for local in "uvw")
SIZES = ("module_t", "module_minhu", "module_maxhu", "module_hv", "pitch_u", "pitch_v")
STRONGEST = 20.0  # T
LARGEST = 200_000_000  # characters of a detectors table: a packed file may not fill the memory
COLUMNS = IDS + CENTRE + ROTATION + SIZES
# field_z: a field of this strength (T) along z everywhere, the same number in every row. Without it the field is TrackML's.
OPTIONAL = ("field_z",)

Sensor = tuple[float, float, float, float, float, float]  # as SIZES, mm


class Barrel(NamedTuple):
    """Cylinders of flat modules: rows along z whose radii alternate by the stagger, modules turned by the tilt (rad)."""

    volume: int
    layers: tuple[tuple[int, float, int], ...]  # layer id, mean radius (mm), modules in phi
    rows: int
    row_pitch: float  # mm
    tilt: float
    stagger: float  # mm
    sensor: Sensor


class Ring(NamedTuple):
    """One ring of a disc; its modules take the offsets in turn along phi, away from the middle of the detector is +."""

    radius: float  # mm
    modules: int
    offsets: tuple[float, ...]  # mm
    sensor: Sensor


_PIXEL = (0.15, 8.4, 8.4, 36.0, 0.05, 0.05625)
_SHORT = (0.25, 24.0, 24.0, 54.0, 0.08, 1.2)
_LONG = (0.35, 24.0, 24.0, 54.0, 0.12, 10.8)
_BARRELS = (
    Barrel(8, ((2, 32.0, 16), (4, 72.0, 32), (6, 116.0, 52), (8, 172.0, 78)), 14, 70.0, 0.14, 0.25, _PIXEL),
    Barrel(13, ((2, 260.0, 40), (4, 360.0, 56), (6, 500.0, 78), (8, 660.0, 102)), 21, 103.0, -0.15, 1.5, _SHORT),
    Barrel(17, ((2, 820.0, 120), (4, 1020.0, 152)), 21, 103.0, -0.15, 1.5, _LONG),
)
_PIXEL_RINGS = (Ring(66.0, 40, (2.5, -2.0, 2.0, -2.5), _PIXEL), Ring(140.0, 68, (2.0, -2.0), _PIXEL))
_SHORT_RINGS = (
    Ring(318.0, 54, (-1.5, -4.5), (0.25, 16.4, 24.2, 78.0, 0.08, 1.2)),
    Ring(470.0, 56, (4.5, 1.5), (0.25, 24.2, 32.2, 78.0, 0.08, 1.2)),
    Ring(622.0, 60, (-1.5, -4.5), (0.25, 32.2, 40.0, 78.0, 0.08, 1.2)),
)
_LONG_RINGS = (
    Ring(828.0, 48, (-2.5, -5.5), (0.35, 54.0, 64.2, 78.0, 0.12, 10.4)),
    Ring(942.0, 50, (5.5, 2.5), (0.35, 66.0, 72.0, 78.0, 0.12, 10.4)),
)
# Module ids of a disc run along phi through all its rings; where two rings come close the official order follows no
# simple rule, so the ring of each module id is written out.
_PIXEL_ORDER = "011010110110101101101101011011010110110110101101101011011010110110101101101101011011010110110110101101101011"
_SHORT_ORDER = (
    "0122012012102102102102102102102120120120120120120210210210212012012012012012012012012012201201210210"
    "2102102102102102120120120120120120210210210212012012012012012012012012"
)
_LONG_ORDER = "01101010101010101010101010101010101010101010101010101010101101010101010101010101010101010101010101"
_PIXEL_Z = (600.0, 700.0, 820.0, 960.0, 1100.0, 1300.0, 1500.0)
_STRIP_Z = (1220.0, 1500.0, 1800.0, 2150.0, 2550.0, 2950.0)
_DISCS = (
    (7, 9, _PIXEL_Z, _PIXEL_RINGS, _PIXEL_ORDER),
    (12, 14, _STRIP_Z, _SHORT_RINGS, _SHORT_ORDER),
    (16, 18, _STRIP_Z, _LONG_RINGS, _LONG_ORDER),
)


def trackml_detector() -> Table:
    """The TrackML geometry as its official table: 18,728 rows in the order volume, layer, module (mm; rows of COLUMNS).

    Equal to the published file: its six printed digits are made here too.
    """
    blocks = [_cylinder(barrel, *layer) for barrel in _BARRELS for layer in barrel.layers]
    for negative, positive, distances, rings, order in _DISCS:
        for index, distance in enumerate(distances):
            blocks.append(_disc(positive, 2 * (index + 1), distance, 1.0, rings, order))
            blocks.append(_disc(negative, 2 * (len(distances) - index), distance, -1.0, rings, order))
    table = np.concatenate(blocks)
    table = table[np.lexsort((table[:, 2], table[:, 1], table[:, 0]))]
    mantissa, exponent = _six_digits(table)  # as published: then a table read and a table made are the same
    return _named(mantissa / 10.0**-exponent)


def _cylinder(barrel: Barrel, layer: int, radius: float, n_phi: int) -> np.ndarray:
    module = np.arange(n_phi * barrel.rows)
    row, column = np.divmod(module, n_phi)
    phi = -np.pi + (column + 0.5) * 2 * np.pi / n_phi
    r = radius + np.where(row % 2 == 0, barrel.stagger, -barrel.stagger)
    zero, one = np.zeros(module.size), np.ones(module.size)
    w = np.stack([np.cos(phi + barrel.tilt), np.sin(phi + barrel.tilt), zero], axis=1)
    v = np.stack([zero, zero, one], axis=1)
    centre = np.stack([r * np.cos(phi), r * np.sin(phi), (row - (barrel.rows - 1) / 2) * barrel.row_pitch], axis=1)
    return _rows(barrel.volume, layer, centre, v, w, np.tile(barrel.sensor, (module.size, 1)))


def _disc(volume: int, layer: int, distance: float, side: float, rings: tuple[Ring, ...], order: str) -> np.ndarray:
    ring_of = np.array([int(digit) for digit in order])
    centre, v = np.zeros((2, ring_of.size, 3))
    sensor = np.zeros((ring_of.size, len(SIZES)))
    for number, (radius, n_phi, offsets, size) in enumerate(rings):
        mine = np.flatnonzero(ring_of == number)
        assert mine.size == n_phi, f"ring {number} of volume {volume} has {mine.size} ids for {n_phi} modules"
        index = np.arange(n_phi)
        phi = -np.pi + (index + 0.5) * 2 * np.pi / n_phi
        v[mine] = np.stack([np.cos(phi), np.sin(phi), np.zeros(n_phi)], axis=1)
        z = side * (distance + np.resize(offsets, n_phi))
        centre[mine] = np.stack([radius * np.cos(phi), radius * np.sin(phi), z], axis=1)
        sensor[mine] = size
    w = np.tile([0.0, 0.0, side], (ring_of.size, 1))
    return _rows(volume, layer, centre, v, w, sensor)


def _rows(volume: int, layer: int, centre: np.ndarray, v: np.ndarray, w: np.ndarray, sensor: np.ndarray) -> np.ndarray:
    n = len(centre)
    ids = np.stack([np.full(n, volume), np.full(n, layer), np.arange(1, n + 1)], axis=1)
    axes = np.stack([np.cross(v, w), v, w], axis=2).reshape(n, 9)  # rows x, y, z; columns u, v, w
    return np.concatenate([ids, centre, axes, sensor], axis=1)


def columns_of(names: Collection[str]) -> tuple[str, ...]:
    """The columns of a detectors table, those of OPTIONAL where they are among the names."""
    return COLUMNS + tuple(name for name in OPTIONAL if name in names)


def _named(values: np.ndarray, names: tuple[str, ...] = COLUMNS) -> Table:
    table = {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(names)}
    return {name: column.astype(np.int64) if name in IDS else column for name, column in table.items()}


def read_detectors(path: str | os.PathLike[str]) -> Table:
    """Read a detectors.csv or detectors.csv.gz, with or without the leading unnamed index column, as `columns_of` its header.

    Raises FileNotFoundError, or ValueError with one line naming file and place: empty or truncated file, missing column,
    a cell that is no number, a doubled module, a field that is not the same in all rows.
    """
    path = Path(path)
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            text = file.read(LARGEST + 1)
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable csv ({error}); fetch or copy the file again") from None
    if len(text) > LARGEST:
        raise ValueError(f"{path}: more than {LARGEST // 10**6} MB of text; the official table of modules has 2 MB")
    lines = text.splitlines()
    if len(lines) < 2:
        raise ValueError(f"{path}: no modules in it, expected a header and one row per module")
    header = [name.strip().strip('"') for name in lines[0].split(",")]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ValueError(f"{path}: column {missing[0]!r} is missing; a detectors table needs {', '.join(COLUMNS)}")
    values = _numbers(path, lines[1:], header)
    names = columns_of(header)
    table = _named(values[:, [header.index(name) for name in names]], names)
    ids = np.stack([table[name] for name in IDS], axis=1)
    _, first, count = np.unique(ids, axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        row = first[count > 1][0]
        raise ValueError(f"{path}: row {row + 2}: module {tuple(map(int, ids[row]))} comes twice, expected each once")
    if complaint := wrong_field(table):
        raise ValueError(f"{path}: {complaint}")
    return table


def wrong_field(table: Table) -> str | None:
    """What is wrong with the field that a table carries, in one line; None if nothing is, or if it carries none."""
    values = table.get("field_z", np.zeros(1))
    bad = (values != values[0]) | (np.abs(values) > STRONGEST)
    if not bad.any():
        return None
    row = int(bad.argmax())
    return f"row {row + 2}: column 'field_z' holds {values[row]:g}, expected one field for all rows, of at most {STRONGEST:g} T"


def _numbers(path: Path, lines: list[str], header: list[str]) -> np.ndarray:
    try:
        values = np.loadtxt(lines, delimiter=",", ndmin=2)
        if values.shape[1] == len(header) and np.isfinite(values).all():
            return values
    except ValueError:
        pass
    for number, line in enumerate(lines, start=2):  # slow walk, only to name the place
        cells = line.split(",")
        if len(cells) != len(header):
            raise ValueError(f"{path}: row {number}: {len(cells)} cells, expected {len(header)} as in the header")
        for name, cell in zip(header, cells, strict=True):
            try:
                finite = np.isfinite(float(cell))
            except ValueError:
                finite = False
            if not finite:
                raise ValueError(f"{path}: row {number}: column {name!r} holds {cell!r}, expected a finite number")
    raise AssertionError(f"{path}: unreadable, yet every cell is a number")


def write_detectors(path: str | os.PathLike[str], table: Table) -> None:
    """Write a detectors.csv (gzipped where the name ends in .gz), atomically: a temporary name beside it, then renamed."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    names = columns_of(table)
    rows = zip(*(table[name].tolist() for name in names), strict=True)
    text = "\n".join([",".join(names), *(",".join(f"{value:.6g}" for value in row) for row in rows)]) + "\n"
    try:
        data = text.encode()
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def geometry_hash(table: Table) -> str:
    """sha256 (hex) that names a geometry: ids, centres, axes, sizes, and a field if it carries one, at six printed digits.

    Independent of row order, column types and an index column; values below 1e-9 count as zero.
    """
    order = np.lexsort((table["module_id"], table["layer_id"], table["volume_id"]))
    digest = hashlib.sha256()
    for name in columns_of(table):
        mantissa, exponent = _six_digits(np.asarray(table[name], dtype=np.float64)[order])
        digest.update(name.encode() + mantissa.astype("<i8").tobytes() + exponent.astype("<i8").tobytes())
    return digest.hexdigest()


def _six_digits(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers (mantissa, exponent) with value = mantissa * 10**exponent, |mantissa| of six digits."""
    magnitude = np.abs(values)
    exponent = np.where(magnitude < 1e-9, 0, np.floor(np.log10(np.maximum(magnitude, 1e-9) * (1 + 1e-9))) - 5)
    mantissa = np.where(magnitude < 1e-9, 0, np.rint(values * 10.0**-exponent))
    return mantissa.astype(np.int64), exponent.astype(np.int64)
