"""Files of a run that are whole or not there: written beside their place, synced, then renamed into it.

``replace(path, content, what)``; a full disk gives one line naming the file, and what stood there before still stands.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace(path: Path, content: bytes | memoryview, what: str) -> None:
    """Make ``content`` the file ``path``; OSError says that ``what`` could not be written."""
    partial = path.with_name(f".{path.name}.partial")
    with named(path, what):
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
    sync(path.parent)


@contextmanager
def named(path: Path, what: str) -> Iterator[None]:
    """Errors of the disk inside name the file: those of a write() name none."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno, f"{what} could not be written (what was there before is intact): {error.strerror}", str(path)
        ) from error


def sync(path: Path) -> None:
    """Make a file, or the renames in a folder, last through a power cut (where folders can be opened)."""
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
