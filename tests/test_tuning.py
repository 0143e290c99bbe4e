"""Tuning: on simulated events alone, goes on where it stopped, and leaves a study that says all and a model that works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_prep.simulate import simulate
from data_prep.trackml import prepare
from pcloud import cli, pretrained

pytest.importorskip("optuna", reason="the tune extra is not installed")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (made,) = simulate(tmp_path_factory.mktemp("tune") / "store", events=1, pileup=4, seed=2, store=True)
    return made


def test_a_search_goes_on_and_keeps_everything(store: Path, tmp_path: Path) -> None:
    vary = {"0.accept": (5.0, 400.0)}
    cli.tune("tracks-classical", store, tmp_path / "run", trials=2, vary=vary)
    found = cli.tune("tracks-classical", store, tmp_path / "run", trials=4, vary=vary)
    study = json.loads((tmp_path / "run" / "study.json").read_text())
    assert found.trials == len(study["trials"]) == 4 and study["events"] == [1000] and len(study["fingerprints"]) == 1
    assert study["source"]["synthetic"] and study["varied"] == {"0.accept": [5.0, 400.0]}
    assert found.score == max(trial["score"] for trial in study["trials"]) and found.seconds > 0
    whole = cli.tune("tracks-classical", store, tmp_path / "whole", trials=2, vary=vary)
    assert [t["values"] for t in study["trials"]][:2] == [
        t["values"] for t in json.loads((tmp_path / "whole" / "study.json").read_text())["trials"]
    ], "a seed gives the same search"
    assert whole.trials == 2
    tuned = pretrained.load(tmp_path / "run", "cpu")
    assert tuned.card.task["cuts"] == found.best and "simulated" in tuned.card.training.cuts


def test_real_events_are_refused(shared_data: Path, tmp_path: Path) -> None:
    prepare(shared_data / "trackml" / "small_event", tmp_path / "real")
    for place in (shared_data / "trackml" / "small_event", tmp_path / "real"):
        with pytest.raises(ValueError, match="not a store of simulated events"):
            cli.tune("tracks-classical", place, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_cut_must_exist(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cuts: '0.acept' came; expected PASS.NAME"):
        cli.tune("tracks-classical", store, tmp_path / "run", trials=1, vary={"0.acept": (1.0, 2.0)})
