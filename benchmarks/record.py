"""Where quoted figures come from: results.json holds one dated entry per measurement, and the ideas that lost.

A benchmark ends with ``record(name, figures, command, ...)``; ``python -m benchmarks.figures`` then brings the pages up to date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
ABSOLUTE = re.compile(r"""(^|[\s=:"'(])(/\w|~/|[A-Za-z]:\\)""")
# What a measurement itself changes: the pages it is quoted in.
WRITTEN = (":!benchmarks/results.json", ":!*.md", ":!docs/*.png")


@dataclass(frozen=True)
class Figure:
    """A value with its unit; ``low`` to ``high`` is what ``interval`` names ("68%", "range of 9 runs").

    counts: numerator / denominator, where it is a share. cuts: its definition and cuts, where the entry's do not say all.
    """

    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    interval: str = ""
    counts: str = ""
    cuts: str = ""

    def __post_init__(self) -> None:
        numbers = [one for one in (self.value, self.low, self.high) if one is not None]
        if self.value is None or not all(map(math.isfinite, numbers)):
            raise ValueError(f"figure {self.value} [{self.low}, {self.high}]: finite numbers expected")
        if (self.low is None) != (self.high is None) or (self.low is not None and not self.interval):
            raise ValueError(f"figure {self.value}: low, high and the name of the interval belong together")

    @classmethod
    def of(cls, one: Mapping[str, Any]) -> Figure:
        """One of the ``figures`` that ``pcloud score`` and ``pcloud evaluate`` report."""
        counts = f"{one['numerator']:,} / {one['denominator']:,}"
        if one["low"] is None:
            return cls(one["value"], counts=counts, cuts=one["definition"])
        interval = f"{one['level']:.0%}"
        return cls(one["value"], low=one["low"], high=one["high"], interval=interval, counts=counts, cuts=one["definition"])


def record(
    name: str,
    figures: Mapping[str, float | Figure],
    command: str,
    *,
    title: str,
    data: str,
    cuts: str,
    results: Path = RESULTS,
) -> dict[str, Any]:
    """Add an entry and return it; the newest entry of a name is the one that pages quote.

    title: what was measured, in words. data: on which events ("synthetic" if simulated). cuts: what a figure leaves out, or
    "none". command: what a reader types to measure again. ValueError: an empty one of these, or a path of one machine.
    """
    words = {"name": name, "title": title, "data": data, "cuts": cuts, "command": command}
    for key, text in words.items():
        if not text.strip() or ABSOLUTE.search(text):
            raise ValueError(f"{key}: {text!r} came; words without a path of one machine were expected")
    whole = {label: one if isinstance(one, Figure) else Figure(one) for label, one in figures.items()}
    entry = {**words, **stamp(), "machine": machine(), "figures": {label: asdict(one) for label, one in whole.items()}}
    _append("entries", entry, results)
    return entry


def note(title: str, text: str, *, results: Path = RESULTS) -> None:
    """Keep an idea that lost, or anything else worth knowing before it is tried again."""
    _append("notes", {"title": title, "text": text, **stamp()}, results)


def stamp() -> dict[str, str]:
    """Date (UTC) and commit, the latter with "+changes" where code differs from it."""
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *WRITTEN)
    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "commit": commit + ("+changes" if changed else "")}


def machine() -> str:
    """Processor, cores, memory, system and versions; never a name or a place."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    processor = names[0] if names else platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = f"Python {platform.python_version()}, torch {version('torch')}, numpy {version('numpy')}"
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, {versions}"


def read(results: Path = RESULTS) -> dict[str, list[dict[str, Any]]]:
    """{"entries": [...], "notes": [...]}, oldest first; both empty where nothing was measured."""
    if not results.exists():
        return {"entries": [], "notes": []}
    whole: dict[str, list[dict[str, Any]]] = json.loads(results.read_text(encoding="utf-8"))
    return whole


def _append(kind: str, entry: dict[str, Any], results: Path) -> None:
    whole = read(results)
    whole[kind].append(entry)
    partial = results.with_name(f".{results.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(results)
    finally:
        partial.unlink(missing_ok=True)


def main() -> None:
    """``python -m benchmarks.record TITLE TEXT`` notes an idea that lost."""
    parser = argparse.ArgumentParser(description="Note an idea that lost in results.json.")
    parser.add_argument("title")
    parser.add_argument("text")
    given = parser.parse_args()
    note(given.title, given.text)


if __name__ == "__main__":
    main()
