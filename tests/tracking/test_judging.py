"""The judge of candidates: a judge of nothing changes nothing, its odds order and cut candidates, and it learns what is plain."""

from __future__ import annotations

import numpy as np

from data_prep.simulate import simulate_event
from pcloud.tracking.assignment import assign
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.finding import find_tracks
from pcloud.tracking.judge_training import candidates_of, fit, worth
from pcloud.tracking.judging import FEATURES, PASSES, Judge
from pcloud.tracking.passes import Candidates
from pcloud.tracking.settings import BEAM_PASS, DEFAULT

DETECTOR = trackml_detector()
NAMES = ("x", "y", "z", "volume_id", "layer_id", "module_id")


def weights(width: int = 4) -> dict[str, np.ndarray]:
    n = len(FEATURES)
    shapes = {
        "mean": n, "inside": (n, width), "inside_bias": width, "hidden": (width, width), "hidden_bias": width, "out": width,
    }  # fmt: skip
    made = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return made | {"spread": np.ones(n, np.float32), "out_bias": np.zeros(1, np.float32)}


def test_a_judge_of_zero_finds_what_none_finds_and_features_are_finite() -> None:
    made = simulate_event(4, pileup=4, seed=5, phase=2)
    hits = {name: made["hits"][name].to_numpy() for name in NAMES}
    judge = Judge(weights())
    assert len(DEFAULT.passes) == PASSES
    assert np.array_equal(find_tracks(hits, DETECTOR), find_tracks(hits, DETECTOR, judge=judge))
    table, target = candidates_of(hits, made["truth"]["particle_id"].to_numpy(), DETECTOR, DEFAULT)
    assert table.shape == (len(target), len(FEATURES)) and np.isfinite(table).all()
    assert 0.5 < target.mean() <= 1.0 and (table[:, 0] >= 3).all()
    gone = Judge(weights() | {"out_bias": np.full(1, -9.0, np.float32)}, scale=1e3)
    assert (find_tracks(hits, DETECTOR, judge=gone) == -1).all()


def test_odds_decide_the_order_and_who_is_kept() -> None:
    names = np.array([[0, 1, 2, 3], [3, 4, 5, 6], [7, 8, 9, 10]], np.int32)
    gains = np.array([[4] * 4, [5] * 4, [4] * 4], np.float32)
    sizes, totals = np.full(3, 4), np.array([16.0, 20.0, 16.0])
    cuts = BEAM_PASS._replace(hits_min=3.0, accept=5.0, accept_hit=1.0)
    kept = assign(names, gains, sizes, totals, np.array([9.0, 0.0, -12.0]), np.zeros(11, bool), cuts)
    assert kept.tolist() == [0, 1] and sizes.tolist() == [4, 3, 4]


def test_worth_by_hand() -> None:
    names = np.array([[0, 1, 2, 3], [0, 1, 2, 4], [4, 5, 6, 0], [0, 1, 0, 0]], np.int32)
    made = Candidates(names, np.zeros((4, 4), np.float32), np.array([4, 4, 3, 2]), np.zeros(4))
    assert np.allclose(worth(made, np.array([7, 7, 7, 7, 0, 0, 0])), [1.0, 0.75 * 0.75, 0.0, 0.0])


def test_a_fit_tells_apart_what_one_feature_tells_apart() -> None:
    table = np.random.default_rng(0).normal(size=(4000, len(FEATURES))).astype(np.float32)
    good = table[:, 3] > 0
    odds = Judge(fit(table, good.astype(float), epochs=6, batch=32))(table)
    assert ((odds > 0) == good).mean() > 0.95
