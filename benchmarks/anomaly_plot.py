"""The picture of set losses: what each finds, with its band, and what the sets that come back are worth.

``draw(losses, file)`` with what ``benchmarks.anomaly --losses`` measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from pcloud.plots import canvas

SIDES = [((5, 0), "left", "center"), ((0, 4), "center", "bottom"), ((0, -4), "center", "top"), ((-5, 0), "right", "center")]


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
        at = {name: (1000 * losses[name]["seconds"], losses[name]["emd"]) for name in names}
        right.plot(*zip(*at.values(), strict=True), color=canvas.BLACK, marker="o", ms=3.5, ls="")
        right.set(xlabel="time of a training step (ms)", ylabel="EMD, jet to rebuilt jet (share of pT, R = 0.8)")
        right.margins(0.25)
        _name(right, at)
    return canvas.save(file, picture)


def _name(panel: Axes, points: dict[str, tuple[float, float]]) -> None:
    """Each point's name beside it, at the first of four sides where it covers no point, no other name and no edge."""
    panel.figure.draw_without_rendering()  # type: ignore[union-attr]  # settles where the panel is
    picture = panel.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in panel.transData.transform(list(points.values()))]
    for name, point in points.items():
        for shift, across, along in SIDES:
            text = panel.annotate(name, point, shift, textcoords="offset points", ha=across, va=along)
            box = text.get_window_extent(picture)
            inside = panel.bbox.x0 < box.x0 and box.x1 < panel.bbox.x1
            if (inside and not any(box.overlaps(one) for one in taken)) or (shift, across, along) == SIDES[-1]:
                taken.append(box)
                break
            text.remove()
