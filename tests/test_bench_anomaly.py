"""Stores that autoencoders are trained on: no label in them, a known share of signal, and no jet twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.anomaly_stores import POINT, contaminated, unlabelled
from benchmarks.anomaly_table import judged, text, together
from pcloud.data.store import Store


@pytest.fixture
def parts(jets_store: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The 30 jets of either label of ``jets_store``."""
    background = unlabelled(jets_store, tmp_path / "background", lambda label: label == 0)
    return background, unlabelled(jets_store, tmp_path / "signal", lambda label: label != 0)


def pts(store: Store) -> list[float]:
    return store.read_many(range(len(store))).event["jet_pt"].tolist()


def test_a_store_without_labels(jets_store: Path, parts: tuple[Path, Path]) -> None:
    whole = Store.open(jets_store).read_many(range(60))
    for path, label in zip(parts, (0, 1), strict=True):
        store = Store.open(path)
        assert len(store) == 30 and not store.schema.of("event_truth") and set(store.schema.names("point")) == set(POINT)
        assert pts(store) == whole.event["jet_pt"][whole.event_truth["label"] == label].tolist()


def test_a_known_share_of_signal(parts: tuple[Path, Path], tmp_path: Path) -> None:
    background, signal = (set(pts(Store.open(path))) for path in parts)
    few, more = (Store.open(contaminated(*parts, tmp_path / str(share), share, seed=1)) for share in (0.1, 0.2))
    for store, expected in ((few, 3), (more, 6)):
        came = pts(store)
        assert len(came) == len(set(came)) == 30 and len(signal & set(came)) == expected
        assert len(background & set(came)) == 30 - expected and not store.schema.of("event_truth")
    assert signal & set(pts(few)) < signal & set(pts(more)), "the larger share holds the smaller one"


def test_the_judgement_of_a_mass_cut_and_of_a_score_blind_to_the_mass() -> None:
    """The mass itself says nothing once flattened; a score of the kind alone says the same before and after."""
    draw = np.random.default_rng(0)
    signal = np.arange(4000) % 4 == 0
    mass = np.where(signal, draw.normal(170, 20, 4000), draw.exponential(60, 4000) + 20)
    rows = {"jet_mass": mass, "label": signal.astype(np.int64)}
    cut = judged(mass, rows, signal)
    assert cut["auc"]["value"] > 0.8 and cut["dcor2"] == pytest.approx(1)
    assert abs(cut["flat"]["auc"]["value"] - 0.5) < 0.02 and abs(cut["flat"]["dcor2"]) < 0.01
    blind = judged(np.exp(signal + draw.normal(size=4000)), rows, signal)
    assert blind["flat"]["auc"]["value"] == pytest.approx(blind["auc"]["value"], abs=0.03) and abs(blind["dcor2"]) < 0.01
    assert "0.5" in text({"mass cut": cut}).splitlines()[1]
    two = together([np.exp(signal + draw.normal(size=4000)) for _ in range(2)], rows, signal)
    assert two["auc"]["value"] > blind["auc"]["value"] + 0.03 and abs(two["dcor2"]) < 0.01
