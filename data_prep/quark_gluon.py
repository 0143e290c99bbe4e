"""The quark and gluon jets of EnergyFlow (doi:10.5281/zenodo.3164691): Z + jet, pT 500 to 550 GeV, with particle ids.

``SOURCE.prepare("QG_jets.npz", "store")``. A file holds X [jets, M, 4]: pT (GeV), rapidity, azimuth, PDG code, zeros where a
jet has fewer; and y [jets]: 0 gluon, 1 quark. Particles have the masses of their codes.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from data_prep.columns import BLOCK, MEMORY, damage
from data_prep.jet_source import JetSource
from data_prep.jets import Jets, pid_columns

CLASSES = ("gluon", "quark")
WIDEST = 10_000  # constituents
# GeV and e, by absolute PDG code: what Pythia's stable particles are.
MASS = {11: 0.000511, 13: 0.10566, 22: 0.0, 130: 0.49761, 211: 0.13957, 310: 0.49761, 321: 0.49368, 2112: 0.93957, 2212: 0.93827}
CHARGE = {11: -1, 13: -1, 211: 1, 321: 1, 2212: 1}


class Member:
    """One array of an npz, read row after row without unpacking the whole; never anything but plain numbers."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        with damage(path):
            self.archive = zipfile.ZipFile(path)
            if f"{name}.npy" not in self.archive.namelist():
                held = ", ".join(one.removesuffix(".npy") for one in self.archive.namelist()[:6])
                raise ValueError(f"{path}: no array {name}; it has {held or 'none'}")
            self._start()
            size = self.archive.getinfo(f"{name}.npy").file_size
            if self.dtype.kind not in "fiu" or self.by_column or not self.shape:
                raise ValueError(f"{path}: {name} is {self.dtype} {list(self.shape)}, expected an array of numbers, row by row")
            if size != self.head + self.row * self.shape[0]:
                raise ValueError(f"{path}: {name} has {size} bytes, its header says {self.head + self.row * self.shape[0]}")

    def _start(self) -> None:
        self.stream: IO[bytes] = self.archive.open(f"{self.name}.npy")
        version = npy.read_magic(self.stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        self.shape, self.by_column, self.dtype = read(self.stream)
        self.head, self.at = self.stream.tell(), 0
        self.row = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=object))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows start to stop; quickest in order."""
        if start < self.at:
            self._start()
        while self.at < start:
            self.at += len(self._bytes(min(start - self.at, BLOCK))) // self.row
        raw = self._bytes(stop - start)
        self.at = stop
        return np.frombuffer(raw, self.dtype).reshape(stop - start, *self.shape[1:])

    def _bytes(self, rows: int) -> bytes:
        raw = self.stream.read(rows * self.row)
        if len(raw) != rows * self.row:
            raise ValueError(f"{self.path}: {self.name} ends early: damaged or cut off; fetch or copy the file again")
        return raw


class QuarkGluonFile:
    """One open file; see `data_prep.jet_source.JetFile`."""

    classes = CLASSES
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.jets, self.labels = Member(path, "X"), Member(path, "y")
        shape = self.jets.shape
        if len(shape) != 3 or shape[2] != 4 or not 0 < shape[1] <= WIDEST or self.labels.shape != shape[:1]:
            came = f"X {list(shape)} and y {list(self.labels.shape)}"
            raise ValueError(f"{path}: {came} came, expected X [jets, M, 4] (pT, rapidity, azimuth, PDG code) and y [jets]")
        self.entries, self.block = shape[0], max(1, min(BLOCK, MEMORY // self.jets.row))

    def counts(self) -> None:
        return None

    def read(self, start: int, stop: int) -> Jets:
        rows = self.jets.rows(start, stop).astype(np.float64)
        there = rows[..., 0] > 0
        pt, y, phi, code = rows[there].T
        kind = np.abs(np.rint(code)).astype(np.int64)
        known, place = np.unique(kind, return_inverse=True)
        mass = np.array([MASS.get(int(one), 0.0) for one in known])[place]
        charge = np.array([CHARGE.get(int(one), 0) for one in known])[place] * np.sign(code)
        across = np.hypot(pt, mass)
        return Jets(
            np.stack([pt * np.cos(phi), pt * np.sin(phi), across * np.sinh(y), across * np.cosh(y)], axis=1),
            np.concatenate([[0], np.cumsum(there.sum(axis=1))]),
            np.arange(start, stop),
            self.labels.rows(start, stop).astype(np.int64),
            point=pid_columns(kind, charge),
        )


SOURCE = JetSource("quark-gluon", QuarkGluonFile, (".npz",))
