"""The log of a run: metrics.csv with one row per optimiser step, and the same figures for TensorBoard.

A resumed run drops the rows after its checkpoint, so every step stands there once however often it was computed.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pcloud.train import disk
from pcloud.train.board import Board

Figures = dict[str, float]


class Log:
    """``write(step, figures)`` adds a row; ``last`` holds the newest figure of each name."""

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / "metrics.csv"
        self.columns, rows = _read(self.path)
        rows = [row for row in rows if int(row[0]) <= step]
        self.last = {name: float(text) for row in rows for name, text in zip(self.columns, row, strict=True) if text}
        self._replace(rows)
        self.board = Board(run / "tensorboard", step)

    def write(self, step: int, figures: Figures) -> None:
        """Add the row of ``step``; a figure of a new name (the first validation's) adds a column."""
        row = {"step": step, **figures}
        fresh = [name for name in row if name not in self.columns]
        if fresh:
            rows = _read(self.path)[1]
            self.columns += fresh
            self._replace([values + [""] * len(fresh) for values in rows])
        with disk.named(self.path, f"the row of step {step}"), open(self.path, "a", newline="") as file:
            file.write(_text([[_shown(row[name]) if name in row else "" for name in self.columns]]))
        self.board.write(step, figures)
        self.last |= row

    def sync(self) -> None:
        """Make the rows last; a checkpoint counts on those before it."""
        disk.sync(self.path)

    def _replace(self, rows: list[list[str]]) -> None:
        text = _text([self.columns, *rows]) if self.columns else ""
        disk.replace(self.path, text.encode(), "the log of figures")


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Columns and rows; a last line that a kill cut short is left out."""
    whole = path.read_text() if path.exists() else ""
    table = list(csv.reader(io.StringIO(whole[: whole.rfind("\n") + 1])))
    return (table[0], table[1:]) if table else ([], [])


def _text(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.7g}"
