"""Whole collisions as clouds: the jets and leptons of an event are its points, in the columns of jets.

``cloud_of(objects, first)`` is what the readers of NanoAOD and Delphes give for ``objects="events"``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.columns import Lists
from data_prep.jets import FLAGS, Jets, from_pt_eta_phi

OBJECTS = ("jets", "events")
NOTE = (
    "a cloud is a whole event: its axis lies at eta = phi = 0 with the scalar sum of pT, so that deta and dphi are eta and phi, "
    "jet_pt is that sum and jet_mass the invariant mass of all points; leptons inside jets are not taken out of them"
)


@dataclass(frozen=True)
class Objects:
    """One kind of objects: momenta as lists per event, charges (e) where it has them, and the flag it sets."""

    flag: str
    pt: Lists
    eta: Lists
    phi: Lists
    mass: Lists | float
    charge: Lists | None = None


def checked(objects: str) -> str:
    """The option ``objects``. ValueError where it is none."""
    if objects not in OBJECTS:
        raise ValueError(f"objects: {objects!r} came, expected {' or '.join(OBJECTS)}")
    return objects


def cloud_of(kinds: list[Objects], first: int, weight: np.ndarray | None = None) -> Jets:
    """Events numbered from ``first``; point flags is_jet, is_electron, is_muon and charge (0 of jets)."""
    counts = np.stack([one.pt.counts for one in kinds])
    owner = np.concatenate([np.repeat(np.arange(counts.shape[1]), one) for one in counts])
    order = np.argsort(owner, kind="stable")
    p4 = np.concatenate([_momenta(one) for one in kinds])
    flag = np.repeat([one.flag for one in kinds], counts.sum(axis=1))
    charge = np.concatenate([np.zeros(len(one.pt.values)) if one.charge is None else one.charge.values for one in kinds])
    p4, flag, charge = p4[order], flag[order], charge[order]
    offsets = np.concatenate([[0], np.cumsum(counts.sum(axis=0))])
    pt, energy = (np.bincount(owner[order], one, counts.shape[1]) for one in (np.hypot(p4[:, 0], p4[:, 1]), p4[:, 3]))
    nothing = np.zeros(len(pt))
    px, py, pz = (np.bincount(owner[order], one, counts.shape[1]) for one in p4[:, :3].T)
    mass = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0))
    return Jets(
        p4,
        offsets,
        np.arange(first, first + len(pt)),
        None,
        axis=np.stack([pt, nothing, nothing, energy], axis=1),
        point={"charge": charge, "is_jet": flag == "is_jet", **{name: flag == name for name in FLAGS}},
        event={"jet_mass": mass},
        truth={} if weight is None else {"weight": weight},
    )


def _momenta(one: Objects) -> np.ndarray:
    pt, eta, phi = (part.values.astype(np.float64) for part in (one.pt, one.eta, one.phi))
    return from_pt_eta_phi(pt, eta, phi, one.mass.values.astype(np.float64) if isinstance(one.mass, Lists) else one.mass)
