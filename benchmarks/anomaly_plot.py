"""The picture of set losses: what each finds, with its band, and what the sets that come back are worth.

``draw(losses, file)`` with what ``benchmarks.anomaly --losses`` measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context

from pcloud.plots import canvas


def draw(losses: dict[str, Any], file: Path) -> Path:
    """Left: AUC of tops among QCD jets by the error, as it is and flattened in mass. Right: energy mover's distance between jets
    and what comes back of them, against the time of a training step."""
    names = sorted(losses, key=lambda name: losses[name]["emd"], reverse=True)
    picture = canvas.figure(canvas.PAGE, 2.9)
    with rc_context(canvas.STYLE):
        left, right = canvas.axes(picture, 1, 2)[0]
        for part, colour, words, shift in (
            ("", canvas.BLUE, "error", 0.12),
            ("flat", canvas.VERMILION, "flattened in mass", -0.12),
        ):
            for place, name in enumerate(names):
                judged = losses[name]["score"]
                one = (judged[part] if part else judged)["auc"]
                error = [[one["value"] - one["low"]], [one["high"] - one["value"]]]
                label = words if place == 0 else None
                left.errorbar(one["value"], place + shift, xerr=error, color=colour, marker="o", ms=3.5, ls="", label=label)
        left.set(xlabel="AUC, tops among QCD jets", yticks=range(len(names)), yticklabels=names, xlim=(0.45, 1))
        left.legend(loc="lower left")
        for place, name in enumerate(names):
            one = losses[name]
            right.plot(1000 * one["seconds"], one["emd"], color=canvas.BLACK, marker="o", ms=3.5)
            above = place % 2 == 0
            right.annotate(name, (1000 * one["seconds"], one["emd"]), xytext=(4, 4 if above else -9), textcoords="offset points")
        right.set(xlabel="time of a training step (ms)", ylabel="EMD, jet to rebuilt jet (share of pT, R = 0.8)")
        right.margins(0.25)
    return canvas.save(file, picture)
