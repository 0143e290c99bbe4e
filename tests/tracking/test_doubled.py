"""Layers that a track hits twice: both hits are kept together, and tracks on two layers alone are found by them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from data_prep.simulate import simulate_event
from pcloud.tracking import window
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.finding import find_tracks
from pcloud.tracking.motion import STATE

NAMES = ("x", "y", "z", "volume_id", "layer_id", "module_id")


@lru_cache(maxsize=1)
def found() -> pd.DataFrame:
    """Hits of the particles of a simulated event, and the track of each."""
    made = simulate_event(3, pileup=100, seed=5, phase=2)
    track = find_tracks({name: made["hits"][name].to_numpy() for name in NAMES}, trackml_detector())
    rows = made["hits"].merge(made["truth"][["hit_id", "particle_id"]], on="hit_id").assign(track=track)
    rows = rows[rows.particle_id != 0].copy()
    rows["layer"] = rows.volume_id * 100 + rows.layer_id
    own = rows[rows.track >= 0].groupby("particle_id").track.agg(lambda some: some.mode().iloc[0])
    prompt = made["particles"][np.hypot(made["particles"].vx, made["particles"].vy) < 1].particle_id
    rows["prompt"] = rows.particle_id.isin(prompt)
    rows["mine"] = rows.track == rows.particle_id.map(own)
    return rows


def test_two_hits_of_a_layer_stay_together_where_a_slanted_track_has_them_far_apart() -> None:
    rows = found()
    rows = rows[(rows.volume_id == 8) & rows.duplicated(["particle_id", "layer"], keep=False)]
    pairs = rows.groupby(["particle_id", "layer"]).agg(n=("z", "size"), far=("z", np.ptp), mine=("mine", "sum"))
    pairs = pairs[(pairs.n == 2) & (pairs.far > 5) & (pairs.far < 20) & (pairs.mine > 0)]
    assert len(pairs) > 150 and (pairs.mine == 2).mean() > 0.95, (len(pairs), (pairs.mine == 2).mean())


def test_tracks_from_the_beam_on_two_layers_are_found() -> None:
    """Without a pass for them none is."""
    rows = found()
    rows = rows[rows.prompt]
    some = rows.groupby("particle_id").agg(n=("z", "size"), layers=("layer", "nunique"), mine=("mine", "sum"))
    some = some[(some.layers == 2) & (some.n >= 4)]
    assert len(some) > 8 and (2 * some.mine > some.n).mean() > 0.4, (len(some), (2 * some.mine > some.n).mean())


def test_errors_a_few_mm_further_on_are_those_of_a_state_moved_there() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(5, 5))
    p, q, h = root @ root.T, np.zeros(STATE), random.normal(size=4)
    q[6] = 1.0  # straight along x
    told = window.spread(p, *h, 1.7)
    window._step(q, p, 1.7)
    assert q[0] == 1.7
    assert np.allclose(told, window.spread(p, *h, 0.0), rtol=1e-12) and np.allclose(p, p.T)
