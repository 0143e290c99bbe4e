"""What a cut does to a mass histogram, against what it would do were the scores dealt out at random.

``compared(before, after)`` gives divergence and pulls with their p-values; shuffled scores are drawn exactly, as random
subsets of the histogram (multivariate hypergeometric), so that thousands cost nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import xlogy

from pcloud.anomaly.columns import Floats

LEVEL = 0.95  # of the interval of shuffled scores
LEAST = 5.0  # events expected after the cut in a bin whose pull is taken


@dataclass(frozen=True)
class Compared:
    """``jsd`` after against before, ``expected`` its mean over shuffled scores with the ends of their central 95 % interval,
    ``jsd_p`` the share of shuffled scores with as large a one; ``pull`` [bins], nan where too few are expected to pass, and
    ``pull_p`` of the largest, nan where there is none."""

    before: Floats
    after: Floats
    jsd: float
    expected: float
    ends: tuple[float, float]
    jsd_p: float
    pull: Floats
    pull_p: float

    @property
    def largest_pull(self) -> float:
        """The largest |pull|; nan where no bin has one."""
        return float(np.nan_to_num(np.abs(self.pull), nan=-1).max()) if np.isfinite(self.pull).any() else math.nan

    def as_dict(self) -> dict[str, Any]:
        """For JSON: divergences as 1 / JSD, the larger the flatter; None for that of equal histograms."""
        turned = [1 / one if one > 0 else None for one in (self.jsd, self.expected, self.ends[1], self.ends[0])]
        names = ("inverse_jsd", "inverse_jsd_shuffled", "inverse_jsd_shuffled_low", "inverse_jsd_shuffled_high")
        return {
            **dict(zip(names, turned, strict=True)),
            "jsd_p": self.jsd_p,
            "largest_pull": None if math.isnan(self.largest_pull) else self.largest_pull,
            "pull_p": None if math.isnan(self.pull_p) else self.pull_p,
            "after": self.after.tolist(),
            "pull": [None if math.isnan(one) else one for one in self.pull.tolist()],
        }


def divergence(first: Floats, second: Floats) -> Floats:
    """Jensen-Shannon divergence (nats, 0 to ln 2) of histograms [..., bins], each taken to unit area; nan of an empty one."""
    with np.errstate(invalid="ignore"):
        p, q = (one / one.sum(axis=-1, keepdims=True) for one in (first, second))
    middle = (p + q) / 2
    entropy = [-xlogy(one, one).sum(axis=-1) for one in (middle, p, q)]
    return np.asarray(np.maximum(entropy[0] - (entropy[1] + entropy[2]) / 2, 0))


def pulls(before: Floats, after: Floats) -> Floats:
    """Events that pass less those that would, flat in mass, in standard deviations of a random subset [..., bins].

    With n events in a bin, N in all and a share e passing: (k - e n) / sqrt(n e (1 - e) (N - n) / (N - 1)); nan where e n < 5.
    """
    total = before.sum()
    share = after.sum(axis=-1, keepdims=True) / total
    variance = before * share * (1 - share) * (total - before) / (total - 1)
    found = np.full(after.shape, np.nan)
    np.divide(after - share * before, np.sqrt(variance), out=found, where=(variance > 0) & (share * before >= LEAST))
    return found


def compared(before: Floats, after: Floats, *, shuffles: int = 999, seed: int = 0) -> Compared:
    """Counts [bins] of all background and of what passes a cut. p = (1 + shuffles as extreme) / (1 + shuffles)."""
    if before.shape != after.shape or (after > before).any() or not 0 < after.sum() < before.sum():
        came = f"{after.sum():.0f} of {before.sum():.0f} events pass"
        raise ValueError(f"{came}; expected some but not all to, and in no bin more than there are")
    draw = np.random.default_rng(seed)
    random = draw.multivariate_hypergeometric(before.astype(np.int64), int(after.sum()), shuffles, method="marginals").astype(
        float
    )
    jsd, drawn = float(divergence(after, before)), divergence(random, before)
    pull, ends = pulls(before, after), np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    there = np.isfinite(pull)
    largest = np.abs(pulls(before, random)[:, there]).max(axis=1, initial=0)
    pull_p = p_value(largest, float(np.abs(pull[there]).max())) if there.any() else math.nan
    return Compared(before, after, jsd, float(drawn.mean()), (ends[0], ends[1]), p_value(drawn, jsd), pull, pull_p)


def p_value(drawn: Floats, seen: float) -> float:
    """(1 + number of ``drawn`` at least as large as ``seen``) / (1 + number drawn): valid for any number of shuffles."""
    return float((1 + (drawn >= seen * (1 - 1e-12)).sum()) / (1 + len(drawn)))
