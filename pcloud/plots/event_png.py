"""An event on paper: x-y and r-z panels of hits and tracks with a caption that says what is drawn.

``draw(scene, title)`` gives a matplotlib Figure of one row, or of two (true above found) with truth and candidates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pcloud.plots import canvas
from pcloud.plots.canvas import BLACK, BLUE, CYCLE, HIT_GREY, OUTLINE_GREY, SKY, VERMILION
from pcloud.plots.scene import Layer, Lines, Scene

Looks = dict[str, tuple[str, str, str]]
# kind: words in the legend, colour, dashes (so that print in grey tells them apart too)
TRUE: Looks = {
    "true": ("true track", BLUE, "-"),
    "found": ("true track, found", BLUE, "-"),
    "missed": ("missed", BLACK, "--"),
}
FOUND: Looks = {
    "unjudged": ("not judged", SKY, "-"),
    "matched": ("matched candidate", BLUE, "-"),
    "wrong": ("wrong candidate", VERMILION, "--"),
    "candidate": ("candidate (colours only tell neighbours apart)", "", "-"),
}
STRAY: dict[str, Any] = {"ls": "none", "marker": "x", "ms": 1.6, "mew": 0.4, "color": VERMILION}


def draw(scene: Scene, title: str | None = None) -> Figure:
    """The event as a Figure of a journal page's width; lengths in mm."""
    panels = [("True tracks", scene.true, TRUE)] if scene.has_truth else []
    if scene.has_tracks or not panels:
        panels.append(("Found tracks" if scene.has_tracks else "Hits", scene.found, FOUND))
    made = canvas.figure(canvas.PAGE, 2.75 * len(panels) + 0.4)
    with rc_context(canvas.STYLE):
        for row, (name, lines, looks) in zip(canvas.axes(made, len(panels), 2, width_ratios=[1, 1.42]), panels, strict=True):
            flat, along = row
            r = np.hypot(scene.pos[:, 0], scene.pos[:, 1])
            _outlines(flat, along, scene.layers)
            _panel(flat, scene.pos[:, 0], scene.pos[:, 1], lines, looks)
            _panel(along, scene.pos[:, 2], r, lines, looks)
            marks = _legend(lines, looks)
            if lines is scene.found and len(scene.stray):
                for target, across, up in ((flat, scene.pos[:, 0], scene.pos[:, 1]), (along, scene.pos[:, 2], r)):
                    target.plot(across[scene.stray], up[scene.stray], zorder=9, **STRAY)
                marks.append(Line2D([], [], label="stray hit in a match", **STRAY))
            flat.set(xlabel="x (mm)", ylabel="y (mm)", aspect="equal")
            along.set(xlabel="z (mm)", ylabel="r (mm)", ylim=(0, None))
            flat.set_title(name, loc="left", fontweight="bold", pad=3)
            along.set_title(" ", pad=3)  # room for the legend, which would narrow the panel if the layout knew of it
            above: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": len(marks)}
            tight: dict[str, Any] = {"borderaxespad": 0.2, "borderpad": 0, "columnspacing": 0.9, "handletextpad": 0.4}
            legend = along.legend(handles=marks, handlelength=1.6, **above, **tight)
            legend.set_in_layout(False)
        if title:
            made.suptitle(title, fontsize=9, fontweight="bold")
        canvas.caption(made, " ".join(scene.caption))
    return made


def _panel(target: Axes, across: np.ndarray, up: np.ndarray, lines: dict[str, Lines], looks: Looks) -> None:
    size = 0.35 if len(across) > 20_000 else 1.0
    target.plot(across, up, ls="none", marker="o", ms=size, mew=0, color=HIT_GREY, zorder=2)
    thin = sum(len(kind) for kind in lines.values()) > 150
    for order, (kind, (_, colour, dashes)) in enumerate(looks.items()):
        if kind not in lines:
            continue
        track = lines[kind]
        points = np.column_stack([across[track.rows], up[track.rows]])
        style: dict[str, Any] = {
            "colors": colour or [CYCLE[i % len(CYCLE)] for i in range(len(track))],
            "linewidths": 0.4 if thin else 0.8,
            "linestyles": dashes if dashes == "-" else (0, (3, 1.2)),
        }
        target.add_collection(LineCollection(np.split(points, track.offsets[1:-1]), zorder=3 + order, **style))


def _outlines(flat: Axes, along: Axes, layers: list[Layer]) -> None:
    """Faint detector layers: barrels as circles and bars, disks as uprights."""
    style: dict[str, Any] = {"color": OUTLINE_GREY, "lw": 0.5, "zorder": 1}
    turn = np.linspace(0, 2 * np.pi, 181)
    for layer in layers:
        r, z = (layer.r_low + layer.r_high) / 2, (layer.z_low + layer.z_high) / 2
        if layer.barrel:
            flat.plot(r * np.cos(turn), r * np.sin(turn), **style)
            along.plot([layer.z_low, layer.z_high], [r, r], **style)
        else:
            along.plot([z, z], [layer.r_low, layer.r_high], **style)


def _legend(lines: dict[str, Lines], looks: Looks) -> list[Line2D]:
    marks = [Line2D([], [], ls="none", marker="o", ms=2, mew=0, color=HIT_GREY, label="hit")]
    for kind, (words, colour, dashes) in looks.items():
        if kind in lines:
            marks.append(Line2D([], [], color=colour or BLUE, ls=dashes, lw=1.2, label=words))
    return marks
