"""Overlays: copies turned about the beam line, every id unique, weights of sum 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.overlay import main, overlay
from data_prep.simulate import Recipe, simulate
from pcloud.scorer import score_event


def test_three_copies() -> None:
    event = Recipe.of(1, "mini").make(1)
    made = overlay(event, 3)
    hits, n = made["hits"], len(event["hits"])
    assert len(hits) == 3 * n and hits.hit_id.is_unique and made["particles"].particle_id.is_unique
    one, two = hits.iloc[:n], hits.iloc[n : 2 * n]
    np.testing.assert_allclose(one[["x", "y", "z"]], event["hits"][["x", "y", "z"]])
    np.testing.assert_allclose(np.hypot(one.x, one.y), np.hypot(two.x, two.y))
    first, second = (np.arctan2(some.y.to_numpy(), some.x.to_numpy()) for some in (one, two))
    turn = np.angle(np.exp(1j * (second - first)))
    np.testing.assert_allclose(turn, 2 * np.pi / 3)
    truth = made["truth"]
    np.testing.assert_allclose(truth.weight.sum(), 1)
    assert ((truth.particle_id == 0).sum()) == 3 * (event["truth"].particle_id == 0).sum()
    answer = pd.DataFrame({"hit_id": truth.hit_id, "track_id": pd.factorize(truth.particle_id)[0]})
    np.testing.assert_allclose(score_event(truth, answer), 1)


def test_the_command(tmp_path: Path) -> None:
    simulate(tmp_path / "raw", events=1, preset="mini", seed=1)
    main([str(tmp_path / "raw"), str(tmp_path / "out"), "--copies", "2"])
    (file,) = (tmp_path / "out").glob("*-hits.csv*")
    (raw,) = (tmp_path / "raw").glob("*-hits.csv.gz")
    assert len(pd.read_csv(file)) == 2 * len(pd.read_csv(raw))
