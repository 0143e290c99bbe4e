"""The event store: a folder of memory-mapped Arrow shards with a manifest that says what every column is.

Write with ``with StoreWriter(path, columns) as writer: writer.add(event)``; read with ``Store.open(path).read(i)``.

    NAME/manifest.json       schema version, columns with unit, mean and width, source, geometry, size and sha256 of all
    NAME/manifest.sha256     the manifest's own checksum
    NAME/index.arrow         one row per event: event_id, points, particles, shard
    NAME/detector.arrow      where it is known, the detector: one row per module
    NAME/shard-00000.arrow   the events, one row each (pcloud.data.shards)
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections import OrderedDict
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from pcloud import __version__
from pcloud.data import manifest
from pcloud.data.event import Block, Event
from pcloud.data.schema import SCOPES, TRUTH, Column, Moments, Schema
from pcloud.data.shards import (
    arrow_schema,
    check_file,
    checksum,
    numbers_of,
    open_batch,
    pack,
    ranges,
    unpack,
    unpack_many,
    write_batch,
)

INDEX, DETECTOR = "index.arrow", "detector.arrow"
_INDEX = pa.schema([pa.field(name, pa.int64(), False) for name in ("event_id", "points", "particles", "shard")])
_OPEN_SHARDS = 256  # each holds a file handle; a batch of many small events touches all shards


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.arrow"


class StoreWriter:
    """Writes beside the target and renames at the end: after a failure, Ctrl-C or a full disk nothing is left.

    Only a kill that cannot be caught leaves a folder ``NAME.partial-...``; it is never read and may be deleted.
    ``geometry`` is the hash of the detector, ``detector`` its table (int64 and float64 columns, a row per module), ``phase``
    the TrackML phase (1 accuracy, 2 throughput), where known.
    ``source`` says in words of JSON where the events come from. ``overwrite`` replaces a store, never another folder.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Sequence[Column],
        *,
        source: dict[str, Any] | None = None,
        geometry: str | None = None,
        detector: dict[str, np.ndarray] | None = None,
        phase: int | None = None,
        overwrite: bool = False,
        shard_bytes: int = 64 << 20,
    ) -> None:
        self.path = Path(path).absolute()
        self.schema = Schema(tuple(columns))
        if not self.schema.names("point"):
            raise ValueError(f"{self.path}: a store needs point columns; declare at least one")
        if self.path.exists() and not (overwrite and (self.path / manifest.NAME).is_file()):
            hint = "it is no store: choose another name" if overwrite else "choose another name, or ask to overwrite it"
            raise ValueError(f"{self.path}: exists already; {hint}")
        self._about = {"pcloud": __version__, "source": source or {}, "geometry": geometry, "phase": phase}
        self._shard_bytes = shard_bytes
        self._detector = detector
        self._work = self.path.with_name(f"{self.path.name}.partial-{secrets.token_hex(4)}")
        numbers = [c for c in self.schema.columns if c.dtype not in ("int64", "bool")]
        self._moments = {(c.scope, c.name): Moments() for c in numbers}
        self._declared = {scope: {c.name: np.dtype(c.dtype) for c in self.schema.of(scope)} for scope in SCOPES}
        self._waiting: list[Event | Block] = []
        self._waiting_bytes = 0
        self._index: list[tuple[int, int, int, int]] = []
        self._seen: set[int] = set()
        self._files: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> StoreWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._work.mkdir()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            shutil.rmtree(self._work, ignore_errors=True)

    def add(self, event: Event) -> None:
        """Append one event; its columns must be the declared ones, in name and type, and its id new."""
        if event.event_id in self._seen:
            raise ValueError(f"event {event.event_id} comes twice; event ids are unique inside a store")
        self._check(event, f"event {event.event_id}")
        self._seen.add(event.event_id)
        self._index.append((event.event_id, event.points, event.particles, len(self._files)))
        self._wait(event)

    def add_many(self, event_ids: np.ndarray, block: Block) -> None:
        """Append the events of a block, which stay in one shard: the fast way to write many small ones."""
        ids = event_ids.tolist()
        if len(ids) != len(block.points) or len(set(ids)) != len(ids) or not self._seen.isdisjoint(ids):
            twice = next((one for place, one in enumerate(ids) if one in self._seen or one in ids[:place]), None)
            if twice is not None:
                raise ValueError(f"event {twice} comes twice; event ids are unique inside a store")
            raise ValueError(f"{len(ids)} event ids came with a block of {len(block.points)} events")
        self._check(block, f"block of {len(ids)} events")
        self._seen.update(ids)
        sizes = zip(ids, block.points.tolist(), block.particles.tolist(), strict=True)
        self._index += [(*one, len(self._files)) for one in sizes]
        self._wait(block)

    def _check(self, events: Event | Block, where: str) -> None:
        for scope, declared in self._declared.items():
            came = getattr(events, scope)
            if came.keys() != declared.keys():
                odd = ", ".join(sorted(came.keys() ^ declared.keys()))
                raise ValueError(
                    f"{where}: {scope} columns differ from those of the store in: {odd}; "
                    "all events of one store have the same columns"
                )
            for name, column in came.items():
                if column.dtype != declared[name]:
                    raise ValueError(f"{where}: {scope}[{name!r}] is {column.dtype}, the store declares {declared[name]}")

    def _wait(self, events: Event | Block) -> None:
        """Keep the events for the shard under way; write it when it is full."""
        self._waiting.append(events)
        self._waiting_bytes += sum(column.nbytes for scope in SCOPES for column in getattr(events, scope).values())
        if self._waiting_bytes >= self._shard_bytes:
            try:
                self._flush()
            except OSError as failure:
                raise self._failed(failure) from failure

    def _flush(self) -> None:
        name = _shard_name(len(self._files))
        batch = pack(self._waiting, self.schema)
        for (scope, column), moments in self._moments.items():
            moments.add(numbers_of(batch, scope, column))
        self._files[name] = write_batch(self._work / name, batch)
        self._waiting, self._waiting_bytes = [], 0

    def _finish(self) -> None:
        if self._waiting:
            self._flush()
        columns = np.array(self._index, dtype=np.int64).reshape(-1, len(_INDEX)).T
        index = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=_INDEX)
        self._files[INDEX] = write_batch(self._work / INDEX, index)
        totals = {"events": len(self._index), "points": int(columns[1].sum()), "particles": int(columns[2].sum())}
        if self._detector is not None:
            self._about["detector"] = self._write_detector(self._detector)
        described = self.schema.with_moments(self._moments).to_json()
        manifest.write(self._work, {**self._about, **totals, "columns": described, "files": self._files})
        self._rename()

    def _write_detector(self, detector: dict[str, np.ndarray]) -> dict[str, Any]:
        """What the manifest says of the file: as of any other, and its columns."""
        batch = pa.RecordBatch.from_pydict(detector)
        columns = {name: str(column.dtype) for name, column in detector.items()}
        _detector_schema(columns)
        return {**write_batch(self._work / DETECTOR, batch), "modules": batch.num_rows, "columns": columns}

    def _rename(self) -> None:
        if not self.path.exists():
            self._work.rename(self.path)
            return
        aside = self._work.with_name(f"{self._work.name}.old")
        self.path.rename(aside)
        try:
            self._work.rename(self.path)
        except BaseException:
            aside.rename(self.path)
            raise
        shutil.rmtree(aside)

    def _failed(self, error: OSError) -> OSError:
        text = f"{error.strerror or error}: the store was not written and nothing of it is left"
        return OSError(error.errno, text, str(self.path))


class Store:
    """A store opened for reading. Safe to share with DataLoader workers: it pickles as its path, files open lazily.

    Opening checks version, manifest, index and the size of every shard; the sha256 of a shard is checked when it is
    first touched in a process. Damage raises ValueError naming the file.

    len() events; ``event_ids``, ``sizes`` (points), ``particles`` [events] int64; ``schema``; ``geometry``, ``phase``,
    ``source`` as written; ``checksum`` names the whole content.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path = path
        self.schema = Schema.from_json(about["columns"])
        self.checksum = checksum(path / manifest.NAME)
        self.geometry: str | None = about["geometry"]
        self.phase: int | None = about["phase"]
        self.source: dict[str, Any] = about["source"]
        self._files: dict[str, dict[str, Any]] = about["files"]
        self._detector: dict[str, Any] | None = about.get("detector")
        self._modules = None if self._detector is None else _detector_schema(self._detector["columns"])
        self._arrow = arrow_schema(self.schema)
        self._open: OrderedDict[int, pa.RecordBatch] = OrderedDict()
        self._verified: set[int] = set()
        self._load_index(about["events"])

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """Open a store. FileNotFoundError where there is none; ValueError where it is damaged or of another version."""
        path = Path(path).absolute()
        if not path.exists():
            raise FileNotFoundError(f"{path}: no store there; make one with: pcloud prepare")
        about = manifest.read(path)
        try:
            return cls(path, about)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path / manifest.NAME}: not as pcloud writes it; prepare the store again") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.path, self.checksum)

    def __len__(self) -> int:
        return len(self.event_ids)

    def read(self, i: int, truth: bool = True) -> Event:
        """Event number ``i`` (negative counts from the end) as owned, writable copies; without ``truth`` the inputs."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.path}: event number {i} came, the store has {len(self)}")
        i %= len(self)
        number = int(self._shard_of[i])
        row = i - int(self._first[number])
        scopes = [scope for scope in SCOPES if truth or scope not in TRUTH]
        return unpack(self._shard(number), row, int(self.event_ids[i]), scopes)

    def read_many(self, indices: Sequence[int] | np.ndarray, truth: bool = True, point: Collection[str] | None = None) -> Block:
        """These events, in the order given, as owned columns laid end to end; of the point columns those named, if any are."""
        places = np.asarray(indices, np.int64).reshape(-1)
        if places.size and not (-len(self) <= places.min() and places.max() < len(self)):
            raise IndexError(f"{self.path}: event numbers {places.min()} to {places.max()} came, the store has {len(self)}")
        places = places % max(len(self), 1)
        rows = {"point": self.sizes[places], "particle": self.particles[places]}
        rows |= {"point_truth": rows["point"], "event": np.ones_like(places), "event_truth": np.ones_like(places)}
        columns: dict[str, dict[str, np.ndarray]] = {}
        for scope in SCOPES:
            if truth or scope not in TRUTH:
                wanted = [c for c in self.schema.of(scope) if scope != "point" or point is None or c.name in point]
                columns[scope] = {c.name: np.empty(rows[scope].sum(), c.dtype) for c in wanted}
        owner = self._shard_of[places]
        for number in np.unique(owner).tolist():
            here, batch = np.flatnonzero(owner == number), self._shard(number)
            for scope, into in columns.items():
                if into:
                    ends = np.cumsum(rows[scope])
                    target = ranges((ends - rows[scope])[here], ends[here])
                    for name, values in unpack_many(batch, places[here] - self._first[number], scope, into).items():
                        into[name][target] = values
        return Block(rows["point"], rows["particle"] if truth else np.zeros_like(places), **columns)

    def detector(self) -> dict[str, np.ndarray] | None:
        """The table of modules that the store was written with, as owned columns; None where it came without."""
        if self._detector is None:
            return None
        path = self.path / DETECTOR
        check_file(path, self._detector)
        batch = open_batch(path, self._modules, self._detector["modules"])
        return {name: np.array(batch.column(name)) for name in batch.schema.names}

    def verify(self) -> None:
        """Check the sha256 of every shard, and of the detector, now. ValueError naming the first damaged file."""
        self.detector()
        for number in range(len(self._first) - 1):
            self._shard(number)

    def _load_index(self, events: int) -> None:
        path = self.path / INDEX
        check_file(path, self._files[INDEX])
        index = open_batch(path, _INDEX, events)
        self.event_ids, self.sizes, self.particles, self._shard_of = (np.array(column) for column in index.columns)
        shards = len(self._files) - 1
        ranks = np.unique(self._shard_of, return_inverse=True)[1]
        ordered = np.array_equal(np.sort(ranks), self._shard_of) and ranks.max(initial=-1) == shards - 1
        if not ordered or min(self.sizes.min(initial=0), self.particles.min(initial=0)) < 0:
            raise ValueError(f"{path}: counts or shards are not as pcloud writes them; prepare the store again")
        self._first = np.searchsorted(self._shard_of, np.arange(shards + 1))
        for number in range(shards):
            name, mine = _shard_name(number), self._rows(number)
            check_file(self.path / name, self._files[name], content=False)
            least = _least_bytes(self.schema, int(self.sizes[mine].sum()), int(self.particles[mine].sum()))
            if least > self._files[name]["bytes"]:
                raise ValueError(f"{self.path / name}: too short for the events it names; prepare the store again")

    def _rows(self, shard: int) -> slice:
        return slice(int(self._first[shard]), int(self._first[shard + 1]))

    def _shard(self, number: int) -> pa.RecordBatch:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        path, mine = self.path / _shard_name(number), self._rows(number)
        check_file(path, self._files[path.name], content=number not in self._verified)
        batch = open_batch(path, self._arrow, mine.stop - mine.start)
        for scope, rows in (("point", self.sizes), ("point_truth", self.sizes), ("particle", self.particles)):
            if scope in batch.schema.names and not np.array_equal(np.diff(batch.column(scope).offsets), rows[mine]):
                raise ValueError(f"{path}: its {scope} rows are not those of the index; prepare the store again")
        self._verified.add(number)
        self._open[number] = batch
        if len(self._open) > _OPEN_SHARDS:
            self._open.popitem(last=False)
        return batch


def _detector_schema(columns: dict[str, str]) -> pa.Schema:
    """Of the file of modules, from names and types. ValueError for another type than int64 and float64."""
    for name, kind in columns.items():
        if kind not in ("int64", "float64"):
            raise ValueError(f"detector column {name!r} is {kind}, expected int64 or float64")
    return pa.schema([pa.field(name, pa.from_numpy_dtype(np.dtype(kind))) for name, kind in columns.items()])


def _reopen(path: Path, expected: str) -> Store:
    store = Store.open(path)
    if store.checksum != expected:
        raise ValueError(f"{path}: the store was replaced while it was in use; open it again")
    return store


def _least_bytes(schema: Schema, points: int, particles: int) -> int:
    """Bytes these rows take uncompressed: no header can promise more rows than its file has bytes for."""

    def width(*scopes: str) -> float:
        return sum(1 / 8 if c.dtype == "bool" else np.dtype(c.dtype).itemsize for s in scopes for c in schema.of(s))

    return int(points * width("point", "point_truth") + particles * width("particle"))
