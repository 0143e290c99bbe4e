"""Particles of one bunch crossing from Pythia 8: pile-up of inelastic collisions around one hard process, at 13 TeV.

`collide(rng, pileup, beam)`; what Pythia computes when it starts takes seconds, once per process. Each event starts anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pythia8mc

from data_prep.simulate.particles import TRACKER_R, TRACKER_Z, Beam, Particles, number, visible

VERSION = version("pythia8mc")
PILEUP = ("SoftQCD:inelastic",)
TTBAR = ("Top:gg2ttbar", "Top:qqbar2ttbar")
TRIES = 100  # of Pythia at one collision, which it may fail to complete
_WRITE, _READ = 1, 2  # MultipartonInteractions:reuseInit
_PT = 0.1  # GeV: no need to copy softer ones out of Pythia
_SETTINGS = (
    "Print:quiet = on",
    "Beams:eCM = 13000",
    # The tables of multiple interactions are integrated with random numbers: the same in each process.
    "Random:setSeed = on",
    "Random:seed = 1",
    # Hyperons and K_S (tau0 < 100 mm) decay in flight, inside the tracker; pi, K, mu and K_L (> 3 m) live.
    "ParticleDecays:limitTau0 = on",
    "ParticleDecays:tau0Max = 1000",
    "ParticleDecays:limitCylinder = on",
    f"ParticleDecays:xyMax = {TRACKER_R}",
    f"ParticleDecays:zMax = {TRACKER_Z}",
)


def collide(rng: np.random.Generator, pileup: float, beam: Beam, *, hard: tuple[str, ...] = TTBAR) -> Particles:
    """Generation 0: Poisson(pileup) inelastic collisions and one `hard` process (Pythia's names), which is vertex 1."""
    seeds = rng.integers(1, 900_000_000, 2).tolist()
    soft = int(rng.poisson(pileup))
    spot = beam.spots(rng, soft + 1)
    collisions = [*_collisions(hard, 1, seeds[0]), *_collisions(PILEUP, soft, seeds[1])]
    vertex = np.repeat(np.arange(1, soft + 2), [len(one) for one in collisions])
    table = np.concatenate(collisions)
    species, charge = table[:, :2].astype(np.int64).T
    position = table[:, 2:5] + spot[vertex - 1]
    return number(rng, visible(Particles(position, table[:, 5:], charge, species, vertex, *np.zeros((3, len(table)), np.int64))))


def _collisions(processes: tuple[str, ...], count: int, seed: int) -> Iterator[np.ndarray]:
    """Final charged particles of `count` collisions, each [n, 8]: PDG code, charge, production point (mm), momentum (GeV)."""
    if not count:
        return
    pythia = _fresh(processes)
    pythia.rndm.init(seed)
    for _ in range(count):
        if not any(pythia.next() for _ in range(TRIES)):
            raise RuntimeError(f"Pythia gave up on {', '.join(processes)} after {TRIES} tries")
        kept = [p for p in pythia.event if p.isFinal() and p.isCharged() and p.pT() > _PT]
        rows = [(p.id(), p.charge(), p.xProd(), p.yProd(), p.zProd(), p.px(), p.py(), p.pz()) for p in kept]
        yield np.array(rows, dtype=float).reshape(-1, 8)


def _started(processes: tuple[str, ...], file: Path, reuse: int) -> Any:
    pythia = pythia8mc.Pythia("", False)
    tables = (f"MultipartonInteractions:reuseInit = {reuse}", f"MultipartonInteractions:initFile = {file}")
    for line in (*_SETTINGS, *tables, *(f"{process} = on" for process in processes)):
        if not pythia.readString(line):
            raise ValueError(f"generator: Pythia {VERSION} does not know the setting {line!r}")
    if not pythia.init():
        raise RuntimeError(f"Pythia {VERSION} did not start with {', '.join(processes)}")
    return pythia


@lru_cache(maxsize=4)
def _tables(processes: tuple[str, ...]) -> bytes:
    """Pythia's tables of multiple interactions: seconds to compute, so once per process."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tables"
        _started(processes, file, _WRITE)
        return file.read_bytes()


def _fresh(processes: tuple[str, ...]) -> Any:
    """A Pythia that has made no event yet.

    Seeding a used one anew is not enough: it keeps the parameters of the last diffractive system for one of nearly its mass.
    """
    tables = _tables(processes)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tables"
        file.write_bytes(tables)
        return _started(processes, file, _READ)
