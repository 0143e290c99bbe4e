"""The picture of time against N: one panel a dimension, ours in black among the peers.

``draw(growth, words, file)`` with the rows that benchmarks.neighbor_growth measured; ``words`` stand below it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes

from benchmarks.neighbor_clouds import GROWING
from benchmarks.neighbor_peers import OURS
from benchmarks.neighbor_timing import Row
from pcloud.plots import canvas

# Looks of each line: the same colour and mark in every picture. Dashed: compares all with all; dotted: may miss neighbours.
LOOKS: dict[str, tuple[str, str, str]] = {
    OURS: (canvas.BLACK, "o", "-"),
    "cKDTree": (canvas.BLUE, "s", "-"),
    "sklearn kd_tree": (canvas.SKY, "^", "-"),
    "torch_cluster": (canvas.VERMILION, "D", "-"),
    "faiss HNSW16, ef 64": (canvas.ORANGE, "v", ":"),
    "faiss flat": (canvas.ORANGE, "P", "--"),
    "cdist+topk": (canvas.GREEN, "X", "--"),
    "KeOps": (canvas.PURPLE, "*", "--"),
}


def draw(growth: list[Row], words: str, file: Path) -> Path:
    """Time against number of points on logarithmic axes, one panel a dimension, ours in black."""
    dims = [dim for dim in GROWING if any(row.get("dim") == dim and "seconds" in row for row in growth)]
    rows = -(-len(dims) // 2)
    picture = canvas.figure(canvas.PAGE, 2.5 * rows + 0.5)
    panels = [one for row in canvas.axes(picture, rows, min(2, len(dims)), sharex=True, sharey=True) for one in row]
    shown: dict[str, Any] = {}
    with rc_context(canvas.STYLE):
        for number, (panel, dim) in enumerate(zip(panels, dims, strict=False)):
            for row in growth:
                if row.get("dim") == dim and row.get("seconds"):
                    shown[row["peer"]] = _line(panel, row)
            _labelled(panel, dim, bottom=number >= len(dims) - 2, left=number % 2 == 0)
        for panel in panels[len(dims) :]:
            panel.set_axis_off()
        names = [name for name in LOOKS if name in shown]
        picture.legend([shown[name] for name in names], names, loc="outside upper center", ncols=4)
    canvas.caption(picture, words)
    return canvas.save(file, picture)


def _line(panel: Axes, row: Row) -> Any:
    colour, mark, dash = LOOKS[row["peer"]]
    own = row["peer"] == OURS
    look: dict[str, Any] = {"color": colour, "marker": mark, "linestyle": dash, "zorder": 3 if own else 2}
    milliseconds = [1e3 * one for one in row["seconds"]]
    return panel.plot(row["points"], milliseconds, markersize=4.5, linewidth=2.0 if own else 1.0, **look)[0]


def _labelled(panel: Axes, dim: int, *, bottom: bool, left: bool) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_title(f"d = {dim}: {GROWING[dim][0]}, k = 16")
    panel.grid(color=canvas.OUTLINE_GREY, linewidth=0.4)
    if bottom:
        panel.set_xlabel("points N")
    if left:
        panel.set_ylabel("time of one search (ms)")
