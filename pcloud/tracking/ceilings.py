"""Score ceilings: after every stage of a finder, the highest TrackML score that is still within reach.

What a stage loses can't be found again by a later one, so the largest step down says what to improve (after top-quarks' notes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pcloud.scorer import score_tracks
from pcloud.tracking.finding import Stages


class Ceiling(NamedTuple):
    """score: highest still within reach; seconds: of this stage, where timed alone (else nan); made: how many it made."""

    stage: str
    score: float
    seconds: float
    made: int


def mean_ceilings(events: Sequence[Sequence[Ceiling]]) -> list[dict[str, Any]]:
    """Means over events, a row per stage, for a report: stage, score, its standard error (None for one event), seconds, made."""
    rows = []
    for same in zip(*events, strict=True):
        score = np.array([one.score for one in same])
        error = float(score.std(ddof=1) / np.sqrt(len(score))) if len(score) > 1 else None
        seconds, made = (float(np.mean([getattr(one, name) for one in same])) for name in ("seconds", "made"))
        rows.append({"stage": same[0].stage, "score": float(score.mean()), "error": error, "seconds": seconds, "made": made})
    return rows


def within_edges(edges: np.ndarray, particle: np.ndarray, weight: np.ndarray) -> float:
    """Score if all edges [2, edges] between hits of one particle, and no other, are followed."""
    a, b = edges
    same = (particle[a] >= 0) & (particle[a] == particle[b])
    graph = coo_matrix((np.ones(same.sum(), bool), (a[same], b[same])), shape=(len(particle),) * 2)
    _, track = connected_components(graph, directed=False)
    return official(track, particle, weight)


def official(track: np.ndarray, particle: np.ndarray, weight: np.ndarray) -> float:
    """TrackML score, noise and free hits counted as -1."""
    alone = np.where(track < 0, -1 - np.arange(len(track)), track)
    return score_tracks(alone, np.where(particle < 0, 0, particle + 1), weight)


def ceilings(stages: Stages, track: np.ndarray, particle: np.ndarray, weight: np.ndarray) -> list[Ceiling]:
    """Seeds, candidates, what is assigned, and tracks, which hits left over have joined: the one step that may go up. All passes
    are taken together.

    particle [hits]: -1 = noise. A particle is within reach of the seeds if one of them holds nothing but its hits; of the
    candidates, if one of them would be credited to it (more than half of both), and then with the weight that it holds.
    """
    size = np.bincount(particle[particle >= 0])
    total = float(weight.sum())
    whole = np.bincount(particle[particle >= 0], weight[particle >= 0], minlength=len(size))
    traceable = float(whole[size >= 3].sum()) / total
    seeds = np.concatenate([one.seeds for one in stages.passes])
    owner = particle[seeds]
    pure = (owner >= 0).all(axis=1) & (owner == owner[:, :1]).all(axis=1)
    seeded = float(whole[np.unique(owner[pure, 0])].sum()) / total
    best = np.zeros(len(size))
    made = 0
    for one in stages.passes:
        names, sizes = one.candidates.names, one.candidates.sizes
        made += len(sizes)
        inside = np.arange(names.shape[1]) < sizes[:, None]
        candidate = np.broadcast_to(np.arange(len(sizes))[:, None], names.shape)[inside]
        mine = particle[names[inside]]
        pair, at = np.unique(np.stack([candidate, mine]), axis=1, return_inverse=True)
        shared, held = np.bincount(at), np.bincount(at, weight[names[inside]])
        good = (pair[1] >= 0) & (2 * shared > sizes[pair[0]])
        good[good] = 2 * shared[good] > size[pair[1][good]]
        np.maximum.at(best, pair[1][good], held[good])
    nan = float("nan")
    joined = np.full(len(particle), -1)
    first = 0
    for one in stages.passes:
        inside = np.arange(one.kept.names.shape[1]) < one.kept.sizes[:, None]
        joined[one.kept.names[inside]] = first + np.repeat(np.arange(len(one.kept.sizes)), one.kept.sizes)
        first += len(one.kept.sizes)
    return [
        Ceiling("hits", traceable, nan, len(particle)),
        Ceiling("seeds", seeded, nan, len(seeds)),
        Ceiling("candidates", float(best.sum()) / total, nan, made),
        Ceiling("assigned", official(joined, particle, weight), nan, first),
        Ceiling("tracks", official(track, particle, weight), float(np.sum(stages.seconds)), int(track.max(initial=-1)) + 1),
    ]
