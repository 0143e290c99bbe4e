"""One event shown as a picture for paper and as a 3-D page for the browser; both are drawn from the same ``Scene``.

``display(hits, track_id=..., truth=..., out_png=..., out_html=...)`` shows what there is; truth is optional.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pcloud.plots import canvas, event_html, event_png
from pcloud.plots.scene import Scene, build


def display(
    hits: pd.DataFrame,
    *,
    track_id: np.ndarray | pd.DataFrame | None = None,
    truth: pd.DataFrame | None = None,
    event_id: int | None = None,
    score: float | None = None,
    title: str | None = None,
    out_png: str | Path | None = None,
    out_html: str | Path | None = None,
    min_hits: int = 3,
    max_tracks: tuple[int, int] = (500, 2000),
    r_max: float | None = None,
) -> list[Path]:
    """Draw one event; returns the files written.

    hits      columns hit_id, x, y, z (mm) and, for outlines, volume_id, layer_id
    track_id  int per hit in the order of hits (-1 = in no candidate), or a table hit_id, track_id
    truth     columns hit_id, particle_id (0 = noise), or the partial truth's hit_id, track_index
    score     the event's TrackML score, shown in the caption
    min_hits  fewer hits make neither a candidate nor a true track
    max_tracks  most true tracks or candidates drawn in (picture, page); above it one in n, as the caption says
    r_max     draw only what lies within this distance of the beam line (mm); counts and verdicts are of the whole event
    ValueError: a column is missing, a table names an unknown hit or one hit twice, or out_html without plotly.
    """
    if out_png is None and out_html is None:
        raise ValueError("display has nothing to write: give out_png, out_html or both")
    if out_html is not None:
        event_html.need_plotly()
    written = []
    told: dict[str, Any] = {"event_id": event_id, "score": score, "min_hits": min_hits, "r_max": r_max}
    for out, drawer, most in ((out_png, _picture, max_tracks[0]), (out_html, event_html.page, max_tracks[1])):
        if out is not None:
            scene = build(hits, track_id, truth, max_tracks=most, **told)
            written.append(canvas.write(out, drawer(scene, title)))
    return written


def _picture(scene: Scene, title: str | None) -> bytes:
    return canvas.png(event_png.draw(scene, title))
