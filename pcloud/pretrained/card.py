"""The card of a model: everything needed to build it again, to feed it rightly and to judge its figures.

``Card.read(path)`` checks a card before anything is built from it; ``fingerprint(event, pos)`` knows an event again.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

if TYPE_CHECKING:
    from pcloud.data.event import Event

FORMAT = "pcloud model"
VERSION = 1
MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Training:
    """Where the weights come from. ``events`` and ``fingerprints`` are blank-separated, in the same order.

    seconds: wall time of training. source: what the store says of itself (kind, "synthetic" ...). cuts: on which events the
    task's thresholds were chosen.
    """

    steps: int = 0
    seed: int = 0
    seconds: float = 0.0
    source: dict[str, Any] = field(default_factory=dict)
    events: str = ""
    fingerprints: str = ""
    cuts: str = "defaults of the task"

    def knows(self) -> frozenset[str]:
        """Fingerprints of the events trained on."""
        return frozenset(self.fingerprints.split())


@dataclass(frozen=True)
class Card:
    """The content of ``model.json``.

    task, encoder   name and options of each, as in a configuration
    pos, feat       the point columns read, in order; ``units`` of each ("" = none)
    geometry        hash of the detector (``pcloud.tracking.detector.geometry_hash``), None where the store has none
    schema          version of the store schema
    figures         what training measured last on its held-out events
    sha256          of the weights file, filled in by ``save``
    """

    task: dict[str, Any]
    encoder: dict[str, Any]
    pos: list[str]
    feat: list[str]
    units: dict[str, str]
    geometry: str | None
    schema: int
    pcloud: str
    commit: str | None
    training: Training = field(default_factory=Training)
    figures: dict[str, float] = field(default_factory=dict)
    sha256: str = ""

    def to_json(self) -> str:
        figures = {name: value for name, value in self.figures.items() if math.isfinite(value)}  # JSON has no nan
        whole = {"format": FORMAT, "version": VERSION, **asdict(self), "figures": figures}
        return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Card:
        """ValueError with one line where the file is no card of this version; every key and its type are checked."""
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path}: {path.stat().st_size} bytes came, a card of at most {MAX_BYTES} expected")
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not JSON ({error}); fetch or write the model again") from None
        if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
            raise ValueError(f"{path}: not the card of a model that pcloud wrote")
        if (version := raw.pop("version", None)) != VERSION:
            raise ValueError(f"{path}: card version {version!r} came, this pcloud reads {VERSION}")
        made = _typed(cls, {**raw, "training": _typed(Training, raw.get("training"), path)}, path)
        assert isinstance(made, Card)
        return made


def _typed(kind: type, raw: Any, path: Path) -> Any:
    """``raw`` as this dataclass: all of its keys, no other, and each of its type."""
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: {kind.__name__.lower()}: {raw!r:.60} came, keys and values expected")
    known = [one.name for one in fields(kind)]
    for key in sorted(raw.keys() ^ set(known)):
        raise ValueError(f"{path}: key {key}: {'unknown' if key in raw else 'missing'}; a card has {', '.join(known)}")
    for key, hint in get_type_hints(kind).items():
        if not _fits(raw[key], hint):
            raise ValueError(f"{path}: key {key}: {raw[key]!r:.60} came, {getattr(hint, '__name__', hint)} expected")
    return kind(**raw)


def _fits(value: Any, hint: Any) -> bool:
    inner: Any = getattr(hint, "__args__", ())
    if getattr(hint, "__origin__", None) is list:
        return isinstance(value, list) and all(_fits(one, inner[0]) for one in value)
    if getattr(hint, "__origin__", None) is dict:
        return isinstance(value, dict) and all(_fits(one, inner[1]) for one in value.values())
    if inner:
        return any(_fits(value, one) for one in inner)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return hint is Any or (isinstance(value, hint) and (hint is not int or not isinstance(value, bool)))


def fingerprint(event: Event, pos: list[str] | tuple[str, ...]) -> str:
    """16 hexadecimal digits that name an event by where its points lie: the same when rows or ids are shuffled."""
    rows = np.stack([np.asarray(event.point[name], dtype="<f4") for name in pos], axis=1)
    rows = rows[np.lexsort(rows.T)]
    return hashlib.sha256(rows.tobytes()).hexdigest()[:16]
