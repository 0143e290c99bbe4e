"""The manifest of a store: one JSON file that says what the store holds and what each of its files must look like.

``write(folder, about)`` seals it with a checksum of its own; ``read(folder)`` gives it back, or says what is wrong.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pcloud.data.schema import VERSION
from pcloud.data.shards import checksum

NAME, SEAL = "manifest.json", "manifest.sha256"
FORMAT = "pcloud events"
LIMIT = 64 << 20  # bytes; a shard takes about 200, so this is a store of some 20 TB


def write(folder: Path, about: dict[str, Any]) -> None:
    text = json.dumps({"format": FORMAT, "version": VERSION, **about}, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")
    (folder / SEAL).write_text(_seal(folder / NAME))


def read(folder: Path) -> dict[str, Any]:
    """Raises ValueError of one line: no store, another version, damaged."""
    file, seal = folder / NAME, folder / SEAL
    if not file.is_file():
        raise ValueError(f"{folder}: not a store (it has no {NAME}); make one with: pcloud prepare")
    if file.stat().st_size > LIMIT:
        raise ValueError(f"{file}: {file.stat().st_size} bytes came, at most {LIMIT} expected; not a manifest")
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        kind, version = about["format"], about["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file}: damaged, not a readable manifest; prepare the store again") from error
    if kind != FORMAT:
        raise ValueError(f"{file}: format {kind!r} came, {FORMAT!r} expected; not a store of pcloud, or damaged")
    if version != VERSION:
        raise ValueError(f"{file}: schema version {version!r} came, this pcloud reads {VERSION}; prepare the store again")
    try:
        sealed = seal.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{seal}: missing or unreadable; prepare the store again") from error
    if sealed != _seal(file):
        raise ValueError(f"{file}: its sha256 is not the one in {SEAL}: damaged; prepare the store again")
    return dict(about)


def _seal(file: Path) -> str:
    return f"{checksum(file)}  {NAME}\n"  # the line that sha256sum -c reads
