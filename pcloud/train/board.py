"""Figures for TensorBoard, written in step with training: a full disk is an error here and now, with the file named.

(The usual writer leaves that to a thread of its own, whose failure nobody catches.) ``Board(folder, step).write(...)``.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

from pcloud.train import disk


class Board:
    """One event file per session; TensorBoard hides what earlier sessions wrote beyond ``step``, where this one begins."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        self.path = folder / f"events.out.tfevents.{now:.0f}.{socket.gethostname()}.{os.getpid()}"
        self._append(Event(wall_time=now, file_version="brain.Event:2"))
        self._append(Event(wall_time=now, step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, figures: dict[str, float]) -> None:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._append(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _append(self, event: Event) -> None:
        with disk.named(self.path, "the figures for TensorBoard"), open(self.path, "ab") as file:
            RecordWriter(file).write(event.SerializeToString())
