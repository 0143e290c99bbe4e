"""What is known about the inside of a jet: mass, grooming, prongs, correlations and counts, one number per jet.

``observables(p4, offsets, radius=0.8)`` gives all columns of `OBSERVABLES`, the inputs of boosted trees (`pcloud.jets.trees`).
All of it is our own; ``fastjet=True`` lets FastJet groom and find axes: slower, the same to 1e-6, and it prints a banner.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from pcloud.jets.declustering import soft_drop_mass, subjet_axes

OBSERVABLES = (
    "mass",
    "soft_drop_mass",
    "tau1",
    "tau2",
    "tau3",
    "tau21",
    "tau32",
    "c2",
    "d2",
    "multiplicity",
    "pt_dispersion",
    "width",
)
PRONGS = (1, 2, 3)
CHUNK = 1 << 22  # numbers of a padded [jets, N, N] table held at once


class Constituents:
    """Jets padded to their longest: pt, rapidity, phi, each [jets, N], zeros beyond ``count`` [jets]."""

    def __init__(self, p4: np.ndarray, offsets: np.ndarray) -> None:
        counts = np.diff(offsets)
        longest = int(counts.max(initial=0))
        there = np.arange(longest) < counts[:, None]
        self.count, self.p4 = counts, np.zeros((len(counts), longest, 4))
        self.p4[there] = p4
        px, py, pz, energy = np.moveaxis(self.p4, 2, 0)
        self.pt, self.phi = np.hypot(px, py), np.arctan2(py, px)
        self.rapidity = rapidity(energy, pz, self.pt)

    def distance2(self) -> np.ndarray:
        """Squared distances in rapidity and azimuth [jets, N, N]."""
        return distance2(self.rapidity[:, :, None], self.phi[:, :, None], self.rapidity[:, None], self.phi[:, None])


def rapidity(energy: np.ndarray, pz: np.ndarray, pt: np.ndarray) -> np.ndarray:
    """asinh(pz / mT) with mT^2 = E^2 - pz^2, never below pT^2: rounding makes no massless particle a tachyon."""
    across = np.sqrt(np.maximum(energy**2 - pz**2, pt**2))
    made: np.ndarray = np.arcsinh(np.divide(pz, across, out=np.zeros_like(pz), where=across > 0))
    return made


def distance2(y_i: np.ndarray, phi_i: np.ndarray, y_j: np.ndarray, phi_j: np.ndarray) -> np.ndarray:
    dphi = np.abs(phi_i - phi_j)
    made: np.ndarray = (y_i - y_j) ** 2 + np.minimum(dphi, 2 * np.pi - dphi) ** 2
    return made


def observables(p4: np.ndarray, offsets: np.ndarray, *, radius: float = 0.8, fastjet: bool = False) -> dict[str, np.ndarray]:
    """OBSERVABLES of jets, each [jets] float64; p4 [constituents, 4] (px, py, pz, energy; GeV), offsets [jets + 1].

    mass, soft_drop_mass   GeV; the latter after soft drop (arXiv:1402.2657) with z > 0.1, beta = 0
    tau1, tau2, tau3       N-subjettiness (arXiv:1011.2268), beta = 1, about winner-take-all kT axes:
                           sum of pT min(dR to an axis) / (sum of pT * radius)
    tau21, tau32           their ratios, 0 where a jet has too few constituents
    c2, d2                 e3 / e2^2 (arXiv:1305.0007) and e3 / e2^3 (arXiv:1409.6298), beta = 1, of `correlations`
    multiplicity           constituents
    pt_dispersion          sqrt(sum of pT^2) / sum of pT
    width                  sum of pT dR to the jet's axis / sum of pT

    Soft drop and N-subjettiness are of `pcloud.jets.declustering`, or of FastJet's contributions where ``fastjet`` is true.
    """
    p4, offsets = np.asarray(p4, np.float64), np.asarray(offsets, np.int64)
    library = _fastjet() if fastjet else None
    parts = [_chunk(p4[offsets[a] : offsets[b]], offsets[a : b + 1] - offsets[a], radius, library) for a, b in _chunks(offsets)]
    empty: dict[str, np.ndarray] = {name: np.zeros(0) for name in OBSERVABLES}
    return {name: np.concatenate([part[name] for part in parts]) for name in OBSERVABLES} if parts else empty


def correlations(jets: Constituents) -> tuple[np.ndarray, np.ndarray]:
    """Energy correlation functions, beta = 1: e2 = sum z_i z_j R_ij, e3 = sum z_i z_j z_k R_ij R_ik R_jk, z the share of pT.

    Sums over pairs i < j and triples i < j < k; the triples are the trace of a matrix cubed, (z R)^3 / 6.
    """
    total = jets.pt.sum(axis=1, keepdims=True)
    share = np.divide(jets.pt, total, out=np.zeros_like(jets.pt), where=total > 0)
    distance = np.sqrt(jets.distance2())
    e2 = np.einsum("ji,jk,jik->j", share, share, distance, optimize=True) / 2
    weighted = distance * share[:, None, :]
    e3 = np.einsum("jik,jki->j", weighted @ weighted, weighted, optimize=True) / 6
    return e2, e3


def n_subjettiness(jets: Constituents, axes: np.ndarray, radius: float) -> np.ndarray:
    """tau of each jet about its axes [jets, axes, 2] (rapidity, phi); NaN axes are none. 0 where a jet is empty."""
    away = distance2(jets.rapidity[:, :, None], jets.phi[:, :, None], axes[:, None, :, 0], axes[:, None, :, 1])
    nearest = np.sqrt(np.min(np.where(np.isnan(away), np.inf, away), axis=2, initial=np.inf))
    total = jets.pt.sum(axis=1) * radius
    found = np.where(jets.pt > 0, jets.pt * np.where(np.isfinite(nearest), nearest, 0.0), 0.0).sum(axis=1)
    return _ratio(found, total)


def _chunk(p4: np.ndarray, offsets: np.ndarray, radius: float, library: Any) -> dict[str, np.ndarray]:
    jets = Constituents(p4, offsets)
    axis = jets.p4.sum(axis=1)
    made = {"mass": np.sqrt(np.maximum(axis[:, 3] ** 2 - (axis[:, :3] ** 2).sum(axis=1), 0.0))}
    if library is None:
        made["soft_drop_mass"] = soft_drop_mass(p4, offsets, radius=radius)
        for prongs in PRONGS:
            made[f"tau{prongs}"] = n_subjettiness(jets, subjet_axes(p4, offsets, prongs), radius)
    else:
        made |= _by_fastjet(library, p4, offsets, radius)
    for high, low in ((2, 1), (3, 2)):
        made[f"tau{high}{low}"] = _ratio(made[f"tau{high}"], made[f"tau{low}"])
    e2, e3 = correlations(jets)
    made |= {"c2": _ratio(e3, e2**2), "d2": _ratio(e3, e2**3), "multiplicity": jets.count.astype(np.float64)}
    total = jets.pt.sum(axis=1)
    y, phi = rapidity(axis[:, 3], axis[:, 2], np.hypot(axis[:, 0], axis[:, 1])), np.arctan2(axis[:, 1], axis[:, 0])
    away = np.sqrt(distance2(jets.rapidity, jets.phi, y[:, None], phi[:, None]))
    made["pt_dispersion"] = _ratio(np.sqrt((jets.pt**2).sum(axis=1)), total)
    made["width"] = _ratio((jets.pt * away).sum(axis=1), total)
    return made


def _ratio(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    made: np.ndarray = np.divide(up, down, out=np.zeros_like(up), where=down > 1e-12)
    return made


def _chunks(offsets: np.ndarray) -> list[tuple[int, int]]:
    """Runs of jets of which a padded table of pairs has at most CHUNK numbers, or of one jet."""
    counts, runs, start, longest = np.diff(offsets), [], 0, 0
    for j, count in enumerate(counts.tolist()):
        longest = max(longest, count)
        if j > start and longest**2 * (j + 1 - start) > CHUNK:
            runs.append((start, j))
            start, longest = j, count
    return [*runs, (start, len(counts))] if len(counts) else []


def _fastjet() -> Any:
    try:
        return import_module("fastjet")
    except ImportError:
        raise ValueError("fastjet: the package is missing: pip install 'pcloud[hep]', or take our own code") from None


def _by_fastjet(library: Any, p4: np.ndarray, offsets: np.ndarray, radius: float) -> dict[str, np.ndarray]:
    """Soft drop after Cambridge/Aachen clustering, and N-subjettiness, as FastJet's contributions compute them."""
    ak = import_module("awkward")
    counts = np.diff(offsets)
    full = np.flatnonzero(counts > 0)
    names = ("soft_drop_mass", *(f"tau{prongs}" for prongs in PRONGS))
    made = {name: np.zeros(len(counts)) for name in names}
    if not len(full):
        return made
    columns = {name: p4[:, i] for i, name in enumerate(("px", "py", "pz", "E"))}
    events = ak.unflatten(ak.zip(columns, with_name="Momentum4D"), counts[full])
    whole = library.JetDefinition(library.cambridge_algorithm, 1000.0)  # everything into one jet
    clustered = library.ClusterSequence(events, whole)
    groomed = clustered.exclusive_jets_softdrop_grooming(njets=1, beta=0.0, symmetry_cut=0.1, R0=radius)
    made["soft_drop_mass"][full] = np.maximum(ak.to_numpy(ak.flatten(groomed["msoftdrop"], axis=None)), 0.0)
    taus = clustered.njettiness("NormalizedMeasure", "WTA_KT_Axes", njets=list(PRONGS), beta=1.0, R0=radius)
    table = ak.to_numpy(taus).reshape(len(full), len(PRONGS))
    for place, prongs in enumerate(PRONGS):
        made[f"tau{prongs}"][full] = np.where(counts[full] > prongs, table[:, place], 0.0)
    return made
