"""Constituents of jets as taggers see them: directions about the jet axis and logarithms of momenta.

``constituent_features(p4, offsets)`` gives the columns that a store of jets holds; `jet_features` those of whole jets.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud import segments
from pcloud.physics import pseudorapidity, transverse, wrap

FEATURES = ("deta", "dphi", "log_pt", "log_e", "log_pt_rel", "log_e_rel", "dr")
FLOOR = 1e-8  # GeV, and of ratios: what a logarithm is taken of is at least this


def jet_axis(p4: Tensor, offsets: Tensor) -> Tensor:
    """Sum of the constituents' four-momenta [points, 4] (px, py, pz, energy; GeV) -> [events, 4]."""
    return segments.sum(p4, offsets)


def mass(p4: Tensor) -> Tensor:
    """Invariant mass of four-momenta [..., 4] (GeV); 0 where rounding makes its square negative."""
    px, py, pz, energy = p4.unbind(-1)
    return (energy**2 - px**2 - py**2 - pz**2).clamp(min=0.0).sqrt()


def jet_features(axis: Tensor) -> dict[str, Tensor]:
    """jet_pt, jet_eta (pseudorapidity), jet_phi (rad) and jet_mass of jets' four-momenta [events, 4]; GeV."""
    px, py, pz, _ = axis.unbind(-1)
    pt = transverse(px, py)
    return {"jet_pt": pt, "jet_eta": pseudorapidity(pt, pz), "jet_phi": torch.atan2(py, px), "jet_mass": mass(axis)}


def constituent_features(p4: Tensor, offsets: Tensor, axis: Tensor | None = None) -> dict[str, Tensor]:
    """The seven kinematic inputs of ParticleNet (arXiv:1902.08570, table 1), each [points], from p4 [points, 4] (GeV).

    deta, dphi    direction about the jet axis (rad); deta points away from the beam's middle: its sign is flipped where the
                  jet's eta is negative, so that mirrored jets look alike; dphi is wrapped into [-pi, pi)
    log_pt, log_e            natural logarithms of pT and energy (GeV)
    log_pt_rel, log_e_rel    the same over the jet's
    dr            sqrt(deta^2 + dphi^2)

    axis [events, 4]: the jet's four-momentum, where it is another than the sum of its constituents.
    """
    owner = segments.event_of(offsets, p4.shape[0])
    axis = jet_axis(p4, offsets) if axis is None else axis
    jet = {name: column[owner] for name, column in jet_features(axis).items()}
    px, py, pz, energy = p4.unbind(-1)
    pt = transverse(px, py)
    deta = (pseudorapidity(pt, pz) - jet["jet_eta"]) * torch.where(jet["jet_eta"] < 0, -1.0, 1.0)
    dphi = wrap(torch.atan2(py, px) - jet["jet_phi"])
    columns = (
        deta,
        dphi,
        pt.clamp(min=FLOOR).log(),
        energy.clamp(min=FLOOR).log(),
        (pt / jet["jet_pt"].clamp(min=FLOOR)).clamp(min=FLOOR).log(),
        (energy / axis[owner, 3].clamp(min=FLOOR)).clamp(min=FLOOR).log(),
        torch.hypot(deta, dphi),
    )
    return dict(zip(FEATURES, columns, strict=True))
