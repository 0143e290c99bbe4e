"""Four-vectors (px, py, pz, energy) in GeV along the last axis: where they are in a cloud, and what is read off them.

``momenta(cloud, "part")`` is [points, 4]; ``rapidity(p4)``, ``mass2(p4)`` and ``transverse(p4)`` take any leading shape.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud.cloud import PointCloud

COLUMNS = ("px", "py", "pz", "energy")


def momenta(cloud: PointCloud, who: str) -> Tensor:
    """The four-vectors [points, 4] (GeV) of a cloud's point columns; ValueError, naming who asks, where one is missing."""
    missing = [name for name in COLUMNS if name not in cloud.point]
    if missing:
        raise ValueError(
            f"{who} reads the point columns {', '.join(COLUMNS)} (GeV); missing: {', '.join(missing)}; "
            f"there are: {', '.join(cloud.point) or 'none'}; prepare the store with four-vectors"
        )
    return torch.stack([cloud.point[name] for name in COLUMNS], dim=-1)


def root(x: Tensor) -> Tensor:
    """sqrt(x), with a gradient of 0 where x is."""
    above = x > 0
    return torch.where(above, torch.sqrt(torch.where(above, x, 1.0)), 0.0)


def transverse(p4: Tensor) -> Tensor:
    """pT (GeV): [..., 4] -> [...]."""
    return root(p4[..., 0].square() + p4[..., 1].square())


def azimuth(p4: Tensor) -> Tensor:
    """phi (rad), 0 where there is no pT: [..., 4] -> [...]."""
    px, py = p4[..., 0], p4[..., 1]
    return torch.atan2(py, torch.where((px == 0) & (py == 0), 1.0, px))


def mass2(p4: Tensor) -> Tensor:
    """m^2 = E^2 - |p|^2 (GeV^2), not below 0: [..., 4] -> [...]."""
    momentum = root(p4[..., :3].square().sum(-1))
    return ((p4[..., 3] - momentum) * (p4[..., 3] + momentum)).clamp(min=0)


def rapidity(p4: Tensor) -> Tensor:
    """y = asinh(pz / sqrt(m^2 + pT^2)), which is ln[(E + pz) / (E - pz)] / 2 without its cancellation: [..., 4] -> [...]."""
    return torch.asinh(p4[..., 2] / root(mass2(p4) + p4[..., 0].square() + p4[..., 1].square()).clamp(min=1e-12))
