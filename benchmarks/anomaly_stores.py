"""Stores to train autoencoders on: of one kind of jet without labels, or with a known share of another kind among them.

``unlabelled(store, out, lambda label: label == 0)`` and ``contaminated(background, signal, out, 0.1, seed)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcloud.data.store import Store, StoreWriter
from pcloud.jets.kinematics import FEATURES
from pcloud.jets.momenta import COLUMNS
from pcloud.metrics.contamination import mixed

BLOCK = 5000
POINT = (*FEATURES, *COLUMNS)


def unlabelled(path: Path, out: Path, wanted: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> Path:
    """The jets whose label is wanted, without any truth."""
    if not out.exists():
        store = Store.open(path)
        label = store.read_many(range(len(store)), point=()).event_truth["label"]
        _write(out, [(store, np.flatnonzero(wanted(label)))])
    return out


def contaminated(background: Path, signal: Path, out: Path, fraction: float, seed: int) -> Path:
    """As many jets as ``background`` has, a ``fraction`` of them from ``signal``, without a word on which."""
    if not out.exists():
        stores = Store.open(background), Store.open(signal)
        places = mixed(len(stores[0]), len(stores[1]), fraction, seed=seed)
        _write(out, list(zip(stores, places, strict=True)))
    return out


def _write(out: Path, parts: list[tuple[Store, NDArray[np.int64]]]) -> None:
    known = parts[0][0].schema
    columns = [replace(known.column("point", name), mean=None, width=None) for name in POINT]
    columns += [replace(one, mean=None, width=None) for one in known.of("event")]
    source = {**parts[0][0].source, "truth": False}
    first = 0
    with StoreWriter(out, columns, source=source) as writer:
        for store, places in parts:
            for start in range(0, len(places), BLOCK):
                block = store.read_many(places[start : start + BLOCK], truth=False, point=POINT)
                ids = np.arange(first, first + len(block.points))
                writer.add_many(ids, replace(block, event={**block.event, "event_id": ids}))
                first += len(ids)
