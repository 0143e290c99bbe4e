"""Rows of the table of anomaly searches: what a score finds, as it is and made blind to the mass, and several scores together.

``judged(score, rows, signal)`` and ``together(scores, rows, signal)`` make rows, ``text`` and ``figures`` show them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Figure
from pcloud.anomaly.distance_correlation import dcor2
from pcloud.anomaly.flattening import flattened
from pcloud.metrics.anomaly import search_figures
from pcloud.tasks import Rows

MASS_CUT = "mass cut"
NEIGHBORS = 200
KEYS = ("auc", "e10", "e100")
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def judged(score: Floats, rows: Rows, signal: Mask) -> dict[str, Any]:
    """AUC, e10, e100 with bands, and dCor^2 with the mass of the background: of the score and, where the masses of half the
    signal or more are among the background's, of what flattening leaves of it; every second background jet is its reference, the
    figures are of the others."""
    mass = np.asarray(rows["jet_mass"], np.float64)
    found: dict[str, Any] = {name: one.as_dict() for name, one in search_figures(score, signal).items()}
    found["dcor2"] = dcor2(score[~signal], mass[~signal])
    low, high = np.quantile(mass[~signal], (0.01, 0.99))
    if np.mean((mass[signal] > low) & (mass[signal] < high)) < 0.5:
        return found
    rest = ~reference(signal)
    flat = blind(score, mass, ~rest)[rest]
    found["flat"] = {name: one.as_dict() for name, one in search_figures(flat, signal[rest]).items()}
    left = flat[~signal[rest]]
    found["flat"]["dcor2"] = dcor2(left, mass[rest][~signal[rest]]) if np.ptp(left) else 0.0
    return found


def together(scores: list[Floats], rows: Rows, signal: Mask) -> dict[str, Any]:
    """As ``judged``, of all scores at once: each flattened, then the product of the shares of background beyond, as Fisher's."""
    mass, known = np.asarray(rows["jet_mass"], np.float64), reference(signal)
    beyond = [(1 - blind(score, mass, known)).clip(NEIGHBORS**-1 / 2) for score in scores]
    return judged(-np.sum(np.log(beyond), axis=0), rows, signal)


def reference(signal: Mask) -> Mask:
    """Every second background jet, which flattening reads and no figure."""
    chosen = np.zeros(len(signal), bool)
    chosen[np.flatnonzero(~signal)[::2]] = True
    return chosen


def blind(score: Floats, mass: Floats, known: Mask) -> Floats:
    """The score flattened in mass; in logarithms, as errors and distances have long tails."""
    logs, size = tame(score), np.log(mass.clip(1.0))
    return flattened(logs, size, logs[known], size[known], neighbors=NEIGHBORS)


def tame(score: Floats) -> Floats:
    """The logarithm of its size, with its sign."""
    return np.sign(score) * np.log(np.abs(score).clip(1e-12))


def figures(made: dict[str, Any]) -> dict[str, Figure]:
    """Rows of a direction's table as figures to record."""
    found: dict[str, Figure] = {}
    for name, one in made.items():
        for label, part in ((name, one), (f"{name}, flattened", one.get("flat"))):
            if part is None or (name == MASS_CUT and part is not one):
                continue
            for key in KEYS:
                figure = part[key]
                interval = {"low": figure["low"], "high": figure["high"], "interval": f"{figure['level']:.0%}"}
                found[f"{label}: {key}"] = Figure(figure["value"], **interval, cuts=figure["definition"])
            found[f"{label}: dCor² with mass"] = Figure(part["dcor2"])
    return found


def text(made: dict[str, Any]) -> str:
    """A direction's table to read."""

    def line(part: dict[str, Any] | None) -> str:
        if part is None:
            return "–"
        return "  ".join(f"{part[key]['value']:.3f}" for key in KEYS) + f"  {part['dcor2']:+.3f}"

    head = "  AUC    E10    E100  dCor^2"
    lines = [f"{'':48s}{head:32s}flattened in mass:"]
    return "\n".join(lines + [f"{name:48s}{line(one):32s}{line(one.get('flat'))}" for name, one in made.items()])
