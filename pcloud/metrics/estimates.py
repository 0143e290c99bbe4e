"""A measured number with its interval and the words of its definition, for what is no fraction of counts.

``Estimate`` is what ``intervals.Figure`` is for fractions; the functions here make the ones that weighted events need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pcloud.metrics.intervals import LEVEL, beta_quantile, clopper_pearson


@dataclass(frozen=True)
class Estimate:
    """``value`` may be infinite, a rejection of everything: then ``low`` is the bound it is known to exceed, at ``level``.

    ``low`` and ``high``: ends of the central interval; None where it is not known.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    definition: str
    level: float = LEVEL

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what is not finite is None, and an infinite value is marked as such."""
        value, low, high = (one if one is not None and math.isfinite(one) else None for one in (self.value, self.low, self.high))
        found: dict[str, Any] = {"value": value, "low": low, "high": high, "level": self.level, "definition": self.definition}
        return {**found, "infinite": True} if math.isinf(self.value) else found

    def __str__(self) -> str:
        return f"{self.name} = {self.value:.5g} ({ends(self.as_dict())}; {self.definition})"


def ends(one: dict[str, Any]) -> str:
    """The interval of an ``as_dict`` in words."""
    if one["low"] is None:
        return "no interval"
    if one["high"] is None:
        return f"more than {one['low']:.5g} ({one['level']:.0%})"
    return f"{one['low']:.5g} to {one['high']:.5g} ({one['level']:.0%})"


def central(values: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Ends of the central interval of a sample, which may hold infinities; nan entries are left out, of none (nan, nan)."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not known.size:
        return math.nan, math.nan
    low, high = (float(np.quantile(known, p, method="closest_observation")) for p in ((1 - level) / 2, (1 + level) / 2))
    return low, high


def effective(weight: ArrayLike) -> float:
    """Number of events of weight 1 with the same relative spread of their sum: (sum w)^2 / sum w^2."""
    weights = np.asarray(weight, dtype=np.float64)
    return float(weights.sum() ** 2 / np.square(weights).sum()) if weights.any() else 0.0


def most_background(weight: ArrayLike, passed: ArrayLike, *, level: float = LEVEL) -> float:
    """Upper end of the interval of a background efficiency that came out as 0 or, with negative weights, below.

    With no survivor the Clopper-Pearson end for 0 of ``effective(weight)`` events; else the sum of the survivors' weights
    plus its standard error, sqrt(sum w^2), over the whole weight, if that is more. ``passed`` [rows] bool.
    """
    weights, survived = np.asarray(weight, dtype=np.float64), np.asarray(passed, dtype=np.bool_)
    none = beta_quantile(1, max(effective(weights), 1.0), (1 + level) / 2)
    if not survived.any():
        return none
    some = (weights[survived].sum() + np.sqrt(np.square(weights[survived]).sum())) / weights.sum()
    return max(none, float(some))


def weighted_share(name: str, held: ArrayLike, weight: ArrayLike | None, definition: str, *, level: float = LEVEL) -> Estimate:
    """Weight of the rows that hold over all weight, with the normal interval of a weighted mean (of equal weights the
    Clopper-Pearson interval of the counts). nan without weight."""
    rows = np.asarray(held, dtype=np.float64)
    weights = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
    total = weights.sum()
    if not total > 0:
        return Estimate(name, math.nan, None, None, definition, level)
    share = float((weights * rows).sum() / total)
    if (weights == weights[0]).all():
        low, high = clopper_pearson(rows.sum(), len(rows), level=level)
        return Estimate(name, share, float(low), float(high), definition, level)
    error = float(np.sqrt(np.square(weights * (rows - share)).sum())) / total * _sigmas(level)
    return Estimate(name, share, share - error, share + error, definition, level)


def normal(name: str, value: float, error: float, definition: str, *, level: float = LEVEL) -> Estimate:
    """An estimate whose interval is the normal one of its standard error."""
    width = error * _sigmas(level)
    return Estimate(name, value, value - width, value + width, definition, level)


def _sigmas(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
