"""How often a cut on the score makes a bump out of a background that holds none.

``fake_bumps(before, after, edges, widths=[3])`` hunts in random halves of what passes the cut; what counts as a bump is set
by halves of random subsets of the same size, so that a cut blind to the mass has a rate of ``CHANCE``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pcloud.anomaly.columns import Floats
from pcloud.anomaly.scanning import scan, sliding
from pcloud.anomaly.shapes import ORDERS, Shape

CHANCE = 0.05
LEAST = 500  # events after the cut
LEAST_EXPECTED = 10.0  # events in a window of a half, on average


def fake_bumps(
    before: Floats,
    after: Floats,
    edges: Floats,
    *,
    widths: Sequence[int],
    shape: Shape | None = None,
    orders: Sequence[int] = ORDERS,
    toys: int = 100,
    shuffles: int = 10,
    seed: int = 0,
) -> dict[str, Any]:
    """Share of toys whose largest local z exceeds the 95 % point of signal-free toys that no score shaped.

    before, after: counts [bins]. A toy is a random half of the events after the cut, which fluctuates as data of that size
    do; the reference is ``toys`` halves of each of ``shuffles`` random subsets of ``before`` as large as ``after``. The fit
    is the same in both, so one that misses the spectrum moves the threshold but not the rate. ``shuffled_high``: the largest
    rate among those subsets, as halves of one subset share its fluctuations.
    """
    total, passed = int(before.sum()), int(after.sum())
    if passed < LEAST or passed >= total:
        raise ValueError(f"{passed} of {total} events pass in the mass range; fake bumps need {LEAST} or more, and not all")
    draw = np.random.default_rng(seed)
    windows = sliding(edges, widths)
    expected = before / total * (passed // 2) @ windows.T
    windows = windows[expected >= LEAST_EXPECTED]
    if not len(windows):
        raise ValueError(f"no window expects {LEAST_EXPECTED:g} of {passed // 2} events; use wider windows or a looser cut")

    def largest(counts: Floats) -> Floats:
        halves = draw.multivariate_hypergeometric(counts.astype(np.int64), passed // 2, toys, method="marginals")
        return np.asarray(scan(halves.astype(np.float64), edges, windows, shape or Shape(), orders).z.max(axis=1))

    subsets = draw.multivariate_hypergeometric(before.astype(np.int64), passed, shuffles, method="marginals")
    reference = np.array([largest(one) for one in subsets])
    threshold = float(np.quantile(reference, 1 - CHANCE))
    return {
        "rate": float((largest(after) > threshold).mean()),
        "expected": CHANCE,
        "shuffled_high": float((reference > threshold).mean(axis=1).max()),
        "threshold": threshold,
        "toys": toys,
        "events": passed // 2,
    }
