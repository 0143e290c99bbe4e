"""What an evaluation says of an autoencoder: hunts for a bump that read no label, and a line where there is too little."""

from __future__ import annotations

import numpy as np

from pcloud.cli.anomaly_report import LEAST, judgement, sections


def rows(count: int, **more: np.ndarray) -> dict[str, np.ndarray]:
    """Masses (GeV) that fall, with 150 at 1700 that have large scores."""
    draw = np.random.default_rng(3)
    strange = np.arange(count) < 150
    mass = np.where(strange, draw.normal(1700, 30, count), 800 + draw.exponential(700, count))
    return {"event_id": np.arange(count), "score": draw.exponential(size=count) + 3 * strange, "jet_mass": mass, **more}


def test_bumps_are_looked_for_before_and_after_a_cut() -> None:
    found = judgement(rows(4000))
    everything, strangest = found["hunts"].values()
    assert found["notes"] == [] and sum(strangest["counts"]) < 0.2 * sum(everything["counts"])
    assert strangest["best"]["low"] < 1700 < strangest["best"]["high"] and strangest["best"]["z"] > 4
    titles = [one.title for one in sections(found, rows(4000), [], ["background"])]
    assert titles[-2:] == ["Bump hunt: all", "Bump hunt: the strangest of 10"]


def test_no_hunt_where_there_is_too_little_or_weights_differ() -> None:
    assert "hunts" not in judgement(rows(LEAST - 1))
    found = judgement(rows(LEAST, weight=np.linspace(1, 2, LEAST)))
    assert found["hunts"] == {} and "no bump hunt of all: weights from 1 to 2 came" in found["notes"][0]
    assert list(judgement(rows(LEAST))["hunts"]) == ["all"], "a hundred are too few"
