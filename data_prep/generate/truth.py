"""What comes out of collisions before any detector: `Particles` to measure and `Decays` to match jets to, as numpy columns.

``Collider.batch`` fills them; `respond` and `pick` read them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Particles:
    """What is seen of some events: event [particles] counts from 0, pdg, charge (e), p4 [particles, 4] (GeV), origin (mm)."""

    events: int
    event: np.ndarray
    pdg: np.ndarray
    charge: np.ndarray
    p4: np.ndarray
    origin: np.ndarray


@dataclass
class Decays:
    """Decays to match: of each, its event, its particle's p4 [decays, 4]; of each quark, its decay and p4 [quarks, 4]."""

    event: np.ndarray
    p4: np.ndarray
    decay: np.ndarray
    quark: np.ndarray
