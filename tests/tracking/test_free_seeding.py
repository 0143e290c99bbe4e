"""Seeds from anywhere: the pair's bounds on the curvature leave exactly the circles that pass the beam line within the cut."""

from __future__ import annotations

import numpy as np

from data_prep.simulate import simulate_event
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.hits import grid_of, prepare
from pcloud.tracking.layers import layers_of, next_layers
from pcloud.tracking.searching import all_seeds
from pcloud.tracking.settings import FREE_PASS

NAMES = ("x", "y", "z", "volume_id", "layer_id", "module_id")


def away(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance from the origin of the circles through points [circles, 3]."""
    far = np.hypot(x, y) ** 2
    (x1, x2, x3), (y1, y2, y3), (f1, f2, f3) = x.T, y.T, far.T
    bottom = 2 * (x1 * (y2 - y3) + x2 * (y3 - y1) + x3 * (y1 - y2))
    cx = (f1 * (y2 - y3) + f2 * (y3 - y1) + f3 * (y1 - y2)) / bottom
    cy = (f1 * (x3 - x2) + f2 * (x1 - x3) + f3 * (x2 - x1)) / bottom
    return np.abs(np.hypot(cx, cy) - np.hypot(x[:, 0] - cx, y[:, 0] - cy))


def test_seeds_pass_the_beam_line_within_the_cut_and_a_wider_cut_adds_only_those_beyond() -> None:
    detector = trackml_detector()
    layers = layers_of(detector)
    made = simulate_event(3, pileup=4, seed=3, phase=2)
    hits, _ = prepare({name: made["hits"][name].to_numpy() for name in NAMES}, detector, layers)
    grid = grid_of(hits, layers, np.flatnonzero(hits.layer >= 0))
    starts = np.flatnonzero(grid.r < FREE_PASS.start_r)
    links = next_layers(layers)
    found = []
    for impact in (20.0, 60.0):
        seeds = all_seeds(0, len(starts), starts, hits.layer[grid.row], grid, layers, links, FREE_PASS._replace(impact=impact))
        distance = away(grid.x[seeds], grid.y[seeds])
        assert len(seeds) > 500 and (distance < 1.05 * impact + 0.1).mean() > 0.99
        found.append({tuple(seed) for seed in seeds[distance < 19.0]})
    narrow, wide = found
    assert len(wide - narrow) < 0.03 * len(wide)
