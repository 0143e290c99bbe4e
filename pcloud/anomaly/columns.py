"""What every function of a search asks of its columns: numbers, one per event, each event counting once.

``checked(mass=mass, score=score)`` returns them as float64 or raises one clear line; ``unweighted`` draws equal events.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def checked(weight: ArrayLike | None = None, **columns: ArrayLike) -> list[Floats]:
    """The columns as float64 [events]. ValueError where shapes differ, a value is not finite, or weights are not all equal."""
    found = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    first = next(iter(found.values()))
    if any(column.ndim != 1 or column.shape != first.shape for column in found.values()):
        came = ", ".join(f"{name} {list(column.shape)}" for name, column in found.items())
        raise ValueError(f"{came}: expected columns of one length")
    for name, column in found.items():
        if (bad := ~np.isfinite(column)).any():
            row = int(bad.argmax())
            raise ValueError(f"{name} of row {row} is {column[row]}; expected finite numbers, {int(bad.sum())} rows have none")
    if weight is not None:
        weights = np.asarray(weight, dtype=np.float64)
        if weights.shape != first.shape:
            raise ValueError(f"weight has shape {list(weights.shape)}; expected one for each of {len(first)} rows")
        if len(weights) and not (weights == weights[0]).all():
            came = f"weights from {weights.min():g} to {weights.max():g} came"
            raise ValueError(f"{came}; a search counts events: choose rows by anomaly.columns.unweighted(weight) first")
    return list(found.values())


def unweighted(weight: ArrayLike, *, seed: int = 0) -> NDArray[np.bool_]:
    """Rows [events] to keep so that those kept stand for the weighted sample: each with probability weight / largest."""
    weights = np.asarray(weight, dtype=np.float64)
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError("weights that are negative, not finite or all 0 came; expected at least one positive, none negative")
    kept: NDArray[np.bool_] = np.random.default_rng(seed).random(len(weights)) * weights.max() < weights
    return kept
