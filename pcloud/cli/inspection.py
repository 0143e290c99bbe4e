"""``pcloud inspect``: what is this path? A store, a run, a model or raw events, told without torch.

``inspect("store")`` returns a dict whose ``kind`` says what it is.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pcloud import config
from pcloud.cli.sources import is_store, kind_of, reader
from pcloud.pretrained.card import Card
from pcloud.pretrained.files import find, sha256, shipped

Facts = dict[str, Any]


def inspect(path: str | Path) -> Facts:
    """Facts on a store, a run folder, a model or raw events. FileNotFoundError or ValueError where it is none of them."""
    place = Path(path)
    kinds: list[tuple[bool, Callable[[], Facts]]] = [
        (str(path) in shipped(), lambda: _model(path)),
        (is_store(place), lambda: _store(place)),
        ((place / "config.yaml").is_file(), lambda: _run(place)),
        ((place / "model.json").is_file(), lambda: _model(path)),
    ]
    for fits, facts in kinds:
        if fits:
            return facts()
    return _raw(place)


def read_split(path: Path) -> dict[str, list[int]]:
    """The event ids of each part, as training wrote them into split.json. ValueError naming the file if it is damaged."""
    try:
        parts = json.loads(path.read_text())
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: not JSON; the run's record of its events is damaged: train again") from None
    lists = isinstance(parts, dict) and all(isinstance(ids, list) for ids in parts.values())
    if not lists or not all(type(one) is int for ids in parts.values() for one in ids):
        raise ValueError(f'{path}: expected lists of event ids by part, such as {{"validation": [1000]}}; train again')
    return {str(name): ids for name, ids in parts.items()}


def _store(path: Path) -> Facts:
    from pcloud.data.schema import SCOPES
    from pcloud.data.store import Store

    store = Store.open(path)
    store.verify()
    return {
        "kind": "store",
        "path": str(path),
        "events": len(store),
        "points": int(store.sizes.sum()),
        "largest event": int(store.sizes.max(initial=0)),
        "particles": int(store.particles.sum()),
        "event ids": _some(store.event_ids.tolist()),
        "source": store.source,
        "phase": store.phase,
        "geometry": store.geometry,
        "columns": {
            scope: [
                {
                    "name": one.name,
                    "dtype": one.dtype,
                    "unit": one.unit,
                    "mean": one.mean,
                    "width": one.width,
                    "what": one.description,
                }
                for one in store.schema.of(scope)
            ]
            for scope in SCOPES
        },
    }


def _run(path: Path) -> Facts:
    steps = sorted((path / "checkpoints").glob("step-*.pt"))
    facts: Facts = {
        "kind": "run",
        "path": str(path),
        "config": config.load(path / "config.yaml"),
        "checkpoints": [one.stem for one in steps],
        "last figures": _last(path / "metrics.csv"),
    }
    if (path / "split.json").is_file():
        facts["events"] = {name: len(ids) for name, ids in read_split(path / "split.json").items()}
    finished = (path / "model.json").is_file()
    return {
        **facts,
        "model": _model(path) if finished else "none yet: go on with pcloud train CONFIG --run RUN --resume",
    }


def _model(path: str | Path) -> Facts:
    files = find(path)
    card = Card.read(files.card)
    training = card.training
    return {
        "kind": "model",
        "name": files.name,
        "task": card.task,
        "encoder": card.encoder,
        "inputs": {"pos": card.pos, "feat": card.feat, "units": card.units},
        "geometry": card.geometry,
        "trained": {
            "steps": training.steps,
            "seed": training.seed,
            "seconds": training.seconds,
            "events": len(training.knows()),
            "source": training.source,
            "cuts": training.cuts,
        },
        "figures": card.figures,
        "store schema": card.schema,
        "pcloud": card.pcloud,
        "commit": card.commit,
        "sha256": card.sha256,
        "weights": "as the card says" if sha256(files.weights) == card.sha256 else "NOT those of the card: damaged",
    }


def _raw(path: Path) -> Facts:
    kind = kind_of(path)
    source = reader(kind)
    try:
        ids = source.list_events(path)
    except ValueError as error:
        raise ValueError(f"{path}: neither a store, a run, a model nor raw events ({error})") from None
    tables = {
        name: {"rows": len(table), "columns": list(table.columns)} for name, table in source.read_event(path, ids[0]).items()
    }
    return {
        "kind": "raw events",
        "path": str(path),
        "source": kind,
        "events": len(ids),
        "event ids": _some(ids),
        "detectors": source.read_detectors(path) is not None,
        **({"notes": list(source.notes(path))} if hasattr(source, "notes") else {}),
        f"tables of event {ids[0]}": tables,
    }


def _some(ids: list[int]) -> str:
    words = ", ".join(map(str, ids[:8]))
    return words + (f", ... {ids[-1]}" if len(ids) > 8 else "")


def _last(metrics: Path) -> dict[str, str]:
    """The newest figure of each column of a run's log."""
    if not metrics.is_file():
        return {}
    with metrics.open(newline="") as file:
        return {name: value for row in csv.DictReader(file) for name, value in row.items() if value}
