"""A score made blind to the mass after training: where it lies among background of the same mass.

``flattened(score, mass, reference_score, reference_mass)`` reads background alone, a sideband or simulation, and no label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pcloud.anomaly.columns import Floats, checked


def flattened(
    score: ArrayLike, mass: ArrayLike, reference_score: ArrayLike, reference_mass: ArrayLike, *, neighbors: int = 200
) -> Floats:
    """Share of the ``neighbors`` reference events nearest in mass (as many above as below, at the ends the outermost) whose score
    is lower, ties half: [rows], in 0..1.

    Of background it is uniform at every mass, but for 1 / sqrt(neighbors) and for a slope of the score within the neighbours, so
    that a cut on it keeps the same share everywhere. The reference must not be the rows themselves. Quantile maps are the
    simplest of the decorrelations after training (uBoost's idea, Stevens and Williams, arXiv 1305.7248, without its training).
    """
    scores, masses = checked(score=score, mass=mass)
    known, at = checked(reference_score=reference_score, reference_mass=reference_mass)
    if not 1 <= neighbors <= len(known):
        raise ValueError(f"neighbors = {neighbors} of {len(known)} reference events came; 1 to as many as there are expected")
    order = np.argsort(at, kind="stable")
    known, at = known[order], at[order]
    first = np.clip(np.searchsorted(at, masses) - neighbors // 2, 0, len(known) - neighbors)
    found = np.empty(len(scores))
    windows = np.lib.stride_tricks.sliding_window_view(known, neighbors)
    for start in range(0, len(scores), 10_000):
        some = slice(start, start + 10_000)
        near = windows[first[some]]
        found[some] = (near < scores[some, None]).mean(1) + 0.5 * (near == scores[some, None]).mean(1)
    return found
