"""Lightning talks about itself while it trains: hardware tables, tips, advice on loaders that does not apply here.

``with quiet():`` leaves out just those lines; warnings of everyone else pass.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Message of a Lightning warning -> why it does not apply.
ADVICE = {
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated": "Lightning calls torch so; nothing of ours",
    "The '.*' does not have many workers": "events are memory-mapped; loader_workers is the user's choice",
    ".*module\\(s\\) in eval mode at the start of training": "a task may freeze a part of itself",
}


@contextmanager
def quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in ADVICE:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
