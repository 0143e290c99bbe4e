"""Jets out of what was measured: anti-kT by FastJet, one of the two hardest of an event, in a window and matched to a decay.

``pick(objects, decays, radius=0.8, low=550, high=650, eta=2)`` gives the objects of each jet that counts, ``jets`` all jets of
events. Who publishes what
FastJet clustered is asked by its authors to cite EPJC 72 (2012) 1896, arXiv:1111.6097; its banner would tear progress bars.
"""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import version

import awkward as ak
import fastjet
import numpy as np

from data_prep.generate.response import Objects
from data_prep.generate.truth import Decays

VERSION = version("fastjet")
with suppress(AttributeError):
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)


def pick(
    objects: Objects, decays: Decays | None, *, radius: float, low: float, high: float, eta: float, hardest: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the objects in the jets that count, and the jets' offsets into them; at most one jet of an event.

    A jet counts with low < pT < high (GeV) and abs(eta) < eta, as one of its event's `hardest`; with decays, where the decayed
    particle and all its quarks are nearer than the radius in eta and phi. Of several that count it is the hardest.
    """
    clusters = _cluster(objects, radius)
    members = clusters.constituent_index(min_pt=low / 2)
    events, p4 = _flat(clusters.inclusive_jets(min_pt=low / 2))
    order = np.lexsort((-np.hypot(p4[:, 0], p4[:, 1]), events))
    rank = np.arange(len(order)) - np.searchsorted(events, events)[order]
    pt, jet_eta, phi = _direction(p4[order])
    good = (pt > low) & (pt < high) & (np.abs(jet_eta) < eta) & (rank < hardest)
    if decays is not None:
        good &= _holds(events[order], jet_eta, phi, decays, radius)
    chosen = np.flatnonzero(good)
    chosen = chosen[np.unique(events[order][chosen], return_index=True)[1]]
    flat = ak.flatten(members)[order[chosen]]
    counts = ak.to_numpy(ak.num(flat))
    rows = ak.to_numpy(ak.flatten(flat)) + np.repeat(objects.offsets[events[order[chosen]]], counts)
    return rows, np.concatenate([[0], np.cumsum(counts)])


def jets(objects: Objects, *, radius: float, low: float, high: float, eta: float) -> tuple[np.ndarray, np.ndarray]:
    """All jets with low < pT < high (GeV) and abs(eta) < eta: p4 [jets, 4] (GeV) and the event that each is of [jets]."""
    events, p4 = _flat(_cluster(objects, radius).inclusive_jets(min_pt=low))
    pt, jet_eta, _ = _direction(p4)
    good = (pt > low) & (pt < high) & (np.abs(jet_eta) < eta)
    return p4[good], events[good]


def _flat(jets: ak.Array) -> tuple[np.ndarray, np.ndarray]:
    """The event of each jet [jets] and its p4 [jets, 4]."""
    p4 = np.stack([ak.to_numpy(ak.flatten(jets[name])) for name in ("px", "py", "pz", "E")], axis=1)
    return np.repeat(np.arange(len(jets)), ak.to_numpy(ak.num(jets))), p4


def _cluster(objects: Objects, radius: float) -> fastjet.ClusterSequence:
    columns = dict(zip(("px", "py", "pz", "E"), np.ascontiguousarray(objects.p4.T), strict=True))
    content = ak.Array(columns, with_name="Momentum4D").layout
    array = ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(objects.offsets.astype(np.int64)), content))
    return fastjet.ClusterSequence(array, fastjet.JetDefinition(fastjet.antikt_algorithm, radius))


def _direction(p4: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pt = np.hypot(p4[:, 0], p4[:, 1])
    return pt, np.arcsinh(p4[:, 2] / np.maximum(pt, 1e-9)), np.arctan2(p4[:, 1], p4[:, 0])


def _holds(event: np.ndarray, eta: np.ndarray, phi: np.ndarray, decays: Decays, radius: float) -> np.ndarray:
    """Whether each jet [jets] has one whole decay of its event within its radius."""
    jet, decay = np.nonzero(event[:, None] == decays.event[None, :])
    near = _distance(eta[jet], phi[jet], decays.p4[decay]) < radius
    pair, quark = np.nonzero(decay[:, None] == decays.decay[None, :])
    far = _distance(eta[jet[pair]], phi[jet[pair]], decays.quark[quark]) >= radius
    near[pair[far]] = False
    holds = np.zeros(len(event), bool)
    holds[jet[near]] = True
    return holds


def _distance(eta: np.ndarray, phi: np.ndarray, p4: np.ndarray) -> np.ndarray:
    _, other_eta, other_phi = _direction(p4)
    distance: np.ndarray = np.hypot(eta - other_eta, (phi - other_phi + np.pi) % (2 * np.pi) - np.pi)
    return distance
