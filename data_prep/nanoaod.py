"""CMS NanoAOD: the jets and leptons of each event as one cloud; of PFNano also jets as their particle-flow candidates.

``SOURCE.prepare("pfnano.root", "store")`` takes the AK8 jets (``collection="Jet"``: AK4), or whole events where the file keeps no
candidates, or with ``objects="events"``. Simulation has labels by the hadrons inside a jet (light, c or b) and generator weights;
data has no truth.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.collisions import NOTE, Objects, checked, cloud_of
from data_prep.columns import Lists, Table, open_table, rows_of_block, wanted
from data_prep.jet_source import JetSource, ids
from data_prep.jets import Jets, from_pt_eta_phi, pid_columns

COLLECTIONS = {"FatJet": "FatJetPFCands", "Jet": "JetPFCands"}
CLASSES = ("light", "c", "b")
FLAVOUR = np.array([0, 4, 5])  # hadronFlavour of the classes
CM = 10.0  # mm
_CANDIDATE = ("pt", "eta", "phi", "mass", "charge", "pdgId", "d0", "d0Err", "dz", "dzErr")
_KINDS = {"Jet": ("is_jet", False), "Electron": ("is_electron", True), "Muon": ("is_muon", True)}
PUPPI = "AK8 jets: momenta of candidates are scaled by their PUPPI weights, candidates of weight 0 left out"
_FORWARD = {1: 130, 2: 22}  # energy in the forward calorimeter, hadronic and electromagnetic, as the nearest kind


class NanoEvents:
    """A file as whole events; see `data_prep.jet_source.JetFile`."""

    classes = None
    notes: tuple[str, ...] = (NOTE,)

    def __init__(self, table: Table) -> None:
        self.table = table
        self.names = [f"{kind}_{name}" for kind, (_, charged) in _KINDS.items() for name in _four(charged)]
        wanted(table, self.names, "NanoAOD")
        self.weight = [name for name in ("genWeight",) if name in table.names]
        self.entries, self.block = table.rows, rows_of_block(table, self.names)

    def counts(self) -> None:
        return None

    def read(self, start: int, stop: int) -> Jets:
        cells = lists(self.table, self.names, start, stop)
        kinds = [Objects(flag, *(cells[f"{kind}_{name}"] for name in _four(charged))) for kind, (flag, charged) in _KINDS.items()]
        weight = self.table.read(self.weight, start, stop).get("genWeight")
        return cloud_of(kinds, start, weight if isinstance(weight, np.ndarray) else None)


class NanoJets:
    """A file of PFNano as jets of one collection; see `data_prep.jet_source.JetFile`."""

    def __init__(self, table: Table, collection: str) -> None:
        if collection not in COLLECTIONS:
            raise ValueError(f"{table.path}: collection {collection!r} came, expected {' or '.join(COLLECTIONS)}")
        self.table, self.jets, self.links = table, collection, COLLECTIONS[collection]
        if "PFCands_pt" not in table.names:
            raise ValueError(
                f"{table.path}: no particle-flow candidates (PFCands_pt ...) in it; take whole events: --objects events"
            )
        self.puppi = collection == "FatJet"
        self.names = [f"PFCands_{name}" for name in (*_CANDIDATE, *(("puppiWeight",) if self.puppi else ()))]
        self.names += [f"{self.links}_jetIdx", f"{self.links}_pFCandsIdx", f"{collection}_pt"]
        wanted(table, self.names, "PFNano")
        flavour = f"{collection}_hadronFlavour"
        self.classes = CLASSES if flavour in table.names else None
        self.truth = [name for name in (flavour, "genWeight") if name in table.names]
        self.notes: tuple[str, ...] = (PUPPI,) if self.puppi else ()
        self.entries, self.block = table.rows, rows_of_block(table, self.names)

    def counts(self) -> np.ndarray:
        read = [
            lists(self.table, [f"{self.jets}_pt"], start, min(start + self.block, self.entries))[f"{self.jets}_pt"].counts
            for start in range(0, self.entries, self.block)
        ]
        return np.concatenate(read or [np.zeros(0, np.int64)])

    def read(self, start: int, stop: int) -> Jets:
        cells = lists(self.table, self.names, start, stop)
        rows, offsets = self._links(cells, start)
        candidate = {name: cells[f"PFCands_{name}"].values[rows] for name in _CANDIDATE}
        p4 = from_pt_eta_phi(*(candidate[name].astype(np.float64) for name in ("pt", "eta", "phi", "mass")))
        charge = candidate["charge"]
        kind = np.abs(candidate["pdgId"]).astype(np.int64)
        for code, nearest in _FORWARD.items():
            kind[kind == code] = nearest
        point = pid_columns(kind, charge)
        for ours, theirs in {"d0": "d0", "d0_error": "d0Err", "dz": "dz", "dz_error": "dzErr"}.items():
            point[ours] = np.where(charge != 0, candidate[theirs] * CM, 0.0)
            if ours.endswith("error"):
                point[ours] = np.maximum(point[ours], 0.0)  # -1 stands for a track without one
        counts = cells[f"{self.jets}_pt"].counts
        jets = Jets(p4, offsets, ids(start, counts), None, point=point)
        if self.puppi:
            jets = _weighted(jets, cells["PFCands_puppiWeight"].values[rows].astype(np.float64))
        self._label(jets, counts, start, stop)
        return jets

    def _links(self, cells: dict[str, Lists], start: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the candidates of each jet, jet by jet, and the jets' offsets."""
        jet, candidate = cells[f"{self.links}_jetIdx"], cells[f"{self.links}_pFCandsIdx"]
        counts, held = cells[f"{self.jets}_pt"].counts, cells["PFCands_pt"].counts
        event = np.repeat(np.arange(len(jet.counts)), jet.counts)
        if len(candidate.values) != len(jet.values):
            raise ValueError(f"{self.table.path}: {self.links}_jetIdx and _pFCandsIdx are of different lengths: damaged")
        wrong = (jet.values < 0) | (jet.values >= counts[event]) | (candidate.values < 0) | (candidate.values >= held[event])
        if wrong.any():
            row = int(wrong.argmax())
            pair = f"jet {jet.values[row]}, candidate {candidate.values[row]}"
            raise ValueError(f"{self.table.path}: event {start + event[row]}: {self.links} links {pair}, which are not there")
        owner = (np.cumsum(counts) - counts)[event] + jet.values
        order = np.argsort(owner, kind="stable")
        rows = ((np.cumsum(held) - held)[event] + candidate.values)[order]
        return rows, np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=int(counts.sum())))])

    def _label(self, jets: Jets, counts: np.ndarray, start: int, stop: int) -> None:
        cells = self.table.read(self.truth, start, stop)
        flavour, weight = cells.get(f"{self.jets}_hadronFlavour"), cells.get("genWeight")
        if isinstance(flavour, Lists):
            unknown = ~np.isin(flavour.values, FLAVOUR)
            if unknown.any():
                raise ValueError(f"{self.table.path}: hadronFlavour {flavour.values[unknown][0]} came, expected 0, 4 or 5")
            jets.label = np.searchsorted(FLAVOUR, flavour.values)
        if isinstance(weight, np.ndarray):
            jets.weight = np.repeat(weight, counts)


def _weighted(jets: Jets, weight: np.ndarray) -> Jets:
    """Momenta times their PUPPI weights; constituents of weight 0 are none."""
    keep = weight > 0
    owner = np.repeat(np.arange(len(jets.offsets) - 1), np.diff(jets.offsets))[keep]
    jets.p4 = (jets.p4 * weight[:, None])[keep]
    jets.point = {name: column[keep] for name, column in jets.point.items()}
    jets.offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(jets.offsets) - 1))])
    return jets


def _four(charged: bool) -> tuple[str, ...]:
    return ("pt", "eta", "phi", "mass", *(("charge",) if charged else ()))


def lists(table: Table, names: list[str], start: int, stop: int) -> dict[str, Lists]:
    """Columns of lists. ValueError where one holds single numbers."""
    found: dict[str, Lists] = {}
    for name, one in table.read(names, start, stop).items():
        if not isinstance(one, Lists):
            raise ValueError(f"{table.path}: column {name} holds one number per event, expected a list")
        found[name] = one
    return found


def open_file(path: Path, objects: str | None = None, collection: str = "FatJet") -> NanoJets | NanoEvents:
    """objects: jets (where the file keeps candidates, if None) or events. collection: FatJet or Jet."""
    table = open_table(path, "Events")
    if objects is None:
        objects = "jets" if "PFCands_pt" in table.names else "events"
    return NanoEvents(table) if checked(objects) == "events" else NanoJets(table, collection)


SOURCE = JetSource("nanoaod", open_file, (".root",), ("objects", "collection"))
