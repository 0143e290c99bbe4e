"""The shipped track finders are held to their word: on real events, against themselves without truth, in another order."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import pcloud
from pcloud import cli, config, pretrained
from pcloud.pretrained import fingerprint

# Score on the small real event.
LEAST = {"tracks-judged": 0.95, "tracks-classical": 0.94, "tracks-gnn": 0.8, "tracks-condensation": 0.38}
# Captured of the full real event 1001.
CAPTURED = {"tracks-judged": 0.98, "tracks-classical": 0.96, "tracks-gnn": 0.95, "tracks-condensation": 0.25}


@pytest.fixture(scope="module", params=LEAST)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def small(shared_data: Path) -> Path:
    return shared_data / "trackml" / "small_event"


@pytest.fixture(scope="module")
def submission(model: str, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shipped") / "tracks.csv"
    cli.predict(model, small, out, device="cpu")
    return out


@pytest.fixture(scope="module")
def score(small: Path, submission: Path) -> float:
    return float(cli.score(small, submission)["score"])


def test_the_real_small_event_is_found(model: str, score: float) -> None:
    assert score >= LEAST[model]


def test_without_truth_the_submission_is_the_same(model: str, small: Path, submission: Path, tmp_path: Path) -> None:
    blind = tmp_path / "blind"
    blind.mkdir()
    for file in small.iterdir():
        if "truth" not in file.name and "particles" not in file.name:
            shutil.copy(file, blind)
    cli.predict(model, blind, tmp_path / "s.csv", device="cpu")
    assert (tmp_path / "s.csv").read_bytes() == submission.read_bytes()


def test_the_order_and_the_names_of_hits_do_not_matter(model: str, small: Path, score: float, tmp_path: Path) -> None:
    """Rows shuffled and hit ids renumbered, in hits, cells and truth alike."""
    folder = tmp_path / "shuffled"
    folder.mkdir()
    chance = np.random.default_rng(3)
    hits = pd.read_csv(small / "event000000001-hits.csv.gz").sample(frac=1, random_state=chance)
    fresh = pd.Series(chance.permutation(len(hits)) + 1, index=hits["hit_id"])
    for kind in ("hits", "cells", "truth", "particles"):
        table = hits if kind == "hits" else pd.read_csv(small / f"event000000001-{kind}.csv.gz", dtype={"particle_id": "int64"})
        if "hit_id" in table:
            table = table.assign(hit_id=fresh.loc[table["hit_id"]].to_numpy())
        table.to_csv(folder / f"event000000001-{kind}.csv", index=False, float_format="%.9g")
    shutil.copy(small / "detectors.csv.gz", folder)
    cli.predict(model, folder, tmp_path / "s.csv", device="cpu")
    assert abs(cli.score(folder, tmp_path / "s.csv")["score"] - score) < 0.005


def test_untrained_weights_score_far_below(small: Path, tmp_path: Path) -> None:
    """The same model and cuts with weights drawn anew: what is found is learned, not built in."""
    model = pretrained.load("tracks-gnn", "cpu")
    for seed in (0, 1):
        torch.manual_seed(seed)
        task = config.build(model.card.task, model.card.encoder, len(model.card.feat))
        folder = tmp_path / f"untrained{seed}"
        folder.mkdir()
        pretrained.save(folder, task, model.card)
        cli.predict(folder, small, tmp_path / "s.csv", device="cpu")
        assert cli.score(small, tmp_path / "s.csv")["score"] < LEAST["tracks-gnn"] - 0.3


def test_nothing_was_trained_or_tuned_on_real_events() -> None:
    for name in pretrained.shipped():
        training = pretrained.load(name, "cpu").card.training
        assert "simulated" in training.cuts
        if training.steps:
            assert training.knows() and training.source["synthetic"]


def test_no_real_event_is_in_a_study_or_a_training(shared_data: Path, tmp_path: Path) -> None:
    """By where their hits lie: tuning studies are in benchmarks/studies, what was trained on is in the cards."""
    source = shared_data / "trackml"
    shutil.copytree(source / "small_event", tmp_path / "small")
    for file in (source / "full_events").glob("*-hits.csv.gz"):
        (tmp_path / file.name[:14]).mkdir()
        shutil.copy(file, tmp_path / file.name[:14])
        shutil.copy(source / "detectors.csv", tmp_path / file.name[:14])
    real = {fingerprint(pcloud.read(folder), ("x", "y", "z")) for folder in tmp_path.iterdir()}
    assert len(real) == 4
    studies = [json.loads(file.read_text()) for file in (Path(__file__).parents[1] / "benchmarks" / "studies").glob("*.json")]
    assert len(studies) >= 2
    for study in studies:
        assert study["events"] and study["source"]["synthetic"] and not real & set(study["fingerprints"])
    assert not any(real & pretrained.load(name, "cpu").card.training.knows() for name in pretrained.shipped())


def test_a_full_real_event_is_found(model: str, shared_data: Path, tmp_path: Path) -> None:
    """93,680 hits, of which 4,029 have a known track: every hit once."""
    folder = tmp_path / "full"
    folder.mkdir()
    source = shared_data / "trackml"
    shutil.copy(source / "full_events" / "event000001001-hits.csv.gz", folder)
    shutil.copy(source / "detectors.csv", folder)
    made = cli.predict(model, folder, tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    hits = pd.read_csv(folder / "event000001001-hits.csv.gz")
    assert sorted(table["hit_id"]) == sorted(hits["hit_id"])
    assert sum(count for size, count in made.sizes.items() if size >= 5) >= 1500
    assert table["track_id"].value_counts().max() <= 25
    assert made.peak_bytes <= 6e9
    assert sum(made.seconds.values()) <= 300
    truth = source / "full_events" / "event000001001-partial_truth_pixel_pt1GeV.csv.gz"
    result = cli.score(truth, tmp_path / "s.csv")
    assert result["figures"]["captured"]["value"] >= CAPTURED[model]
