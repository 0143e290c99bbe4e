"""The pictures of a tagger: rejection curves with bands, scores by class, reliability, and what the jets look like.

``rejection`` and ``reliability`` draw what ``metrics.tagging.judge`` returns, ``scores`` and ``jets`` columns of rows; all
return a matplotlib Figure for ``canvas.save`` or a report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pcloud.plots.canvas import BLACK, CYCLE, PAGE, STYLE, axes, caption, figure

COLOURS = (*CYCLE, BLACK, "#8c8c8c", "#8c510a", "#01665e")
STYLES = ("-", "--", "-.", ":")
Table = Mapping[str, NDArray[Any]]
# column: axis label, bins, largest share of jets left out above the axis
JETS = {
    "constituents": ("constituents", 40, 0.002),
    "jet_mass": (r"jet mass (GeV)", 60, 0.005),
    "jet_pt": (r"jet $p_\mathrm{T}$ (GeV)", 40, 0.005),
}


def rejection(
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    background: str = "background",
    at: Sequence[float] = (),
    note: str = "",
) -> Figure:
    """Background rejection 1 / eps_B over signal efficiency, a curve with its band for each name.

    A curve has columns signal, background (efficiencies), and low and high ends of the latter, if it has a band. It starts
    where the first background jet is left; a band without upper end goes on to the top. ``at``: efficiencies to mark.
    """
    made = figure(PAGE * 0.62, 3.4)
    with rc_context(STYLE):
        panel = axes(made)[0][0]
        top = max((_peak(curve) for curve in curves.values()), default=10.0)
        for number, (name, curve) in enumerate(curves.items()):
            signal, left = (np.asarray(curve[key], dtype=np.float64) for key in ("signal", "background"))
            colour, dashes = COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]
            some = left > 0
            if "low" in curve:
                low, high = (np.asarray(curve[key], dtype=np.float64) for key in ("low", "high"))
                shown = some & (high > 0)
                upper = np.divide(1, low, where=low > 0, out=np.full(len(low), 100 * top))
                panel.fill_between(signal[shown], 1 / high[shown], upper[shown], color=colour, alpha=0.25, lw=0)
            panel.plot(signal[some], 1 / left[some], color=colour, ls=dashes, label=name)
        grid = np.linspace(0.01, 1, 200)
        panel.plot(grid, 1 / grid, color="#999999", lw=0.7, ls=":", label="by chance")
        for one in at:
            panel.axvline(one, color="#cccccc", lw=0.5, zorder=0)
        panel.set(xlabel="signal efficiency", ylabel=f"{background} rejection, 1 / efficiency", xlim=(0, 1), ylim=(1, 2 * top))
        panel.set_yscale("log")
        panel.grid(axis="y", lw=0.3, color="#dddddd")
        panel.legend(loc="upper right", ncols=1 + len(curves) // 8)
        caption(made, note)
    return made


def scores(p: NDArray[Any], label: NDArray[Any], weight: NDArray[Any], classes: Sequence[str]) -> Figure:
    """How the probability of a class is distributed over the jets of each true class, unit area; of two classes the second's.

    p [rows, classes], label and weight [rows]. Bands: statistical, sqrt(sum w^2); of many classes on that class alone.
    """
    shown = [1] if len(classes) == 2 else list(range(len(classes)))
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    made = figure(PAGE * (0.62 if columns == 1 else columns / 3), 2.9 if columns == 1 else 2.1 * rows + 0.3)
    edges = np.linspace(0, 1, 41)
    with rc_context(STYLE):
        panels = [panel for row in axes(made, rows, columns, sharex=True) for panel in row]
        for panel, number in zip(panels, shown, strict=False):
            for c, name in enumerate(classes):
                here = label == c
                banded = len(classes) == 2 or c == number
                _steps(panel, p[here, number], weight[here], edges, COLOURS[c % len(COLOURS)], name, banded)
            panel.set(xlim=(0, 1), xlabel=f"probability of {classes[number]}", yscale="log")
        for panel in panels[len(shown) :]:
            panel.set_visible(False)
        for panel in panels[::columns]:
            panel.set_ylabel("share of jets / bin width")
        _legend(made, panels[0], inside=len(shown) == 1)
    return made


def reliability(bins: Mapping[str, Sequence[Mapping[str, Any]]], *, note: str = "") -> Figure:
    """What was said against what was so, a set of points per class from ``metrics.calibration.reliability``.

    Bins without weight have no point; error bars are the standard error of the share.
    """
    made = figure(PAGE * 0.5, PAGE * 0.5)
    with rc_context(STYLE):
        panel = axes(made)[0][0]
        panel.plot([0, 1], [0, 1], color="#999999", lw=0.7, ls=":", label="calibrated")
        for number, (name, table) in enumerate(bins.items()):
            known = [row for row in table if row["share"] is not None]
            said, so, error = ([row[key] for row in known] for key in ("probability", "share", "error"))
            style: dict[str, Any] = {"marker": "o", "ms": 3, "lw": 0.8, "color": COLOURS[number % len(COLOURS)], "label": name}
            panel.errorbar(said, so, yerr=error, **style)
        panel.set(xlabel="probability said", ylabel="share that is of the class", xlim=(0, 1), ylim=(0, 1))
        panel.set_aspect("equal")
        panel.legend(loc="upper left")
        caption(made, note)
    return made


def jets(columns: Table, label: NDArray[Any], weight: NDArray[Any], classes: Sequence[str]) -> Figure:
    """Unit-area distributions of what is known of the jets (``JETS``: constituents, jet_mass, jet_pt), a line per true class."""
    names = [name for name in JETS if name in columns]
    if not names:
        raise ValueError(f"columns {', '.join(columns) or 'none'} came; expected one of {', '.join(JETS)}")
    made = figure(PAGE * max(len(names), 1.5) / 3, 2.6)
    with rc_context(STYLE):
        panels = axes(made, 1, len(names))[0]
        for panel, name in zip(panels, names, strict=True):
            words, count, beyond = JETS[name]
            values = np.asarray(columns[name], dtype=np.float64)
            edges = _edges(values, count, beyond)
            for c, kind in enumerate(classes):
                here = label == c
                _steps(panel, values[here], weight[here], edges, COLOURS[c % len(COLOURS)], kind)
            panel.set(xlabel=words, xlim=(edges[0], edges[-1]))
            panel.set_ylim(bottom=0)
            panel.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
        panels[0].set_ylabel("share of jets / bin width")
        _legend(made, panels[0], inside=False)
    return made


def _legend(made: Figure, panel: Axes, *, inside: bool) -> None:
    if inside:
        panel.legend(loc="upper center")
        return
    handles, names = panel.get_legend_handles_labels()
    rows = -(-len(names) // 5) or 1
    made.legend(handles, names, loc="outside upper center", ncols=-(-len(names) // rows) or 1)


def _edges(values: NDArray[Any], count: int, beyond: float) -> NDArray[Any]:
    """``count`` bins, of whole numbers where the values are whole; a share ``beyond`` of the values may lie above them."""
    if not len(values):
        return np.linspace(0, 1, count + 1)
    low, high = float(values.min()), float(np.quantile(values, 1 - beyond))
    if (values == np.floor(values)).all():
        step = max(1, int(np.ceil((high - low + 1) / count)))
        return np.arange(low - 0.5, high + step + 0.5, step)
    return np.linspace(low, high if high > low else low + 1, count + 1)


def _steps(
    panel: Axes, values: NDArray[Any], weight: NDArray[Any], edges: NDArray[Any], colour: str, name: str, banded: bool = True
) -> None:
    """A step line of unit area (over all values, those outside included) and its statistical band."""
    total = float(weight.sum())
    if not total > 0:
        return
    inside = np.clip(values, edges[0], edges[-1]) if edges[-1] == 1 else values
    height, error = np.histogram(inside, edges, weights=weight)[0], np.sqrt(np.histogram(inside, edges, weights=weight**2)[0])
    height, error = (one / total / np.diff(edges) for one in (height, error))
    panel.stairs(height, edges, color=colour, label=name, lw=1)
    if not banded:
        return
    low, high = height - error, height + error
    positive = low > 0  # a log axis has no place for the rest
    panel.stairs(high, edges, baseline=np.where(positive, low, height), fill=True, color=colour, alpha=0.2, lw=0)


def _peak(curve: Mapping[str, Sequence[float]]) -> float:
    left = np.asarray(curve["background"], dtype=np.float64)
    return float(1 / left[left > 0].min()) if (left > 0).any() else 10.0
