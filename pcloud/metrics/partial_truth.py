"""What can be said of track candidates where only some hits have a known particle: captured, perfect, candidate count.

``captured_perfect`` takes every hit's candidate and, where known, its true track; ``candidates_per_particle`` stands
beside it because capture alone does not see fakes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pcloud.metrics.intervals import Figure
from pcloud.scorer import group_codes, majorities, pair_codes

UNLABELLED = -1


def captured_perfect(
    event: ArrayLike, track: ArrayLike, label: ArrayLike, *, min_labelled: int = 3, max_hits: int = 25
) -> tuple[Figure, Figure]:
    """Captured and perfect fractions of the labelled tracks, from one row per hit, ALL hits in.

    ``event``, ``track`` [hits]: integers. ``label`` [hits]: index of the true track inside its event (0 is a track),
    -1 where unknown. Denominator of both: tracks with at least ``min_labelled`` labelled hits. A candidate longer than
    ``max_hits`` hits, labelled or not, earns nothing; another is credited to the one track that owns more than half of
    its labelled hits (those of shorter tracks counted among them). Captured: it holds more than half of that track's
    labelled hits; perfect: all of them.
    """
    labels = np.asarray(label)
    candidate, _, _ = pair_codes(event, track)
    if labels.shape != candidate.shape:
        raise ValueError(f"label has shape {labels.shape}, track {candidate.shape}; expected one row per hit")
    size = np.bincount(candidate)
    known = labels >= 0
    owner, _, _ = pair_codes(np.asarray(event)[known], labels[known])
    labelled = np.bincount(owner)
    code, candidates = group_codes(candidate[known])
    major = majorities(code, owner)
    credited = (2 * major.shared > major.hits) & (size[candidates] <= max_hits)
    target = labelled[major.particle]
    counted = credited & (target >= min_labelled)
    captured = np.count_nonzero(counted & (2 * major.shared > target))
    perfect = np.count_nonzero(counted & (major.shared == target))
    tracks = int(np.count_nonzero(labelled >= min_labelled))
    over = (
        f"labelled hits in one candidate / tracks with >= {min_labelled} labelled hits; a candidate of > {max_hits} "
        "hits earns nothing, another is credited to the track owning more than half of its labelled hits"
    )
    return (
        Figure("captured", int(captured), tracks, f"tracks with more than half of their {over}"),
        Figure("perfect", int(perfect), tracks, f"tracks with all of their {over}"),
    )


def candidates_per_particle(
    event: ArrayLike, track: ArrayLike, particle_hits: ArrayLike, *, min_hits: int = 6
) -> Figure:
    """Candidates over true particles, both of at least ``min_hits`` hits; ``particle_hits``: one row per particle."""
    candidate, _, _ = pair_codes(event, track)
    return Figure(
        "candidates_per_particle",
        int(np.count_nonzero(np.bincount(candidate) >= min_hits)),
        int(np.count_nonzero(np.asarray(particle_hits) >= min_hits)),
        f"candidates of >= {min_hits} hits / particles of >= {min_hits} hits",
        level=None,
    )
