"""A score made blind to the mass after training: where it lies among background of the same mass.

``flattened(score, mass, reference_score, reference_mass)`` reads background alone, such as a sideband.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pcloud.anomaly.columns import Floats, checked

BLOCK = 10_000  # rows at a time
ROUNDING = 1e-9


def flattened(
    score: ArrayLike, mass: ArrayLike, reference_score: ArrayLike, reference_mass: ArrayLike, *, neighbors: int = 200
) -> Floats:
    """Share of the ``neighbors`` reference events nearest in mass (as many above as below, at the ends the outermost) whose score
    is lower, ties half: [rows], in 0..1. Their scores are first moved to the mass of the row along their own straight line.

    Of background it is uniform at every mass, but for 1 / sqrt(neighbors), so that a cut on it keeps the same share everywhere;
    a score that is the mass becomes 0.5. The reference must not be the rows themselves; a score with a long tail is better given
    as its logarithm. Quantile maps are the simplest decorrelation after training (uBoost's aim, Stevens and Williams, arXiv
    1305.7248, without its training).
    """
    scores, masses = checked(score=score, mass=mass)
    known, at = checked(reference_score=reference_score, reference_mass=reference_mass)
    if not 2 <= neighbors <= len(known):
        raise ValueError(f"neighbors = {neighbors} of {len(known)} reference events came; 2 to as many as there are expected")
    order = np.argsort(at, kind="stable")
    known, at = known[order], at[order]
    first = np.clip(np.searchsorted(at, masses) - neighbors // 2, 0, len(known) - neighbors)
    found = np.empty(len(scores))
    near_score, near_mass = (np.lib.stride_tricks.sliding_window_view(one, neighbors) for one in (known, at))
    for start in range(0, len(scores), BLOCK):
        some = slice(start, start + BLOCK)
        away = near_mass[first[some]] - masses[some, None]
        near, middle = near_score[first[some]], away.mean(1, keepdims=True)
        spread = np.square(away - middle).sum(1)
        slope = np.divide(((away - middle) * near).sum(1), spread, where=spread > 0, out=np.zeros(len(spread)))
        gap = near - slope[:, None] * away - scores[some, None]
        tied = np.abs(gap) <= ROUNDING * (np.abs(near) + np.abs(scores[some, None]))
        found[some] = ((gap < 0) & ~tied).mean(1) + 0.5 * tied.mean(1)
    return found
