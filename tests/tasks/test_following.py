"""The finder without a network keeps the contract of a task, but for training; its cuts can be changed by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep.simulate import Recipe, simulate
from data_prep.trackml import to_event
from pcloud import cli, pretrained
from pcloud.cli import judging
from pcloud.cloud import collate
from pcloud.data.event import Event, Inputs, to_cloud
from pcloud.tasks import TrackFollowing, concatenate
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.settings import DEFAULT, changed

INPUTS = Inputs(("x", "y", "z"))


def event(number: int, pileup: float = 8) -> Event:
    recipe = Recipe.of(11, pileup=pileup)
    return to_event(recipe.make(number), trackml_detector(), event_id=number)


def test_finds_tracks_in_every_event_of_a_batch() -> None:
    task = TrackFollowing()
    clouds = [to_cloud(event(number), INPUTS) for number in (1, 2)]
    both = collate(clouds)
    whole = task.tabulate(task(both), both)
    parts = concatenate([task.tabulate(task(cloud), cloud) for cloud in clouds])
    assert all(np.array_equal(whole[name], parts[name]) for name in parts) and whole.keys() == parts.keys()
    assert task.summarize(whole)["score"] > 0.9
    blind = both.without_truth()
    np.testing.assert_array_equal(task.tabulate(task(blind), blind)["track_id"], whole["track_id"])


def test_ceilings_fall_from_stage_to_stage() -> None:
    task, cloud = TrackFollowing(), to_cloud(event(1), INPUTS)
    stages = task.ceilings(task(cloud), cloud)
    scores = [one.score for one in stages]
    assert [one.stage for one in stages] == ["hits", "seeds", "candidates", "assigned", "tracks"]
    assert scores[:-1] == sorted(scores[:-1], reverse=True) and scores[-1] > 0.9
    assert scores[-1] >= scores[-2], "hits left over take no score away"


def test_there_is_nothing_to_train(tmp_path: Path) -> None:
    task, cloud = TrackFollowing(), to_cloud(event(1, 1), INPUTS)
    with pytest.raises(ValueError, match="nothing to train"):
        task.loss(task(cloud), cloud)
    config = tmp_path / "run.yaml"
    config.write_text("task: {name: following}\ndata: {store: nowhere}\n")
    with pytest.raises(ValueError, match="run.yaml: task.name: 'following' came, which has nothing to train"):
        cli.train(config)


def test_cuts_are_changed_by_name() -> None:
    assert changed(DEFAULT, {"0.accept": 7}).passes[0].accept == 7.0
    assert TrackFollowing(cuts={"0.hits_min": 9.0}).settings.passes[0].hits_min == 9.0
    for wrong in ("0.acept", "99.accept", "accept"):
        with pytest.raises(ValueError, match=f"cuts: '{wrong}' came; expected PASS.NAME"):
            changed(DEFAULT, {wrong: 1.0})


def test_a_layer_is_needed() -> None:
    cloud = to_cloud(event(1, 1), INPUTS)
    del cloud.point["layer_id"]
    with pytest.raises(ValueError, match="point column layer_id is missing"):
        TrackFollowing().tabulate((), cloud)


def test_a_judge_is_trained_on_simulated_events_and_travels_with_the_model(tmp_path: Path) -> None:
    (store,) = simulate(tmp_path / "store", events=2, pileup=6, seed=3, store=True)
    judging.train(store, tmp_path / "run")
    model = pretrained.load(tmp_path / "run", "cpu")
    assert model.card.training.steps > 0 and len(model.card.training.knows()) == 2
    cloud = to_cloud(event(1), INPUTS)
    judge = model.task.judge()
    assert judge is not None and judge.weights["inside"].any()
    assert model.task.summarize(model(cloud))["score"] > 0.9
    with pytest.raises(FileNotFoundError):
        judging.train(tmp_path / "nowhere", tmp_path / "other")


def test_a_judge_that_says_the_same_of_all_changes_next_to_nothing() -> None:
    blank, cloud = TrackFollowing(judged=True), to_cloud(event(1), INPUTS)
    blank.spread.fill_(1.0)
    plain = TrackFollowing()
    scores = [task.summarize(task.tabulate((), cloud))["score"] for task in (blank, plain)]
    assert abs(scores[0] - scores[1]) <= 0.001


def test_the_short_name_is_the_best_for_any_machine() -> None:
    assert pretrained.load("tracks", "cpu").name == "tracks-judged"
