"""Where a model's two files lie, and a look at the weights file before any memory is taken for it.

``find("tracks")`` names the files of a shipped model or a run folder; ``check_header(path, shapes)`` refuses odd weights.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
MAX_HEADER = 1 << 20
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class Files(NamedTuple):
    """A model on disk."""

    name: str
    card: Path
    weights: Path


DEFAULTS = {"tracks": "tracks-judged"}  # the best for any machine, by a short name


def shipped() -> list[str]:
    """Names of the models that come with pcloud."""
    files = {path.stem for path in HERE.glob("*.json") if path.with_suffix(".safetensors").exists()}
    return sorted(files | {short for short, name in DEFAULTS.items() if name in files})


def at(target: str | Path) -> Files:
    """The files of a model to write: ``model.*`` in an existing folder, else ``target`` is their name without suffix."""
    prefix = Path(target) / "model" if Path(target).is_dir() else Path(target)
    return Files(prefix.name, Path(f"{prefix}.json"), Path(f"{prefix}.safetensors"))


def find(name: str | Path) -> Files:
    """The files of a shipped model (by its name) or of a run folder. FileNotFoundError says what there is."""
    if str(name) in shipped():
        file = DEFAULTS.get(str(name), str(name))
        return Files(file, HERE / f"{file}.json", HERE / f"{file}.safetensors")
    folder = Path(name)
    files = at(folder)._replace(name=folder.name)
    if not folder.is_dir() or not files.card.is_file():
        why = "a folder without model.json (is its training finished?)" if folder.is_dir() else "no such folder"
        known = ", ".join(shipped()) or "none"
        raise FileNotFoundError(f"{name}: {why}, and no shipped model has this name; shipped models: {known}")
    if not files.weights.is_file():
        raise FileNotFoundError(
            f"{files.weights}: the weights are missing beside the card; fetch or write the model again"
        )
    return files


def check_header(path: Path, expected: Mapping[str, Sequence[int]]) -> None:
    """Raises ValueError unless the file holds exactly the ``expected`` tensors (name -> shape), and every byte is theirs.

    Only the header is read, and no more of it than MAX_HEADER, whatever length it claims.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            raise ValueError(f"{path}: its header claims {length} bytes of {size}; not a weights file, or cut off")
        text = file.read(length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        found = {name: (one["dtype"], list(one["shape"]), *one["data_offsets"]) for name, one in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(f"{path}: its header is not one of safetensors; fetch or write the model again") from None
    for name in sorted(found.keys() ^ expected.keys()):
        what = "unknown to" if name in found else "missing for"
        raise ValueError(f"{path}: weight {name} is {what} the model of its card; was it written by another pcloud?")
    end = 0
    for name, (dtype, shape, first, last) in sorted(found.items(), key=lambda item: item[1][2:]):
        if shape != list(expected[name]):
            raise ValueError(
                f"{path}: weight {name} has shape {shape}, the model of its card expects {list(expected[name])}"
            )
        if first != end or last - first != prod(shape) * BYTES.get(dtype, -1):
            raise ValueError(f"{path}: weight {name} lies at bytes {first} to {last}; not a weights file pcloud wrote")
        end = last
    if 8 + length + end != size:
        raise ValueError(f"{path}: {size} bytes, its header tells of {8 + length + end}; cut off, or damaged")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, data: bytes) -> None:
    """Put data at path in one step: whole or not at all, and on failure nothing is left beside it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
