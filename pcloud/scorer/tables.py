"""Reads the challenge's csv tables so that every mistake in a file becomes one line that names the file and the line.

``read_truth`` and ``read_particles`` are the two tables of the score; ``read_table`` is the reader under them.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

MAX_BYTES = 4 << 30  # of one unpacked table: an archive that swells beyond this is refused before memory is taken

TRUTH = {"hit_id": int, "particle_id": int, "weight": float}
TRUTH_STATE = {"tx": float, "ty": float, "tz": float, "tpx": float, "tpy": float, "tpz": float}
PARTICLES = {
    "particle_id": int, "vx": float, "vy": float, "vz": float, "px": float, "py": float, "pz": float, "q": float,
    "nhits": int,
}  # fmt: skip


def integers(values: ArrayLike | pd.Series, name: str) -> NDArray[np.int64]:
    """``values`` as int64, exactly; raises ``ValueError`` for anything that is not a whole number held without loss."""
    array = np.asarray(values)
    if array.dtype.kind == "f" and (broken := array != np.rint(array)).any():
        raise ValueError(f"{name}: {array[broken][0]} is not a whole number; give int64 ids")
    if array.dtype.kind not in "iuf" and array.size:
        raise ValueError(f"{name} holds {array.dtype} values; give int64 ids")
    if array.dtype.kind == "f" and array.size and np.abs(array).max() >= 2**53:
        raise ValueError(f"{name} came as {array.dtype}, which cannot hold ids above 2^53; keep the column int64")
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: {array.max()} is above 2^63 - 1; give int64 ids")
    return np.ascontiguousarray(array.astype(np.int64, copy=False))


def line_of(path: str | Path, row: int) -> int:
    """Line (from 1) of data row ``row`` (from 0) in the csv at ``path``: header and blank lines counted."""
    with _opened(Path(path)) as stream:
        filled = (number for number, line in enumerate(stream, start=1) if line.strip())
        for index, number in enumerate(filled):
            if index == row + 1:
                return number
    raise AssertionError(f"{path} has no data row {row}")


def read_table(
    path: str | Path,
    columns: Mapping[str, type],
    *,
    optional: Mapping[str, type] | None = None,
    unique: str | None = None,
) -> pd.DataFrame:
    """The named columns of a csv or csv.gz, integer columns as exact int64, float columns finite.

    ``columns`` maps names to ``int`` or ``float``; ``optional`` ones are read where the file has them, others are
    passed over. ``unique`` names a column that may not repeat a value. Raises ``FileNotFoundError`` or ``ValueError``
    with one line: file, line, what came, what to do.
    """
    path = Path(path)
    frame = _parse(path)
    for name in columns:
        if name not in frame.columns:
            raise ValueError(
                f"{path}: line 1: column {name!r} is missing; the header has {','.join(map(str, frame.columns))}, "
                f"expected {','.join(columns)}"
            )
    if frame.empty:
        raise ValueError(f"{path}: the file has a header and no rows; give one row per {next(iter(columns))}")
    kinds = {**columns, **{name: kind for name, kind in (optional or {}).items() if name in frame.columns}}
    table = pd.DataFrame({name: _column(path, frame[name], kind) for name, kind in kinds.items()})
    if unique is not None and (double := table[unique].duplicated().to_numpy()).any():
        row = int(double.argmax())
        value = table[unique].iloc[row]
        first = line_of(path, int((table[unique] == value).to_numpy().argmax()))
        raise ValueError(
            f"{path}: line {line_of(path, row)}: {unique} {value} is listed twice (first on line {first}); keep one row"
        )
    return table


def read_truth(path: str | Path) -> pd.DataFrame:
    """Truth of one event: hit_id, particle_id, weight, and tx, ty, tz (mm), tpx, tpy, tpz (GeV) where present."""
    table = read_table(path, TRUTH, optional=TRUTH_STATE, unique="hit_id")
    if (negative := table["weight"].to_numpy() < 0).any():
        row = int(negative.argmax())
        raise ValueError(
            f"{path}: line {line_of(path, row)}: weight {table['weight'].iloc[row]} is negative; expected 0 or more"
        )
    return table


def read_particles(path: str | Path) -> pd.DataFrame:
    """True particles of one event: particle_id, vx, vy, vz (mm), px, py, pz (GeV), q, nhits."""
    return read_table(path, PARTICLES, unique="particle_id")


def read_hit_ids(path: str | Path) -> NDArray[np.int64]:
    """The hit ids of one event from any table that lists each hit once (hits, truth)."""
    return integers(read_table(path, {"hit_id": int}, unique="hit_id")["hit_id"], "hit_id")


def read_header(path: str | Path) -> list[str]:
    """The column names of a csv or csv.gz, to tell one kind of table from another."""
    with _opened(Path(path)) as stream:
        return stream.readline(1 << 16).decode("utf-8", "replace").strip().split(",")


def _opened(path: Path) -> BinaryIO:
    """The unpacked bytes of a csv or csv.gz; the kind is read off the content, so that no suffix can mislead."""
    try:
        stream = path.open("rb")
    except IsADirectoryError:
        raise ValueError(f"{path}: is a folder; expected a csv or csv.gz file") from None
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; give the path of a csv or csv.gz table") from None
    if stream.read(2) != b"\x1f\x8b":
        if path.stat().st_size > MAX_BYTES:
            stream.close()
            raise ValueError(f"{path}: {path.stat().st_size} bytes; a table of at most {MAX_BYTES} is expected")
        stream.seek(0)
        return stream
    stream.seek(0)
    unpacked = io.BytesIO()
    try:
        with stream, gzip.open(stream) as packed:
            while chunk := packed.read(1 << 22):
                unpacked.write(chunk)
                if unpacked.tell() > MAX_BYTES:
                    raise ValueError(f"{path}: unpacks to more than {MAX_BYTES} bytes; expected one table")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: gzip is truncated or damaged ({error}); copy or download the file again") from None
    unpacked.seek(0)
    return unpacked


def _parse(path: Path) -> pd.DataFrame:
    with _opened(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(stream, index_col=False, low_memory=False)
        except pd.errors.EmptyDataError:
            raise ValueError(f"{path}: the file is empty; expected a csv table with a header line") from None
        except pd.errors.ParserError as error:
            if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
                wanted, line, came = found.groups()
                raise ValueError(f"{path}: line {line}: {came} fields; expected {wanted} as in the header") from None
            raise ValueError(f"{path}: not a csv table ({' '.join(str(error).split())}); write it again") from None
        except pd.errors.ParserWarning:
            raise ValueError(f"{path}: rows have more fields than the header; name every column on line 1") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not a text file (byte {error.start} is not UTF-8); expected csv") from None


def _column(path: Path, values: pd.Series, kind: type) -> NDArray[Any]:
    """One column as int64 or finite float64, or the ``ValueError`` that names its first bad line."""
    name = str(values.name)
    if kind is int:
        return integers(values, name) if values.dtype.kind == "i" else _integers_of_text(path, name)
    text = values.astype(str) if values.dtype.kind == "b" else values  # True and False are no numbers
    number: NDArray[np.float64] = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    if (bad := ~np.isfinite(number)).any():
        row = int(bad.argmax())
        came = "nothing (NaN)" if values.isna().iloc[row] else repr(str(values.iloc[row]))
        raise ValueError(f"{path}: line {line_of(path, row)}: {name} is {came}; expected a finite number")
    return number


def _integers_of_text(path: Path, name: str) -> NDArray[np.int64]:
    """The integer column from the file's own text: one odd cell turned it to float, which holds no id above 2^53."""
    with _opened(path) as stream:
        frame = pd.read_csv(stream, index_col=False, low_memory=False, dtype=str, keep_default_na=False)
    cells = frame[name].fillna("").str.strip().tolist()
    whole = np.empty(len(cells), dtype=np.int64)
    for row, cell in enumerate(cells):
        value = _whole(cell)
        if value is None:
            came = "nothing (NaN)" if cell.lower() in ("", "nan", "na", "null", "none") else repr(cell)
            wanted = "a whole number below 2^63, written without a decimal point"
            raise ValueError(f"{path}: line {line_of(path, row)}: {name} is {came}; expected {wanted}")
        whole[row] = value
    return whole


def _whole(cell: str) -> int | None:
    """The whole number a cell holds, exactly; 3.0 and 1e3 are ones too, while a float can still hold them."""
    if re.fullmatch(r"[+-]?[0-9]{1,30}", cell):
        value = int(cell)
        return value if -(2**63) <= value < 2**63 else None
    if not re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", cell):
        return None
    try:
        number = float(cell)
    except ValueError:
        return None
    return int(number) if abs(number) < 2**53 and number.is_integer() else None
