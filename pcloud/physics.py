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


def unbent(r: Tensor, phi: Tensor, bend: float) -> Tensor:
    """Azimuth (rad) at the beam line of the circle through it and (r, phi) whose signed diameter is 1 / bend (mm).

    Beyond that diameter no such circle is; the quarter turn it ends with is then taken off.
    """
    return phi - torch.asin((bend * r).clamp(min=-0.999, max=0.999))  # at 1 the slope has a pole


def transverse(px: Tensor, py: Tensor) -> Tensor:
    """Transverse momentum pT = sqrt(px^2 + py^2), in the unit of its parts."""
    return torch.hypot(px, py)


def bend_radius(pt: Tensor, field: float) -> Tensor:
    """Radius (mm) of the circle of a unit charge with pT (GeV) in a field (T) along z."""
    return pt / (GEV_PER_TESLA_MM * field)


def direction_space(pos: Tensor, eta_scale: float, radial_scale: float) -> Tensor:
    """Where successive hits of a track lie close together: [points, 3] (mm) -> [points, 4], no unit.

    (cos phi, sin phi, eta_scale * eta, radial_scale * ln rho): Euclidean nearness here is nearness in azimuth, in
    pseudorapidity seen from the origin, and in the logarithm of the distance rho from it; there is no seam in phi.
    """
    r, phi, z = cylindrical(pos)
    rho = torch.hypot(r, z).clamp(min=1.0)
    parts = [torch.cos(phi), torch.sin(phi), eta_scale * pseudorapidity(r, z), radial_scale * torch.log(rho)]
    return torch.stack(parts, dim=-1)


def pair_geometry(pos_i: Tensor, pos_j: Tensor) -> Tensor:
    """What two hits say of a helix from the beam line: [..., 3], [..., 3] (mm) -> [..., PAIR_CHANNELS], squashed by asinh.

    A helix from the origin of radius R has phi(r) = phi_0 + r / 2R and z(r) = z_0 + r cot(theta) for r << R, so a pair gives
    its bend dphi / dr (1/mm) and its crossing z_0 = z_i - r_i dz / dr (mm) of the beam line. The rest says how far apart
    the two are, in each coordinate. Signed by direction: (i, j) and (j, i) differ in the differences, not in bend and z_0.
    """
    r_i, phi_i, z_i = cylindrical(pos_i)
    r_j, phi_j, z_j = cylindrical(pos_j)
    dr, dz, dphi = r_j - r_i, z_j - z_i, wrap(phi_j - phi_i)
    deta = pseudorapidity(r_j, z_j) - pseudorapidity(r_i, z_i)
    step = torch.where(dr.abs() < 1.0, torch.where(dr < 0, -1.0, 1.0), dr)  # double hits: no slope to speak of
    along = torch.where(dz.abs() < 1.0, torch.where(dz < 0, -1.0, 1.0), dz)
    return torch.stack(
        [
            torch.asinh(dphi / step * 5e3),
            torch.asinh((z_i - r_i * dz / step) / 10.0),
            torch.asinh(dphi / along * 5e3),
            torch.asinh(dphi * 50.0),
            torch.asinh(deta * 10.0),
            torch.asinh(dr / 10.0),
            torch.asinh(dz / 10.0),
        ],
        dim=-1,
    )


PAIR_CHANNELS = 7
