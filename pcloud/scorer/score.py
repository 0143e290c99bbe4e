"""The TrackML score: the share of hit weight that lands in tracks matched to their particle both ways.

``score_event`` takes the challenge's two tables, ``score_tracks`` plain arrays, ``score_dataset`` many events.
Definition: arXiv 1904.06778, section 3; arXiv 2105.01160 for the throughput score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pcloud.scorer.matching import group_codes, majorities
from pcloud.scorer.tables import integers


class DatasetScore(NamedTuple):
    """``score``: plain mean over events; ``events``: event id -> event score."""

    score: float
    events: dict[int, float]


def score_tracks(track_id: ArrayLike, particle_id: ArrayLike, weight: ArrayLike) -> float:
    """Event score in [0, 1] from one row per hit of ONE event, all hits in.

    ``track_id`` [hits]: any labels, none is special (not 0, not -1); NaN is a hit in a track of its own.
    ``particle_id`` [hits]: integers, 0 is noise; noise counts as one more particle of weight 0.
    ``weight`` [hits]: not negative; only its ratio to the sum enters.

    A track is good if more than half of its hits belong to one particle and more than half of that particle's hits
    are in the track, both strictly and by counting hits; the score is the weight of the majority hits of good tracks
    over the weight of all hits. Raises ``ValueError`` where no hit has weight.
    """
    track, tracks = group_codes(track_id)
    particle, _ = group_codes(integers(particle_id, "particle_id"))
    weights = np.asarray(weight, dtype=np.float64)
    if not track.shape == particle.shape == weights.shape or track.ndim != 1:
        raise ValueError(
            f"track_id, particle_id and weight must be columns of one length; got shapes {np.shape(track_id)}, "
            f"{np.shape(particle_id)}, {np.shape(weight)}"
        )
    total = weights.sum()
    if not (np.isfinite(total) and total > 0 and weights.min() >= 0):
        raise ValueError(
            f"weights of {weights.size} hits sum to {total}; the score divides by this sum: give finite weights, "
            "none negative, at least one above 0"
        )
    alone = track < 0
    track[alone] = len(tracks) + np.arange(np.count_nonzero(alone))
    major = majorities(track, particle)
    particle_hits = np.bincount(particle)
    good = (2 * major.shared > major.hits) & (2 * major.shared > particle_hits[major.particle])
    counted = good[track] & (particle == major.particle[track])
    return float(weights[counted].sum() / total)


def score_event(truth: pd.DataFrame, submission: pd.DataFrame) -> float:
    """TrackML score of one event: as ``score_tracks``, after joining the two tables on ``hit_id``.

    ``truth``: hit_id, particle_id, weight. ``submission``: hit_id, track_id. As in the challenge's own library a hit
    missing from the submission becomes a track of its own and a hit unknown to the truth is passed over;
    ``validate_submission`` refuses both. Raises ``ValueError`` for a missing column and for a hit listed twice.
    """
    for name, table, wanted in (
        ("truth", truth, ("hit_id", "particle_id", "weight")),
        ("submission", submission, ("hit_id", "track_id")),
    ):
        if missing := [column for column in wanted if column not in table.columns]:
            raise ValueError(f"{name}: column {missing[0]!r} is missing; it has {', '.join(map(str, table.columns))}")
    known = integers(truth["hit_id"], "truth hit_id")
    given = integers(submission["hit_id"], "submission hit_id")
    code, hits = group_codes(np.concatenate((known, given)))
    for name, part in (("truth", code[: known.size]), ("submission", code[known.size :])):
        count = np.bincount(part, minlength=1)
        if count.max() > 1:
            raise ValueError(f"{name}: hit_id {hits[count.argmax()]} is listed {count.max()} times; keep one row")
    label, labels = group_codes(submission["track_id"])
    track_of = np.full(len(hits), -1)
    track_of[code[known.size :]] = label
    track = track_of[code[: known.size]]
    alone = track < 0
    track[alone] = len(labels) + np.arange(np.count_nonzero(alone))
    return score_tracks(track, truth["particle_id"], truth["weight"])


def score_dataset(truths: Mapping[int, pd.DataFrame], submission: pd.DataFrame) -> DatasetScore:
    """Plain mean of the event scores over every event of ``truths`` (event id -> truth table).

    ``submission``: event_id, hit_id, track_id. An event without a row in it scores as one whose hits are all missing.
    """
    if not truths:
        raise ValueError("truths holds no event; the mean over events needs at least one")
    if "event_id" not in submission.columns:
        raise ValueError(f"submission: column 'event_id' is missing; it has {', '.join(map(str, submission.columns))}")
    groups = dict(iter(submission.groupby("event_id", sort=False)))
    nothing = submission.iloc[:0]
    events = {event: score_event(truth, groups.get(event, nothing)) for event, truth in truths.items()}
    return DatasetScore(float(np.mean(list(events.values()))), events)


def throughput_score(accuracy: float, seconds: float) -> float:
    """Score of the throughput phase: sqrt(ln(1 + 600 / seconds) (accuracy - 0.5)^2).

    ``seconds`` per event, of the prediction alone, on two cores. -1 if seconds <= 0 or > 600; 0 if accuracy < 0.5.
    """
    if not (math.isfinite(accuracy) and 0 <= accuracy <= 1 and not math.isnan(seconds)):
        raise ValueError(f"accuracy is {accuracy}, seconds {seconds}; expected a score in [0, 1] and a time per event")
    if seconds <= 0 or seconds > 600:
        return -1.0
    if accuracy < 0.5:
        return 0.0
    return math.sqrt(math.log1p(600 / seconds)) * (accuracy - 0.5)
