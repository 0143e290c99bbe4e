"""Compiled work on ranges of events, on as many threads as torch uses.

``spread(work, events)`` calls ``work(first, last)`` until all is done; the work must be free of Python's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

PARTS = 4  # ranges a thread: events differ in size


def spread(work: Callable[[int, int], None], events: int) -> None:
    """``work`` on [first, last) of 0 ... events. Its errors are raised here."""
    threads = min(torch.get_num_threads(), max(events, 1))
    if threads == 1:
        work(0, events)
        return
    cuts = [part * events // (PARTS * threads) for part in range(PARTS * threads + 1)]
    with ThreadPoolExecutor(threads, thread_name_prefix="pcloud-sets") as pool:
        for done in [pool.submit(work, a, b) for a, b in zip(cuts, cuts[1:], strict=False) if a < b]:
            done.result()
