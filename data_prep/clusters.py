"""Cluster shape: what the cells a particle fired say about its charge and its direction through the module.

``shapes(hits, cells, detectors)`` gives one row per hit, from TrackML's cells and detectors tables.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pcloud.tracking.detector import IDS, Table


def module_rows(hits: pd.DataFrame, detectors: Table) -> np.ndarray:
    """The row of the detectors table that each hit lies in: [hits] int64. ValueError for a module the table lacks."""
    modules = pd.MultiIndex.from_arrays([detectors[name] for name in IDS])
    rows = modules.get_indexer(pd.MultiIndex.from_frame(hits[list(IDS)]))
    if (rows < 0).any():
        first = int((rows < 0).argmax())
        hit, *module = (hits[name].iloc[first] for name in ("hit_id", *IDS))
        raise ValueError(
            f"hit_id {hit}: volume, layer, module {', '.join(map(str, module))} is not in the detectors table; "
            "give the table that belongs to these events"
        )
    return np.asarray(rows)


def shapes(hits: pd.DataFrame, cells: pd.DataFrame, detectors: Table) -> dict[str, np.ndarray]:
    """Columns [hits], float32; a hit without cells has zeros and the direction (0, 0, 1).

    cell_count            cells of the hit
    charge                sum of their values
    extent_u, extent_v    (largest - smallest channel + 1) * pitch, mm, along the module's u (ch0) and v (ch1)
    dir_u, dir_v, dir_w   unit vector along (extent_u, extent_v, thickness): the path through the sensor in the module's
                          frame, signs unknown, so all are >= 0; thickness = 2 * module_t, which the table gives halved
    """
    count = len(hits)
    order = np.argsort(hits["hit_id"].to_numpy(), kind="stable")
    owner = order[np.searchsorted(hits["hit_id"].to_numpy(), cells["hit_id"].to_numpy(), sorter=order)]
    by_hit = np.argsort(owner, kind="stable")
    present, starts = np.unique(owner[by_hit], return_index=True)
    row = module_rows(hits, detectors)

    def extent(channel: str, pitch: str) -> np.ndarray:
        values, out = cells[channel].to_numpy(dtype=np.int64)[by_hit], np.zeros(count)
        if present.size:
            span = np.maximum.reduceat(values, starts) - np.minimum.reduceat(values, starts) + 1
            out[present] = span * detectors[pitch][row[present]]
        return out

    charge = np.bincount(owner, weights=cells["value"].to_numpy(), minlength=count)
    path = np.stack([extent("ch0", "pitch_u"), extent("ch1", "pitch_v"), 2 * np.asarray(detectors["module_t"])[row]])
    direction = path / np.maximum(np.linalg.norm(path, axis=0), 1e-12)
    columns = {
        "cell_count": np.bincount(owner, minlength=count),
        "charge": charge,
        "extent_u": path[0],
        "extent_v": path[1],
        "dir_u": direction[0],
        "dir_v": direction[1],
        "dir_w": direction[2],
    }
    return {name: values.astype(np.float32) for name, values in columns.items()}
