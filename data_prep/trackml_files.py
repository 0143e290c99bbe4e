"""TrackML's files: which events a folder, zip or prefix holds, and their csv tables, read within bounds and checked.

``find(source)`` lists the files of each event; ``read(event)`` gives plain pandas tables in TrackML's columns.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from pcloud.tracking import detector

# Bytes of one uncompressed csv: the largest file of a full event has 14 MB. More is refused before memory is taken.
LIMIT = 256 << 20
# Far beyond any detector (mm) or momentum (GeV), yet squares and float32 still hold it.
LARGEST = 1e18

# What a damaged archive raises; OSError without a number, or with EINVAL from a seek to nowhere, is damage too.
_DAMAGE = (EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, OSError)

FLOATS, IDS, SMALL = pa.float64(), pa.int64(), pa.int32()
COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "hits": {
        "hit_id": IDS,
        **dict.fromkeys("xyz", FLOATS),
        **dict.fromkeys(("volume_id", "layer_id", "module_id"), SMALL),
    },
    "cells": {"hit_id": IDS, "ch0": SMALL, "ch1": SMALL, "value": FLOATS},
    "particles": {
        "particle_id": IDS,
        "particle_type": SMALL,
        **dict.fromkeys(("vx", "vy", "vz", "px", "py", "pz"), FLOATS),
        "q": SMALL,
        "nhits": SMALL,
    },
    "truth": {
        "hit_id": IDS,
        "particle_id": IDS,
        **dict.fromkeys(("tx", "ty", "tz", "tpx", "tpy", "tpz", "weight"), FLOATS),
    },
}
_TWICE = " came already further up, expected once"
OPTIONAL = ("particle_type",)  # the accuracy phase (1) lacks it

_DETECTORS = ("detectors.csv", "detectors.csv.gz")
_NAME = re.compile(r"event(\d{9,18})-([\w-]+)\.csv(\.gz)?")
_PREFIX = re.compile(r"event(\d{9,18})(-[\w-]+\.csv(\.gz)?)?")
_BAD_CELL = re.compile(r"Row #(\d+): CSV conversion error to (\w+): invalid value '(.*)'", re.DOTALL)
_BAD_ROW = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")


@dataclass(frozen=True)
class File:
    """A csv on disk or inside a zip."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}:{_printable(self.member)}"

    @property
    def name(self) -> str:
        return PurePosixPath(self.member or self.path.name).name

    def read(self) -> bytes:
        """The uncompressed bytes. ValueError where the file is damaged, cut off, or larger than LIMIT."""
        try:
            size, stream = self._open()
            with stream:
                if size > LIMIT:
                    raise ValueError(f"{self}: {size} bytes came, at most {LIMIT} expected of one event's table")
                plain = gzip.GzipFile(fileobj=stream) if self.name.endswith(".gz") else stream
                raw = plain.read(LIMIT + 1)
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise
            raise ValueError(f"{self}: damaged or cut off ({error}); fetch or copy the file again") from error
        if len(raw) > LIMIT:
            raise ValueError(f"{self}: unpacks to more than {LIMIT} bytes, too many for one event's table")
        return raw

    def _open(self) -> tuple[int, IO[bytes]]:
        """Size as the header says, and the stream."""
        stat = self.path.stat()
        if self.member is None:
            return stat.st_size, open(self.path, "rb")
        archive = _archive(self.path, stat.st_mtime_ns)
        return archive.getinfo(self.member).file_size, archive.open(self.member)


@dataclass(frozen=True)
class RawEvent:
    """The files of one event."""

    event_id: int
    files: Mapping[str, File] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"event {self.event_id}"


def _printable(text: str) -> str:
    """Text from a file, fit for one line."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:300])


@lru_cache(maxsize=4)
def _archive(path: Path, changed: int) -> zipfile.ZipFile:
    """Kept open, since reading the directory of a large zip takes long; ``changed`` tells a file replaced meanwhile."""
    try:
        return zipfile.ZipFile(path)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise ValueError(f"{path}: not a readable zip ({error}); fetch or copy the file again") from error


def find(source: str | os.PathLike[str], kinds: Sequence[str] = tuple(COLUMNS)) -> tuple[dict[int, RawEvent], File | None]:
    """The events of a folder, a zip, or a prefix (``FOLDER/event000001000``), by id, and the detectors file.

    kinds: names of an event's files, ``eventNNNNNNNNN-KIND.csv[.gz]``; an event is there if its first kind is.
    detectors.csv[.gz] lies beside the events, or one folder above. FileNotFoundError, or a ValueError of one line.
    """
    path, only = Path(source), None
    if not path.exists() or (path.is_file() and path.suffix != ".zip"):
        prefix = _PREFIX.fullmatch(path.name)
        if prefix is None or not path.parent.is_dir():
            raise FileNotFoundError(f"{path}: no folder, zip or event prefix there")
        path, only = path.parent, int(prefix[1])
    if path.is_dir():
        files = [File(path / name) for name in sorted(os.listdir(path))]
    else:
        files = [File(path, name) for name in sorted(_archive(path, path.stat().st_mtime_ns).namelist())]
    events: dict[int, dict[str, File]] = {}
    for file in files:
        match = _NAME.fullmatch(file.name)
        if match and match[2] in kinds and only in (None, int(match[1])):
            mine = events.setdefault(int(match[1]), {})
            if match[2] in mine:
                raise ValueError(f"{file}: the same table as {mine[match[2]]}; keep one of them")
            mine[match[2]] = file
    found = {event_id: RawEvent(event_id, mine) for event_id, mine in sorted(events.items()) if kinds[0] in mine}
    if not found:
        raise ValueError(f"{Path(source)}: no event there; expected files named like event000001000-{kinds[0]}.csv or .csv.gz")
    above = [File(path.absolute().parent / name) for name in _DETECTORS]
    tables = [file for file in files if file.name in _DETECTORS] + [file for file in above if file.path.is_file()]
    return found, next(iter(tables), None)


def parse(file: File, columns: Mapping[str, pa.DataType], optional: tuple[str, ...] = OPTIONAL) -> pd.DataFrame:
    """A csv as a table of the named columns, each of its type; int64 never passes through a float."""
    raw = file.read()
    if not raw.strip():
        raise ValueError(f"{file}: empty, expected a header with the columns {', '.join(columns)}")
    header = raw[:4096].split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
    names = [name.strip().strip('"') for name in header.split(",")]
    missing = [name for name in columns if name not in names and name not in optional]
    if missing:
        raise ValueError(
            f"{file}: line 1: column {missing[0]!r} missing; came {_printable(', '.join(names))}; expected {', '.join(columns)}"
        )
    wanted = {name: kind for name, kind in columns.items() if name in names}
    try:
        # One thread keeps the line numbers in messages right.
        table = pa.csv.read_csv(
            pa.BufferReader(raw if raw.endswith(b"\n") else raw + b"\n"),
            pa.csv.ReadOptions(use_threads=False, skip_rows=1, column_names=names),
            convert_options=pa.csv.ConvertOptions(
                column_types=wanted, include_columns=list(wanted), null_values=[], strings_can_be_null=False
            ),
        ).to_pandas()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file}: {_plain(str(error))}") from error
    for name, kind in wanted.items():
        if kind == FLOATS:
            values = table[name].to_numpy()
            refuse(file, ~(np.abs(values) < LARGEST), values, f"column {name!r} holds", ", expected a finite number")
    return table


def _plain(message: str) -> str:
    cell, row = _BAD_CELL.search(message), _BAD_ROW.search(message)
    if cell:
        kind = "a number" if cell[2] == "double" else "a whole number"
        return f"line {cell[1]}: {cell[3][:40]!r} came, expected {kind} ({cell[2]}); mend the file"
    if row:
        return f"line {row[1]}: {row[3]} cells came, expected {row[2]} as in the header; mend the file"
    return f"not a readable csv ({message.splitlines()[0]}); mend the file"


def refuse(file: File, bad: np.ndarray, values: Sequence[object] | np.ndarray, what: str, tail: str) -> None:
    """ValueError naming the first bad row by its line in the file."""
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{file}: line {row + 2}: {what} {values[row]}{tail}; mend the file")


def read(event: RawEvent, truth: bool = True) -> dict[str, pd.DataFrame]:
    """The tables of an event: hits; cells, particles and truth where there are files; without ``truth`` the first two.

    Checked: types, finite numbers, unique hit and particle ids, no row of an unknown hit or particle, truth for all.
    """
    kinds = list(COLUMNS) if truth else ["hits", "cells"]
    files = {kind: event.files[kind] for kind in kinds if kind in event.files}
    tables = {kind: parse(file, COLUMNS[kind]) for kind, file in files.items()}
    for kind, key in (("hits", "hit_id"), ("particles", "particle_id"), ("truth", "hit_id")):
        if kind in tables:
            ids = tables[kind][key]
            refuse(files[kind], ids.duplicated().to_numpy(), ids.to_numpy(), key, _TWICE)
    links = (("cells", "hit_id", "hits"), ("truth", "hit_id", "hits"), ("truth", "particle_id", "particles"))
    for kind, key, home in links:
        if kind in tables and home in tables:
            ids = tables[kind][key]
            known = ids.isin(tables[home][key]) | ((ids == 0) & (key == "particle_id"))
            refuse(files[kind], ~known.to_numpy(), ids.to_numpy(), key, f", which {files[home]} lacks")
    if "truth" in tables:
        ids = tables["hits"]["hit_id"]
        lack = f" has no row in {files['truth']}; expected one for each hit, with particle_id 0 for noise"
        refuse(files["hits"], ~ids.isin(tables["truth"]["hit_id"]).to_numpy(), ids.to_numpy(), "hit_id", lack)
    return tables


def read_detectors(file: File) -> dict[str, np.ndarray]:
    """A detectors table, with or without a leading index column, on disk or in a zip, as columns of floats and ids."""
    table = parse(file, dict.fromkeys(detector.COLUMNS + detector.OPTIONAL, FLOATS), optional=detector.OPTIONAL)
    for name in detector.IDS:
        values = table[name].to_numpy()
        refuse(file, values != np.rint(values), values, f"column {name!r} holds", ", expected a whole number")
        table[name] = values.astype(np.int64)
    doubled = table.duplicated(list(detector.IDS)).to_numpy()
    modules = list(zip(*(table[name] for name in detector.IDS), strict=True)) if doubled.any() else []
    refuse(file, doubled, modules, "module", _TWICE)
    read = {name: table[name].to_numpy(copy=True) for name in detector.columns_of(table.columns)}
    if complaint := detector.wrong_field(read):
        raise ValueError(f"{file}: {complaint}")
    return read
