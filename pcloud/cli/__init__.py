"""The verbs of pcloud, as functions and as the command ``pcloud VERB``; torch and lightning wait until a verb needs them.

``from pcloud.cli import predict; predict("tracks", "event_folder", "submission.csv")`` does it without printing.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

_DOORS = {
    "prepare": "pcloud.cli.sources",
    "simulate": "pcloud.cli.sources",
    "teach": "pcloud.cli.teaching",
    "train": "pcloud.cli.training",
    "train_seeds": "pcloud.cli.seeds",
    "tune": "pcloud.cli.tuning",
    "evaluate": "pcloud.cli.evaluation",
    "evaluate_seeds": "pcloud.cli.seeds_report",
    "predict": "pcloud.cli.prediction",
    "export": "pcloud.cli.exporting",
    "score": "pcloud.cli.scoring",
    "display": "pcloud.cli.displaying",
    "inspect": "pcloud.cli.inspection",
}
__all__ = [
    "display", "evaluate", "evaluate_seeds", "export", "inspect", "main", "predict", "prepare", "score", "simulate", "teach",
    "train", "train_seeds", "tune",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"pcloud.cli has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_DOORS[name]), name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``pcloud ARGUMENTS`` (the process's own, if None) and return the exit status."""
    from pcloud.cli import commands, errors
    from pcloud.cli.arguments import parse

    parsed = parse(arguments)
    written = next((place for name in ("out", "store", "run") if (place := getattr(parsed, name, None))), None)
    # Importing makes objects by the hundred thousand that stay: looking through them took a third of a verb.
    atexit.register(_leave_at_once)
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000)
    try:
        return errors.guard(parsed.verb, lambda: getattr(commands, parsed.verb)(parsed), written)
    finally:
        gc.set_threshold(*thresholds)


def _leave_at_once() -> None:
    """At exit, where no torch came in, don't look for cycles; extensions that come with torch report what is not collected."""
    if "torch" not in sys.modules:
        gc.freeze()
