"""Collisions of Pythia 8 in batches: what reaches the detector, and the decays a jet is to hold, as numpy columns.

``Collider(process, seed, low=, high=).batch(100)``. Proton beams of 14 TeV; multiple interactions off and no pile-up, as in the
top-tagging reference set. Showers, hadronisation and decays are Pythia's defaults; particles that live longer than a metre,
or leave the tracker (r < 1.29 m, |z| < 3 m), don't decay.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pythia8mc

from data_prep.generate.processes import Process
from data_prep.generate.truth import Decays, Particles

VERSION = version("pythia8mc")
UNSEEN = (12, 14, 16)  # neutrinos
_SETTINGS = (
    "Print:quiet = on",
    "SLHA:verbose = 0",
    "Beams:eCM = 14000",
    "PartonLevel:MPI = off",
    "Random:setSeed = on",
    "ParticleDecays:limitTau0 = on",
    "ParticleDecays:tau0Max = 1000",
    "ParticleDecays:limitCylinder = on",
    "ParticleDecays:xyMax = 1290",
    "ParticleDecays:zMax = 3000",
)


class Collider:
    """One process in one window of pT (GeV), from its first event on: the same seed gives the same events."""

    def __init__(self, process: Process, seed: int, *, low: float, high: float) -> None:
        self.process = process
        window = (f"PhaseSpace:pTHatMin = {process.hat[0] * low}", f"PhaseSpace:pTHatMax = {process.hat[1] * high}")
        self.pythia = pythia8mc.Pythia("", False)
        with TemporaryDirectory() as folder:
            spectrum = Path(folder) / "spectrum"
            spectrum.write_text(process.slha)
            slha = (f"SLHA:file = {spectrum}",) if process.slha else ()
            for line in (*_SETTINGS, f"Random:seed = {seed}", *window, *process.lines, *slha):
                if not self.pythia.readString(line):
                    raise RuntimeError(f"Pythia {VERSION} does not know the setting {line!r}")
            if not self.pythia.init():
                raise RuntimeError(f"Pythia {VERSION} did not start with {process.text}")

    def batch(self, events: int) -> tuple[Particles, Decays]:
        """About so many further events: those that Pythia fails to complete are left out."""
        made = self.pythia.nextBatch(events).layout["prt"]
        offsets, rows = np.asarray(made.offsets.data), made.content
        pdg, status, mother = (np.asarray(rows[name].data) for name in ("id", "status", "mother1"))
        event = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        rows = rows[offsets[0] : offsets[-1]]
        p4 = _four(rows["p"])
        seen = (status > 0) & ~np.isin(np.abs(pdg), UNSEEN)
        origin = _four(ak.fill_none(ak.Array(rows["vProd"])[seen], _ZERO).layout)[:, :3]
        particles = Particles(len(offsets) - 1, event[seen], pdg[seen], self._charges(pdg[seen]), p4[seen], origin)
        return particles, _decays(self.process.roots, _Record(event, pdg, status, mother, offsets[:-1], p4))

    def _charges(self, pdg: np.ndarray) -> np.ndarray:
        kinds, where = np.unique(pdg, return_inverse=True)
        return np.array([self.pythia.particleData.charge(int(kind)) for kind in kinds])[where]


_ZERO = {"px": 0.0, "py": 0.0, "pz": 0.0, "e": 0.0}


def _four(record: Any) -> np.ndarray:
    return np.stack([ak.to_numpy(ak.Array(record[name])) for name in ("px", "py", "pz", "e")], axis=1)


class _Record(NamedTuple):
    """Every row of Pythia's event records, [rows]; mother counts rows of its own event, which begins at first [events]."""

    event: np.ndarray
    pdg: np.ndarray
    status: np.ndarray
    mother: np.ndarray
    first: np.ndarray
    p4: np.ndarray


def _decays(roots: tuple[int, ...], record: _Record) -> Decays:
    """The quarks of hard decays (Pythia's status 23), each under its nearest ancestor among the roots."""
    kind = np.abs(record.pdg)
    quark = np.flatnonzero((np.abs(record.status) == 23) & (kind < 6))
    first = record.first[record.event[quark]]
    above = record.mother[quark]  # in its event; up to 2 stand the whole system and the beams
    while (wrong := ~np.isin(kind[first + above], roots)).any():
        above = np.where(wrong, record.mother[first + above], above)
        kept = above > 2
        quark, first, above = quark[kept], first[kept], above[kept]
    parents, decay = np.unique(first + above, return_inverse=True)
    return Decays(record.event[parents], record.p4[parents], decay, record.p4[quark])
