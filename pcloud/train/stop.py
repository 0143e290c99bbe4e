"""Ctrl-C and SIGTERM during training: finish the step, write a checkpoint, then say so; a second one stops at once.

``Stop`` listens while training runs; ``Interrupted`` is what the caller gets.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """Training was stopped by a signal; the checkpoint of ``step`` in ``run`` is whole."""

    def __init__(self, step: int, run: Path, number: int) -> None:
        super().__init__(f"saved at step {step} in {run}")
        self.step, self.run, self.signal = step, run, number


class Stop:
    """``asked`` is the signal that came, or None; ``saved`` the newest checkpoint's step. A second signal raises at once."""

    def __init__(self, run: Path, saved: int) -> None:
        self.run, self.saved = run, saved
        self.asked: int | None = None
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        self._former = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._handle(self._former)

    def listen(self) -> None:
        """Also called again when Lightning has set handlers of its own, to replace them."""
        self._handle(dict.fromkeys(SIGNALS, self._come))

    @staticmethod
    def _handle(handlers: dict[signal.Signals, Any]) -> None:
        if threading.current_thread() is threading.main_thread():  # Python lets no other thread set handlers
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _come(self, number: int, _: FrameType | None) -> None:
        if self.asked is not None:
            raise Interrupted(self.saved, self.run, number)
        self.asked = number
        os.write(2, b"\nfinishing the step; once more to stop at once\n")  # print is not safe inside a handler


def in_worker(_: int) -> None:
    """For loader workers: Ctrl-C reaches the whole process group, and the step under way still needs them.

    SIGTERM ends them as it should, whatever handler they were forked with: that is how Python ends them at exit.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
