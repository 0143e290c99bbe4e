"""What an event display shows, decided once for every medium: which hits and tracks, of which kind, and the caption.

``build(hits, track_id, truth)`` joins and judges the tables; ``event_png`` and ``event_html`` draw the ``Scene``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from pcloud.plots import judge

LONGEST_LINE = 100  # a candidate of more hits is a heap, not a track: its line would only hide the others


@dataclass(frozen=True)
class Lines:
    """Tracks of one kind as polylines: track t joins the hits ``rows[offsets[t]:offsets[t + 1]]``, inside out."""

    rows: np.ndarray
    offsets: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


class Layer(NamedTuple):
    """The cylinder shell or disk that the hits of one detector layer span (mm)."""

    r_low: float
    r_high: float
    z_low: float
    z_high: float

    @property
    def barrel(self) -> bool:
        return self.z_high - self.z_low > self.r_high - self.r_low


@dataclass(frozen=True)
class Scene:
    """One event, ready to draw: its hits, its tracks by kind, the layers its hits lie on.

    pos [hits, 3] (mm); track and particle per hit as in ``judge``; ``noise`` = rows of hits that truth calls noise.
    A matched candidate's line joins the hits of its own particle; the rows of its other hits are ``stray``.
    """

    pos: np.ndarray
    hit_id: np.ndarray
    track: np.ndarray
    particle: np.ndarray
    noise: np.ndarray
    found: dict[str, Lines]
    true: dict[str, Lines]
    stray: np.ndarray
    layers: list[Layer]
    has_tracks: bool
    has_truth: bool
    caption: tuple[str, ...]


def build(
    hits: pd.DataFrame,
    track_id: np.ndarray | pd.DataFrame | None = None,
    truth: pd.DataFrame | None = None,
    *,
    event_id: int | None = None,
    score: float | None = None,
    min_hits: int = 3,
    max_tracks: int = 500,
    r_max: float | None = None,
) -> Scene:
    """Join, judge and choose what is drawn (judging sees all hits, whatever is drawn).

    Above max_tracks tracks of one side, one particle in n is drawn with the candidates it leads, and one in n of the
    candidates that no particle leads: the shares of matched, wrong and missed stay true, and true and found tracks
    are of the same particles.
    """
    pos, hit_id = _positions(hits), hits["hit_id"].to_numpy(np.int64)
    track = judge.track_of(hit_id, track_id)
    particle, known = judge.particle_of(hit_id, truth)
    has_tracks, has_truth = track_id is not None, truth is not None
    verdict = judge.judge(track, particle, known, min_hits, judged=has_tracks and has_truth)
    candidates, particles = verdict.candidates, verdict.particles
    led = np.isin(candidates["leader"], particles["id"])
    steps = _steps(len(particles), int(led.sum()), int((~led).sum()), max_tracks, verdict.partial)
    aim = particles[:: steps[0]]
    chosen = np.isin(candidates["leader"], aim["id"])
    chosen[np.flatnonzero(~led)[:: steps[1]]] = True
    heap = candidates["hits"].to_numpy() > LONGEST_LINE
    drawn = candidates[chosen & ~heap]
    near = np.hypot(pos[:, 0], pos[:, 1]) <= (np.inf if r_max is None else r_max)
    pos, track, particle, known = pos[near], track[near], particle[near], known[near]
    stray = _stray(track, particle, known, drawn[drawn["kind"] == "matched"])
    caption = [_counts(event_id, len(hits), len(candidates) if has_tracks else None, min_hits, score)]
    caption += verdict.words()
    if stray.any():
        caption.append("Stray: a hit of a matched candidate that is not its particle's.")
    caption += [_rule(steps, has_truth, has_tracks, int(heap.sum()), r_max)]
    return Scene(
        pos=pos,
        hit_id=hit_id[near],
        track=track,
        particle=particle,
        noise=np.flatnonzero(known & (particle == judge.NOISE)),
        found=_kinds(pos, np.where(stray, judge.FREE, track), drawn),
        true=_kinds(pos, particle, aim),
        stray=np.flatnonzero(stray),
        layers=_layers(hits[near], pos),
        has_tracks=has_tracks,
        has_truth=has_truth,
        caption=tuple(caption),
    )


def _steps(particles: int, led: int, alone: int, most: int, partial: bool) -> tuple[int, int]:
    """One in how many (particles, candidates led by none) is drawn; equal under full truth: shares stay true."""
    if not partial:
        return (max(1, -(-max(particles, led + alone) // most)),) * 2
    return max(1, -(-max(particles, led) // most)), max(1, -(-alone // most))


def _stray(track: np.ndarray, particle: np.ndarray, known: np.ndarray, matched: pd.DataFrame) -> np.ndarray:
    """Mask of the hits in a matched candidate that truth gives to another particle or calls noise."""
    place = pd.Index(matched["id"]).get_indexer(track)
    leader = np.append(matched["leader"].to_numpy(), judge.NOISE)[place]
    return np.asarray((place >= 0) & known & (leader != particle))


def _positions(hits: pd.DataFrame) -> np.ndarray:
    missing = [name for name in ("hit_id", "x", "y", "z") if name not in hits]
    if missing:
        raise ValueError(f"hits lack column {missing[0]!r}; they have {', '.join(map(str, hits.columns))}")
    return np.asarray(hits[["x", "y", "z"]], np.float32)


def _layers(hits: pd.DataFrame, pos: np.ndarray) -> list[Layer]:
    """The detector layers as these hits show them; none where the table does not name layers."""
    if "volume_id" not in hits or "layer_id" not in hits:
        return []
    layer = hits.groupby(["volume_id", "layer_id"]).ngroup().to_numpy()
    spans = pd.DataFrame({"r": np.hypot(pos[:, 0], pos[:, 1]), "z": pos[:, 2]}).groupby(layer).agg(["min", "max"])
    return [Layer(*row) for row in spans.to_numpy().tolist()]


def _kinds(pos: np.ndarray, group: np.ndarray, tracks: pd.DataFrame) -> dict[str, Lines]:
    """The tracks as polylines by kind; every line is ordered by the distance of its hits from the origin."""
    made = {}
    for kind, ids in tracks.groupby("kind")["id"]:
        rows = np.flatnonzero(np.isin(group, ids.to_numpy()))
        rows = rows[np.lexsort((np.linalg.norm(pos[rows], axis=1), group[rows]))]
        names, first = np.unique(group[rows], return_index=True)
        made[kind] = Lines(rows, np.append(first, len(rows)), names)
    return made


def _counts(event_id: int | None, hits: int, candidates: int | None, min_hits: int, score: float | None) -> str:
    parts = [f"{hits:,} hits"]
    if candidates is not None:
        parts.append(f"{candidates:,} candidates of ≥ {min_hits} hits")
    if score is not None:
        parts.append(f"TrackML score {score:.4f}")
    return ("" if event_id is None else f"Event {event_id}: ") + ", ".join(parts) + "."


def _rule(steps: tuple[int, int], truth: bool, found: bool, heaps: int, r_max: float | None) -> str:
    """What is drawn and what is left out, in words."""
    hits = "every hit" if r_max is None else f"every hit with r ≤ {r_max:g} mm"
    parts = []
    if truth:
        share = "every particle" if steps[0] == 1 else f"1 in {steps[0]} particles"
        parts.append(share + (" with the candidates it leads" if found else ""))
    if found:
        other = "other candidate" if truth else "candidate"
        parts.append(f"every {other}" if steps[1] == 1 else f"1 in {steps[1]} {other}s")
    words = f"Drawn: {', '.join([hits, *parts])}."
    return words + (f" No line for {heaps:,} candidates of > {LONGEST_LINE} hits." if heaps else "")
