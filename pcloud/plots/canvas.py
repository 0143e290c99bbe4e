"""One look for every picture and one way to the disk, so that figures of one paper match and none is ever half written.

``figure`` and ``axes`` give styled matplotlib objects without global state, ``png`` their bytes, ``write`` a file.
"""

from __future__ import annotations

import io
import os
import textwrap
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PAGE = 7.2  # width (inch) of a journal's full page
DPI = 300
# Okabe & Ito, "Color Universal Design" (2008): told apart with every common colour blindness.
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
)  # fmt: skip
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
HIT_GREY, OUTLINE_GREY = "#a6a6a6", "#dcdcdc"
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "lines.linewidth": 1.0,
}


def figure(width: float, height: float) -> Figure:
    """An empty figure (inch) on the Agg canvas; draw on it inside ``rc_context(STYLE)``."""
    made = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(made)
    return made


def axes(target: Figure, rows: int = 1, columns: int = 1, **options: Any) -> list[list[Axes]]:
    """A grid of axes in this package's style, as rows of columns."""
    with rc_context(STYLE):
        return target.subplots(rows, columns, squeeze=False, **options).tolist()  # type: ignore[no-any-return]


def caption(target: Figure, words: str) -> None:
    """Words below a figure, wrapped to its width; the figure grows by their height."""
    width, height = target.get_size_inches()
    lines = textwrap.wrap(words, max(20, int(width * 17)))  # characters an inch at 8 pt
    target.set_size_inches(width, height + 0.14 * len(lines))
    target.supxlabel("\n".join(lines), fontsize=8, x=0.01, ha="left")


def png(drawn: Figure) -> bytes:
    """The figure as PNG bytes, at 300 dots an inch of its printed size."""
    held = io.BytesIO()
    with rc_context(STYLE):
        drawn.savefig(held, format="png", dpi=DPI, facecolor="white")
    return held.getvalue()


def save(path: str | Path, drawn: Figure) -> Path:
    """The figure as a PNG file; whole or not there."""
    return write(path, png(drawn))


def write(path: str | Path, data: bytes | str) -> Path:
    """Put data at path in one step: a reader sees the old file or the new one, and a failure leaves nothing behind."""
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: its folder {target.parent} does not exist; make it or choose another path")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
        os.replace(partial, target)
    except OSError as error:  # a full disk names no file by itself
        raise OSError(error.errno, f"could not be written: {error.strerror}", str(target)) from error
    finally:
        partial.unlink(missing_ok=True)
    return target
