"""The top-tagging reference data (doi:10.5281/zenodo.2603256): the hardest 200 constituents of 1.2 + 0.4 + 0.4 million jets.

``SOURCE.prepare("train.h5", "store")``. A file is a table that pandas wrote: columns E_0, PX_0, PY_0, PZ_0, ... (GeV, zeros
where a jet has fewer), the true top's truthE ..., ttv (0 training, 1 validation, 2 test) and is_signal_new (1 = top).
"""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.columns import BLOCK
from data_prep.hdf5 import dataset, open_hdf5
from data_prep.jet_source import JetSource
from data_prep.jets import Jets

CLASSES = ("qcd", "top")
PARTS = ("PX", "PY", "PZ", "E")
TRUTH = ("truthPX", "truthPY", "truthPZ", "truthE")
SIGNAL, SPLIT = "is_signal_new", "ttv"
LONGEST = 200
_PART = re.compile(r"(E|PX|PY|PZ)_(\d{1,4})")
# The order in the published files, for tables of their shape that don't tell their columns.
_PUBLISHED = {
    "values_block_0": [f"{part}_{i}" for i in range(LONGEST) for part in ("E", "PX", "PY", "PZ")]
    + ["truthE", "truthPX", "truthPY", "truthPZ"],
    "values_block_1": [SPLIT, SIGNAL],
}


class _Names(pickle.Unpickler):
    """Reads lists of text alone: names of anything that could be run are refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} came, expected text")


class TopTaggingFile:
    """One open file; see `data_prep.jet_source.JetFile`."""

    classes = CLASSES
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        file = open_hdf5(path)
        groups = [name for name in file if f"{name}/table" in file]
        if len(groups) != 1:
            raise ValueError(f"{path}: {len(groups)} tables of pandas came, expected one, such as that of train.h5")
        self.table = dataset(path, file, f"{groups[0]}/table")
        self.entries, self.block = len(self.table), BLOCK
        self.places = self._places()
        present = [name for name in self.places if _PART.fullmatch(name)]
        self.longest = len(present) // len(PARTS)
        wanted = [f"{part}_{i}" for i in range(self.longest) for part in PARTS] + [SIGNAL]
        for name in wanted:
            if name not in self.places:
                raise ValueError(f"{path}: no column {name}; expected PX_0, PY_0, PZ_0, E_0, PX_1, ... and {SIGNAL}")
        if not self.longest:
            raise ValueError(f"{path}: no column E_0; expected PX_0, PY_0, PZ_0, E_0, PX_1, ... and {SIGNAL}")

    def _places(self) -> dict[str, tuple[str, int]]:
        """Column -> the block of the table it is in and its place there."""
        found: dict[str, tuple[str, int]] = {}
        fields = self.table.dtype.fields or {}
        for block in [name for name in fields if name.startswith("values_block_")]:
            width = int(np.prod(fields[block][0].shape))
            names = _told(self.path, self.table.attrs.get(f"{block}_kind"))
            if names is None and width == len(_PUBLISHED.get(block, ())):
                names = _PUBLISHED[block]
            if names is None or len(names) != width:
                raise ValueError(f"{self.path}: {block} does not tell its {width} columns; expected a table that pandas wrote")
            found |= {name: (block, place) for place, name in enumerate(names)}
        return found

    def counts(self) -> None:
        return None

    def read(self, start: int, stop: int) -> Jets:
        rows = self.table[start:stop]

        def column(name: str) -> np.ndarray:
            block, place = self.places[name]
            made: np.ndarray = rows[block].reshape(len(rows), -1)[:, place]
            return made

        p4 = np.stack([np.stack([column(f"{part}_{i}") for i in range(self.longest)], 1) for part in PARTS], axis=2)
        there = p4[..., 3] > 0
        truth = {name: column(name) for name in (*TRUTH, SPLIT) if name in self.places}
        return Jets(
            p4[there],
            np.concatenate([[0], np.cumsum(there.sum(axis=1))]),
            np.arange(start, start + len(rows)),
            column(SIGNAL).astype(np.int64),
            truth=truth,
        )


def _told(path: Path, attribute: Any) -> list[str] | None:
    """The column names that PyTables keeps as a pickled list; None where there are none."""
    raw = bytes(attribute) if isinstance(attribute, bytes | np.bytes_ | np.void) else None
    if raw is None:
        return None
    try:
        names = _Names(io.BytesIO(raw), encoding="latin1").load()
    except Exception as error:  # whatever broken text makes it raise
        raise ValueError(f"{path}: its list of columns is damaged ({str(error)[:100]}); fetch or copy it again") from error
    return [str(name) for name in names] if isinstance(names, list) and all(isinstance(n, str) for n in names) else None


SOURCE = JetSource("top-tagging", TopTaggingFile, (".h5", ".hdf5"))
