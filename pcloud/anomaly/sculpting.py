"""Is the anomaly score a mass cut in disguise? What a cut on it does to the mass of background, and an alarm if it sculpts.

``sculpting(score, mass, signal_score=...)`` reads background rows, on which no model was trained; the report is for JSON and
``plots.anomaly``. Measures as in Bradshaw et al., arXiv:1908.08959, and Kasieczka & Shih, arXiv:2001.05310.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from pcloud.anomaly.columns import Floats, checked
from pcloud.anomaly.distance_correlation import Distances
from pcloud.anomaly.fake_bumps import LEAST as LEAST_HUNTED
from pcloud.anomaly.fake_bumps import fake_bumps
from pcloud.anomaly.shapes import Shape
from pcloud.anomaly.shuffled import compared, p_value

LEAST_ROWS, LEAST_PASSED = 100, 25
MOST_ROWS = 20_000  # of the distance correlation, whose shuffles cost the most
ALARM = 0.01
EFFICIENCY = 0.5


def sculpting(
    score: ArrayLike,
    mass: ArrayLike,
    *,
    signal_score: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    rejections: Sequence[float] = (10, 100),
    mass_range: tuple[float, float] | None = None,
    bins: int = 50,
    shuffles: int = 499,
    widths: Sequence[int] = (3,),
    shape: Shape | None = None,
    fakes: bool = True,
    seed: int = 0,
) -> dict[str, Any]:
    """Score [rows], the larger the more anomalous, and mass [rows] (GeV) of background; equal weights only.

    Cuts: at each background rejection, and at signal efficiency 50 % where ``signal_score`` [signal rows] is given. The mass
    is binned in ``bins`` over ``mass_range`` (GeV; from the 0.1 % to the 99.9 % quantile, if None). The alarm: the squared
    distance correlation and the divergence at each cut are tested by ``shuffles`` of the scores, and the smallest p times
    the number of tests is at most 0.01: one score in a hundred that is blind to the mass, or fewer, raises it.
    ``fakes``: hunt for bumps too, in windows of ``widths`` bins, where the range falls smoothly enough for ``shape``.
    """
    scores, masses = checked(weight, score=score, mass=mass)
    if len(scores) < LEAST_ROWS:
        raise ValueError(f"{len(scores)} background rows came; a sculpting report needs at least {LEAST_ROWS}")
    for name, column in (("score", scores), ("mass", masses)):
        if column.min() == column.max():
            raise ValueError(f"every {name} is {column[0]:g}; nothing can be cut or binned")
    low, high = mass_range or tuple(np.quantile(masses, [0.001, 0.999]).tolist())
    if not low < high:
        raise ValueError(f"mass range {low:g} to {high:g} GeV came; expected low < high")
    edges = np.linspace(low, high, bins + 1)
    inside = (masses >= low) & (masses <= high)
    before = np.histogram(masses, edges)[0].astype(np.float64)
    cuts: list[dict[str, Any]] = []
    notes = [f"{int((~inside).sum()):,} rows lie outside the mass range"] if not inside.all() else []
    for name, passed in _cuts(scores, signal_score, rejections).items():
        after = np.histogram(masses[passed], edges)[0].astype(np.float64)
        if not LEAST_PASSED <= after.sum() < before.sum():
            notes.append(f"{name}: {after.sum():.0f} of {before.sum():.0f} rows pass; not judged")
            continue
        cut = {"cut": name, "passed": int(after.sum()), **compared(before, after, shuffles=shuffles, seed=seed).as_dict()}
        if fakes and after.sum() >= LEAST_HUNTED:
            try:
                cut["fake_bumps"] = fake_bumps(before, after, edges, widths=widths, shape=shape, seed=seed)
            except ValueError as error:
                notes.append(f"{name}: no hunt for fake bumps: {error}")
        cuts.append(cut)
    least = int(np.ceil((1 + len(cuts)) / ALARM)) - 1
    if shuffles < least:
        raise ValueError(f"{shuffles} shuffles of {1 + len(cuts)} tests cannot raise an alarm at {ALARM:g}; give {least} or more")
    related = _correlations(scores, masses, shuffles, seed)
    tests = {
        "distance correlation": related["distance_correlation"]["p"],
        **{f"1/JSD at {cut['cut']}": cut["jsd_p"] for cut in cuts},
    }
    return {
        "rows": len(scores),
        "edges": edges.tolist(),
        "before": before.tolist(),
        "profile": profile(scores, masses, low=low, high=high),
        "cuts": cuts,
        **related,
        "shuffles": shuffles,
        **_verdict(tests, related, cuts),
        "notes": notes,
    }


def profile(score: Floats, mass: Floats, *, low: float, high: float, bins: int = 20) -> dict[str, Any]:
    """Mean score in bins of equally many events in low to high (GeV), with its standard error; ``mean``, ``spread`` (standard
    deviation) of all. A bin is left out where masses are tied so that it is empty."""
    inside = (mass >= low) & (mass <= high)
    values, places = score[inside], mass[inside]
    edges = np.unique(np.quantile(places, np.linspace(0, 1, min(bins, max(1, len(places) // 10)) + 1)))
    number = np.clip(np.searchsorted(edges, places, side="right") - 1, 0, len(edges) - 2)
    count = np.bincount(number, minlength=len(edges) - 1)
    safe = np.maximum(count, 1)
    mean = np.bincount(number, values, len(count)) / safe
    spread = np.sqrt(np.bincount(number, (values - mean[number]) ** 2, len(count)) / np.maximum(count - 1, 1))
    return {
        "edges": edges.tolist(),
        "events": count.tolist(),
        "mean": mean.tolist(),
        "error": (spread / np.sqrt(safe)).tolist(),
        "all": {"mean": float(values.mean()), "spread": float(values.std())},
    }


def _cuts(scores: Floats, signal: ArrayLike | None, rejections: Sequence[float]) -> dict[str, NDArray[np.bool_]]:
    """Which rows pass each cut: the loosest that keeps no more than 1 / rejection; the tightest that keeps half the signal."""
    found = {}
    if signal is not None:
        (wanted,) = checked(signal_score=signal)
        if not len(wanted):
            raise ValueError("no signal score came; leave signal_score out to do without that cut")
        found[f"signal efficiency {EFFICIENCY:.0%}"] = scores >= np.sort(wanted)[int(np.floor(len(wanted) * (1 - EFFICIENCY)))]
    falling = -np.sort(-scores)
    for rejection in rejections:
        if not rejection > 1:
            raise ValueError(f"background rejection {rejection:g} came; expected more than 1")
        found[f"background rejection {rejection:g}"] = scores > falling[min(int(len(scores) / rejection), len(scores) - 1)]
    return found


def _correlations(scores: Floats, masses: Floats, shuffles: int, seed: int) -> dict[str, Any]:
    """Distance correlation squared, Pearson's and Spearman's coefficients, each with its p-value by shuffles (two-sided)."""
    draw = np.random.default_rng(seed)
    some = draw.permutation(len(scores))[:MOST_ROWS]
    for column in (scores, masses):
        if column[some].min() == column[some].max():
            some = np.arange(len(scores))
    distances = Distances.of(masses[some], scores[some])
    units = [(one - one.mean()) / one.std() for one in (scores, masses, rankdata(scores), rankdata(masses))]
    seen = [distances.dcor2(), float(units[0] @ units[1]) / len(scores), float(units[2] @ units[3]) / len(scores)]
    drawn = np.empty((3, shuffles))
    for number in range(shuffles):
        mixed = draw.permutation(len(scores))
        drawn[1:, number] = [abs(units[0][mixed] @ units[1]), abs(units[2][mixed] @ units[3])]
        drawn[0, number] = distances.dcor2(draw.permutation(len(some)))
    drawn[1:] /= len(scores)
    words = f"squared, bias-corrected, exact over {len(some):,} rows" + (" drawn at random" if len(some) < len(scores) else "")
    return {
        "distance_correlation": {"value": seen[0], "p": p_value(drawn[0], seen[0]), "definition": words},
        "pearson": {"value": seen[1], "p": p_value(drawn[1], abs(seen[1]))},
        "spearman": {"value": seen[2], "p": p_value(drawn[2], abs(seen[2]))},
    }


def _verdict(tests: dict[str, float], related: dict[str, Any], cuts: list[dict[str, Any]]) -> dict[str, Any]:
    """``alarm`` and the line that says why."""
    worst = min(tests, key=lambda name: tests[name])
    p = min(1.0, tests[worst] * len(tests))
    figures = [f"dCor^2 {related['distance_correlation']['value']:.3g}"]
    for cut in cuts:
        seen, shuffled = (f"{one:.3g}" if one else "infinite" for one in (cut["inverse_jsd"], cut["inverse_jsd_shuffled"]))
        figures.append(f"1/JSD {seen} at {cut['cut']} ({shuffled} if shuffled)")
    start = "ALARM: the score sculpts the mass" if p <= ALARM else "no alarm: no sculpting seen"
    rule = (
        f"smallest p of {len(tests)} tests by shuffled scores times {len(tests)} = {p:.2g}, {worst}; alarm at {ALARM:g} or less"
    )
    return {"alarm": bool(p <= ALARM), "p": p, "verdict": f"{start}; {', '.join(figures)}; {rule}"}
