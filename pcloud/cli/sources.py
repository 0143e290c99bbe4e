"""Events from outside: readers and generators, found by entry point, because pcloud knows none of them by import.

``prepare(source, store)`` and ``simulate(folder, ...)`` run one; ``Input.open(path)`` reads a store or raw events alike.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcloud import config

if TYPE_CHECKING:
    from pcloud.data.event import Event
    from pcloud.data.store import Store
    from pcloud.tracking.detector import Table

Progress = Callable[[int, int], None]


def prepare(
    source: str | Path,
    store: str | Path,
    *,
    kind: str = "trackml",
    workers: int = 1,
    events: Sequence[int] | None = None,
    detectors: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Store:
    """Read raw events (a folder, a zip, or a prefix such as ``FOLDER/event000001000``) into a store and open it.

    ``kind`` is an entry point of the group pcloud.sources. ``options`` go to it as they are, those that are None left out; of
    jets: most, objects, collection, columns, classes. On any failure no store is left.
    """
    run = reader(kind).prepare
    given = {name: value for name, value in options.items() if value is not None}
    known = signature(run).parameters
    if not any(one.kind is one.VAR_KEYWORD for one in known.values()):
        for name in given:
            if name not in known:
                raise ValueError(f"option {name} came, which events of the kind {kind} know nothing of; leave it out")
    made: Store = run(
        source, store, workers=workers, events=events, detectors=detectors, overwrite=overwrite, progress=progress, **given
    )
    return made


def simulate(
    out: str | Path,
    *,
    events: int,
    seed: int,
    workers: int = 1,
    kind: str = "trackml",
    progress: Progress | None = None,
    **options: Any,
) -> list[Path]:
    """Write synthetic events and return their files, of trackml those of the hits; the same seed gives the same events.

    ``kind``: an entry point of the group pcloud.generators. ``options`` go to it as they are, those that are None left out;
    of trackml: preset, pileup, phase, generator, engine, detectors, first_event, store (see data_prep.simulate.simulate); of
    top-tagging and quark-gluon, which write stores of jets, and top-pairs, of whole events: process, pt, eta, radius, generator
    (data_prep.generate.generate).
    """
    given = {name: value for name, value in options.items() if value is not None}
    generator = config.find("generator", kind, {}, "generator")
    known = inspect.signature(generator).parameters
    if odd := [name for name in given if name not in known and all(one.kind is not one.VAR_KEYWORD for one in known.values())]:
        raise ValueError(f"{odd[0]}: the generator {kind} takes no such option")
    made: list[Path] = generator(out, events=events, seed=seed, workers=workers, progress=progress, **given)
    return made


@dataclass(frozen=True)
class Input:
    """Events to work on. ``ids`` in order; ``geometry`` None where the detector is not known; ``store`` None for raw events.

    ``detector``: its table of modules, where it is at hand. ``notes``: what must stand beside figures of these events.

    ``read(event_id, truth)`` gives one Event; without truth neither truth nor particle files are opened.
    """

    path: Path
    ids: tuple[int, ...]
    geometry: str | None
    store: Store | None
    read: Callable[[int, bool], Event]
    detector: Table | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: str | Path, *, detectors: str | Path | None = None, kind: str | None = None) -> Input:
        """A store, or what the source ``kind`` reads (`kind_of`, if None). FileNotFoundError or ValueError of one line."""
        path = Path(path)
        if is_store(path):
            return cls._stored(path, detectors)
        return cls._raw(path, detectors, kind or kind_of(path))

    @classmethod
    def _stored(cls, path: Path, detectors: str | Path | None) -> Input:
        from pcloud.data.store import Store
        from pcloud.tracking.detector import COLUMNS, geometry_hash, read_detectors, trackml_detector

        store = Store.open(path)
        table = read_detectors(detectors) if detectors is not None else store.detector() or trackml_detector()
        if lack := [name for name in COLUMNS if name not in table]:
            raise ValueError(
                f"{path}: its table of modules lacks {lack[0]}; prepare it again, or name a table with --detectors F"
            )
        same = store.geometry == geometry_hash(table)
        if detectors is not None and store.geometry is not None and not same:
            raise ValueError(f"{detectors}: another detector than the one that {path} was made in")
        ids = tuple(int(one) for one in store.event_ids)
        place = {event_id: number for number, event_id in enumerate(ids)}
        known = table if same or detectors is not None else None
        notes = tuple(map(str, store.source.get("notes", ())))

        def read(event_id: int, truth: bool) -> Event:
            return store.read(place[event_id], truth=truth)

        return cls(path, ids, store.geometry, store, read, known, notes)

    @classmethod
    def _raw(cls, path: Path, detectors: str | Path | None, kind: str) -> Input:
        from pcloud.tracking.detector import geometry_hash

        source = reader(kind)
        ids = tuple(source.list_events(path))
        table = source.read_detectors(path, detectors)

        def read(event_id: int, truth: bool) -> Event:
            event: Event = source.open_event(path, event_id, truth=truth, detectors=detectors)
            return event

        notes = source.notes(path, detectors) if hasattr(source, "notes") else ()
        return cls(path, ids, None if table is None else geometry_hash(table), None, read, table, notes)

    def chosen(self, events: Sequence[int] | None) -> tuple[int, ...]:
        """The ids asked for (all, if None), each checked to be there."""
        for one in events or ():
            if one not in self.ids:
                some = ", ".join(map(str, self.ids[:5])) + (", ..." if len(self.ids) > 5 else "")
                raise ValueError(f"{self.path}: event {one} came, expected one of the {len(self.ids)} there: {some}")
        return self.ids if events is None else tuple(dict.fromkeys(events))


def read(path: str | Path, event_id: int | None = None, *, truth: bool = True, kind: str | None = None) -> Event:
    """One event of a store or of raw files; ``event_id`` may be left out where there is only one.

    Without ``truth`` neither truth nor particle files are opened. Raises FileNotFoundError or ValueError of one line.
    """
    source = Input.open(path, kind=kind)
    if event_id is None and len(source.ids) != 1:
        raise ValueError(f"{path}: {len(source.ids)} events are there; say which, by event_id")
    return source.read(source.chosen(None if event_id is None else [event_id])[0], truth)


def is_store(path: Path) -> bool:
    from pcloud.data import manifest

    return (path / manifest.NAME).is_file()


def kind_of(path: str | Path) -> str:
    """The source that recognises the files there; trackml where none does, whose reader then says what it misses.

    trackml is asked first: other sources are not even loaded for its events.
    """
    for kind in sorted(config.names("source", {}), key=lambda name: name != "trackml"):
        try:
            recognises = getattr(reader(kind), "recognises", None)
        except ImportError:  # of somebody else's source, which need not load for other events
            continue
        if recognises is not None and recognises(path):
            return kind
    return "trackml"


def reader(kind: str) -> Any:
    """The module or object of a source: beside ``prepare`` it has list_events, read_event, open_event and read_detectors.

    Its entry point names the object, or the module's function ``prepare``.
    It may have ``recognises(path)``, True where its files lie, and ``notes(path, detectors)``, lines to print beside figures.
    """
    found = config.find("source", kind, {}, "source")
    return found if hasattr(found, "prepare") else sys.modules[found.__module__]
