"""JetNet (doi:10.5281/zenodo.6975118): the 30 or 150 hardest particles of gluon, quark, top, W and Z jets of about 1 TeV.

``SOURCE.prepare("folder", "store")``. The files g.hdf5, q.hdf5, t.hdf5, w.hdf5, z.hdf5 (or g150.hdf5 ...) name the class.
particle_features [jets, N, 4]: eta and phi relative to the jet, pT over the jet's, 1 where a particle is; jet_features
[jets, 4]: pT (GeV), eta, mass (GeV), particles. Particles are massless; phi of the jet is not told and set to 0.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from data_prep.columns import BLOCK
from data_prep.hdf5 import dataset, open_hdf5
from data_prep.jet_source import JetSource
from data_prep.jets import Jets, from_pt_eta_phi

CLASSES = ("g", "q", "t", "w", "z")
NOTES = ("azimuths of the jets are not told: each is at phi = 0", "particles are taken as massless")
_NAME = re.compile(r"([gqtwz])(30|150)?\.(hdf5|h5)")


class JetNetFile:
    """One open file; see `data_prep.jet_source.JetFile`."""

    classes = CLASSES
    notes = NOTES

    def __init__(self, path: Path) -> None:
        named = _NAME.fullmatch(path.name)
        if named is None:
            raise ValueError(f"{path}: its name tells no class, expected one such as g.hdf5, t150.hdf5 ({', '.join(CLASSES)})")
        self.label = CLASSES.index(named[1])
        file = open_hdf5(path)
        self.particles = dataset(path, file, "particle_features", (None, None, 4))
        self.jets = dataset(path, file, "jet_features", (len(self.particles), None))
        if self.jets.shape[1] < 4:
            raise ValueError(f"{path}: jet_features has {self.jets.shape[1]} columns, expected pT, eta, mass, particles")
        self.entries, self.block = len(self.particles), BLOCK

    def counts(self) -> None:
        return None

    def read(self, start: int, stop: int) -> Jets:
        particles = self.particles[start:stop].astype(np.float64)
        pt, eta, mass, _ = self.jets[start:stop, :4].astype(np.float64).T
        there = (particles[..., 3] > 0.5) & (particles[..., 2] > 0)
        counts = there.sum(axis=1)
        d_eta, phi, share = particles[there][:, :3].T
        return Jets(
            from_pt_eta_phi(share * np.repeat(pt, counts), d_eta + np.repeat(eta, counts), phi),
            np.concatenate([[0], np.cumsum(counts)]),
            np.arange(start, start + len(particles)),
            np.full(len(particles), self.label),
            axis=from_pt_eta_phi(pt, eta, np.zeros(len(pt)), mass),
        )


SOURCE = JetSource("jetnet", JetNetFile, (".hdf5", ".h5"))
