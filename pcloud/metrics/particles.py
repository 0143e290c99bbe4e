"""The true particles behind every denominator, and the cuts that say which of them a figure is about.

``Particles`` holds one row per particle, found or not, hit or not; ``Fiducial(...)`` selects and prints itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Particles:
    """Every true particle of every event, hit or not; a particle is known by (event, particle).

    ``hits`` [particles]: all hits it left, before any filter. ``pt`` GeV, ``eta``, ``radius`` mm: production point to
    beam line.
    """

    event: NDArray[np.int64]
    particle: NDArray[np.int64]
    hits: NDArray[np.int64]
    pt: NDArray[np.float64]
    eta: NDArray[np.float64]
    radius: NDArray[np.float64]

    @classmethod
    def from_kinematics(
        cls,
        event: ArrayLike,
        particle: ArrayLike,
        hits: ArrayLike,
        *,
        vx: ArrayLike,
        vy: ArrayLike,
        px: ArrayLike,
        py: ArrayLike,
        pz: ArrayLike,
    ) -> Particles:
        """From production point (mm) and momentum (GeV); ``event`` may be one number for all."""
        ids = np.asarray(particle)
        assert ids.dtype.kind in "iu", "particle ids are integers: as floats they collide above 2^53"
        pt = np.hypot(np.asarray(px, dtype=np.float64), np.asarray(py, dtype=np.float64))
        with np.errstate(divide="ignore", invalid="ignore"):
            eta = np.arcsinh(np.asarray(pz, dtype=np.float64) / pt)
        radius = np.hypot(np.asarray(vx, dtype=np.float64), np.asarray(vy, dtype=np.float64))
        return cls(np.broadcast_to(np.asarray(event), ids.shape), ids, np.asarray(hits), pt, eta, radius)


@dataclass(frozen=True)
class Fiducial:
    """Which particles an efficiency is about: pT >= ``pt_min`` GeV, |eta| < ``eta_max``, at least ``min_hits`` hits."""

    pt_min: float = 0.9
    eta_max: float = 4.0
    min_hits: int = 3

    def select(self, particles: Particles) -> NDArray[np.bool_]:
        """Mask [particles]; by the particle's own columns only, never by what was found or kept."""
        inside: NDArray[np.bool_] = (particles.pt >= self.pt_min) & (np.abs(particles.eta) < self.eta_max)
        return inside & (particles.hits >= self.min_hits)

    def __str__(self) -> str:
        return f"pT >= {self.pt_min:g} GeV, |eta| < {self.eta_max:g}, >= {self.min_hits} hits"
