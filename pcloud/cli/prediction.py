"""``pcloud predict``: from events without truth to a submission file, with the time of every stage.

``predict("tracks", "event_folder", "submission.csv")`` returns what was done as a ``Prediction``.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pcloud import scorer
from pcloud.cli.inference import check_input, clock, infer, machine, origin, peak_memory
from pcloud.cli.sources import Input, Progress, is_store
from pcloud.pretrained import load
from pcloud.pretrained.files import write
from pcloud.tasks import Rows, concatenate
from pcloud.tasks.hit_rows import alone

_INPUT_FILE = re.compile(
    r"(event\d+-(hits|cells|particles.*|truth|partial_truth.*|measurement.*)|detectors)\.csv(\.gz)?|event_\d+\.json(\.gz)?"
)


@dataclass(frozen=True)
class Prediction:
    """What a prediction made, and at what cost.

    events: points of each. candidates: how many of at least 2, 3, ... hits are in ``sizes`` (hits -> candidates).
    seconds: read, network, linking and write, over all events; starting up is not in them. peak_bytes: largest memory of
    the process. notes: what a reader of the figures must know.
    """

    out: str
    model: dict[str, Any]
    events: dict[int, int]
    sizes: dict[int, int]
    seconds: dict[str, float]
    peak_bytes: int
    device: str
    notes: list[str]


def predict(
    model: str | Path,
    input: str | Path,  # noqa: A002 - the word of the command line
    out: str | Path,
    *,
    events: Sequence[int] | None = None,
    device: str = "auto",
    detectors: str | Path | None = None,
    allow_geometry: bool = False,
    report: str | Path | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Find tracks in a store or in raw events and write a submission (csv or csv.gz) with every hit once.

    Of a model that tags or rebuilds, the csv has a row per event: event_id, jet_pt, jet_mass where known, p_CLASS or scores.
    Truth and particle files are never opened. A hit in no candidate gets a track id of its own. ``report``: also write the
    Prediction as JSON. Raises ValueError or FileNotFoundError of one line, and leaves no half-written file.
    """
    _check_targets([Path(target) for target in (out, report) if target is not None], Path(input), detectors)
    chosen = load(model, device)
    source = Input.open(input, detectors=detectors)
    notes = check_input(chosen, source, allow_geometry)
    ids = source.chosen(events)
    seconds = dict.fromkeys(("read", "network", "linking", "write"), 0.0)
    parts: list[Rows] = []
    hits: dict[int, int] = {}
    for done, event_id in enumerate(ids, start=1):
        with clock(seconds, "read"):
            event = source.read(event_id, False)
        hits[event_id] = event.points
        parts.append(_told(chosen.name, infer(chosen, event, False, seconds)))
        if progress is not None:
            progress(done, len(ids))
    with clock(seconds, "write"):
        _write(Path(out), parts)
    made = Prediction(
        out=str(out),
        model=origin(chosen),
        events=hits,
        sizes=_sizes(parts),
        seconds=seconds,
        peak_bytes=peak_memory(),
        device=machine(chosen.device),
        notes=notes,
    )
    if report is not None:
        write(Path(report), (json.dumps(asdict(made), indent=1) + "\n").encode())
    return made


def _check_targets(targets: list[Path], source: Path, detectors: str | Path | None) -> None:
    """Nothing is written over what is read, nor twice, nor where a folder stands."""
    given = [Path(one).resolve() for one in (source, detectors) if one is not None]
    for target in targets:
        if not target.absolute().parent.is_dir():
            raise FileNotFoundError(f"{target}: its folder does not exist; make it or choose another path")
        real = target.resolve()
        if target.is_dir() and real not in given:
            raise ValueError(f"{target}: is a folder; a file is expected, such as {target / 'submission.csv'}")
        beside = real.parent in (given[0], given[0].parent) and _INPUT_FILE.fullmatch(real.name)
        if real in given or beside or (is_store(source) and given[0] in real.parents):
            raise ValueError(f"{target}: belongs to the input {source}; choose another path")
    if len({target.resolve() for target in targets}) < len(targets):
        raise ValueError(f"{targets[0]}: named for the submission and for the report; give each a path of its own")


def _told(name: str, rows: Rows) -> Rows:
    """What is written of an event: of a track finder its hits' tracks, of all others their rows."""
    columns = ("event_id", "hit_id", "track_id")
    if any(column.startswith("p_") or column == "score" for column in rows):
        return rows
    if lack := [column for column in columns if column not in rows]:
        raise ValueError(f"model {name} finds no tracks and tags nothing (its rows lack {lack[0]}); use another model")
    return {column: rows[column] for column in columns}


def _write(out: Path, parts: list[Rows]) -> None:
    """A submission of every hit once; of a tagger or an autoencoder a row per event."""
    if parts and "track_id" not in parts[0]:
        table = pd.DataFrame(concatenate(parts))
        raw = table.to_csv(index=False).encode()
        write(out, gzip.compress(raw, mtime=0) if out.suffix == ".gz" else raw)
        return
    rows = concatenate([{**part, "track_id": alone(part["track_id"])} for part in parts])
    scorer.write_submission(out, rows["event_id"], rows["hit_id"], rows["track_id"])


def _sizes(parts: list[Rows]) -> dict[int, int]:
    """Hits of a candidate -> how many candidates have so many."""
    held = [np.bincount(part["track_id"][part["track_id"] >= 0]) for part in parts if "track_id" in part]
    hits, count = np.unique(np.concatenate(held or [np.zeros(0, np.int64)]), return_counts=True)
    return {int(one): int(many) for one, many in zip(hits, count, strict=True) if one > 0}
