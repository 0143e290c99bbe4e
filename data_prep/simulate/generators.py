"""Which generator makes the particles of generation 0: the built-in tables, Pythia 8, or a file of somebody else's events.

`generate("pythia8", rng, event_id, pileup=, beam=)`; a name that is none of NAMES is the path of a HepMC3 file.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.simulate.particles import Beam, Particles, primaries

TABLES, PYTHIA = NAMES = ("tables", "pythia8")


def generate(name: str, rng: np.random.Generator, event_id: int, *, pileup: float, beam: Beam) -> Particles:
    """Charged particles that leave the collisions of event `event_id`: vertex 1 hard, 2 and above soft, Poisson(pileup)."""
    if name == TABLES:
        return primaries(rng, pileup, beam)
    if name == PYTHIA:
        return library("data_prep.simulate.pythia").collide(rng, pileup, beam)  # type: ignore[no-any-return]
    return library("data_prep.simulate.hepmc").collide(rng, Path(name), event_id, pileup, beam)  # type: ignore[no-any-return]


def is_file(name: str) -> bool:
    return name not in NAMES


def check(name: str, event_id: int) -> None:
    """Raise ValueError, in one line, where the generator is unknown, not installed, or has no such event."""
    if name == PYTHIA:
        library("data_prep.simulate.pythia")
    elif is_file(name):
        if not Path(name).is_file():
            raise ValueError(f"generator: {name!r} came, expected {', '.join(NAMES)} or a HepMC3 file that is there")
        library("data_prep.simulate.hepmc").text_of(Path(name), event_id)


def recipe(name: str) -> dict[str, Any]:
    """What tells these particles from those of another generator, or of another version of it."""
    if name == TABLES:
        return {"generator": name}
    if name == PYTHIA:
        return {"generator": name, "pythia": library("data_prep.simulate.pythia").VERSION}
    with open(name, "rb") as file:
        return {"generator": Path(name).name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def library(module: str) -> Any:
    """One of our modules that stands on an optional package."""
    try:
        return import_module(module)
    except ImportError as error:
        needs = f"{error.name or module} is not installed"
        raise ValueError(f"generator: {needs}; it comes with: pip install 'pcloud[gen]'") from error
