"""The one place where a failure becomes a line and an exit status: 2 the user's mistake, 1 the machine's, 130 Ctrl-C.

``guard("predict", action)`` runs the action; PCLOUD_TRACEBACK=1 lets the exception through with all its frames.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

STOPPED = "interrupted; nothing half-written is left"
MISPLACED: dict[type[OSError], str] = {
    IsADirectoryError: "is a folder; a file is expected",
    NotADirectoryError: "is a file, or lies under one; a folder is expected",
    FileExistsError: "exists already; name another path",
}


def guard(verb: str, action: Callable[[], None], out: object = None) -> int:
    """Exit status of ``action``; its failure is told on standard error in one line. ``out`` is what the action writes."""
    try:
        action()
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # the reader of our output (head, less) has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("PCLOUD_TRACEBACK") == "1":
            raise
        status, message = judge(error, out)
        print(f"pcloud {verb}: {message}", file=sys.stderr)
        return status


def judge(error: BaseException, out: object = None) -> tuple[int, str]:
    """Exit status and message of a failure while writing ``out``."""
    words = " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt):
        return 130, words or STOPPED
    if _began_with_interrupt(error):
        return 130, STOPPED
    if isinstance(error, FileNotFoundError):
        return 2, words if error.errno is None else f"{error.filename}: no such file or folder"
    if isinstance(error, ValueError):
        return 2, words
    for kind, what in MISPLACED.items():
        if isinstance(error, kind):
            return 2, words if error.errno is None else f"{error.filename2 or error.filename or out or 'output'}: {what}"
    if isinstance(error, OSError):
        return 1, words if error.errno is None else f"{error.filename or out or 'output'}: {error.strerror}"
    if isinstance(error, MemoryError):
        return 1, f"out of memory; {words or 'use smaller events or fewer workers'}"
    return 1, f"{type(error).__name__}: {words} (a defect of pcloud? PCLOUD_TRACEBACK=1 shows where)"


def _began_with_interrupt(error: BaseException) -> bool:
    """Compiled code (numba) passes Ctrl-C on as the cause of a SystemError, and others wrap that again."""
    cause = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt) or (cause is not None and _began_with_interrupt(cause))
