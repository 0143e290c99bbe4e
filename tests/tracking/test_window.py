"""Where hits are looked for: those whose cluster the rim of a module cuts off, and all that a track has on a layer."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from data_prep.simulate import simulate_event
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.field import field_table
from pcloud.tracking.finding import find_tracks, geometry_of
from pcloud.tracking.hits import FAR, grid_of, prepare
from pcloud.tracking.motion import STATE, Field, place
from pcloud.tracking.window import residual

DETECTOR = trackml_detector()
NAMES = ("x", "y", "z", "volume_id", "layer_id", "module_id")


@lru_cache(maxsize=1)
def event() -> pd.DataFrame:
    made = simulate_event(3, pileup=40, seed=21)
    return made["hits"].merge(made["truth"], on="hit_id")


def along_u(table: pd.DataFrame) -> np.ndarray:
    """Places of hits in the frame of their modules (mm)."""
    names = [f"{part}_id" for part in ("volume", "layer", "module")]
    modules = pd.DataFrame(DETECTOR)
    whole = table[["x", "y", "z", *names]].merge(modules, on=names, how="left")
    return sum(((whole[axis] - whole[f"c{axis}"]) * whole[f"rot_{axis}u"]).to_numpy() for axis in "xyz")


def test_a_cluster_that_the_rim_cuts_off_is_where_the_track_crossed() -> None:
    """Simulated hits of the barrel pixels that lie beside the truth along z by more than ten errors.

    Where the rim along u cuts, nobody knows how much of the path is gone: those, a quarter of all, stay where they are.
    """
    table, layers = event(), geometry_of(DETECTOR)[0]
    hits, _ = prepare({name: table[name].to_numpy() for name in NAMES}, DETECTOR, layers)
    assert (hits.rim[table.volume_id != 8] == FAR).all() and (np.abs(hits.rim[table.volume_id == 8]) <= 36.0).all()
    grid = grid_of(hits, layers, np.arange(len(table)))
    at, field, q = np.argsort(grid.row), Field(field_table(), 0.0, 0.0, 0.0), np.zeros(STATE)
    beside = table[(table.volume_id == 8) & (table.particle_id != 0) & ((table.z - table.tz).abs() > 0.06)]
    assert len(beside) > 10
    u = along_u(beside)
    beside = beside[np.abs(u) < DETECTOR["module_maxhu"][DETECTOR["volume_id"] == 8][0] - 0.06]
    left = []
    for row, hit in zip(beside.index, beside.itertuples(), strict=True):
        pt = np.hypot(hit.tpx, hit.tpy)
        place(field, q, hit.tx, hit.ty, hit.tz, np.arctan2(hit.tpy, hit.tpx), hit.tpz / pt, 1 / pt)
        left.append(residual(q, False, grid, at[row])[2])
    assert np.mean(np.abs(left) < 0.03) > 0.9


def test_a_track_keeps_four_hits_of_a_layer() -> None:
    table = event()
    track = find_tracks({name: table[name].to_numpy() for name in NAMES}, DETECTOR)
    true = table.assign(track=track)[lambda t: t.particle_id != 0]
    four = true.groupby(["particle_id", "volume_id", "layer_id"]).track.agg(["size", "nunique", "min"])
    four = four[four["size"] == 4]
    assert len(four) > 5 and ((four["nunique"] == 1) & (four["min"] >= 0)).mean() > 0.5
