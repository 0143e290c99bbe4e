"""What an anomaly score finds: signal efficiency at a fixed background rejection, and what a cut does for significance.

``search_figures(score, signal)`` gives AUC, e10 and e100; ``sic_curve`` the significance improvement eps_S / sqrt(eps_B); all
with Poisson-bootstrap intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pcloud.metrics.bootstrap import REPLICAS, Replicas, bootstrap
from pcloud.metrics.estimates import Estimate, central, effective
from pcloud.metrics.intervals import LEVEL
from pcloud.metrics.roc import Floats, Ranking, auc, ranking

REJECTIONS = (10.0, 100.0)
FLOOR = 25.0  # background events that pass, so that their share is known to 20 %
POINTS = 100


def search_figures(
    score: ArrayLike,
    signal: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    rejections: Sequence[float] = REJECTIONS,
    replicas: int = REPLICAS,
    seed: int = 0,
) -> dict[str, Estimate]:
    """``auc``, and ``e10``, ``e100`` ...: signal efficiency at background efficiency 1 / 10, 1 / 100.

    score [rows], the larger the more anomalous; signal [rows] bool; weight [rows]. The efficiency is that of the loosest cut
    that keeps no more background, linear where scores are tied; nan where that is less than one background event.
    """
    if not rejections or min(rejections) <= 1:
        raise ValueError(f"background rejections {list(rejections)} came; expected numbers above 1")
    ranked = _turned(score, signal)
    grid = 1 - 1 / np.asarray(rejections, dtype=np.float64)
    drawn = bootstrap(ranked, weight, grid=grid, replicas=replicas, seed=seed)
    roc, events = ranked.curve(weight), effective(ranked.weights(weight)[0])
    counted = f"{len(ranked.background_rows):,} signal and {len(ranked.signal_rows):,} background events"
    how = f"interval: Poisson bootstrap, {replicas} replicas"
    words = f"share of signal-background pairs in the right order, {counted}; {how}"
    found = {"auc": Estimate("auc", auc(roc), *central(drawn.auc), words)}
    for place, rejection in enumerate(rejections):
        name, words = f"e{rejection:g}", f"signal efficiency at background rejection {rejection:g}, {counted}"
        if events < rejection:
            found[name] = Estimate(name, math.nan, None, None, f"{words}: fewer than {rejection:g} background events")
            continue
        low, high = central(1 - drawn.background[:, place])
        found[name] = Estimate(name, float(1 - roc.background_at(grid[place])), low, high, f"{words}; {how}")
    return found


def sic_curve(
    score: ArrayLike,
    signal: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    floor: float = FLOOR,
    replicas: int = REPLICAS,
    seed: int = 0,
) -> dict[str, Any]:
    """Significance improvement eps_S / sqrt(eps_B): how many times larger a cut makes S / sqrt(B).

    Columns from the tightest cut: ``background`` (eps_B), ``signal`` (eps_S), ``sic`` with ``low`` and ``high``. The curve
    starts where ``floor`` background events, of equal weight or as many as their weights are worth, pass. ``max_sic`` is
    chosen on the same events and so, where the curve is noisy, too large; its interval is that of the curve at this cut.
    """
    if not floor > 0:
        raise ValueError(f"floor {floor:g} came; expected a positive number of background events")
    ranked = _turned(score, signal)
    events = effective(ranked.weights(weight)[0])
    words = f"largest eps_S / sqrt(eps_B) with at least {floor:g} of {len(ranked.signal_rows):,} background events passing"
    empty: dict[str, Any] = {name: [] for name in ("background", "signal", "sic", "low", "high")}
    if events <= floor:
        return {**empty, "floor": floor, "max_sic": Estimate("max_sic", math.nan, None, None, f"{words}: too few").as_dict()}
    background = np.geomspace(floor / events, 1, POINTS + 1)[:-1]
    passing = 1 - ranked.curve(weight).background_at(1 - background)
    drawn: Replicas = bootstrap(ranked, weight, grid=1 - background, replicas=replicas, seed=seed)
    sic, replica = passing / np.sqrt(background), (1 - drawn.background) / np.sqrt(background)
    band: Floats = np.array([central(column) for column in replica.T])
    best = int(sic.argmax())
    words += f", at eps_B = {background[best]:.3g}, eps_S = {passing[best]:.3g}; interval: Poisson bootstrap, {replicas} replicas"
    columns = (background, passing, sic, band[:, 0], band[:, 1])
    curve = {name: column.tolist() for name, column in zip(empty, columns, strict=True)}
    largest = Estimate("max_sic", float(sic[best]), float(band[best, 0]), float(band[best, 1]), words, LEVEL)
    return {**curve, "floor": floor, "max_sic": largest.as_dict()}


def _turned(score: ArrayLike, signal: ArrayLike) -> Ranking:
    """The ranking from the other end, background in the place of signal: its curve gives, at a share of background that is
    rejected, the share of signal that is; the area is the same."""
    ranking(score, signal)  # so that errors speak of what came
    return ranking(-np.asarray(score, dtype=np.float64), ~np.asarray(signal))
