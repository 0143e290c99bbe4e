"""Particles of one bunch crossing whose hard collision is read from a HepMC3 file (plain or .gz), with soft ones around it.

`collide(rng, path, number, pileup, beam)` takes event `number` of the file, from 0; files are read on, never as a whole.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import weakref
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyhepmc
from particle import pdgid

from data_prep.simulate.particles import Beam, Particles, number, primaries, visible

_FINAL = 1  # status of a particle that leaves the generator
_MARK, _END = b"HepMC::Asciiv3", b"HepMC::Asciiv3-END_EVENT_LISTING"
_NUMBER = rb" [-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FOUR = rb"(?:" + _NUMBER + rb"){4}"
_PATTERNS = {
    b"E ": re.compile(rb"E -?\d+ \d+ \d+(?: @" + _FOUR + rb")?\s*"),  # number, vertices, particles, place
    b"V ": re.compile(rb"V -?\d+ -?\d+ \[[\d,]*\](?: @" + _FOUR + rb")?\s*"),  # number, status, parents, place
    b"P ": re.compile(rb"P \d+ -?\d+ -?\d+" + _FOUR + _NUMBER + rb" -?\d+\s*"),  # number, parent, code, p and E, mass, status
}


def collide(rng: np.random.Generator, path: Path, event: int, pileup: float, beam: Beam) -> Particles:
    """Generation 0: the final charged particles of an event of the file as vertex 1, and Poisson(pileup) tabulated vertices.

    A collision that the file has at (0, 0, 0), as generators write it, is moved to a place in the beam spot; any other
    stays where it is. Weights of events are not used. Raises ValueError, in one line, where the file can't be read.
    """
    hard, origin = _particles(path, event)
    spot = beam.spots(rng, 1)
    if not origin.any():
        hard.position += spot
    soft = primaries(rng, pileup, beam)
    return number(rng, Particles.join([visible(hard), soft.take(soft.vertex > 1)]))


def _particles(path: Path, event: int) -> tuple[Particles, np.ndarray]:
    """All final charged particles and the place of the first vertex [3] (mm)."""
    read = _parsed(path, event)
    read.set_units(pyhepmc.Units.GEV, pyhepmc.Units.MM)
    kept = [p for p in read.particles if p.status == _FINAL and _charge(p.pid)]
    place = [_place(p.production_vertex) for p in kept]
    n = len(kept)
    momentum = np.array([(p.momentum.px, p.momentum.py, p.momentum.pz) for p in kept], dtype=float).reshape(n, 3)
    species = np.array([p.pid for p in kept], dtype=np.int64)
    charge = np.array([_charge(p.pid) for p in kept], dtype=np.int64)
    zero = np.zeros((3, n), np.int64)
    particles = Particles(np.array(place, dtype=float).reshape(n, 3), momentum, charge, species, zero[0] + 1, *zero)
    return particles, np.array(_place(read.vertices[0] if read.vertices else None))


def _place(vertex: Any) -> tuple[float, float, float]:
    return (vertex.position.x, vertex.position.y, vertex.position.z) if vertex is not None else (0.0, 0.0, 0.0)


@lru_cache(maxsize=4096)
def _charge(code: int) -> int:
    """Whole charges alone: quarks, and codes that name nothing, leave no track."""
    charge = pdgid.charge(code)
    return int(charge) if charge is not None and charge.denominator == 1 else 0


def _parsed(path: Path, event: int) -> Any:
    """What HepMC3 makes of the event, in the units of the file."""
    text = text_of(path, event)
    if trouble := _trouble(text.splitlines(keepends=True)):
        raise ValueError(f"{path}: event {event} is broken: {trouble}")
    setup = pyhepmc.Setup
    before = setup.print_errors, setup.print_warnings, setup.debug_level
    setup.print_errors, setup.print_warnings, setup.debug_level = False, False, 0
    try:
        with pyhepmc.open(io.BytesIO(_listing(*_key(path)).header + text + _END + b"\n"), format="HepMC3") as file:
            read = file.read()
    finally:
        setup.print_errors, setup.print_warnings, setup.debug_level = before
    if read is None:
        raise ValueError(f"{path}: event {event} is broken: its vertices don't fit together")
    return read


def _trouble(lines: list[bytes]) -> str:
    """What is wrong with the lines of an event, looked for here because HepMC3 takes broken numbers for zero."""
    for line in lines:
        pattern = _PATTERNS.get(line[:2])
        if not line.endswith(b"\n") or (pattern and not pattern.fullmatch(line)):
            return f"at {line[:80].decode('ascii', 'replace').strip()!r}"
    announced, there = int(lines[0].split()[3]), sum(line.startswith(b"P ") for line in lines)
    return "" if announced == there else f"{announced} particles are announced, {there} are there"


def text_of(path: Path, event: int) -> bytes:
    """The lines of one event. Raises ValueError where the file is no HepMC3 file or has fewer events."""
    try:
        return _listing(*_key(path)).text(event)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file: {error}") from error


def _key(path: Path) -> tuple[Path, int, int, int]:
    """A file that changed is opened anew, and no process reads through a handle of another."""
    facts = path.stat()
    return path, facts.st_mtime_ns, facts.st_size, os.getpid()


class Listing:
    """An open file and the offsets of its events as far as it has been read.

    Events in rising order cost one pass through the file. Going back is a seek, but in a .gz a pass from the start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
        weakref.finalize(self, self.file.close)
        if _MARK not in self.file.read(256):
            raise ValueError(f"{path}: not a HepMC3 file: {_MARK.decode()} expected in its first lines")
        self.file.seek(0)
        self.starts = [0]  # of the header, then of each event, then of what comes after the last
        self.ahead = self.file.readline()  # the line at starts[-1]
        self.header = self._next()
        self.latest = (-1, self.header)

    def text(self, event: int) -> bytes:
        if event == self.latest[0]:
            return self.latest[1]
        place, text = event + 1, b""  # among starts, where the header is the first
        if place + 1 < len(self.starts):
            self.file.seek(self.starts[place])
            text = self.file.read(self.starts[place + 1] - self.starts[place])
        else:
            self.file.seek(self.starts[-1] + len(self.ahead))
            while len(self.starts) <= place + 1:
                if not self.ahead.startswith(b"E "):
                    there = len(self.starts) - 2
                    raise ValueError(f"{self.path}: event {event} asked for, but the file has {there} (numbers from 0)")
                text = self._next()
        self.latest = event, text
        return text

    def _next(self) -> bytes:
        """Reads from the line ahead up to the next one that begins an event or ends them all."""
        lines = [self.ahead]
        for line in self.file:
            if line.startswith((b"E ", _END)):
                break
            lines.append(line)
        else:
            line = b""
        text = b"".join(lines)
        self.starts.append(self.starts[-1] + len(text))
        self.ahead = line
        return text


@lru_cache(maxsize=1)
def _listing(path: Path, changed: int, size: int, process: int) -> Listing:
    return Listing(path)
