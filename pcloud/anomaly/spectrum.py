"""A mass histogram of counted events: what a bump hunt reads.

``Spectrum.of(mass, low=200, high=800, bins=60)`` fills it; edges in GeV, counts whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pcloud.anomaly.columns import Floats, checked

LEAST_BINS, LEAST_EVENTS = 10, 100


@dataclass(frozen=True)
class Spectrum:
    """``edges`` [bins + 1] rising (GeV), ``counts`` [bins]: events in each bin, its lower edge included."""

    edges: Floats
    counts: Floats

    def __post_init__(self) -> None:
        if self.counts.shape != (len(self.edges) - 1,) or not (np.diff(self.edges) > 0).all():
            raise ValueError(f"{len(self.edges)} edges and {len(self.counts)} counts came; expected rising edges, one more")
        if len(self.counts) < LEAST_BINS:
            raise ValueError(f"{len(self.counts)} mass bins came; a hunt needs at least {LEAST_BINS}")
        if not np.isfinite(self.counts).all() or (self.counts < 0).any() or (self.counts != np.floor(self.counts)).any():
            raise ValueError("counts that are negative or no whole numbers came; a hunt counts unweighted events")
        if self.counts.sum() < LEAST_EVENTS:
            raise ValueError(f"{self.counts.sum():.0f} events lie in the mass range; a hunt needs at least {LEAST_EVENTS}")

    @classmethod
    def of(cls, mass: ArrayLike, *, low: float, high: float, bins: int, weight: ArrayLike | None = None) -> Spectrum:
        """Events of ``mass`` [events] (GeV) from low to high in bins of one width. Weights that differ are refused."""
        if not low < high:
            raise ValueError(f"mass range {low:g} to {high:g} GeV came; expected low < high")
        edges = np.linspace(low, high, bins + 1)
        return cls(edges, np.histogram(checked(weight, mass=mass)[0], edges)[0].astype(np.float64))

    @property
    def middle(self) -> Floats:
        """Middles of the bins [bins] (GeV)."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def gaussian(self, mean: float, width: float) -> Floats:
        """Share of a Gaussian signal (mean and standard deviation in GeV) in each bin [bins]."""
        from scipy.stats import norm

        if not width > 0:
            raise ValueError(f"signal width {width:g} GeV came; expected a positive one")
        return np.diff(norm.cdf(self.edges, mean, width))
