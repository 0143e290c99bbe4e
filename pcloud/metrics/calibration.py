"""Are the probabilities of a tagger true? Log-loss, calibration error, reliability curves, and the temperature that mends them.

Everywhere ``p`` [rows, classes] are probabilities, ``label`` [rows] the true class and ``weight`` [rows] of any sign; a row of
weight w counts as w rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pcloud.metrics.roc import Floats, Rows

BINS = 15
TINY = 1e-30  # of a probability, before its logarithm
COLDEST, HOTTEST = 0.01, 100.0


class Bin(NamedTuple):
    """Rows whose probability lies in [low, high): their weight, mean probability, share that holds, its standard error.

    The three are None where the weight is not positive.
    """

    low: float
    high: float
    rows: int
    weight: float
    probability: float | None
    share: float | None
    error: float | None

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()


def log_loss(p: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Weighted mean of -ln p of the true class, p no less than 1e-30; nan without weight."""
    table, truth, weights = _checked(p, label, weight)
    total = weights.sum()
    chosen = table[np.arange(len(truth)), truth]
    return float(-(weights * np.log(chosen.clip(TINY))).sum() / total) if total > 0 else float("nan")


def reliability(probability: ArrayLike, holds: ArrayLike, weight: ArrayLike | None = None, *, bins: int = BINS) -> list[Bin]:
    """In equal bins of ``probability`` [rows] within [0, 1]: how often what was said, ``holds`` [rows] bool, was so."""
    said, true = np.asarray(probability, dtype=np.float64), np.asarray(holds, dtype=np.float64)
    weights = np.ones(len(said)) if weight is None else np.asarray(weight, dtype=np.float64)
    where = _bin_of(said, bins)
    columns = (weights, weights * said, weights * true)
    rows, (sums, mean, share) = np.bincount(where, minlength=bins), (np.bincount(where, one, bins) for one in columns)
    good = sums > 0
    mean, share = (np.divide(one, sums, where=good, out=np.zeros(bins)) for one in (mean, share))
    error = np.sqrt(np.bincount(where, np.square(weights * (true - share[where])), bins))
    edges = np.linspace(0, 1, bins + 1)
    found = []
    for b in range(bins):
        known = (float(mean[b]), float(share[b]), float(error[b] / sums[b])) if good[b] else (None, None, None)
        found.append(Bin(float(edges[b]), float(edges[b + 1]), int(rows[b]), float(sums[b]), *known))
    return found


def ece(p: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None, *, bins: int = BINS) -> float:
    """Expected calibration error of the class chosen: over equal bins of its probability, sum |sum w (right - p)| / sum w.

    With positive weights this is the mean of |accuracy - confidence| (Guo et al., arXiv:1706.04599). Of many bins and few rows
    it is above 0 even where all is well. nan without weight.
    """
    table, truth, weights = _checked(p, label, weight)
    choice = table.argmax(axis=1)
    return _gap(table.max(axis=1, initial=0.0), choice == truth, weights, bins)


def classwise_ece(p: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None, *, bins: int = BINS) -> Floats:
    """[classes]: as ``ece``, of each class's own probability against being of that class (Kull et al., arXiv:1910.12656)."""
    table, truth, weights = _checked(p, label, weight)
    return np.array([_gap(column, truth == number, weights, bins) for number, column in enumerate(table.T)])


def temperature(p: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> float:
    """T for which p^(1/T), normalised (the softmax of logits / T), has the least log-loss; fit it on events not tested on.

    The loss is convex in 1/T for weights >= 0, so the zero of its slope is found by halving; T stays within [0.01, 100].
    """
    table, truth, weights = _checked(p, label, weight)
    if not weights.sum() > 0:
        raise ValueError(f"the weights of {len(weights)} rows sum to {weights.sum():g}; a temperature needs a positive sum")
    logits = np.log(table.clip(TINY))
    true = logits[np.arange(len(truth)), truth]

    def slope(inverse: float) -> float:
        return float((weights * ((_softmax(logits * inverse) * logits).sum(axis=1) - true)).sum())

    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    if slope(np.exp(low)) >= 0:
        return HOTTEST
    if slope(np.exp(high)) <= 0:
        return COLDEST
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (low, middle) if slope(np.exp(middle)) > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))


def cooled(p: ArrayLike, temperature: float) -> Floats:
    """The probabilities [rows, classes] at this temperature: p^(1/T), normalised."""
    return _softmax(np.log(np.asarray(p, dtype=np.float64).clip(TINY)) / temperature)


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _gap(said: Floats, holds: ArrayLike, weights: Floats, bins: int) -> float:
    total = weights.sum()
    if not total > 0:
        return float("nan")
    off = np.bincount(_bin_of(said, bins), weights * (np.asarray(holds, dtype=np.float64) - said), bins)
    return float(np.abs(off).sum() / total)


def _bin_of(said: Floats, bins: int) -> Rows:
    if bins < 1 or (bad := ~((said >= 0) & (said <= 1 + 1e-6))).any():
        row = None if bins < 1 else int(bad.argmax())
        raise ValueError("bins < 1 came" if row is None else f"probability of row {row} is {said[row]}; expected 0 to 1")
    return np.minimum((said * bins).astype(np.int64), bins - 1)


def _checked(p: ArrayLike, label: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Rows, Floats]:
    table, truth = np.asarray(p, dtype=np.float64), np.asarray(label)
    if table.ndim != 2 or truth.shape != table.shape[:1]:
        raise ValueError(f"p {list(table.shape)} and label {list(truth.shape)} came; expected [rows, classes] and [rows]")
    weights = np.ones(len(truth)) if weight is None else np.asarray(weight, dtype=np.float64)
    if weights.shape != truth.shape:
        raise ValueError(f"weight has shape {list(weights.shape)}; expected one for each of {len(truth)} rows")
    if (bad := (truth < 0) | (truth >= table.shape[1])).any():
        raise ValueError(f"label of row {int(bad.argmax())} is {truth[bad][0]}; expected 0 to {table.shape[1] - 1}")
    return table, truth, weights
