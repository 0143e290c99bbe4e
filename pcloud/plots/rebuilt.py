"""The pictures of an autoencoder of sets: sets beside what was made of them, and how their scores lie.

``rebuilt(pairs)`` draws sets in the plane of their angles, ``scores(columns, label)`` distributions by class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pcloud.plots.canvas import BLUE, CYCLE, PAGE, STYLE, VERMILION, axes, caption, figure

Drawn = tuple[NDArray[Any], NDArray[Any]]  # angles [points, 2] (rad), shares of the momentum [points]
AREA = 400.0  # of a circle with the whole momentum, in square points


def rebuilt(pairs: Sequence[tuple[str, Drawn, Drawn]], *, note: str = "") -> Figure:
    """A column per set: its title, the set above, what was made of it below; a circle's area is its share of the momentum."""
    made = figure(PAGE * max(len(pairs), 2) / 4, 3.7)
    reach = 1.1 * max(float(np.quantile(np.abs(one[0]), 0.99)) for _, *both in pairs for one in both if len(one[0]))
    with rc_context(STYLE):
        grid = axes(made, 2, len(pairs), sharex=True, sharey=True)
        for column, (title, *both) in enumerate(pairs):
            for row, ((angles, share), colour, name) in enumerate(zip(both, (BLUE, VERMILION), ("set", "rebuilt"), strict=True)):
                panel = grid[row][column]
                panel.scatter(angles[:, 0], angles[:, 1], s=AREA * share, color=colour, alpha=0.45, lw=0)
                panel.set(xlim=(-reach, reach), ylim=(-reach, reach))
                panel.set_aspect("equal")
                panel.text(0.04, 0.95, f"{name}, {len(share)} points", transform=panel.transAxes, va="top")
                if column == 0:
                    panel.set_ylabel(r"$\Delta\phi$ (rad)")
            grid[0][column].set_title(title)
            grid[1][column].set_xlabel(r"$\Delta\eta$ (rad)")
        caption(made, note)
    return made


def scores(columns: Mapping[str, NDArray[Any]], label: NDArray[Any], classes: Sequence[str], *, note: str = "") -> Figure:
    """Unit-area distributions of each score, a panel each, a line per class; the uppermost 0.5 % are left out."""
    made = figure(PAGE * max(len(columns), 1.5) / 2.4, 2.6)
    with rc_context(STYLE):
        panels = axes(made, 1, len(columns))[0]
        for panel, (name, values) in zip(panels, columns.items(), strict=True):
            edges = np.linspace(float(values.min()), float(np.quantile(values, 0.995)), 51)
            for number, kind in enumerate(classes):
                here = values[label == number]
                if len(here):
                    height = np.histogram(here, edges)[0] / len(here) / np.diff(edges)
                    panel.stairs(height, edges, color=CYCLE[number % len(CYCLE)], label=f"{kind}, {len(here):,}")
            panel.set(xlabel=name, xlim=(edges[0], edges[-1]), yscale="log")
        panels[0].set_ylabel("share / bin width")
        panels[0].legend(loc="best")
        caption(made, note)
    return made
