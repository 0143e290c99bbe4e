"""A counted fraction with its uncertainty: no figure of pcloud is printed without what it was divided by.

``clopper_pearson`` gives the interval; ``Figure`` carries the counts, the value and the words of its definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

LEVEL = 0.68


def clopper_pearson(
    successes: ArrayLike, trials: ArrayLike, *, level: float = LEVEL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high ends of the exact central interval of a binomial fraction at confidence ``level``.

    Each tail holds at most (1 - level) / 2. No trials give (0, 1). Clopper and Pearson, Biometrika 26 (1934) 404.
    """
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a confidence between 0 and 1")
    if (bad := (k < 0) | (k > n)).any():
        raise ValueError(f"{k[bad][0]:g} successes of {n[bad][0]:g} trials; expected 0 <= successes <= trials")
    tail = (1 - level) / 2
    with np.errstate(all="ignore"):
        low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
        high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)
    return low, high


@dataclass(frozen=True)
class Figure:
    """A fraction of counts. ``definition`` says what was counted, over what, with which cuts.

    ``level`` is the confidence of the interval; None marks a ratio of two independent counts, which has none.
    """

    name: str
    numerator: int
    denominator: int
    definition: str
    level: float | None = LEVEL

    @property
    def value(self) -> float:
        """numerator / denominator; NaN where the denominator is 0."""
        return self.numerator / self.denominator if self.denominator else float("nan")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Clopper-Pearson interval at ``level``."""
        if self.level is None:
            return None
        low, high = clopper_pearson(self.numerator, self.denominator, level=self.level)
        return float(low), float(high)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: value and interval are None where they do not exist."""
        low, high = self.interval or (None, None)
        return {
            "numerator": self.numerator,
            "denominator": self.denominator,
            "value": self.value if self.denominator else None,
            "low": low,
            "high": high,
            "level": self.level,
            "definition": self.definition,
        }

    def __str__(self) -> str:
        counts = f"{self.name} = {self.value:.4f} ({self.numerator} / {self.denominator}"
        if self.level is None or (interval := self.interval) is None:
            return f"{counts}; {self.definition})"
        return f"{counts}, {self.level:.0%} interval {interval[0]:.4f} to {interval[1]:.4f}; {self.definition})"
