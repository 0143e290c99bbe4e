"""Tables whose cells are numbers or lists of numbers, from ROOT, parquet and Arrow files, a few rows at a time.

``table = open_table(path)``; ``table.read(["part_px", "label"], 0, 1000)`` gives arrays: flat ones, and `Lists`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

BLOCK, MEMORY = 10_000, 128 << 20  # rows of a block, and about how many bytes it may take
ENDINGS = (".root", ".parquet", ".arrow", ".feather", ".ipc")


@dataclass(frozen=True)
class Lists:
    """One list of numbers per row: values [all numbers], counts [rows]."""

    values: np.ndarray
    counts: np.ndarray


class Table(Protocol):
    path: Path
    names: tuple[str, ...]
    rows: int

    def bytes_per_row(self, names: Sequence[str]) -> float:
        """What the columns take in memory, as the file's header says."""

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, np.ndarray | Lists]:
        """The columns of rows start to stop. ValueError where one is missing or no numbers."""


def need(package: str, what: str, extra: str = "hep") -> Any:
    """An optional package, imported when first needed. ValueError says how to get it."""
    try:
        return import_module(package)
    except ImportError:
        raise ValueError(
            f"{what}: the package {package.split('.')[0]} is missing, which reads it: pip install 'pcloud[{extra}]'"
        ) from None


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Whatever a library raises over a broken file becomes one line; errors of the machine pass."""
    try:
        yield
    except (MemoryError, FileNotFoundError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if isinstance(error, ValueError) and str(error).startswith(f"{path}: "):
            raise
        words = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: damaged, cut off or of another kind ({words}); fetch or copy the file again") from error


def rows_of_block(table: Table, names: Sequence[str]) -> int:
    """How many rows are read at once: BLOCK, fewer where they would take more than MEMORY."""
    return max(1, min(BLOCK, int(MEMORY / max(table.bytes_per_row(names), 1.0))))


def wanted(table: Table, names: Sequence[str], what: str) -> None:
    """ValueError naming a column that the table lacks."""
    for name in names:
        if name not in table.names:
            some = ", ".join(table.names[:6]) + (", ..." if len(table.names) > 6 else "")
            raise ValueError(f"{table.path}: no column {name}, which {what} has; it has {some or 'none'}")


def checked_rows(path: Path, rows: int) -> int:
    """A count of rows from a header, refused where the file cannot hold so many: it is asked before memory is taken."""
    size = os.path.getsize(path)
    if not 0 <= rows <= size:
        raise ValueError(f"{path}: {rows} rows, says its header, in {size} bytes: damaged; fetch or copy the file again")
    return rows


def open_table(path: Path, tree: str | None = None) -> Table:
    """A ROOT tree (``tree``, or the only one there), or a parquet or Arrow file, by the ending of its name."""
    if path.suffix == ".root":
        return RootTable(path, tree)
    if path.suffix in ENDINGS:
        return ArrowTable(path)
    raise ValueError(f"{path}: expected a file that ends in {', '.join(ENDINGS)}")


class RootTable:
    """A TTree, through uproot; branches that hold no numbers or lists of them are left out."""

    def __init__(self, path: Path, tree: str | None) -> None:
        uproot = need("uproot", str(path))
        self.path = path
        with damage(path):
            file = uproot.open(path)
            trees = sorted({name.split(";")[0] for name, kind in file.classnames().items() if kind == "TTree"})
            name = tree or (trees[0] if len(trees) == 1 else None)
            if name not in trees:
                expected = f"the tree {tree}" if tree else "one tree"
                raise ValueError(f"{path}: {', '.join(trees) or 'no tree'} came, expected {expected}")
            self.tree = file[name]
            self.rows = checked_rows(path, int(self.tree.num_entries))
            self.branches = {one.split("/")[-1]: self.tree[one] for one in self.tree.keys()}
        self.names = tuple(self.branches)

    def bytes_per_row(self, names: Sequence[str]) -> float:
        return float(sum(self.branches[name].uncompressed_bytes for name in names)) / max(self.rows, 1)

    def arrays(self, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
        """The same as awkward arrays, whatever they hold."""
        with damage(self.path):
            return {name: self.branches[name].array(entry_start=start, entry_stop=stop) for name in names}

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, np.ndarray | Lists]:
        wanted(self, names, "what is asked for")
        return {name: _numbers(self.path, name, one) for name, one in self.arrays(names, start, stop).items()}


class ArrowTable:
    """A parquet file, or an Arrow (feather) file, through pyarrow."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        with damage(path):
            if path.suffix == ".parquet":
                self.parquet = pq.ParquetFile(path)
                about = self.parquet.metadata
                rows, self.names = about.num_rows, tuple(self.parquet.schema_arrow.names)
                groups = [about.row_group(i) for i in range(about.num_row_groups)]
                self.ends = np.cumsum([group.num_rows for group in groups], dtype=np.int64)
                self.sizes: dict[str, int] = {}
                for group in groups:
                    for i in range(group.num_columns):
                        one = group.column(i)
                        name = one.path_in_schema.split(".")[0]
                        self.sizes[name] = self.sizes.get(name, 0) + one.total_uncompressed_size
            else:
                self.parquet = None
                with pa.memory_map(str(path)) as mapped:
                    self.whole = pa.ipc.open_file(mapped).read_all()
                rows, self.names = self.whole.num_rows, tuple(self.whole.column_names)
                self.sizes = {name: self.whole[name].nbytes for name in self.names}
        self.rows = checked_rows(path, rows)

    def bytes_per_row(self, names: Sequence[str]) -> float:
        return float(sum(self.sizes.get(name, 0) for name in names)) / max(self.rows, 1)

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, np.ndarray | Lists]:
        wanted(self, names, "what is asked for")
        with damage(self.path):
            table, first = self._near(list(names), start, stop)
            part = table.slice(start - first, stop - start)
            return {name: _plain(self.path, name, part[name].combine_chunks()) for name in names}

    def _near(self, names: list[str], start: int, stop: int) -> tuple[Any, int]:
        """A table that holds these rows, and the number of its first row: the row groups they lie in."""
        if self.parquet is None:
            return self.whole, 0
        low, high = np.searchsorted(self.ends, [start, max(stop - 1, start)], side="right").tolist()
        groups = list(range(low, min(high + 1, len(self.ends))))
        return self.parquet.read_row_groups(groups, columns=names), int(self.ends[low - 1]) if low else 0


def _plain(path: Path, name: str, column: Any) -> np.ndarray | Lists:
    import pyarrow as pa

    kind = column.type
    if column.null_count:
        raise ValueError(f"{path}: column {name} has empty cells, expected a number or a list in each")
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    inner = column.flatten() if listed or pa.types.is_fixed_size_list(kind) else column
    held = inner.type
    if not (pa.types.is_integer(held) or pa.types.is_floating(held) or pa.types.is_boolean(held)) or inner.null_count:
        raise ValueError(f"{path}: column {name} holds {kind}, expected numbers, or lists of numbers")
    values = np.asarray(inner.to_numpy(zero_copy_only=False))
    if inner is column:
        return values
    if listed:
        return Lists(values, np.diff(column.offsets.to_numpy()).astype(np.int64))
    return Lists(values, np.full(len(column), kind.list_size, np.int64))


def _numbers(path: Path, name: str, column: Any) -> np.ndarray | Lists:
    ak = need("awkward", str(path))
    if column.ndim == 1 and column.layout.is_numpy:
        return np.asarray(ak.to_numpy(column))
    if column.ndim == 2:
        values = ak.flatten(column)
        if values.layout.is_numpy:
            return Lists(np.asarray(ak.to_numpy(values)), np.asarray(ak.to_numpy(ak.num(column))).astype(np.int64))
    raise ValueError(f"{path}: column {name} holds {column.type.content}, expected numbers, or lists of numbers")
