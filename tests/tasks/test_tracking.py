"""Track finding: perfect output of each finder scores 1, useless output 0, and small rows and figures worked on paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import encoder
from clouds import BIG, ragged, tracks
from torch import Tensor, nn

from pcloud.cloud import PointCloud, collate
from pcloud.neighbors import knn
from pcloud.tasks import TrackFinding
from pcloud.tasks.hit_rows import alone
from pcloud.tasks.tracking import FINDERS

Output = tuple[Tensor, ...]


def task(finder: str) -> nn.Module:
    return TrackFinding(encoder("interaction"), finder=finder)  # type: ignore[arg-type]


def perfect_edges(cloud: PointCloud) -> Output:
    table = knn(cloud.pos, cloud.offsets, cloud.max_points)
    particle = cloud.particle_of_point
    same = (particle[:, None] >= 0) & (particle[:, None] == table.gather(particle))
    return torch.where(same, 20.0, -20.0), table.index


def places(cloud: PointCloud) -> Tensor:
    """Hits of a particle in one place, noise each in its own, places 10 apart, and the same in every event."""
    particle = cloud.point_truth["particle"]
    return 10.0 * torch.where(particle >= 0, particle, 100 + torch.arange(cloud.points))[:, None]


def perfect_beta(cloud: PointCloud) -> Output:
    """The last hit of each particle is sure, all others are not."""
    last = {int(particle): row for row, particle in enumerate(cloud.particle_of_point.tolist()) if particle >= 0}
    logit = torch.full((cloud.points,), -5.0)
    logit[list(last.values())] = 5.0
    return logit, places(cloud)


PERFECT: dict[str, Callable[[PointCloud], Output]] = {
    "edges": perfect_edges,
    "embedding": lambda cloud: (places(cloud),),
    "condensation": perfect_beta,
}
IDLE: dict[str, Callable[[PointCloud], Output]] = {
    "edges": lambda cloud: (perfect_edges(cloud)[0] * 0 - 20, perfect_edges(cloud)[1]),
    "embedding": lambda cloud: (10.0 * torch.arange(cloud.points)[:, None],),
    "condensation": lambda cloud: (torch.full((cloud.points,), -20.0), places(cloud)),
}
ALL_IN_ONE: dict[str, Callable[[PointCloud], Output]] = {
    "embedding": lambda cloud: (torch.zeros(cloud.points, 2),),
    "condensation": lambda cloud: (torch.arange(float(cloud.points)), torch.zeros(cloud.points, 2)),
}
every = pytest.mark.parametrize("finder", FINDERS)


def test_every_finder_is_here() -> None:
    assert set(PERFECT) == set(IDLE) == set(FINDERS)


@every
def test_perfect_output_scores_perfectly(finder: str) -> None:
    """Six events, an empty one and one of noise among them; 4 tracks of 6 hits and 4 hits of noise in each."""
    events = tracks(6)
    empty, noise = events.select([0]).keep(torch.zeros(28, dtype=torch.bool)), tracks(1, tracks=1, layers=1, noise=7)
    cloud = collate([empty, events, noise.keep(noise.point_truth["particle"] < 0)])
    cloud.event["event_id"][:] = torch.arange(8)
    rows = task(finder).tabulate(PERFECT[finder](cloud), cloud)
    figures = task(finder).summarize(rows)
    assert figures["score"] == pytest.approx(1.0)
    assert figures["hits_linked"] == pytest.approx(6 * 24 / (6 * 28 + 7))
    assert figures["candidates"] == 24 / 7, "rows know of events with a hit"
    for event in range(8):
        here = rows["event_id"] == event
        assert sets(rows["track_id"], here, without=-1) == sets(rows["particle_id"], here, without=0)


def sets(names: np.ndarray, here: np.ndarray, without: int) -> set[frozenset[int]]:
    """The rows of each name, whatever the names are."""
    return {frozenset(np.flatnonzero(here & (names == name)).tolist()) for name in set(names[here].tolist()) - {without}}


@every
def test_perfect_output_has_little_loss(finder: str) -> None:
    cloud = tracks(6)
    terms = task(finder).loss(PERFECT[finder](cloud), cloud)
    assert sum(term.item() for term in terms.values()) < 0.02


@every
def test_idle_output_scores_nothing(finder: str) -> None:
    cloud = tracks(3)
    figures = task(finder).summarize(task(finder).tabulate(IDLE[finder](cloud), cloud))
    assert figures == {"candidates": 0, "hits_linked": 0, "score": 0}


@pytest.mark.parametrize("finder", ALL_IN_ONE)
def test_all_hits_in_one_place_score_nothing(finder: str) -> None:
    cloud = tracks(3)
    figures = task(finder).summarize(task(finder).tabulate(ALL_IN_ONE[finder](cloud), cloud))
    assert figures["score"] == 0
    pieces = 2 if finder == "condensation" else 0  # it takes the nearest 20 of an event's 28, then the rest; others give them up
    assert figures["candidates"] == pieces


def test_rows_on_paper() -> None:
    """Events of 3 and 2 hits; edges 0 - 1 and 3 - 4 hold. Ids beyond 2^53 come out to the last digit."""
    cloud = ragged([3, 2], particles=2)
    cloud.point_truth["particle"][:] = torch.tensor([0, 0, -1, 1, -1])
    output = torch.tensor([[9.0], [9], [-9], [9], [9]]), torch.tensor([[1], [0], [1], [4], [3]])
    rows = task("edges").tabulate(output, cloud)
    assert {name: column.tolist() for name, column in rows.items()} == {
        "event_id": [BIG, BIG, BIG, BIG + 1, BIG + 1],
        "hit_id": [1, 2, 3, 4, 5],
        "track_id": [0, 0, -1, 0, 0],
        "particle_id": [BIG, BIG, 0, BIG + 3, 0],
        "weight": [1.0] * 5,
    }
    assert {name: column.dtype.name for name, column in rows.items() if name != "weight"} == dict.fromkeys(
        ["event_id", "hit_id", "track_id", "particle_id"], "int64"
    )


def test_truth_that_has_neither_ids_nor_weights() -> None:
    """Labels alone will do: particles are numbered from 1, 0 stays noise, and there is no score."""
    cloud = tracks(2)
    bare = replace(cloud, particle={}, point_truth={"particle": cloud.point_truth["particle"]})
    rows = task("edges").tabulate(perfect_edges(cloud), bare)
    expected = torch.where(cloud.particle_of_point < 0, 0, cloud.particle_of_point + 1)
    assert rows["particle_id"].tolist() == expected.tolist() and "weight" not in rows
    assert set(task("edges").summarize(rows)) == {"candidates", "hits_linked"}


def test_figures_on_paper() -> None:
    """Event 7: track 0 holds particle 5 whole, and particle 6 is one hit, alone: score 1. Event 8: nothing is linked of a
    particle of two hits: score 0. Event 9 has no weight, and no score."""
    rows = {
        "event_id": np.array([7, 7, 7, 8, 8, 9]),
        "track_id": np.array([0, 0, -1, -1, -1, -1]),
        "particle_id": np.array([5, 5, 6, 5, 5, 0]),
        "weight": np.array([1.0, 1.0, 2.0, 3.0, 3.0, 0.0]),
    }
    figures = task("edges").summarize(rows)
    assert figures["candidates"] == pytest.approx(1 / 3) and figures["hits_linked"] == pytest.approx(2 / 6)
    assert figures["score"] == pytest.approx(0.5)
    blind = {name: rows[name] for name in ("event_id", "track_id")}
    assert task("edges").summarize(blind) == {key: figures[key] for key in ("candidates", "hits_linked")}


def test_alone() -> None:
    assert alone(np.array([-1, 4, 0, -1, 4])).tolist() == [5, 4, 0, 6, 4]
    assert alone(np.array([-1, -1])).tolist() == [0, 1]
    assert alone(np.zeros(0, np.int64)).tolist() == []


def test_edges_need_an_encoder_that_has_them() -> None:
    with pytest.raises(ValueError, match="finder edges needs an encoder with edges; DGCNN has none: use interaction"):
        TrackFinding(encoder("dgcnn"), finder="edges")


@every
def test_threshold_and_max_hits_reach_the_finder(finder: str) -> None:
    cloud = tracks(2)
    built = TrackFinding(encoder("interaction"), finder=finder, threshold=0.25, max_hits=5)  # type: ignore[arg-type]
    assert built.finder.threshold == 0.25
    rows = built.tabulate(PERFECT[finder](cloud), cloud)
    found = [sets(rows["track_id"], rows["event_id"] == event, without=-1) for event in (0, 1)]
    assert all(len(hits) <= 5 for event in found for hits in event), "tracks of 6 hits are too large for candidates of 5"


@pytest.mark.parametrize("finder", FINDERS)
def test_options_out_of_bounds_are_named(finder: str) -> None:
    bad = [0.0, -1.0, float("nan"), float("inf")] + ([] if finder == "embedding" else [1.0])
    for threshold in bad:
        with pytest.raises(ValueError, match=f"threshold = .* came; finder {finder}"):
            TrackFinding(encoder("interaction"), finder=finder, threshold=threshold)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_hits = 1 came"):
        TrackFinding(encoder("interaction"), finder=finder, max_hits=1)  # type: ignore[arg-type]


def test_a_radius_may_exceed_1() -> None:
    assert TrackFinding(encoder("interaction"), finder="embedding", threshold=2.5).finder.threshold == 2.5
