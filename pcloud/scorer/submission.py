"""Submission files (event_id, hit_id, track_id): read, checked and written, so that a bad one never reaches a score.

``read_submission`` refuses broken files, ``validate_submission`` wrong content; ``write_submission`` leaves a whole
file or none.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pcloud.scorer.matching import group_codes
from pcloud.scorer.tables import integers, line_of, read_table

COLUMNS = ("event_id", "hit_id", "track_id")


def read_submission(path: str | Path) -> pd.DataFrame:
    """The submission at ``path`` (csv or csv.gz) as int64 columns event_id, hit_id, track_id, rows in file order.

    Raises ``FileNotFoundError`` or ``ValueError`` with one line for a missing column, an empty or damaged file, NaN
    and anything else that is not a whole number.
    """
    return read_table(path, dict.fromkeys(COLUMNS, int))


def validate_submission(
    submission: pd.DataFrame, hit_ids: Mapping[int, ArrayLike], *, path: str | Path | None = None
) -> None:
    """Raises ``ValueError`` unless every hit of every event is listed exactly once and nothing else is.

    ``submission``: as ``read_submission`` gives it. ``hit_ids``: event id -> ids of all its hits. ``path``: the file it
    came from, to name the line; without it the row (from 0) is named.
    """

    source = "submission" if path is None else str(path)

    def place(row: int) -> str:
        return f"row {row}" if path is None else f"line {line_of(path, row)}"

    event = integers(submission["event_id"], "event_id")
    hit = integers(submission["hit_id"], "hit_id")
    codes, events = group_codes(event)
    for code, event_id in enumerate(events):
        if event_id not in hit_ids:
            row = int((codes == code).argmax())
            raise ValueError(f"{source}: {place(row)}: event_id {event_id} is unknown; expected {_some(hit_ids)}")
    rows_by_event = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes, minlength=1))[:-1])
    rows_of = dict(zip(events.tolist(), rows_by_event, strict=False))
    for event_id, wanted in hit_ids.items():
        rows = rows_of.get(event_id, np.zeros(0, dtype=np.int64))
        known = integers(wanted, "hit_id")
        both, ids = group_codes(np.concatenate((known, hit[rows])))
        expected = np.bincount(both[: known.size], minlength=len(ids)) > 0
        given = both[known.size :]
        if not expected[given].all():
            row = int(rows[(~expected[given]).argmax()])
            raise ValueError(f"{source}: {place(row)}: hit_id {hit[row]} is no hit of event {event_id}; remove the row")
        if (count := np.bincount(given, minlength=len(ids))).max(initial=0) > 1:
            twice = rows[count[given] > 1]
            again = int(twice[pd.Series(hit[twice]).duplicated().to_numpy()][0])
            first = int(twice[hit[twice] == hit[again]][0])
            raise ValueError(
                f"{source}: {place(again)}: hit_id {hit[again]} of event {event_id} is listed twice (first on "
                f"{place(first)}); a hit belongs to one track: keep one row"
            )
        if (missing := ids[count == 0]).size:
            raise ValueError(
                f"{source}: event {event_id} lacks {missing.size} of its {known.size} hits, first hit_id "
                f"{missing[0]}; list every hit once, an unassigned one under a track_id of its own"
            )


def write_submission(path: str | Path, event_id: ArrayLike, hit_id: ArrayLike, track_id: ArrayLike) -> Path:
    """Writes a submission csv (packed where ``path`` ends in .gz); the same rows give the same bytes.

    ``event_id``: one for all rows, or [rows]; ``hit_id``, ``track_id`` [rows]. The file appears under its name only
    when whole: on any failure nothing is left behind and what stood there before stays.
    """
    path = Path(path)
    hit, track = integers(hit_id, "hit_id"), integers(track_id, "track_id")
    event = integers(np.broadcast_to(np.asarray(event_id), hit.shape), "event_id")
    if hit.ndim != 1 or track.shape != hit.shape:
        raise ValueError(f"hit_id has shape {hit.shape}, track_id {track.shape}; expected two columns of one length")
    table = pd.DataFrame({"event_id": event, "hit_id": hit, "track_id": track})
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: its folder does not exist; create it first")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            if path.suffix == ".gz":
                # No name and no time in the header: equal rows give equal bytes.
                with gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed:
                    _write_csv(table, packed)
            else:
                _write_csv(table, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    return path


def _write_csv(table: pd.DataFrame, stream: io.IOBase | gzip.GzipFile) -> None:
    table.to_csv(stream, index=False, lineterminator="\n", encoding="utf-8")


def _some(ids: Mapping[int, ArrayLike]) -> str:
    names = [str(event) for event in ids]
    return ", ".join(names[:3]) + (f" or one of {len(names) - 3} more" if len(names) > 3 else "")


def tracks_of(submission: pd.DataFrame, event_id: int, hit_ids: ArrayLike) -> NDArray[np.int64]:
    """Track id [hits] of each of ``hit_ids`` in one event of a submission that ``validate_submission`` accepts."""
    rows = submission[submission["event_id"] == event_id]
    where = pd.Index(rows["hit_id"]).get_indexer(pd.Index(integers(hit_ids, "hit_id")))
    assert (where >= 0).all(), f"event {event_id}: the submission lacks hits"
    return integers(rows["track_id"].to_numpy()[where], "track_id")
