"""Chunks of jets kept on disk while a store of them is under way, so that a broken run goes on where it stood.

``Parts(store, told)`` is the folder STORE.parts; a chunk appears in it whole or not at all, and `read` gives it back.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from data_prep.jets import Jets

SETTINGS = "settings.json"
SCOPES = ("point", "event", "truth")  # of the columns that jets may have beside those of all


def _folder(store: Path) -> Path:
    return store.with_name(f"{store.name}.parts")


class Parts:
    """told: what the jets follow from, in JSON's types; a folder of other jets is refused with ValueError, and left alone."""

    def __init__(self, store: Path, told: dict[str, Any]) -> None:
        self.folder = _folder(store)
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / SETTINGS
        if not file.exists():
            self._whole(file, lambda out: out.write(json.dumps(told, indent=1).encode()))
        try:
            theirs = json.loads(file.read_text())
        except ValueError as error:
            raise ValueError(f"{file}: not as pcloud writes it; delete the folder and start again") from error
        if theirs != told:
            names = [name for name in {**told, **theirs} if told.get(name) != theirs.get(name)]
            differ = ", ".join(f"{name} {theirs.get(name)} there, {told.get(name)} now" for name in names)
            raise ValueError(f"{self.folder}: jets of another run ({differ}); go on with its settings, or delete it")

    def has(self, number: int) -> bool:
        return self._file(number).exists()

    def keep(self, number: int, jets: Jets) -> None:
        columns = {f"{scope}.{name}": column for scope in SCOPES for name, column in getattr(jets, scope).items()}
        named = {name: getattr(jets, name) for name in ("p4", "offsets", "event_id", "label", "weight", "axis")} | columns
        given: dict[str, Any] = {name: column for name, column in named.items() if column is not None}
        self._whole(self._file(number), lambda out: np.savez(out, **given))

    def read(self, number: int) -> Jets:
        file = self._file(number)
        try:
            with np.load(file, allow_pickle=False) as stored:
                columns = {name: stored[name] for name in stored.files}
            further: dict[str, Any] = {scope: {} for scope in SCOPES}
            for name in [name for name in columns if "." in name]:
                scope, column = name.split(".", 1)
                further[scope][column] = columns.pop(name)
            return Jets(**columns, **further)
        except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{file}: damaged ({error}); delete this file and run the same command again") from error

    @staticmethod
    def discard(store: Path) -> None:
        """Remove the folder of a store that is complete."""
        folder = _folder(store)
        if (folder / SETTINGS).exists():
            shutil.rmtree(folder)

    def _file(self, number: int) -> Path:
        return self.folder / f"chunk-{number:06d}.npz"

    @staticmethod
    def _whole(file: Path, write: Callable[[BinaryIO], Any]) -> None:
        """Write beside and rename: a kill leaves the whole file or none of this name."""
        beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        try:
            with open(beside, "xb") as out:
                write(out)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
