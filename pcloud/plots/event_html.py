"""An event in the browser: one HTML file with a 3-D view, its tracks switched on and off by kind in the legend.

``page(scene, title)`` returns the page; plotly's script is written into it, so that it opens without a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from typing import Any

import numpy as np

from pcloud.plots.canvas import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from pcloud.plots.page import document
from pcloud.plots.scene import Layer, Scene

HIT_GREY, DENSE_GREY, OUTLINE_GREY = "#8c8c8c", "#bdbdbd", "#d0d0d0"
# kind: name in the legend, colour, dash, shown at first; true tracks that were found lie under their candidates
TRUE = {
    "true": ("true track", GREEN, "solid", True),
    "found": ("truth, found", GREEN, "solid", "legendonly"),
    "missed": ("truth, missed", BLACK, "dash", True),
}
FOUND = {
    "candidate": ("candidate", BLUE, "solid", True),
    "matched": ("candidate, matched", BLUE, "solid", True),
    "wrong": ("candidate, wrong", VERMILION, "dash", True),
    "unjudged": ("candidate, not judged", SKY, "solid", True),
}


def need_plotly() -> None:
    """ValueError with the remedy where plotly, an extra, is not installed."""
    if find_spec("plotly") is None:
        raise ValueError("the 3-D event display needs plotly, which is not installed: pip install 'pcloud[plot]'")


def page(scene: Scene, title: str | None = None) -> str:
    """The event as a whole HTML page (about 5 MB, nearly all of it plotly's script); lengths in mm."""
    need_plotly()
    from plotly.graph_objects import Figure
    from plotly.offline import get_plotlyjs

    figure = Figure([*_outlines(scene.layers), *_hits(scene), *_tracks(scene)], _layout())
    # plotly.js offers to upload the chart to its maker's server unless told otherwise
    options = {"displaylogo": False, "responsive": True, "showSendToCloud": False, "plotlyServerURL": ""}
    view = figure.to_html(full_html=False, include_plotlyjs=False, div_id="event", config=options, default_height="82vh")
    words = " ".join(scene.caption) + " Click a name in the legend to hide or show it, double-click to see it alone."
    body = f"<p class=note>{escape(words)}</p>\n<script>{get_plotlyjs()}</script>\n{view}"
    return document(title or "Event display", body, scripts=True, wide=True)


def _layout() -> dict[str, Any]:
    axis = {"backgroundcolor": "white", "gridcolor": "#eeeeee", "zerolinecolor": "#dddddd", "showspikes": False}
    return {
        "template": "none",
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "legend": {"itemsizing": "constant", "x": 0.01, "y": 0.99},
        "scene": {
            **{f"{name}axis": {**axis, "title": {"text": f"{name} (mm)"}} for name in "xyz"},
            "aspectmode": "data",
            "camera": {
                "up": {"x": 0, "y": 1, "z": 0},
                "center": {"x": 0, "y": -0.12, "z": 0},
                "eye": {"x": 1.75, "y": 0.6, "z": 0.9},
            },
        },
    }


def _hits(scene: Scene) -> list[Any]:
    grey, size = (DENSE_GREY, 0.7) if len(scene.pos) > 20_000 else (HIT_GREY, 1.2)
    groups = [
        ("hit", np.setdiff1d(np.arange(len(scene.pos)), scene.noise), grey, size),
        ("noise hit", scene.noise, PURPLE, size),
        ("stray hit in a match", scene.stray, ORANGE, 2.4),
    ]
    return [
        _trace(scene.pos[rows].T, f"{name} ({len(rows):,})", mode="markers", marker={"size": size, "color": colour})
        for name, rows, colour, size in groups
        if len(rows)
    ]


def _tracks(scene: Scene) -> list[Any]:
    made = []
    width = 3 if sum(len(lines) for lines in scene.found.values()) < 1000 else 1.5
    for word, drawn, looks in (("particle", scene.true, TRUE), ("track", scene.found, FOUND)):
        for kind, (name, colour, dash, visible) in looks.items():
            if kind not in drawn:
                continue
            lines = drawn[kind]
            line = {"color": colour, "width": width, "dash": dash}
            # ids travel as text: a browser's numbers are doubles, and particle ids exceed 2^53
            owner = np.repeat(lines.ids, np.diff(lines.offsets)).astype(str).tolist()
            hit = scene.hit_id[lines.rows].tolist()
            text = np.array([f"{word} {one}, hit {other}" for one, other in zip(owner, hit, strict=True)], object)
            made.append(
                _trace(
                    np.insert(scene.pos[lines.rows], lines.offsets[1:-1], np.nan, axis=0).T,  # a NaN lifts the pen
                    f"{name} ({len(lines):,})",
                    mode="lines",
                    line=line,
                    visible=visible,
                    text=np.insert(text, lines.offsets[1:-1], ""),
                    hovertemplate="%{text}<br>(%{x:.1f}, %{y:.1f}, %{z:.1f}) mm<extra></extra>",
                )
            )
    return made


def _outlines(layers: list[Layer]) -> list[Any]:
    """The detector layers as rings: a barrel's two ends, a disk's inner and outer rim."""
    turn = np.append(np.linspace(0, 2 * np.pi, 73), np.nan).astype(np.float32)
    rings = []
    for layer in layers:
        r, z = (layer.r_low + layer.r_high) / 2, (layer.z_low + layer.z_high) / 2
        rings += [(r, layer.z_low), (r, layer.z_high)] if layer.barrel else [(layer.r_low, z), (layer.r_high, z)]
    if not rings:
        return []
    radius, place = np.array(rings, np.float32).T
    xyz = [np.outer(radius, np.cos(turn)), np.outer(radius, np.sin(turn)), np.outer(place, np.ones_like(turn))]
    return [_trace([c.ravel() for c in xyz], "detector layers", mode="lines", line={"color": OUTLINE_GREY, "width": 1})]


def _trace(xyz: Sequence[np.ndarray], name: str, **look: Any) -> Any:
    from plotly.graph_objects import Scatter3d

    x, y, z = xyz
    return Scatter3d(x=x, y=y, z=z, name=name, **({} if "text" in look else {"hoverinfo": "skip"}), **look)
