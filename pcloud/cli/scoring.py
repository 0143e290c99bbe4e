"""``pcloud score``: figures of a submission file against truth files, as a function and as text.

``score(truth, submission)`` is ``pcloud.metrics.challenge.score_files``; ``lines`` makes it readable.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any


def score(truth: str | Path, submission: str | Path) -> dict[str, Any]:
    """Official score and tracking figures; keys as in :func:`pcloud.metrics.challenge.score_files`."""
    from pcloud.metrics.challenge import score_files

    return score_files(truth, submission)


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report as lines: the score, then each figure with its interval, counts and definition."""
    if "score" in report:
        error = report.get("score_error")
        spread = f" +- {error:.4f} (standard error over {len(report['events'])} events)" if error is not None else ""
        yield f"TrackML score {report['score']:.4f}{spread}, weights {report['weights']}"
    if note := report.get("note"):
        yield f"  {note}"
    yield from figures(report.get("figures") or {})


def figures(table: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Two lines a figure: name, value, interval and counts; below it what was counted, with which cuts."""
    for name, one in table.items():
        value = "no value" if one["value"] is None else f"{one['value']:.4f}"
        interval = "" if one["low"] is None else f" [{one['low']:.4f}, {one['high']:.4f}] at {one['level']:.0%}"
        yield f"  {name:28s}{value}{interval}  {one['numerator']:,} / {one['denominator']:,}"
        yield f"      {one['definition']}"
