"""What a person sees of a run: a bar in a terminal, plain lines elsewhere; all on standard error.

``say`` a line, ``step`` after every optimiser step, ``close`` at the end.
"""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SILENCE_S = 10.0


class Show:
    """Steps ``done`` to ``total``; without a terminal a line at each validation and whenever 10 s passed in silence."""

    def __init__(self, total: int, done: int) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.total, self.done = total, done
        self._began = self._spoke = time.monotonic()
        self._bar: Progress | None = None
        if self.console.is_terminal:
            columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self.console)
            self._bar.add_task("", total=total, completed=done)

    def say(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)

    def start(self) -> None:
        self._began = self._spoke = time.monotonic()
        if self._bar is not None:
            self._bar.start()

    def step(self, step: int, figures: dict[str, float]) -> None:
        validated = [f"{name} {value:.4g}" for name, value in figures.items() if name.startswith("val/")]
        now = time.monotonic()
        pace = f"loss {figures['train/loss']:.4g}  {(step - self.done) / max(now - self._began, 1e-9):.3g} steps/s"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, description=pace)
        if validated or (self._bar is None and now - self._spoke > SILENCE_S):
            self._spoke = now
            self.say("  ".join([f"step {step}/{self.total}", pace, *validated]))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
