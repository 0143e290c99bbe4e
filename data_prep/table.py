"""Jets from any table with a list of numbers per jet: parquet, Arrow, a ROOT tree, or an awkward array in memory.

``SOURCE.prepare("jets.parquet", "store", columns={"pt": "cand_pt", "eta": "cand_eta", "phi": "cand_phi"})`` says what is what
(`COLUMNS`); ``jets_of(array, columns)`` does the same without a file. On the command line ``--columns pt=cand_pt,eta=...``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.columns import Lists, Table, need, open_table, rows_of_block, wanted
from data_prep.jet_source import JetSource
from data_prep.jets import DISPLACEMENT, FLAGS, MOMENTUM, Jets, from_pt_eta_phi, pid_columns

POLAR = ("pt", "eta", "phi")
AXIS = ("jet_pt", "jet_eta", "jet_phi")
# What a column may be said to be. Lists, one number per constituent (GeV, rad, mm):
#   px py pz energy, or pt eta phi and, where it is not zero, mass or energy
#   charge and the five flags is_charged_hadron ...; or pdg and charge;  d0 d0_error dz dz_error, all four
# Numbers, one per jet: jet_pt jet_eta jet_phi with jet_mass or jet_energy (the axis, else the sum of the constituents),
#   label (0, 1, ...), weight, and whatever is to be kept: event.NAME (a model may see it) and truth.NAME.
COLUMNS = (*MOMENTUM, *POLAR, "mass", "charge", "pdg", *FLAGS, *DISPLACEMENT, *AXIS, "jet_mass", "jet_energy", "label", "weight")
LABELS = 10_000  # at most so many classes


class TableFile:
    """One open table; see `data_prep.jet_source.JetFile`. label: how labels come from their columns, if not as they are."""

    def __init__(
        self,
        table: Table,
        columns: Mapping[str, str],
        classes: Sequence[str] | None,
        *,
        one_hot: Sequence[str] = (),
        notes: tuple[str, ...] = (),
        what: str = "the option columns names it, a table",
    ) -> None:
        self.table, self.columns, self.one_hot = table, dict(columns), tuple(one_hot)
        self.path, self.notes = table.path, notes
        self.names = tuple(dict.fromkeys((*self.columns.values(), *self.one_hot)))
        wanted(table, self.names, what)
        self.entries, self.block = table.rows, rows_of_block(table, self.names)
        known = "label" in self.columns or bool(self.one_hot)
        self.classes = tuple(classes) if known and classes is not None else None

    def counts(self) -> None:
        return None

    def read(self, start: int, stop: int) -> Jets:
        cells = self.table.read(self.names, start, stop)
        jets = assemble(str(self.path), {key: cells[name] for key, name in self.columns.items()}, start)
        if self.one_hot:
            marks = np.stack([np.asarray(cells[name]) for name in self.one_hot], axis=1) > 0
            odd = marks.sum(axis=1) != 1
            if odd.any():
                row = int(odd.argmax())
                raise ValueError(f"{self.path}: jet {start + row}: {marks[row].sum()} of its labels are set, expected one")
            jets.label = marks.argmax(axis=1)
        return jets


def assemble(where: str, cells: Mapping[str, np.ndarray | Lists], first: int = 0) -> Jets:
    """Jets of the columns that ``COLUMNS`` names, numbered from ``first``."""
    lists = {key: one for key, one in cells.items() if isinstance(one, Lists)}
    for key, one in cells.items():
        per_jet = key in (*AXIS, "jet_mass", "jet_energy", "label", "weight") or "." in key
        if per_jet == isinstance(one, Lists):
            raise ValueError(f"{where}: {key}: expected {'a number' if per_jet else 'a list of numbers'} per jet")
    counts = next(iter(lists.values())).counts
    for key, one in lists.items():
        odd = one.counts != counts if len(one.counts) == len(counts) else np.ones(1, bool)
        if odd.any():
            raise ValueError(f"{where}: jet {first + int(odd.argmax())}: {key} is of another length than {next(iter(lists))}")
    point = {key: one.values for key, one in lists.items()}
    whole = {key: one for key, one in cells.items() if not isinstance(one, Lists)}
    label = whole.get("label")
    if label is not None and label.dtype.kind == "f" and (label != np.rint(label)).any():
        raise ValueError(f"{where}: label: {label[label != np.rint(label)][0]} came, expected whole numbers")
    return Jets(
        _momenta(where, point),
        np.concatenate([[0], np.cumsum(counts)]),
        np.arange(first, first + len(counts)),
        None if label is None else label.astype(np.int64),
        weight=whole.get("weight"),
        axis=_axis(whole),
        point=_extras(where, point),
        event={key.removeprefix("event."): one for key, one in whole.items() if key.startswith("event.")},
        truth={key.removeprefix("truth."): one for key, one in whole.items() if key.startswith("truth.")},
    )


def _momenta(where: str, point: Mapping[str, np.ndarray]) -> np.ndarray:
    if all(name in point for name in MOMENTUM):
        return np.stack([point[name] for name in MOMENTUM], axis=1)
    if not all(name in point for name in POLAR):
        raise ValueError(f"{where}: columns name {', '.join(point) or 'nothing'}, expected px, py, pz, energy or pt, eta, phi")
    pt, eta, phi = (point[name].astype(np.float64) for name in POLAR)
    made = from_pt_eta_phi(pt, eta, phi, point.get("mass", np.zeros(len(pt))).astype(np.float64))
    if "energy" in point:
        made[:, 3] = point["energy"]
    return made


def _axis(whole: Mapping[str, np.ndarray]) -> np.ndarray | None:
    if not all(name in whole for name in AXIS):
        return None
    pt, eta, phi = (whole[name].astype(np.float64) for name in AXIS)
    if "jet_energy" not in whole and "jet_mass" not in whole:
        return None
    axis = from_pt_eta_phi(pt, eta, phi, whole.get("jet_mass", np.zeros(len(pt))).astype(np.float64))
    if "jet_energy" in whole:
        axis[:, 3] = whole["jet_energy"]
    return axis


def _extras(where: str, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of particle kinds and of displacements: all of each, or none."""
    found: dict[str, np.ndarray] = {}
    if "pdg" in point:
        if "charge" not in point:
            raise ValueError(f"{where}: pdg came without charge; name both")
        found |= pid_columns(point["pdg"].astype(np.int64), point["charge"])
    for group in (("charge", *FLAGS), DISPLACEMENT):
        there = [name for name in group if name in point]
        if there and "pdg" not in point or group is DISPLACEMENT and there:
            if lack := [name for name in group if name not in point]:
                raise ValueError(f"{where}: {there[0]} came without {lack[0]}; name all of {', '.join(group)}, or none")
            found |= {name: point[name] for name in group}
    return found


def mapping(given: Any) -> dict[str, str]:
    """The option ``columns``: a mapping, its pairs, or the text ``pt=cand_pt,eta=cand_eta``. ValueError where it is none."""
    if isinstance(given, str):
        parts: Any = [part.split("=", 1) for part in given.split(",")]
    else:
        parts = given.items() if isinstance(given, Mapping) else given
    try:
        pairs = {str(key).strip(): str(value).strip() for key, value in parts}
    except (TypeError, ValueError):
        raise ValueError(
            f"columns: {str(given)[:60]!r} came, expected what=column pairs, such as pt=cand_pt,eta=cand_eta"
        ) from None
    for key in pairs:
        if key not in COLUMNS and not key.startswith(("event.", "truth.")):
            raise ValueError(f"columns: {key!r} came, expected one of {', '.join(COLUMNS)}, event.NAME or truth.NAME")
    return pairs


def _names(table: Table, column: str, given: Sequence[str] | str | None) -> tuple[str, ...]:
    """Names of the classes: those given, else the numbers up to the largest label there."""
    if given is not None:
        return tuple(given.split(",")) if isinstance(given, str) else tuple(given)
    largest = -1
    for start in range(0, table.rows, 1_000_000):
        values = table.read([column], start, min(start + 1_000_000, table.rows))[column]
        if isinstance(values, Lists) or not np.isfinite(values).all():
            raise ValueError(f"{table.path}: column {column} is no label: expected one whole number per jet")
        largest = max(largest, int(values.max(initial=-1)))
    if largest >= LABELS:
        raise ValueError(f"{table.path}: column {column} goes up to {largest}, too many for a label")
    return tuple(map(str, range(largest + 1)))


def open_file(path: Path, columns: Any = None, classes: Any = None, tree: str | None = None) -> TableFile:
    """A table as the option ``columns`` says; ``classes``: names of the labels; ``tree`` of a ROOT file."""
    if columns is None:
        raise ValueError(f"{path}: say what its columns are, such as --columns pt=cand_pt,eta=cand_eta,phi=cand_phi,label=y")
    chosen = mapping(columns)
    table = open_table(path, tree)
    wanted(table, tuple(chosen.values()), "the option columns names")
    return TableFile(table, chosen, _names(table, chosen["label"], classes) if "label" in chosen else None)


def jets_of(array: Any, columns: Mapping[str, str], *, first: int = 0) -> Jets:
    """Jets of an awkward array of records [jets], with the same words as a file's ``columns``."""
    ak = need("awkward", "an awkward array")
    cells: dict[str, np.ndarray | Lists] = {}
    for key, name in mapping(columns).items():
        if name not in array.fields:
            raise ValueError(f"array: no field {name}; it has {', '.join(array.fields)}")
        one = array[name]
        flat: Callable[[Any], np.ndarray] = lambda values: np.asarray(ak.to_numpy(values))  # noqa: E731
        cells[key] = flat(one) if one.ndim == 1 else Lists(flat(ak.flatten(one)), flat(ak.num(one)).astype(np.int64))
    return assemble("array", cells, first)


SOURCE = JetSource(
    "table", open_file, (".parquet", ".arrow", ".feather", ".ipc", ".root"), ("columns", "classes", "tree"), known_by_looks=False
)
