"""What every track finder reports: a row per hit, and the TrackML score of many rows.

`hit_rows(cloud, tracks)` makes the rows of a task's `tabulate`, `track_figures(rows)` is its `summarize`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pcloud import scorer
from pcloud.cloud import PointCloud
from pcloud.tasks.protocol import Rows


def hit_rows(cloud: PointCloud, tracks: Sequence[np.ndarray]) -> Rows:
    """A row per hit: event_id, hit_id, track_id; with truth also particle_id (0 = noise), and weight where it has one.

    tracks: for each event the candidate of every hit, -1 = in none.
    """
    rows = {
        "event_id": cloud.event["event_id"][cloud.event_of_point],
        "hit_id": cloud.point["hit_id"],
    }
    if "particle" in cloud.point_truth:
        particle = cloud.particle_of_point
        assert cloud.particle_offsets is not None
        names = cloud.particle.get("particle_id", torch.arange(1, int(cloud.particle_offsets[-1]) + 1).to(particle))
        rows["particle_id"] = torch.cat([names, names.new_zeros(1)])[particle]
    if "weight" in cloud.point_truth:
        rows["weight"] = cloud.point_truth["weight"]
    table = {name: column.cpu().numpy() for name, column in rows.items()}
    return table | {"track_id": np.concatenate([np.zeros(0, np.int64), *tracks])}


def track_figures(rows: Rows) -> dict[str, float]:
    """``score``: mean TrackML score over events with weight; ``candidates`` per event
    that has a hit, and the share of hits in one as ``hits_linked``."""
    events, owner = np.unique(rows["event_id"], return_inverse=True)
    track = alone(rows["track_id"])
    linked = rows["track_id"] >= 0
    candidates = np.unique(np.stack([owner, rows["track_id"]])[:, linked], axis=1).shape[1]
    figures = {
        "candidates": candidates / max(len(events), 1),
        "hits_linked": int(linked.sum()) / max(len(linked), 1),
    }
    if "weight" in rows:
        parts = [owner == e for e in range(len(events)) if rows["weight"][owner == e].sum() > 0]
        scores = [scorer.score_tracks(track[p], rows["particle_id"][p], rows["weight"][p]) for p in parts]
        figures["score"] = float(np.mean(scores)) if scores else float("nan")
    return figures


def alone(track_id: np.ndarray) -> np.ndarray:
    """Give every hit in no candidate (-1) a track id of its own, as a submission must."""
    fresh = track_id.copy()
    left = track_id < 0
    fresh[left] = np.arange(left.sum()) + track_id.max(initial=-1) + 1
    return fresh
