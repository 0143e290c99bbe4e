"""What every reader of jet files has in common: files of a folder, blocks of jets, checks, one store, one event.

A reader says how one file is opened: ``SOURCE = JetSource("jetnet", open_file, (".hdf5",))`` is what its entry point names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from data_prep.columns import damage
from data_prep.jets import MOMENTUM, Jets, events, write_store
from pcloud import farm
from pcloud.data.event import Event
from pcloud.data.store import Store

PathLike = str | os.PathLike[str]

SPREAD = 1000  # the id of jet j of event e of a file is SPREAD * e + j
LARGEST = 1e9  # GeV, mm: far beyond any jet, yet squares are exact enough
FILES_KEPT = 2


class JetFile(Protocol):
    """One open file. ``entries``: rows of it, each a jet or an event of some. ``block``: how many are read at once.

    classes   names of the labels in their order; None where the file knows no truth
    notes     what must stand beside figures of these jets
    """

    @property
    def entries(self) -> int: ...
    @property
    def block(self) -> int: ...
    @property
    def classes(self) -> tuple[str, ...] | None: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def counts(self) -> np.ndarray | None:
        """Jets of each entry [entries]; None: each entry is one."""

    def read(self, start: int, stop: int) -> Jets:
        """The jets of some entries; ``event_id`` as `ids` makes them."""


def ids(first: int, counts: np.ndarray) -> np.ndarray:
    """Ids of the jets of entries first, first + 1, ...: SPREAD times the entry, and the jet's place in it."""
    entry = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(entry)) - np.repeat(np.cumsum(counts) - counts, counts)
    made: np.ndarray = (first + entry) * SPREAD + place
    return made


@dataclass(frozen=True)
class Block:
    """Some entries of one file, of which the first has the number ``before`` among those of all files."""

    path: Path
    start: int
    stop: int
    before: int

    def __str__(self) -> str:
        return f"entries {self.start} to {self.stop - 1}"


@dataclass(frozen=True)
class JetSource:
    """A reader: ``open_file(path, **options)`` of files with one of these ``endings``; ``options``: what it may be asked.

    ``known_by_looks``: files of this kind tell themselves from others.
    """

    name: str
    open_file: Callable[..., JetFile]
    endings: tuple[str, ...]
    options: tuple[str, ...] = ()
    known_by_looks: bool = True

    def recognises(self, source: PathLike) -> bool:
        """Whether such a file lies there."""
        try:
            return self.known_by_looks and self._opened(self._files(source)[0], {}).entries >= 0
        except (ValueError, OSError):
            return False

    def list_events(self, source: PathLike, **options: Any) -> list[int]:
        """Ids of the jets, in order."""
        found: list[int] = []
        for _, before, file in self._all(source, options):
            counts = file.counts()
            if counts is None:
                found.extend(range(before, before + file.entries))
            else:
                found.extend(ids(before, counts).tolist())
        return found

    def open_event(
        self,
        source: PathLike,
        event_id: int | None = None,
        *,
        truth: bool = True,
        detectors: PathLike | None = None,
        **options: Any,
    ) -> Event:
        """One jet as an Event: the same columns as the store made from these files gives."""
        self._no_detectors(detectors)
        if event_id is None:
            known = self.list_events(source, **options)
            if len(known) != 1:
                raise ValueError(f"{source}: {len(known)} jets are there; say which, by event_id")
            event_id = known[0]
        most = options.pop("most", None)
        for path, before, file in self._all(source, options):
            entry = (event_id if file.counts() is None else event_id // SPREAD) - before
            if 0 <= entry < file.entries:
                start = entry - entry % file.block
                block = Block(path, start, min(start + file.block, file.entries), before)
                jets = self._cached(block, truth, options)
                mine = np.flatnonzero(jets.event_id == event_id)
                if len(mine):
                    return next(events(jets.take(mine), most))
        raise ValueError(f"{source}: event {event_id} came, expected one that is there: pcloud inspect lists them")

    def read_event(
        self, source: PathLike, event_id: int | None = None, truth: bool = True, **options: Any
    ) -> dict[str, pd.DataFrame]:
        """The tables constituents and jet of one jet."""
        event = self.open_event(source, event_id, truth=truth, **options)
        return {"constituents": pd.DataFrame(event.point), "jet": pd.DataFrame({**event.event, **event.event_truth})}

    def read_detectors(self, source: PathLike, detectors: PathLike | None = None) -> None:
        """None: jets know no table of modules."""
        self._no_detectors(detectors)

    def notes(self, source: PathLike, detectors: PathLike | None = None, **options: Any) -> tuple[str, ...]:
        """What must stand beside figures of these jets."""
        return tuple(dict.fromkeys(note for _, _, file in self._all(source, options) for note in file.notes))

    def prepare(
        self,
        source: PathLike,
        store: PathLike,
        *,
        workers: int = 1,
        events: Sequence[int] | None = None,
        detectors: PathLike | None = None,
        truth: bool = True,
        most: int | None = None,
        overwrite: bool = False,
        progress: farm.Progress | None = None,
        **options: Any,
    ) -> Store:
        """Write the jets of a file, or of all files of a folder, to a store and open it.

        ``events``: ids (all, if None). ``most``: constituents kept of a jet, the hardest. ``workers`` processes read and check
        the files. ``progress(done, total)`` counts entries. On any error, Ctrl-C or full disk no store is left; start again.
        """
        self._no_detectors(detectors)
        if most is not None and most < 1:
            raise ValueError(f"most: {most} came, expected at least 1 constituent to keep")
        files = list(self._all(source, options))
        classes = {file.classes for _, _, file in files}
        if len(classes) > 1:
            raise ValueError(f"{source}: its files name different classes; prepare them one by one")
        blocks = [block for path, before, file in files for block in self._blocks(path, before, file, events)]
        about = {"name": self.name, "from": Path(source).absolute().name, "truth": truth, **_words(options)}
        about["classes"] = list(files[0][2].classes or ()) if truth else []
        about["notes"] = list(self.notes(source, **options))
        read = farm.run(partial(self._read, truth=truth, options=options, events=events), blocks, workers=workers)
        jets = _all_of(source, _counted(read, blocks, progress), events)
        try:
            return write_store(store, jets, source=about, most=most, overwrite=overwrite)
        finally:
            _open.cache_clear()  # no file stays open, and locked, behind our back

    def _files(self, source: PathLike) -> list[Path]:
        path = Path(source)
        if path.is_dir():
            found = [path / name for name in sorted(os.listdir(path)) if name.endswith(self.endings)]
            if not found:
                raise ValueError(f"{path}: no file of {self.name} there; expected names that end in {' or '.join(self.endings)}")
            return found
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no file and no folder there")
        if not path.name.endswith(self.endings):
            raise ValueError(f"{path}: no file of {self.name}; expected a name that ends in {' or '.join(self.endings)}")
        return [path]

    def _all(self, source: PathLike, options: dict[str, Any]) -> Iterator[tuple[Path, int, JetFile]]:
        """Each file, how many entries the files before it have, and itself opened."""
        before = 0
        for path in self._files(source):
            file = self._opened(path, options)
            yield path, before, file
            before += file.entries

    def _opened(self, path: Path, options: dict[str, Any]) -> JetFile:
        given = {name: _hashable(value) for name, value in options.items() if value is not None}
        for name in given:
            if name not in self.options:
                raise ValueError(f"{self.name}: option {name} came, expected {' or '.join(self.options) or 'none'}")
        return _open(self, path, path.stat().st_mtime_ns, tuple(sorted(given.items())))

    def _blocks(self, path: Path, before: int, file: JetFile, events: Sequence[int] | None) -> Iterator[Block]:
        each = 1 if file.counts() is None else SPREAD
        wanted = None if events is None else {(one // each - before) // file.block for one in events}
        for number in range(-(-file.entries // file.block)):
            if wanted is None or number in wanted:
                yield Block(path, number * file.block, min((number + 1) * file.block, file.entries), before)

    def _read(self, block: Block, truth: bool, options: dict[str, Any], events: Sequence[int] | None = None) -> Jets:
        file = self._opened(block.path, options)
        with damage(block.path):
            jets = file.read(block.start, block.stop)
        each = 1 if file.counts() is None else SPREAD
        if wrong := _wrong(jets, file.classes):
            raise ValueError(f"{block.path}: {wrong}")
        if not truth:
            jets.label, jets.weight, jets.truth = None, None, {}
        jets.event_id = jets.event_id + each * block.before
        return jets if events is None else jets.take(np.flatnonzero(np.isin(jets.event_id, events)))

    def _cached(self, block: Block, truth: bool, options: dict[str, Any]) -> Jets:
        given = tuple(sorted((name, _hashable(value)) for name, value in options.items()))
        return _block(self, block, block.path.stat().st_mtime_ns, truth, given)

    def _no_detectors(self, detectors: PathLike | None) -> None:
        if detectors is not None:
            raise ValueError(f"{detectors}: jets have no table of modules; leave --detectors out")


@lru_cache(maxsize=FILES_KEPT)
def _open(source: JetSource, path: Path, changed: int, options: tuple[tuple[str, Any], ...]) -> JetFile:
    """Kept open, since headers of large files take long; ``changed`` tells a file replaced meanwhile."""
    return source.open_file(path, **dict(options))


@lru_cache(maxsize=2)
def _block(source: JetSource, block: Block, changed: int, truth: bool, options: tuple[tuple[str, Any], ...]) -> Jets:
    (jets,) = farm.run(partial(source._read, truth=truth, options=dict(options)), [block])
    return jets


def _hashable(value: Any) -> Any:
    """Options as a cache can keep them: a mapping as its pairs, a list as a tuple."""
    if isinstance(value, dict):
        return tuple(sorted(value.items()))
    return tuple(value) if isinstance(value, list) else value


def _words(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _counted(read: Iterator[Jets], blocks: list[Block], progress: farm.Progress | None) -> Iterator[Jets]:
    done, total = 0, sum(block.stop - block.start for block in blocks)
    for block, jets in zip(blocks, read, strict=True):
        done += block.stop - block.start
        if progress is not None:
            progress(done, total)
        yield jets


def _all_of(source: PathLike, blocks: Iterator[Jets], events: Sequence[int] | None) -> Iterator[Jets]:
    """The same blocks; at the end ValueError where an event asked for never came."""
    missing = set(events or ())
    for jets in blocks:
        missing -= set(jets.event_id.tolist())
        yield jets
    if missing:
        raise ValueError(f"{source}: event {min(missing)} came, expected one that is there: pcloud inspect lists them")


def _wrong(jets: Jets, classes: tuple[str, ...] | None) -> str | None:
    """What no jet can have, and the first jet that has it."""
    owner = np.repeat(jets.event_id, np.diff(jets.offsets))
    momenta = dict(zip(MOMENTUM, jets.p4.T, strict=True))
    for name, column in (momenta | jets.point).items():
        wrong = ~(np.abs(column.astype(np.float64)) < LARGEST)
        if wrong.any():
            row = int(wrong.argmax())
            return f"jet {owner[row]}: {name} is {column[row]}, expected a finite number below {LARGEST:g}"
    whole = {"weight": jets.weight, **jets.event, **jets.truth}
    if jets.axis is not None:
        whole |= {f"jet's {name}": jets.axis[:, i] for i, name in enumerate(MOMENTUM)}
    for name, values in whole.items():
        if values is not None and not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            return f"jet {jets.event_id[row]}: {name} is {values[row]}, expected a finite number"
    if jets.label is not None:
        wrong = (jets.label < 0) | (jets.label >= len(classes or ()))
        if wrong.any():
            row = int(wrong.argmax())
            return f"jet {jets.event_id[row]}: label {jets.label[row]} came, expected 0 to {len(classes or ()) - 1}"
    return None
