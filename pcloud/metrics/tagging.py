"""What is said of a tagger: AUC, accuracy, background rejection at fixed signal efficiency, each with its interval.

Rows have columns ``label`` (number of the class), ``weight`` (1, if absent; of any sign) and ``p_NAME``, a probability per class
in the order of the numbers. ``summary(rows)`` is quick, for validation; ``judge(rows)`` has intervals and curves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcloud.metrics import calibration
from pcloud.metrics.bootstrap import GRID, REPLICAS, Replicas, bootstrap
from pcloud.metrics.estimates import Estimate, central, most_background, normal, weighted_share
from pcloud.metrics.intervals import LEVEL
from pcloud.metrics.roc import ROUNDING, Floats, Ranking, Roc, Rows, auc, ranking

AT = (0.3, 0.5)
Table = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Tagged:
    """Rows of a tagger, checked: ``p`` [rows, classes], ``label`` [rows], ``weight`` [rows], names of the classes."""

    classes: tuple[str, ...]
    p: Floats
    label: Rows
    weight: Floats

    @classmethod
    def of(cls, rows: Table) -> Tagged:
        """ValueError of one line where a column is missing or a row makes no sense."""
        columns = [name for name in rows if name.startswith("p_")]
        if "label" not in rows or len(columns) < 2:
            raise ValueError(f"columns {', '.join(rows)} came; expected label and a p_NAME for each of two or more classes")
        p = np.stack([np.asarray(rows[name], dtype=np.float64) for name in columns], axis=1)
        label = np.asarray(rows["label"]).astype(np.int64)
        weight = np.asarray(rows.get("weight", np.ones(len(label))), dtype=np.float64)
        if (bad := ~(np.isfinite(p).all(axis=1) & np.isfinite(weight))).any():
            row = int(bad.argmax())
            raise ValueError(f"row {row}: probabilities {p[row].tolist()}, weight {weight[row]}; expected finite numbers")
        if (bad := (label < 0) | (label >= len(columns))).any():
            row = int(bad.argmax())
            raise ValueError(f"row {row}: label {label[row]}; expected 0 to {len(columns) - 1}: {', '.join(columns)}")
        return cls(tuple(name.removeprefix("p_") for name in columns), p, label, weight)

    def log_odds(self, number: int) -> Floats:
        """ln p / (1 - p) of a class: orders as p does, but 1 - p summed from the other classes keeps its digits near 0."""
        others = np.delete(self.p, number, axis=1).sum(axis=1)
        return _log(self.p[:, number]) - _log(others)

    def against(self, signal: int, background: int) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Score ln p_s / p_b, whether signal, and weight, of the rows of these two classes."""
        here = (self.label == signal) | (self.label == background)
        score = _log(self.p[here, signal]) - _log(self.p[here, background])
        return score, self.label[here] == signal, self.weight[here]

    def has(self, *numbers: int) -> bool:
        """Whether each of these classes has weight in sum."""
        return all(self.weight[self.label == number].sum() > 0 for number in numbers)


def accuracy(tagged: Tagged) -> Estimate:
    """Weight of the rows whose most probable class is the true one over all weight; of two classes that is a cut at 0.5."""
    right = tagged.p.argmax(axis=1) == tagged.label
    words = f"weight of jets whose most probable class is the true one / all weight, {len(right):,} jets"
    return weighted_share("accuracy", right, tagged.weight, words)


def mean_auc(tagged: Tagged, how: str) -> Estimate:
    """Mean over classes ("ovr": each against all others) or over pairs of classes ("ovo": p_i among jets of i and j, both ways).

    Classes or pairs without weight are left out of the mean; nan where none is left. "ovo" is Hand & Till's M (Machine
    Learning 45 (2001) 171) and, like "ovr", equals scikit-learn's macro average.
    """
    number = range(len(tagged.classes))
    if how not in ("ovr", "ovo"):
        raise ValueError(f"how is {how!r}; expected ovr or ovo")
    pairs = [(i, None) for i in number] if how == "ovr" else [p for i, j in combinations(number, 2) for p in ((i, j), (j, i))]
    areas, moved = [], np.zeros(len(tagged.label))
    for i, j in pairs:
        here = np.ones(len(moved), dtype=bool) if j is None else (tagged.label == i) | (tagged.label == j)
        signal, weight = tagged.label[here] == i, tagged.weight[here]
        if not (weight[signal].sum() > 0 and weight[~signal].sum() > 0):
            continue
        ranked = ranking(tagged.log_odds(i)[here], signal)
        areas.append(auc(ranked.curve(weight)))
        moved[here] += ranked.auc_influence(weight)
    words = {"ovr": "one class against the rest", "ovo": "one class against another, p of the first"}[how]
    words = f"mean of {len(areas)} areas of {len(pairs)}, {words}; interval: spread of the jets"
    if not areas:
        return Estimate(f"auc_{how}", math.nan, None, None, words)
    return normal(f"auc_{how}", float(np.mean(areas)), float(np.sqrt(np.square(moved / len(areas)).sum())), words)


def rejection(roc: Roc, ranked: Ranking, weight: Floats, at: float, replicas: Replicas | None) -> Estimate:
    """1 / eps_B where eps_S = ``at``: at the tightest cut that reaches it, linear where scores are tied.

    Infinite where no background weight is left above that cut; its lower end is then what ``estimates.most_background`` allows.
    """
    left = float(roc.background_at(at))
    cut = int(roc.first_cut(at))
    survivors = int(ranked.background_passed[cut])
    words = f"1 / background efficiency at signal efficiency {at:g}, linear between cuts; {survivors:,} of "
    words += f"{len(ranked.background_rows):,} background jets left, {len(ranked.signal_rows):,} signal jets"
    name = f"rejection_{100 * at:g}"
    if left <= ROUNDING:
        passed = np.zeros(ranked.rows, dtype=bool)
        passed[ranked.background_rows[:survivors]] = True
        most = most_background(weight[ranked.background_rows], passed[ranked.background_rows])
        return Estimate(name, math.inf, 1 / most, None, words)
    if replicas is None:
        return Estimate(name, 1 / left, None, None, words)
    column = replicas.background[:, int(np.flatnonzero(replicas.grid == at)[0])]
    low, high = central(column)
    words += f"; interval: Poisson bootstrap, {len(column)} replicas"
    ends = [1 / one if one > ROUNDING else math.inf for one in (high, low)]
    return Estimate(name, 1 / left, ends[0], ends[1], words)


def summary(rows: Table, *, at: Sequence[float] = AT, background: int = 0) -> dict[str, float]:
    """Figures without intervals, for every validation: accuracy, AUC (``auc_ovo`` of more than two classes), log_loss, ece, and
    ``rejection_50`` ... of two classes; nan where a class has no weight."""
    if not len(rows["label"]):
        return {}
    tagged = Tagged.of(rows)
    found = {"accuracy": accuracy(tagged).value}
    if len(tagged.classes) == 2:
        found |= {"auc": math.nan, **{f"rejection_{100 * one:g}": math.nan for one in at}}
        if tagged.has(0, 1):
            score, signal, weight = tagged.against(1 - background, background)
            ranked = ranking(score, signal)
            roc = ranked.curve(weight)
            found["auc"] = auc(roc)
            found |= {one.name: one.value for one in (rejection(roc, ranked, weight, eff, None) for eff in at)}
    else:
        found["auc_ovo"] = mean_auc(tagged, "ovo").value
    table = tagged.p, tagged.label, tagged.weight
    return found | {"log_loss": calibration.log_loss(*table), "ece": calibration.ece(*table)}


def judge(
    rows: Table, *, at: Sequence[float] = AT, background: int = 0, replicas: int = REPLICAS, seed: int = 0
) -> dict[str, Any]:
    """The whole judgement, ready for JSON: jets, figures, curves with bands, calibration.

    ``background``: number of the class that every other is told from, by p_s / (p_s + p_b) on the jets of the two. A class
    without weight has neither curve nor rejection and stands in ``notes``.
    """
    tagged = Tagged.of(rows)
    figures = [accuracy(tagged)]
    figures += [mean_auc(tagged, how) for how in ("ovo", "ovr")] if len(tagged.classes) > 2 else []
    named = {one.name: one.as_dict() for one in figures}
    curves: dict[str, Any] = {}
    notes = [f"class {name}: no jets with weight" for c, name in enumerate(tagged.classes) if not tagged.has(c)]
    for number, name in enumerate(tagged.classes):
        if number != background and tagged.has(number, background):
            found, curves[name] = _told_apart(*tagged.against(number, background), at=at, replicas=replicas, seed=seed)
            tail = "" if len(tagged.classes) == 2 else f", {name}"
            named |= {one.name + tail: one.as_dict() for one in found}
    count = [tagged.label == number for number in range(len(tagged.classes))]
    return {
        "classes": list(tagged.classes),
        "background": tagged.classes[background],
        "jets": {name: int(here.sum()) for name, here in zip(tagged.classes, count, strict=True)},
        "weights": {name: float(tagged.weight[here].sum()) for name, here in zip(tagged.classes, count, strict=True)},
        "negative_weights": int((tagged.weight < 0).sum()),
        "figures": named,
        "curves": curves,
        "calibration": calibrated(tagged, seed=seed),
        "bootstrap": {"replicas": replicas, "seed": seed, "level": LEVEL},
        "notes": notes,
    }


def calibrated(tagged: Tagged, *, seed: int = 0) -> dict[str, Any]:
    """Log-loss, ece, class by class too; the temperature of a random half of the jets, and what it makes of the other half."""
    table = tagged.p, tagged.label, tagged.weight
    found: dict[str, Any] = {"log_loss": calibration.log_loss(*table), "ece": calibration.ece(*table)}
    found["classwise_ece"] = dict(zip(tagged.classes, calibration.classwise_ece(*table).tolist(), strict=True))
    found["reliability"] = {
        name: [one.as_dict() for one in calibration.reliability(tagged.p[:, c], tagged.label == c, tagged.weight)]
        for c, name in enumerate(tagged.classes)
    }
    mixed = np.random.default_rng(seed).permutation(len(tagged.label))
    fit, rest = (tuple(column[mixed[start::2]] for column in table) for start in (0, 1))
    if fit[2].sum() > 0 and rest[2].sum() > 0:
        found["temperature"] = calibration.temperature(*fit)
        cooled = calibration.cooled(rest[0], found["temperature"])
        found["other_half"] = {"log_loss": calibration.log_loss(*rest), "ece": calibration.ece(*rest)}
        found["other_half_at_temperature"] = {
            "log_loss": calibration.log_loss(cooled, *rest[1:]),
            "ece": calibration.ece(cooled, *rest[1:]),
        }
    return found


def _told_apart(
    score: Floats, signal: NDArray[np.bool_], weight: Floats, *, at: Sequence[float], replicas: int, seed: int
) -> tuple[list[Estimate], dict[str, Any]]:
    """Figures and curve of one class against the background class."""
    ranked = ranking(score, signal)
    roc = ranked.curve(weight)
    drawn = bootstrap(ranked, weight, grid=np.union1d(GRID, np.asarray(at)), replicas=replicas, seed=seed)
    low, high = drawn.band()
    words = f"weighted share of signal-background pairs in the right order, {int(signal.sum()):,} signal and "
    words += f"{int((~signal).sum()):,} background jets; interval: Poisson bootstrap, {replicas} replicas"
    figures = [Estimate("auc", auc(roc), *central(drawn.auc), words)]
    figures += [rejection(roc, ranked, weight, one, drawn) for one in at]
    curve = {"signal": drawn.grid, "background": roc.background_at(drawn.grid), "low": low, "high": high}
    return figures, {name: column.tolist() for name, column in curve.items()}


def _log(p: Floats) -> Floats:
    return np.asarray(np.log(p.clip(calibration.TINY)))
