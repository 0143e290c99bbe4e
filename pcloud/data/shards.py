"""Events as rows of Arrow tables: one shard is one uncompressed Arrow IPC file of one record batch.

Each scope is one Arrow column: ``event`` a struct, ``point`` and ``particle`` lists of structs, so polars, awkward and
DuckDB read a shard as it is. ``pack`` makes a batch, ``open_batch`` maps one, ``unpack`` copies an event out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pcloud.data.event import Block, Event
from pcloud.data.schema import PER_EVENT, SCOPES, Column, Schema

_SOURCE_OF_ROWS = {"point": "points", "point_truth": "points", "particle": "particles"}


def arrow_schema(schema: Schema) -> pa.Schema:
    """The Arrow schema of a shard; units and descriptions travel as field metadata."""
    fields = []
    for scope in SCOPES:
        columns = schema.of(scope)
        if columns:
            struct = pa.struct([_arrow_field(column) for column in columns])
            kind = struct if scope in PER_EVENT else pa.list_(pa.field("item", struct, False))
            fields.append(pa.field(scope, kind, False))
    return pa.schema(fields)


def _arrow_field(column: Column) -> pa.Field:
    about = {"unit": column.unit, "description": column.description}
    return pa.field(column.name, pa.from_numpy_dtype(np.dtype(column.dtype)), False, about)


def pack(events: Sequence[Event | Block], schema: Schema) -> pa.RecordBatch:
    """One row per event."""
    whole = arrow_schema(schema)
    arrays = []
    for part in whole:
        kind = part.type if part.name in PER_EVENT else part.type.value_type
        columns = [np.concatenate([getattr(event, part.name)[f.name] for event in events]) for f in kind]
        arrow = [pa.array(column, field.type) for column, field in zip(columns, kind, strict=True)]
        struct = pa.StructArray.from_arrays(arrow, fields=list(kind))
        if part.name not in PER_EVENT:
            rows = [np.atleast_1d(getattr(event, _SOURCE_OF_ROWS[part.name])) for event in events]
            offsets = np.concatenate([[0], np.cumsum(np.concatenate(rows), dtype=np.int64)])
            assert offsets[-1] < 2**31, "a shard counts its rows in int32"
            struct = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), struct, type=part.type)
        arrays.append(struct)
    return pa.RecordBatch.from_arrays(arrays, schema=whole)


def numbers_of(batch: pa.RecordBatch, scope: str, name: str) -> np.ndarray:
    """All values of one column, of no bool, as a view."""
    values = batch.column(scope) if scope in PER_EVENT else batch.column(scope).values
    return np.asarray(values.field(name).to_numpy())


def unpack(batch: pa.RecordBatch, row: int, event_id: int, scopes: Sequence[str]) -> Event:
    """The event of one row, as owned, writable copies."""
    parts: dict[str, Any] = {}
    for scope in scopes:
        if scope not in batch.schema.names:
            continue
        values, start, rows = batch.column(scope), row, 1
        if scope not in PER_EVENT:
            start = values.offsets[row].as_py()
            values, rows = values.values, values.offsets[row + 1].as_py() - start
        parts[scope] = {
            field.name: np.array(values.field(place).slice(start, rows).to_numpy(zero_copy_only=False))
            for place, field in enumerate(values.type)
        }
    return Event(event_id, **parts)


def unpack_many(batch: pa.RecordBatch, rows: np.ndarray, scope: str, names: Collection[str]) -> dict[str, np.ndarray]:
    """The named columns of one scope of many rows, in the order of ``rows``, as owned arrays laid end to end."""
    values = batch.column(scope)
    if scope not in PER_EVENT:
        bounds = values.offsets.to_numpy()
        rows, values = ranges(bounds[rows], bounds[rows + 1]), values.values
    fields = [(place, one.name) for place, one in enumerate(values.type) if one.name in names]
    return {name: _taken(values.field(place), rows) for place, name in fields}


def _taken(values: pa.Array, rows: np.ndarray) -> np.ndarray:
    if pa.types.is_boolean(values.type):  # bits, which numpy cannot see without a copy of all
        return np.array(values.take(pa.array(rows)).to_numpy(zero_copy_only=False))
    return np.asarray(values.to_numpy().take(rows))


def ranges(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """first[0], ..., last[0] - 1, first[1], ..., last[1] - 1, and so on."""
    counts = last.astype(np.int64) - first
    ends = np.cumsum(counts)
    rows: np.ndarray = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - counts), counts)
    return rows


def write_batch(path: Path, batch: pa.RecordBatch) -> dict[str, Any]:
    """Write one Arrow IPC file and say what a reader must find: its bytes and its sha256."""
    with open(path, "wb") as file:
        with pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": path.stat().st_size, "sha256": checksum(path)}


def open_batch(path: Path, expected: pa.Schema, rows: int) -> pa.RecordBatch:
    """Map the one batch of a file into memory; ValueError where the file is not what its manifest says."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if reader.num_record_batches != 1 or not reader.schema.equals(expected):
            raise ValueError(f"{path}: columns differ from those the manifest declares; prepare the store again")
        batch = reader.get_batch(0)
        batch.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's fault; Arrow's own complaints about content carry no number
        raise ValueError(f"{path}: not a readable Arrow file ({str(error).splitlines()[0]})") from error
    if batch.num_rows != rows:
        raise ValueError(f"{path}: {batch.num_rows} rows came, the manifest says {rows}; prepare the store again")
    return batch


def check_file(path: Path, entry: dict[str, Any], content: bool = True) -> None:
    """ValueError unless the file has the bytes, and with ``content`` the sha256, that the manifest says."""
    if not path.is_file():
        raise ValueError(f"{path}: missing from the store; prepare the store again")
    size = path.stat().st_size
    if size != entry["bytes"]:
        expected = f"{entry['bytes']} expected: cut off or changed"
        raise ValueError(f"{path}: {size} bytes came, {expected}; prepare the store again")
    if content and checksum(path) != entry["sha256"]:
        raise ValueError(f"{path}: its sha256 is not the one in the manifest: damaged; prepare the store again")


def checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
