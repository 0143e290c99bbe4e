"""What another test set of the same size would have given: Poisson bootstrap of ROC curves and of differences between them.

Each replica gives every event a weight more, drawn from a Poisson distribution of mean 1; scores are sorted once.
``bootstrap(ranked, weight)`` returns areas and background efficiencies of all replicas, ``auc_gap`` compares two taggers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pcloud.metrics.estimates import Estimate, central
from pcloud.metrics.intervals import LEVEL
from pcloud.metrics.roc import Floats, Ranking, auc, ranking

REPLICAS = 200
GRID: Floats = np.unique(np.concatenate([np.geomspace(0.01, 0.1, 20), np.linspace(0.1, 1, 91)]))


def poisson_counts(rows: int, replicas: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """How often each row is in each replica: Poisson of mean 1, from the seed alone, so that two taggers share replicas."""
    chance = np.random.Generator(np.random.SFC64(seed))
    for _ in range(replicas):
        yield _COUNT[chance.integers(0, 2**16, rows, dtype=np.uint16)]


# How many of 2^16 equal chances lead to 0, 1, 2, ... 8: Poisson probabilities rounded so that the mean is 1 exactly; the
# variance is 1.0001.
CHANCES = (24109, 24110, 12055, 4018, 1004, 201, 33, 5, 1)
_COUNT = np.repeat(np.arange(len(CHANCES), dtype=np.uint8), CHANCES)


@dataclass(frozen=True)
class Replicas:
    """``auc`` [replicas], ``background`` [replicas, grid] at signal efficiencies ``grid``; nan where a class came out empty."""

    auc: Floats
    background: Floats
    grid: Floats

    def band(self, level: float = LEVEL) -> tuple[Floats, Floats]:
        """Lower and upper background efficiency [grid], central interval over the replicas."""
        found = np.array([central(column, level) for column in self.background.T]).reshape(-1, 2)
        return found[:, 0], found[:, 1]


def bootstrap(
    ranked: Ranking,
    weight: ArrayLike | None = None,
    *,
    grid: ArrayLike = GRID,
    replicas: int = REPLICAS,
    seed: int = 0,
) -> Replicas:
    """The curve of each replica, at the signal efficiencies ``grid`` in (0, 1]. weight [rows], in the order of ``ranking``."""
    wanted = np.atleast_1d(np.asarray(grid, dtype=np.float64))
    area, background = np.full(replicas, np.nan), np.full((replicas, len(wanted)), np.nan)
    signal, other = ranked.weights(weight)
    cuts = ranked if min(signal.min(), other.min()) < 0 else ranked.corners()
    for number, count in enumerate(poisson_counts(ranked.rows, replicas, seed)):
        roc = cuts.curve_of(signal * count[ranked.signal_rows], other * count[ranked.background_rows])
        if roc is not None:
            area[number], background[number] = auc(roc), roc.background_at(wanted)
    return Replicas(area, background, wanted)


def auc_gap(
    better: ArrayLike,
    other: ArrayLike,
    signal: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    replicas: int = REPLICAS,
    seed: int = 0,
    level: float = LEVEL,
) -> Estimate:
    """AUC of the scores ``better`` minus that of ``other`` on the same events, as of low-level against high-level inputs.

    The interval is over replicas that both share, so that what they have in common drops out. All columns are [rows].
    """
    ranks = [ranking(score, signal) for score in (better, other)]
    if ranks[0].rows != ranks[1].rows:
        raise ValueError(f"{ranks[0].rows} and {ranks[1].rows} scores came; expected one of each for every event")
    area = [auc(ranked.curve(weight)) for ranked in ranks]
    drawn = [bootstrap(ranked, weight, grid=[1.0], replicas=replicas, seed=seed).auc for ranked in ranks]
    definition = f"difference of the areas under two ROC curves of the same {ranks[0].rows:,} events; interval: paired "
    definition += f"Poisson bootstrap, {replicas} replicas, seed {seed}"
    return Estimate("auc_gap", area[0] - area[1], *central(drawn[0] - drawn[1], level), definition, level)
