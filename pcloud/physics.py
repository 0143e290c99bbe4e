"""Kinematics and coordinates, in mm, GeV, rad and T; every formula has one home here.

Plain functions on tensors: ``cylindrical(pos)``, ``wrap(dphi)``, ``transverse(px, py)``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# A unit charge of transverse momentum pT (GeV) in a field B (T) bends with radius pT / (0.3 B) metres.
GEV_PER_TESLA_MM = 0.299792458e-3


def wrap(angle: Tensor) -> Tensor:
    """An angle (rad) brought into [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def cylindrical(pos: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cartesian points [..., 3] (mm) -> distance from the beam line r (mm), azimuth phi (rad), z (mm)."""
    x, y, z = pos.unbind(-1)
    return torch.hypot(x, y), torch.atan2(y, x), z


def pseudorapidity(r: Tensor, z: Tensor) -> Tensor:
    """eta = asinh(z / r) of a direction with transverse part r > 0 (same unit as z)."""
    return torch.asinh(z / r.clamp(min=1e-6))


def transverse(px: Tensor, py: Tensor) -> Tensor:
    """Transverse momentum pT = sqrt(px^2 + py^2), in the unit of its parts."""
    return torch.hypot(px, py)


def bend_radius(pt: Tensor, field: float) -> Tensor:
    """Radius (mm) of the circle of a unit charge with pT (GeV) in a field (T) along z."""
    return pt / (GEV_PER_TESLA_MM * field)
