"""Smoothly falling mass spectra whose logarithm is linear in the parameters, so that a Poisson fit has one minimum.

``Shape("exponential").columns(edges, order)`` is the design matrix X of expected counts width * exp(X p).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcloud.anomaly.columns import Floats

FAMILIES = ("exponential", "dijet")
ORDERS = (1, 2, 3)


@dataclass(frozen=True)
class Shape:
    """``family``: ln of the density at mass m (GeV), in the middle of a bin, with order + 1 parameters p.

    - exponential: p0 + p1 t + p2 t^2 + p3 t^3, t = m / (1000 GeV)
    - dijet: p0 - p1 ln x + p2 ln(1 - x) - p3 (ln x)^2, x = m / ``sqrt_s`` (Harris & Kousouris, IJMPA 26 (2011) 5005)
    """

    family: str = "exponential"
    sqrt_s: float = 13000.0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"shape {self.family!r} came; expected {' or '.join(FAMILIES)}")

    def columns(self, edges: Floats, order: int) -> Floats:
        """Design matrix [bins, order + 1] in the parameters above."""
        if order not in ORDERS:
            raise ValueError(f"order {order} came; expected one of {', '.join(map(str, ORDERS))}")
        mass = (edges[1:] + edges[:-1]) / 2
        if self.family == "exponential":
            return np.stack([(mass / 1000) ** k for k in range(order + 1)], axis=1)
        if not (edges[0] >= 0 and edges[-1] < self.sqrt_s):
            came = f"masses from {edges[0]:g} to {edges[-1]:g} GeV came"
            raise ValueError(f"{came}; the dijet function needs 0 to less than sqrt_s = {self.sqrt_s:g} GeV")
        x = mass / self.sqrt_s
        return np.stack([np.ones_like(x), -np.log(x), np.log1p(-x), -(np.log(x) ** 2)][: order + 1], axis=1)

    def orthogonal(self, edges: Floats, order: int) -> tuple[Floats, Floats]:
        """Columns Q [bins, order + 1] of the same span with Q^T Q = bins, lower orders first, and R with X = Q R: parameters
        are R^-1 q. The fits are done in q, where no two columns are alike."""
        q, r = np.linalg.qr(self.columns(edges, order))
        size = np.sqrt(len(q))
        return q * size, r / size
