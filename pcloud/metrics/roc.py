"""ROC curves of weighted events, negative weights included, from one sort that serves every set of weights.

``ranking(score, signal)`` sorts once; ``Ranking.curve(weight)`` gives the curve for any weights, so that a bootstrap never
sorts again. ``auc``, ``Roc.background_at`` and ``auc_error`` are functions of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
ROUNDING = 1e-12  # of efficiencies, sums of many weights


@dataclass(frozen=True)
class Roc:
    """``signal`` and ``background`` [cuts]: weight of a class with score >= ``threshold`` over all its weight.

    An event of weight w counts as w equal events, one of weight -1 takes such an event away: efficiencies may therefore fall
    as the cut loosens, and leave [0, 1]. The first cut, at infinity, lets nothing through; there is one cut per distinct
    score, from the tightest to the loosest.
    """

    signal: Floats
    background: Floats
    threshold: Floats

    def first_cut(self, signal: ArrayLike) -> NDArray[np.int64]:
        """Number of the tightest cut whose signal efficiency reaches each of ``signal``, in (0, 1]."""
        wanted = np.asarray(signal, dtype=np.float64)
        if ((wanted <= 0) | (wanted > 1)).any():
            raise ValueError(f"signal efficiency {wanted.ravel().tolist()} came; expected more than 0 and at most 1")
        reached = np.searchsorted(np.maximum.accumulate(self.signal), wanted - ROUNDING, side="left")
        return np.minimum(reached, len(self.signal) - 1)

    def background_at(self, signal: ArrayLike) -> Floats:
        """Background efficiency at each signal efficiency, in (0, 1].

        It is linear between the first cut to reach the efficiency and the one before. Between two cuts lie only events of one
        score, so this differs from a real cut only where scores are tied.
        """
        wanted = np.asarray(signal, dtype=np.float64)
        cut = self.first_cut(wanted)
        rise = self.signal[cut] - self.signal[cut - 1]
        part = np.clip((wanted - self.signal[cut - 1]) / np.where(rise > 0, rise, 1), 0, 1)
        return np.asarray(self.background[cut - 1] + part * (self.background[cut] - self.background[cut - 1]))


@dataclass(frozen=True)
class Ranking:
    """Rows of each class by falling score, and how many of them pass each cut; cuts as those of ``Roc``.

    ``signal_rows``, ``background_rows``: rows as given to ``ranking``. ``signal_passed``, ``background_passed`` [cuts]: counts.
    """

    signal_rows: Rows
    background_rows: Rows
    signal_passed: Rows
    background_passed: Rows
    threshold: Floats

    @property
    def rows(self) -> int:
        return len(self.signal_rows) + len(self.background_rows)

    def weights(self, weight: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """``weight`` [rows] (1 each, if None) in the order of ``signal_rows`` and of ``background_rows``; checked."""
        column = np.ones(self.rows) if weight is None else np.asarray(weight, dtype=np.float64)
        if column.shape != (self.rows,):
            raise ValueError(f"weight has shape {list(column.shape)}; expected one for each of {self.rows} rows")
        if (bad := ~np.isfinite(column)).any():
            raise ValueError(f"weight of row {int(bad.argmax())} is {column[bad][0]}; expected a finite number")
        return column[self.signal_rows], column[self.background_rows]

    def curve(self, weight: ArrayLike | None = None) -> Roc:
        """The ROC curve under these weights [rows] (1 each, if None). ValueError where a class has no weight in sum."""
        parts = self.weights(weight)
        roc = self.curve_of(*parts)
        if roc is None:
            sums = "signal {:g}, background {:g}".format(*(part.sum() for part in parts))
            raise ValueError(f"the weights sum to: {sums}; efficiencies need a positive sum of each")
        return roc

    def curve_of(self, signal: Floats, background: Floats) -> Roc | None:
        """As ``curve``, from weights in the order of ``weights``; None where a class has no weight in sum."""
        passed = [np.concatenate(([0.0], np.cumsum(part))) for part in (signal, background)]
        if not (passed[0][-1] > 0 and passed[1][-1] > 0):
            return None
        efficiencies = [part / part[-1] for part in passed]
        return Roc(efficiencies[0][self.signal_passed], efficiencies[1][self.background_passed], self.threshold)

    def corners(self) -> Ranking:
        """Without the cuts inside a straight piece of the curve: with no negative weight, areas and efficiencies stay."""
        steps = np.diff(self.signal_passed) > 0, np.diff(self.background_passed) > 0
        kind = steps[0] + 2 * steps[1]  # 1 straight up, 2 straight to the right, 3 aslant
        turn = (kind[1:] != kind[:-1]) | (kind[1:] == 3)
        keep = np.concatenate(([0], np.flatnonzero(turn) + 1, [len(kind)]))
        passed = self.signal_passed[keep], self.background_passed[keep]
        return Ranking(self.signal_rows, self.background_rows, *passed, self.threshold[keep])

    def auc_influence(self, weight: ArrayLike | None = None) -> Floats:
        """What each row, in the order given to ``ranking``, moves the AUC by: w (V - AUC) / W of its class.

        V of a signal row: share of background below it, ties half; V of a background row: share of signal above it. Their
        squares sum to the variance of the AUC (DeLong et al., Biometrics 44 (1988) 837, here with weights).
        """
        parts, roc = self.weights(weight), self.curve(weight)
        area, moved = auc(roc), np.empty(self.rows)
        middle = [(passed[:-1] + passed[1:]) / 2 for passed in (roc.signal, roc.background)]
        counts = np.diff(self.signal_passed), np.diff(self.background_passed)
        moved[self.signal_rows] = parts[0] / parts[0].sum() * (1 - np.repeat(middle[1], counts[0]) - area)
        moved[self.background_rows] = parts[1] / parts[1].sum() * (np.repeat(middle[0], counts[1]) - area)
        return moved


def ranking(score: ArrayLike, signal: ArrayLike) -> Ranking:
    """Sort rows by ``score`` [rows], the larger the more like signal; ``signal`` [rows] bool. ValueError on a nan."""
    scores, truth = np.asarray(score, dtype=np.float64), np.asarray(signal)
    if scores.ndim != 1 or truth.shape != scores.shape or truth.dtype != np.bool_:
        came = f"score {list(scores.shape)}, signal {truth.dtype} {list(truth.shape)}"
        raise ValueError(f"{came}: expected two columns of one length, signal bool")
    if (bad := np.isnan(scores)).any():
        raise ValueError(f"score of row {int(bad.argmax())} is nan; {int(bad.sum())} of {len(scores)} are")
    if not truth.any() or truth.all():
        raise ValueError(f"{int(truth.sum())} signal and {int((~truth).sum())} background events came; a ROC curve needs both")
    order = np.argsort(-scores, kind="stable")
    falling, sorted_truth = scores[order], truth[order]
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
    passed, other = (np.append(0, np.cumsum(chosen)[last]) for chosen in (sorted_truth, ~sorted_truth))
    return Ranking(order[sorted_truth], order[~sorted_truth], passed, other, np.append(np.inf, falling[last]))


def auc(roc: Roc) -> float:
    """Area under signal over background efficiency by trapezoids: the weighted share of (signal, background) pairs in which
    signal has the larger score, ties half. Exact for weights of any sign."""
    return float((np.diff(roc.background) * (roc.signal[1:] + roc.signal[:-1])).sum() / 2)


def auc_error(ranked: Ranking, weight: ArrayLike | None = None) -> float:
    """Standard error of the AUC from the spread of the events, each with its weight."""
    return float(np.sqrt(np.square(ranked.auc_influence(weight)).sum()))
