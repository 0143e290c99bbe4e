"""The finder that judges triplets keeps the contract of a task, learns, and takes what events bring."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import nn

from data_prep.simulate import Recipe
from data_prep.trackml import to_event
from pcloud.cloud import PointCloud, collate
from pcloud.data.event import Inputs, to_cloud
from pcloud.tasks import TripletFinding, concatenate
from pcloud.tasks.triplets import SHAPE
from pcloud.tracking.detector import trackml_detector


@lru_cache(maxsize=3)
def cloud(number: int) -> PointCloud:
    """A slice in azimuth of an event with 80 collisions: windows alone do not tell its tracks apart."""
    made = Recipe.of(11, pileup=80).make(number)
    whole = to_cloud(to_event(made, trackml_detector(), event_id=number), Inputs(("x", "y", "z")))
    return whole.keep(torch.atan2(whole.pos[:, 1], whole.pos[:, 0]).abs() < 0.25)


@pytest.fixture(scope="module")
def event() -> PointCloud:
    return cloud(1)


@pytest.fixture(scope="module")
def taught(event: PointCloud) -> TripletFinding:
    """150 steps on one event."""
    torch.manual_seed(0)
    task = TripletFinding(channels=16, layers=2).train()
    descent = torch.optim.Adam(task.parameters(), lr=1e-2)
    for _ in range(150):
        descent.zero_grad()
        sum(task.loss(task(event), event).values()).backward()
        descent.step()
    return task.eval()


def test_it_learns_to_tell_true_triplets(event: PointCloud, taught: TripletFinding) -> None:
    unseen = cloud(3)
    score = taught.summarize(taught.tabulate(taught(unseen), unseen))["score"]
    blunt = TripletFinding(channels=16, layers=2).eval()
    blunt.load_state_dict(taught.state_dict())
    nn.init.zeros_(blunt.triplet_head[-1].weight)
    nn.init.ones_(blunt.triplet_head[-1].bias)  # every triplet as good as any other
    without = blunt.summarize(blunt.tabulate(blunt(unseen), unseen))["score"]
    assert score > 0.7 and score > without + 0.05


def test_every_parameter_learns_and_losses_are_finite(event: PointCloud) -> None:
    task = TripletFinding(channels=8, layers=1).train()
    terms = task.loss(task(event), event)
    assert set(terms) == {"pairs", "triplets"} and all(torch.isfinite(term) for term in terms.values())
    sum(terms.values()).backward()
    assert not [name for name, p in task.named_parameters() if p.grad is None or not bool((p.grad != 0).any())]


def test_events_of_a_batch_keep_to_themselves_and_truth_plays_no_part(event: PointCloud, taught: TripletFinding) -> None:
    clouds = [event, cloud(2)]
    both = collate(clouds)
    whole = taught.tabulate(taught(both), both)
    parts = concatenate([taught.tabulate(taught(one), one) for one in clouds])
    assert all(np.array_equal(whole[name], parts[name]) for name in parts) and whole.keys() == parts.keys()
    blind = both.without_truth()
    np.testing.assert_array_equal(taught.tabulate(taught(blind), blind)["track_id"], whole["track_id"])


def test_ceilings_fall_from_stage_to_stage(event: PointCloud, taught: TripletFinding) -> None:
    stages = taught.ceilings(taught(event), event)
    scores = [one.score for one in stages]
    assert [one.stage for one in stages] == ["triplets", "sure triplets", "tracks"]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0.9


@pytest.mark.parametrize("hits", [0, 1, 10])
def test_hardly_any_hits(event: PointCloud, hits: int) -> None:
    task, few = TripletFinding(), event.keep(torch.arange(event.points) < hits)
    output = task(few)
    assert len(task.tabulate(output, few)["track_id"]) == hits
    assert all(torch.isfinite(term) for term in task.loss(output, few).values())


def test_noise_alone_and_a_missing_volume(event: PointCloud, taught: TripletFinding) -> None:
    for keep in (event.point_truth["particle"] < 0, event.point["volume_id"] != 8):
        some = event.keep(keep)
        track = taught.tabulate(taught(some), some)["track_id"]
        assert track.shape == (some.points,) and np.bincount(track[track >= 0], minlength=1).max() <= 24


def test_cluster_shapes_may_be_missing(event: PointCloud, taught: TripletFinding) -> None:
    bare = event.keep(torch.ones(event.points, dtype=torch.bool))
    for name in SHAPE:
        del bare.point[name]
    assert taught.summarize(taught.tabulate(taught(bare), bare))["score"] > 0.5


def test_a_layer_is_needed_and_a_threshold_is_a_probability(event: PointCloud) -> None:
    bare = event.keep(torch.ones(event.points, dtype=torch.bool))
    del bare.point["layer_id"]
    with pytest.raises(ValueError, match="point column layer_id is missing"):
        TripletFinding()(bare)
    with pytest.raises(ValueError, match=r"threshold = 1.5 came"):
        TripletFinding(threshold=1.5)
