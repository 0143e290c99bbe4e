"""Delphes' ROOT files: jets as the candidates they were clustered from, or the jets and leptons of each event as one cloud.

``SOURCE.prepare("delphes.root", "store", collection="JetPUPPIAK8")``; ``objects="events"`` for whole events. A jet points to its
constituents by their fUniqueID; a collection whose constituents the file doesn't keep can't be read. Candidates have the
masses the file gives them, and dz is counted from the first vertex where the file has vertices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.collisions import NOTE, Objects, checked, cloud_of
from data_prep.columns import RootTable, need, rows_of_block, wanted
from data_prep.jet_source import JetSource, ids
from data_prep.jets import DISPLACEMENT, Jets, from_pt_eta_phi, pid_columns
from data_prep.nanoaod import lists

COLLECTIONS = ("Jet", "FatJet", "JetPUPPI", "JetAK8", "JetPUPPIAK8")  # the first whose constituents are kept is taken
FIRST = 10  # events in which that is looked for
# Branches that hold candidates: tracks, with PT, or towers, with ET, which are taken as massless.
CANDIDATES = ("ParticleFlowCandidate", "EFlowTrack", "EFlowPhoton", "EFlowNeutralHadron", "Track", "Tower")
_OURS = {"d0": "D0", "d0_error": "ErrorD0", "dz": "DZ", "dz_error": "ErrorDZ"}
_LEPTONS = {"Electron": ("is_electron", 0.000511), "Muon": ("is_muon", 0.10566)}
NO_VERTEX = "dz is counted from the middle of the detector: the file has no vertices"
UNKNOWN = {"EFlowPhoton": 22, "EFlowNeutralHadron": 130, "Tower": 130}  # PDG codes of branches without PID
FULL = 1 << 32


class DelphesEvents:
    """A file as whole events; see `data_prep.jet_source.JetFile`."""

    classes = None
    notes: tuple[str, ...] = (NOTE,)

    def __init__(self, table: RootTable, collection: str) -> None:
        self.table, self.jets = table, collection
        self.names = [f"{collection}.{name}" for name in ("PT", "Eta", "Phi", "Mass")]
        self.names += [f"{kind}.{name}" for kind in _LEPTONS for name in ("PT", "Eta", "Phi", "Charge")]
        wanted(table, self.names, "a file of Delphes")
        self.weight = [name for name in ("Event.Weight",) if name in table.names]
        self.entries, self.block = table.rows, rows_of_block(table, self.names)

    def counts(self) -> None:
        return None

    def read(self, start: int, stop: int) -> Jets:
        cells = lists(self.table, self.names, start, stop)
        kinds = [Objects("is_jet", *(cells[f"{self.jets}.{name}"] for name in ("PT", "Eta", "Phi", "Mass")))]
        for kind, (flag, mass) in _LEPTONS.items():
            pt, eta, phi, charge = (cells[f"{kind}.{name}"] for name in ("PT", "Eta", "Phi", "Charge"))
            kinds.append(Objects(flag, pt, eta, phi, mass, charge))
        return cloud_of(kinds, start, _weights(self.table, self.weight, start, stop))


class DelphesJets:
    """A file as jets of one collection; see `data_prep.jet_source.JetFile`."""

    classes = None

    def __init__(self, table: RootTable, collection: str) -> None:
        self.table, self.jets = table, collection
        self.kinds = [one for one in CANDIDATES if f"{one}.fUniqueID" in table.names]
        if not self.kinds:
            raise ValueError(f"{table.path}: no candidates in it (none of {', '.join(CANDIDATES)}); take --objects events")
        self.names = [name for kind in self.kinds for name in self._names(kind).values()]
        wanted(table, [*self.names, f"{collection}.PT", f"{collection}.Constituents"], "a file of Delphes")
        tracks = [set(self._names(kind)) for kind in self.kinds if "charge" in self._names(kind)]
        self.displaced = bool(tracks) and all(set(DISPLACEMENT) <= names for names in tracks)
        self.vertex = [name for name in ("Vertex.Z",) if name in table.names]
        self.weight = [name for name in ("Event.Weight",) if name in table.names]
        self.notes: tuple[str, ...] = () if self.vertex or not self.displaced else (NO_VERTEX,)
        self.entries, self.block = table.rows, rows_of_block(table, self.names)

    def _names(self, kind: str) -> dict[str, str]:
        """What is read of a kind of candidates: ours -> the branch."""
        wanted_ = {"id": "fUniqueID", "pt": "PT", "et": "ET", "eta": "Eta", "phi": "Phi", "energy": "E", "mass": "Mass"}
        wanted_ |= {"charge": "Charge", "pdg": "PID"} | _OURS
        return {ours: f"{kind}.{name}" for ours, name in wanted_.items() if f"{kind}.{name}" in self.table.names}

    def counts(self) -> np.ndarray:
        name = f"{self.jets}.PT"
        read = [
            lists(self.table, [name], start, min(start + self.block, self.entries))[name].counts
            for start in range(0, self.entries, self.block)
        ]
        return np.concatenate(read or [np.zeros(0, np.int64)])

    def read(self, start: int, stop: int) -> Jets:
        key, p4, point = self._candidates(start, stop)
        refs, counts, inside = self._references(start, stop)
        order = np.argsort(key, kind="stable")
        place = np.searchsorted(key[order], refs).clip(max=max(len(key) - 1, 0))
        found = key[order][place] == refs if len(key) else np.zeros(len(refs), bool)
        if not found.all():
            raise ValueError(
                f"{self.table.path}: {(~found).sum()} of {len(refs)} constituents of {self.jets} are not in the file, which "
                f"keeps {', '.join(self.kinds)}; name another --collection, or take --objects events"
            )
        rows = order[place]
        offsets = np.concatenate([[0], np.cumsum(inside)])
        weight = _weights(self.table, self.weight, start, stop)
        truth = {} if weight is None else {"weight": np.repeat(weight, counts)}
        return Jets(p4[rows], offsets, ids(start, counts), None, point={n: one[rows] for n, one in point.items()}, truth=truth)

    def _references(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each jet points to, as keys of `_candidates`; jets per event; constituents per jet."""
        ak: Any = need("awkward", str(self.table.path))
        name = f"{self.jets}.Constituents"
        refs = self.table.arrays([name], start, stop)[name]["refs"]
        counts, inside = np.asarray(ak.to_numpy(ak.num(refs))), np.asarray(ak.to_numpy(ak.flatten(ak.num(refs, axis=2))))
        event = np.repeat(np.repeat(np.arange(len(counts)), counts), inside)
        flat = np.asarray(ak.to_numpy(ak.flatten(refs, axis=None))).astype(np.int64)
        return event * FULL + flat, counts.astype(np.int64), inside

    def _candidates(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """All candidates: a key of event and fUniqueID, momenta, further columns."""
        keys, momenta, points = [], [], []
        vertex = self._vertex(start, stop)
        for kind in self.kinds:
            names = self._names(kind)
            cells = lists(self.table, list(names.values()), start, stop)
            one = {ours: cells[name].values.astype(np.float64) for ours, name in names.items()}
            counts = cells[names["id"]].counts
            event = np.repeat(np.arange(len(counts)), counts)
            keys.append(event * FULL + one["id"].astype(np.int64))
            nothing = np.zeros(len(one["id"]))
            momenta.append(
                from_pt_eta_phi(one.get("pt", one.get("et", nothing)), one["eta"], one["phi"], one.get("mass", nothing))
            )
            charge = one.get("charge", nothing)
            pdg = one.get("pdg", nothing + UNKNOWN.get(kind, 211)).astype(np.int64)
            points.append(pid_columns(pdg, charge))
            if self.displaced:
                one["dz"] = one.get("dz", nothing) - vertex[event]
                points[-1] |= {name: np.where(charge != 0, one.get(name, nothing), 0.0) for name in DISPLACEMENT}
        together = {name: np.concatenate([one[name] for one in points]) for name in points[0]}
        return np.concatenate(keys), np.concatenate(momenta), together

    def _vertex(self, start: int, stop: int) -> np.ndarray:
        """z (mm) of the first vertex of each event; 0 where there is none."""
        found = np.zeros(stop - start)
        for one in lists(self.table, self.vertex, start, stop).values():
            some = one.counts > 0
            found[some] = one.values[(np.cumsum(one.counts) - one.counts)[some]]
        return found


def _weights(table: RootTable, names: list[str], start: int, stop: int) -> np.ndarray | None:
    """The weight of each event; None where the file has none, or not one each."""
    for one in lists(table, names, start, stop).values():
        return one.values if (one.counts == 1).all() else None
    return None


def open_file(path: Path, objects: str = "jets", collection: str | None = None) -> DelphesJets | DelphesEvents:
    """objects: jets or events. collection: the branch of the jets, if not the first of COLLECTIONS that can be read."""
    events = checked(objects) == "events"
    table = RootTable(path, "Delphes")
    if events:
        return DelphesEvents(table, collection or "Jet")
    return DelphesJets(table, collection) if collection else _kept(table)


def _kept(table: RootTable) -> DelphesJets:
    """The first collection of which the first events' constituents are in the file."""
    wrong: ValueError | None = None
    for name in [one for one in COLLECTIONS if f"{one}.Constituents" in table.names]:
        try:
            jets = DelphesJets(table, name)
            jets.read(0, min(FIRST, table.rows))
        except ValueError as error:
            wrong = wrong or error
        else:
            jets.notes = (*jets.notes, f"jets are those of the branch {name}")
            return jets
    raise wrong or ValueError(f"{table.path}: no jets of {', '.join(COLLECTIONS)} with constituents; name a --collection")


SOURCE = JetSource("delphes", open_file, (".root",), ("objects", "collection"))
