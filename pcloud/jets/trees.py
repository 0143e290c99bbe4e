"""Gradient-boosted trees on the observables of jets: the baseline that networks on constituents have to beat.

``trees = fit(columns, labels, weights)``, then ``probabilities(trees, columns)`` [jets, classes].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pcloud.jets.substructure import OBSERVABLES


def table(columns: Mapping[str, np.ndarray], names: Sequence[str] = OBSERVABLES) -> np.ndarray:
    """Observables as rows of jets [jets, names]. ValueError where one is missing or no number."""
    for name in names:
        if name not in columns:
            raise ValueError(f"observables: no {name}; came {', '.join(columns) or 'none'}")
        if not np.isfinite(columns[name]).all():
            row = int((~np.isfinite(columns[name])).argmax())
            raise ValueError(f"observables: {name} of jet {row} is {columns[name][row]}, expected a finite number")
    return np.stack([np.asarray(columns[name], np.float64) for name in names], axis=1)


def fit(
    columns: Mapping[str, np.ndarray],
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    names: Sequence[str] = OBSERVABLES,
    trees: int = 300,
    rate: float = 0.1,
    leaves: int = 31,
    seed: int = 0,
) -> Any:
    """A histogram-based boosting of scikit-learn, log loss, on ``names``; labels [jets] whole numbers, weights [jets] above 0.

    No jet is held out and nothing stops early. Trees can't learn from jets of negative weight (the loss has no lower bound):
    ValueError says so. Same seed, same trees.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows, labels = table(columns, names), np.asarray(labels)
    if len(np.unique(labels)) < 2:
        raise ValueError(f"labels: {len(np.unique(labels))} class came, expected at least 2 to tell apart")
    if weights is not None and not (np.asarray(weights) >= 0).all():
        raise ValueError("weights: negative ones came, which trees can't learn from; leave these jets out, or train a network")
    made = HistGradientBoostingClassifier(
        max_iter=trees, learning_rate=rate, max_leaf_nodes=leaves, early_stopping=False, random_state=seed
    )
    return made.fit(rows, labels, sample_weight=weights)


def probabilities(trees: Any, columns: Mapping[str, np.ndarray], names: Sequence[str] = OBSERVABLES) -> np.ndarray:
    """Share of each class, by rising label, [jets, classes]; each row sums to one."""
    made: np.ndarray = trees.predict_proba(table(columns, names))
    return made
