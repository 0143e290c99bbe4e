"""A counted fraction with its uncertainty: no figure of pcloud is printed without what it was divided by.

``clopper_pearson`` gives the interval; ``Figure`` carries the counts, the value and the words of its definition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    pairs = list(zip(k.ravel().tolist(), n.ravel().tolist(), strict=True))
    low = [beta_quantile(a, b - a + 1, tail) if a > 0 else 0.0 for a, b in pairs]
    high = [beta_quantile(a + 1, b - a, 1 - tail) if a < b else 1.0 for a, b in pairs]
    return np.array(low, dtype=np.float64).reshape(k.shape), np.array(high, dtype=np.float64).reshape(k.shape)


def beta_quantile(a: float, b: float, p: float) -> float:
    """x with I_x(a, b) = p, the regularised incomplete beta function: Newton's steps, halving where they leave the bracket.

    As ``scipy.special.betaincinv``, whose import alone is a quarter of the second that `pcloud score` may take.
    """
    low, high, x = 0.0, 1.0, a / (a + b)
    log_beta = _log_beta(min(a, b), max(a, b))
    for _ in range(200):
        above = _incomplete_beta(a, b, x, log_beta) - p
        low, high = (low, x) if above > 0 else (x, high)
        slope = math.exp((a - 1) * math.log(x) + (b - 1) * math.log1p(-x) - log_beta)
        step = x - above / slope if slope > 0 else -1.0
        new = step if low < step < high else (low + high) / 2
        if abs(new - x) <= 1e-14 * x:
            break
        x = new
    return x


def _log_beta(a: float, b: float) -> float:
    """ln B(a, b), a <= b; Stirling's series for the difference of ln Gamma(b) and ln Gamma(a + b), which nearly cancel."""
    if b < 20:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    rest = [(1 / 12 - (1 / 360 - 1 / (1260 * z * z)) / (z * z)) / z for z in (b, a + b)]
    return math.lgamma(a) - a * math.log(a + b) + (b - 0.5) * math.log1p(-a / (a + b)) + a + rest[0] - rest[1]


def _incomplete_beta(a: float, b: float, x: float, log_beta: float) -> float:
    """I_x(a, b) by its continued fraction (DLMF 8.17.22), evaluated after Lentz, on the side where it converges fast."""
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x, log_beta)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 100_000):
        even, odd = m * (b - m) / (a + 2 * m - 1), -(a + m) * (a + b + m) / (a + 2 * m + 1)
        for term in (even * x / (a + 2 * m), odd * x / (a + 2 * m)):
            d, c = 1 / (1 + term * d), 1 + term / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction


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
