"""The curves of a tracking paper: efficiency or fake rate in bins with their intervals, and the course of a training.

``binned(curves)`` takes rows as ``metrics.tracking.Bin.as_dict`` gives them, ``training(path)`` a run's metrics.csv;
both return a matplotlib Figure for ``canvas.save`` or a report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pcloud.plots.canvas import BLACK, CYCLE, PAGE, STYLE, axes, caption, figure

Rows = Iterable[Mapping[str, Any]]
# quantity: axis label with unit, logarithmic
AXES = {
    "pt": (r"$p_\mathrm{T}$ (GeV)", True),
    "eta": (r"$\eta$", False),
    "radius": ("production radius (mm)", True),
}
MARKERS = ("o", "s", "^", "D", "v", "P")


def binned(curves: Mapping[str, Mapping[str, Rows]], *, label: str = "Efficiency", note: str = "") -> Figure:
    """One panel per quantity ("pt" in GeV, "eta", "radius" in mm), one set of points per curve name.

    A row is a bin: low_edge, high_edge (None or inf = open), numerator, denominator, low and high ends of the interval.
    Bins with denominator 0 have no point. ``note``: the cuts, printed below; open bins are named there too.
    """
    quantities = [name for name in AXES if any(name in curve for curve in curves.values())]
    unknown = {name for curve in curves.values() for name in curve} - set(AXES)
    if unknown or not quantities:
        came = ", ".join(sorted(unknown)) or "nothing"
        raise ValueError(f"bins come by {came}; expected {', '.join(AXES)}")
    made = figure(PAGE * max(len(quantities), 1.5) / len(AXES), 2.5)
    open_ends = False
    with rc_context(STYLE):
        for panel, name in zip(axes(made, 1, len(quantities), sharey=True)[0], quantities, strict=True):
            for number, (curve, tables) in enumerate(curves.items()):
                open_ends |= _points(panel, tables.get(name, ()), AXES[name][1], number, curve)
            panel.set(xlabel=AXES[name][0], ylim=(-0.03, 1.05))
            panel.grid(axis="y", lw=0.3, color="#cccccc")
        first = made.axes[0]
        first.set_ylabel(label)
        if len(curves) > 1:
            made.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=len(curves))
        caption(made, f"{note} {'An arrow marks a bin that goes on, to 0 or without end.' if open_ends else ''}".strip())
    return made


def stairs(finders: Mapping[str, Rows], *, note: str = "") -> Figure:
    """The score still within reach after each stage, a line per finder; rows as of ``tracking.ceilings.mean_ceilings``."""
    made = figure(PAGE * 0.6, 2.6)
    with rc_context(STYLE):
        panel = axes(made, 1, 1)[0][0]
        for number, (name, rows) in enumerate(finders.items()):
            table = pd.DataFrame([dict(row) for row in rows])
            style: dict[str, Any] = {"marker": MARKERS[number], "color": CYCLE[number], "ms": 3, "lw": 1, "label": name}
            panel.errorbar(table["stage"], table["score"], table["error"].astype(float).fillna(0.0), **style)
        panel.set(xlabel="after", ylabel="TrackML score within reach")
        panel.grid(axis="y", lw=0.3, color="#cccccc")
        panel.legend(frameon=False)
        caption(made, note)
    return made


def _points(panel: Axes, rows: Rows, logarithmic: bool, number: int, curve: str) -> bool:
    """Draw one curve; True where a bin goes on beyond the axis."""
    table = pd.DataFrame([dict(row) for row in rows])
    if logarithmic:
        panel.set_xscale("log")
    if not len(table):
        return False
    for name in ("low_edge", "high_edge", "numerator", "denominator", "low", "high"):
        if name not in table:
            raise ValueError(f"a bin lacks {name!r}; it has {', '.join(map(str, table.columns))}")
    table = table[table["denominator"] > 0]
    left, right, low, high = (table[name].to_numpy(np.float64) for name in ("low_edge", "high_edge", "low", "high"))
    endless, from_zero = ~np.isfinite(right), (left <= 0) & logarithmic
    right = np.where(endless, left * 2 if logarithmic else left + 1, right)
    left = np.where(from_zero, right / 2, left)
    middle = np.sqrt(left * right) if logarithmic else (left + right) / 2
    value = (table["numerator"] / table["denominator"]).to_numpy()
    colour = (BLACK, *CYCLE)[number % (1 + len(CYCLE))]
    panel.errorbar(
        middle,
        value,
        xerr=np.array([middle - left, right - middle]),
        yerr=np.clip([value - low, high - value], 0, None),
        fmt=MARKERS[number % len(MARKERS)],
        ms=3,
        lw=0.8,
        color=colour,
        label=curve,
    )
    for ends, mask, arrow in ((right, endless, ">"), (left, from_zero, "<")):
        panel.plot(ends[mask], value[mask], ls="none", marker=arrow, ms=3, color=colour)
    return bool(endless.any() or from_zero.any())


def training(path: str | Path) -> Figure:
    """Losses over optimiser steps, and beside them the validation figures that are fractions, from a metrics.csv.

    Columns: step, train/NAME and val/NAME, empty where a step has none. The training loss is drawn as it is (pale) and
    as its running mean over 2 % of the steps.
    """
    table = pd.read_csv(path)
    if "step" not in table or not len(table):
        raise ValueError(f"{path}: expected a column 'step' and at least one row; it has {', '.join(table.columns)}")
    losses = [name for name in table if name in ("train/loss", "val/loss")]
    fractions = [name for name in table if name.startswith("val/") and name != "val/loss" and _fraction(table[name])]
    made = figure(PAGE if fractions else PAGE / 2, 2.5)
    with rc_context(STYLE):
        panels = axes(made, 1, 2 if fractions else 1)[0]
        for name, colour in zip(losses, CYCLE, strict=False):
            known = table[["step", name]].dropna()
            if name.startswith("val/"):
                panels[0].plot(known["step"], known[name], marker="o", ms=3, color=colour, label="validation")
                continue
            smooth = known[name].rolling(max(1, len(known) // 50), min_periods=1).mean()
            panels[0].plot(known["step"], known[name], color=colour, alpha=0.25, lw=0.5)
            panels[0].plot(known["step"], smooth, color=colour, label="training, running mean")
        panels[0].set(xlabel="optimiser step", ylabel="loss (no unit)")
        if losses and (table[losses].min() > 0).all():
            panels[0].set_yscale("log")
        for number, name in enumerate(fractions):
            known = table[["step", name]].dropna()
            marker, colour = MARKERS[number % len(MARKERS)], CYCLE[number % len(CYCLE)]
            label = name.removeprefix("val/").replace("_", " ")
            panels[1].plot(known["step"], known[name], marker=marker, ms=3, color=colour, label=label)
        if fractions:
            panels[1].set(xlabel="optimiser step", ylabel="fraction on validation events", ylim=(0, 1.05))
        for panel in panels:
            if panel.get_legend_handles_labels()[0]:
                panel.legend(loc="best")
    return made


def _fraction(column: pd.Series) -> bool:
    """A column that stays within [0, 1], and so may share an axis with its like."""
    known = column.dropna()
    return len(known) > 0 and pd.api.types.is_numeric_dtype(known) and bool(known.between(0, 1).all())
