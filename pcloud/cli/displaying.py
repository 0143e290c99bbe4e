"""``pcloud display``: one event with its hits, true tracks and found tracks, as a picture and as a 3-D page.

``display("FOLDER/event000001000", submission="submission.csv", out="shown")`` returns the files written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pcloud import scorer
from pcloud.cli.sources import Input
from pcloud.data.event import Event


def display(
    event: str | Path,
    *,
    event_id: int | None = None,
    submission: str | Path | None = None,
    truth: str | Path | None = None,
    out: str | Path = ".",
    html: bool = True,
    detectors: str | Path | None = None,
) -> list[Path]:
    """Draw an event of raw files or of a store into ``out``/event%09d.png and .html.

    ``event_id`` chooses where there are several. ``truth``: a csv, whole or partial, in place of what comes with the event.
    Raises ValueError or FileNotFoundError of one line.
    """
    from pcloud.plots.event_display import display as draw

    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; a folder is expected: name another with --out")
    if not folder.absolute().parent.is_dir():
        raise FileNotFoundError(f"{folder}: the folder above it does not exist; make it or choose another path")
    source = Input.open(event, detectors=detectors)
    if event_id is None and len(source.ids) > 1:
        raise ValueError(
            f"{event}: it holds {len(source.ids)} events; choose one with --event, such as {source.ids[0]}"
        )
    chosen = source.chosen([event_id] if event_id is not None else None)[0]
    read = source.read(chosen, truth is None)
    hits = pd.DataFrame(
        {name: read.point[name] for name in ("hit_id", "x", "y", "z", "volume_id", "layer_id") if name in read.point}
    )
    known = _truth_of(read) if truth is None else _truth_file(truth, event, hits["hit_id"].to_numpy())
    track = None if submission is None else _tracks(submission, chosen, hits)
    score = None
    if track is not None and known is not None and "weight" in known and known["weight"].sum() > 0:
        score = scorer.score_event(known, track)
    folder.mkdir(exist_ok=True)
    stem = folder / f"event{chosen:09d}"
    return draw(
        hits,
        track_id=None if track is None else track[["hit_id", "track_id"]],
        truth=None if known is None else known.drop(columns="weight", errors="ignore"),
        event_id=chosen,
        score=score,
        out_png=stem.with_suffix(".png"),
        out_html=stem.with_suffix(".html") if html else None,
    )


def _truth_of(event: Event) -> pd.DataFrame | None:
    if "particle" not in event.point_truth:
        return None
    names = np.append(event.particle["particle_id"], 0)
    columns: dict[str, Any] = {"hit_id": event.point["hit_id"], "particle_id": names[event.point_truth["particle"]]}
    return pd.DataFrame(columns | {"weight": event.point_truth["weight"]})


def _truth_file(path: str | Path, event: str | Path, hit_ids: NDArray[np.int64]) -> pd.DataFrame:
    """Whole or partial truth; ValueError unless it is of the event's hits (all of them, where it is whole)."""
    header = scorer.read_header(path)
    partial = "track_index" in header and "particle_id" not in header
    if partial:
        known = scorer.read_table(path, {"hit_id": int, "track_index": int}, unique="hit_id")
    else:
        known = scorer.read_truth(path)[["hit_id", "particle_id", "weight"]]
    labelled = known["hit_id"].to_numpy()
    if (stray := ~np.isin(labelled, hit_ids)).any():
        row = int(stray.argmax())
        place = f"{path}: line {scorer.line_of(path, row)}"
        raise ValueError(f"{place}: hit_id {labelled[row]} is no hit of {event}; give the truth of the same event")
    if not partial and (lack := np.setdiff1d(hit_ids, labelled)).size:
        raise ValueError(f"{path}: lacks {lack.size} hits of {event}, first hit_id {lack[0]}; give the truth of the same event")
    return known


def _tracks(path: str | Path, event_id: int, hits: pd.DataFrame) -> pd.DataFrame:
    """The rows of this event, checked to name each hit once."""
    table = scorer.read_submission(path)
    mine = table[table["event_id"] == event_id]
    if mine.empty:
        there = ", ".join(map(str, table["event_id"].unique()[:5]))
        raise ValueError(f"{path}: no row of event {event_id}; it has {there}")
    others = {int(one): rows["hit_id"].unique() for one, rows in table.groupby("event_id") if one != event_id}
    scorer.validate_submission(table, {event_id: hits["hit_id"], **others}, path=path)  # whole: its lines are the file's
    return mine
