"""Scores files: truth on one side, a submission on the other, the official score and its companions out.

``score_files(truth, submission)`` is what ``pcloud score`` prints; every step of it is a function of ``pcloud.scorer``
or ``pcloud.metrics`` that can be called alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcloud import scorer
from pcloud.metrics.partial_truth import UNLABELLED, candidates_per_particle, captured_perfect
from pcloud.metrics.particles import Fiducial, Particles
from pcloud.metrics.tracking import EDGES, binned_efficiency, match, tracking_figures

PARTIAL_TRUTH = {"hit_id": int, "track_index": int}
_EVENT_FILE = re.compile(r"event(\d+)-")


def score_files(truth: str | Path, submission: str | Path, *, fiducial: Fiducial | None = None) -> dict[str, Any]:
    """Official score and tracking figures of a submission file, as a dict ready for JSON.

    ``truth``: a truth csv or csv.gz, or a folder of event%09d-truth.csv[.gz]. ``submission``: one csv or csv.gz with
    event_id, hit_id, track_id that lists every hit of every one of these events once, and nothing else.

    ``score`` is the mean of the event scores, weights divided by their sum in each event; ``score_error`` its standard
    error, None for one event. ``figures`` (efficiencies, fake and duplicate rate) and ``binned`` appear where every
    event has its particles file beside the truth. A partial truth (columns hit_id, track_index) has no score: its
    figures are captured, perfect and candidates per particle, and the hits file beside it says which hits exist.
    Raises ``ValueError`` or ``FileNotFoundError`` with one line naming file and place.
    """
    table = scorer.read_submission(submission)
    files = _event_files(Path(truth), np.unique(table["event_id"].to_numpy()).tolist())
    partial = [_is_partial(path) for path in files.values()]
    if any(partial) and not all(partial):
        raise ValueError(f"{truth}: holds whole and partial truth files; score them one by one")
    if any(partial):
        return _score_partial(files, Path(submission), table)
    return _score_whole(files, Path(submission), table, fiducial or Fiducial())


def _score_whole(files: Mapping[int, Path], source: Path, table: Any, fiducial: Fiducial) -> dict[str, Any]:
    truths = {event: scorer.read_truth(path)[list(scorer.TRUTH)] for event, path in files.items()}
    sums = {event: float(truth["weight"].sum()) for event, truth in truths.items()}
    if weightless := [event for event, total in sums.items() if not total > 0]:
        raise ValueError(f"{files[weightless[0]]}: all weights are 0; the score divides by their sum: give weights")
    scorer.validate_submission(table, {event: truth["hit_id"] for event, truth in truths.items()}, path=source)
    result = scorer.score_dataset(truths, table)
    scores = result.events
    report: dict[str, Any] = {
        "kind": "truth",
        "score": result.score,
        "score_error": float(np.std(list(scores.values()), ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else None,
        "weights": "divided by their sum in each event",
        "events": [
            {"event_id": event, "score": scores[event], "hits": len(truths[event]), "weight_sum": sums[event]}
            for event in files
        ],
    }
    beside = {event: _beside(path, "particles") for event, path in files.items()}
    if lacking := [event for event, path in beside.items() if path is None]:
        note = f"no particles file beside the truth of event {lacking[0]}: score only"
        return {**report, "figures": None, "note": note}
    particles = _join_particles({event: path for event, path in beside.items() if path is not None})
    event = np.concatenate([np.full(len(truth), event) for event, truth in truths.items()])
    track = np.concatenate([scorer.tracks_of(table, event, truth["hit_id"]) for event, truth in truths.items()])
    owner = np.concatenate([truth["particle_id"].to_numpy() for truth in truths.values()])
    try:
        matches = match(event, track, owner, particles)
    except ValueError as error:  # truth and particles disagree: say in which folder
        raise ValueError(f"{next(iter(files.values())).parent}: {error}") from None
    figures = tracking_figures(matches, particles, fiducial)
    bins = {
        # Bins of pT show the whole spectrum: there the pT cut would only empty the lower ones.
        by: binned_efficiency(
            matches, particles, replace(fiducial, pt_min=0) if by == "pt" else fiducial, "double_majority", by=by
        )
        for by in EDGES
    }
    return {
        **report,
        "fiducial": str(fiducial),
        "figures": {name: figure.as_dict() for name, figure in figures.items()},
        "binned": {by: [one.as_dict() for one in row] for by, row in bins.items()},
    }


def _score_partial(files: Mapping[int, Path], source: Path, table: Any) -> dict[str, Any]:
    known = {event: scorer.read_table(path, PARTIAL_TRUTH, unique="hit_id") for event, path in files.items()}
    hit_ids = {event: _all_hits(files[event], known[event], table, event) for event in files}
    scorer.validate_submission(table, hit_ids, path=source)
    hits = {
        event: np.stack(
            (
                np.full(len(ids), event),
                scorer.tracks_of(table, event, ids),
                known[event].set_index("hit_id")["track_index"].reindex(ids, fill_value=UNLABELLED).to_numpy(),
            )
        )
        for event, ids in hit_ids.items()
    }
    beside = {event: _beside(path, "particles") for event, path in files.items()}
    nhits = {event: scorer.read_particles(path)["nhits"].to_numpy() for event, path in beside.items() if path}

    def figures(events: list[int]) -> dict[str, Any]:
        event, track, label = np.concatenate([hits[one] for one in events], axis=1)
        found = list(captured_perfect(event, track, label))
        if all(one in nhits for one in events):
            found.append(candidates_per_particle(event, track, np.concatenate([nhits[one] for one in events])))
        return {figure.name: figure.as_dict() for figure in found}

    return {
        "kind": "partial truth",
        "figures": figures(list(files)),
        "events": [{"event_id": event, "hits": len(hit_ids[event]), "figures": figures([event])} for event in files],
    }


def _is_partial(path: Path) -> bool:
    header = scorer.read_header(path)
    return "track_index" in header and "particle_id" not in header


def _all_hits(truth: Path, known: Any, table: Any, event: int) -> NDArray[np.int64]:
    """Ids of all hits of the event: those of the hits file beside a partial truth, else all that anything names."""
    labelled = known["hit_id"].to_numpy()
    path = _beside(truth, "hits")
    if path is None:
        return np.union1d(labelled, table["hit_id"].to_numpy()[table["event_id"].to_numpy() == event])
    ids = scorer.read_hit_ids(path)
    if (stray := ~np.isin(labelled, ids)).any():
        row = int(stray.argmax())
        place = f"{truth}: line {scorer.line_of(truth, row)}"
        raise ValueError(f"{place}: hit_id {labelled[row]} is not in {path.name}; give both files of the same event")
    return ids


def _event_files(truth: Path, submitted: list[int]) -> dict[int, Path]:
    """Event id -> truth file: the one file, or those of a folder (whole truth before partial)."""
    if not truth.is_dir():
        if not truth.exists():
            raise FileNotFoundError(f"{truth}: no such file or folder; give a truth csv or a folder of events")
        if found := _EVENT_FILE.match(truth.name):
            return {int(found[1]): truth}
        if len(submitted) == 1:
            return {submitted[0]: truth}
        raise ValueError(f"{truth}: which of the {len(submitted)} submitted events is it? name it event%09d-truth.csv")
    paths = sorted(truth.glob("event*-truth.csv*")) or sorted(truth.glob("event*-partial_truth*.csv*"))
    files: dict[int, Path] = {}
    for path in paths:
        if (found := _EVENT_FILE.match(path.name)) and path.name.endswith((".csv", ".csv.gz")):
            event = int(found[1])
            if event in files:
                raise ValueError(f"{path}: event {event} has another truth file, {files[event].name}; keep one")
            files[event] = path
    if not files:
        raise FileNotFoundError(f"{truth}: no event%09d-truth.csv[.gz] in this folder; give the folder of the events")
    return files


def _beside(path: Path, kind: str) -> Path | None:
    """The event's file of another kind in the same folder, if there is one."""
    if found := _EVENT_FILE.match(path.name):
        for suffix in (".csv", ".csv.gz"):
            if (other := path.with_name(f"{found[0]}{kind}{suffix}")).exists():
                return other
    return None


def _join_particles(files: Mapping[int, Path]) -> Particles:
    tables = {event: scorer.read_particles(path) for event, path in files.items()}
    column = {name: np.concatenate([one[name].to_numpy() for one in tables.values()]) for name in scorer.PARTICLES}
    event = np.concatenate([np.full(len(one), event) for event, one in tables.items()])
    return Particles.from_kinematics(
        event, column["particle_id"], column["nhits"],
        vx=column["vx"], vy=column["vy"], px=column["px"], py=column["py"], pz=column["pz"],
    )  # fmt: skip
