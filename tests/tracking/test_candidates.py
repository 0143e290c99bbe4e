"""Candidate building: small events worked on paper, and laws that hold whatever a network says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from clouds import law
from hypothesis import given
from hypothesis import strategies as st

from pcloud.tracking import candidates as building
from pcloud.tracking.candidates import condensation_points, dbscan, linked, shorter


def groups(track: np.ndarray) -> set[frozenset[int]]:
    """The candidates as sets of hits, whatever their numbers."""
    return {frozenset(np.flatnonzero(track == name).tolist()) for name in set(track.tolist()) - {-1}}


def link(depth: list[float], edges: dict[tuple[int, int], float], **options: float) -> set[frozenset[int]]:
    pairs = np.array(list(edges), dtype=np.int64).reshape(-1, 2).T
    track = linked(np.array(depth, dtype=float), pairs, np.array(list(edges.values()), dtype=float), **options)
    return groups(track)


# linked --------------------------------------------------------------------------------------------------------------


def test_two_tracks_and_a_stray() -> None:
    """Hits 0 2 4 and 1 3 lie outward; hit 5 has only a weak edge."""
    edges = {(0, 2): 0.9, (2, 4): 0.8, (1, 3): 0.7, (4, 5): 0.2}
    assert link([1, 1, 2, 2, 3, 4], edges, threshold=0.3) == {frozenset({0, 2, 4}), frozenset({1, 3})}


def test_the_threshold_is_inclusive() -> None:
    assert link([1, 2], {(0, 1): 0.5}, threshold=0.5) == {frozenset({0, 1})}
    assert link([1, 2], {(0, 1): 0.5}, threshold=0.51) == set()


def test_a_hit_proposes_its_surest_edge_each_way() -> None:
    """Hit 1 has two ways outward: to 2 (0.9) and to 3 (0.6). 3 likes another hit inward better, so the weak edge is not used."""
    edges = {(0, 1): 0.9, (1, 2): 0.9, (1, 3): 0.6, (4, 3): 0.8}
    assert link([1, 2, 3, 3, 2], edges, threshold=0.3) == {frozenset({0, 1, 2}), frozenset({3, 4})}


def test_either_end_may_propose() -> None:
    """Hit 2 is nobody's first choice outward, but 1 is its own first choice inward."""
    edges = {(0, 1): 0.9, (1, 2): 0.6, (1, 3): 0.9}
    assert link([1, 2, 3, 3], edges, threshold=0.3) == {frozenset({0, 1, 2, 3})}


def test_the_larger_of_both_directions_counts() -> None:
    assert link([1, 2], {(0, 1): 0.1, (1, 0): 0.9}, threshold=0.5) == {frozenset({0, 1})}


def test_what_is_too_large_is_parted_at_its_weakest() -> None:
    """Two tracks of three, joined by a bridge of 0.6; with at most 4 hits the bridge falls, and the sure edges stay."""
    edges = {(0, 1): 0.95, (1, 2): 0.95, (3, 4): 0.95, (4, 5): 0.95, (2, 3): 0.6}
    depth = [1, 2, 3, 4, 5, 6]
    assert link(depth, edges, threshold=0.3) == {frozenset(range(6))}
    assert link(depth, edges, threshold=0.3, max_hits=4) == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}


def test_what_can_not_be_parted_is_given_up() -> None:
    edges = {(i, i + 1): 1.0 for i in range(5)}
    assert link([1, 2, 3, 4, 5, 6], edges, threshold=0.3, max_hits=4) == set()


def test_hits_at_one_depth() -> None:
    """Doubled hits: neither lies outward of the other, and they still join."""
    assert link([1, 1, 1], {(0, 1): 0.9, (1, 2): 0.9}, threshold=0.3) == {frozenset({0, 1, 2})}


# dbscan, condensation points, shorter ---------------------------------------------------------------------------------


def test_dbscan() -> None:
    coords = np.array([[0.0], [0.4], [0.8], [5.0], [5.1], [9.0]])
    assert groups(dbscan(coords, eps=0.5)) == {frozenset({0, 1, 2}), frozenset({3, 4})}


def test_condensation_points() -> None:
    """Hit 2 is surest and takes 1 and 3; 0, out of its reach, is next and takes no taken hit; 4 is below the least beta."""
    coords, beta = np.array([[0.0], [0.3], [0.6], [0.9], [5.0]]), np.array([0.8, 0.2, 0.9, 0.7, 0.4])
    track = condensation_points(beta, coords, beta_min=0.5, distance=0.4)
    assert groups(track) == {frozenset({1, 2, 3}), frozenset({0})} and track[4] == -1


def test_condensation_points_at_equal_beta() -> None:
    """The first of equals goes first, and its reach is inclusive."""
    track = condensation_points(np.full(3, 0.9), np.array([[0.0], [0.5], [1.0]]), beta_min=0.5, distance=0.5)
    assert groups(track) == {frozenset({0, 1}), frozenset({2})}


def test_condensation_points_take_the_nearest() -> None:
    """Of three free hits in reach, with at most 3 to a candidate, the farthest stays free, and gathers what is left."""
    coords, beta = np.array([[0.0], [0.3], [-0.1], [0.2], [0.45]]), np.array([0.9, 0.8, 0.1, 0.1, 0.1])
    track = condensation_points(beta, coords, beta_min=0.5, distance=0.5, max_hits=3)
    assert groups(track) == {frozenset({0, 2, 3}), frozenset({1, 4})}


def test_a_condensation_point_is_in_its_own_candidate() -> None:
    """Of hits in one place too, where the first are no nearer than itself."""
    track = condensation_points(np.array([0.1, 0.1, 0.9]), np.zeros((3, 1)), beta_min=0.5, distance=1.0, max_hits=2)
    assert groups(track) == {frozenset({0, 2})}


def test_shorter() -> None:
    assert shorter(np.array([0, 0, 0, 1, 1, -1]), 2).tolist() == [-1, -1, -1, 1, 1, -1]
    assert shorter(np.array([-1, -1, -1]), 2).tolist() == [-1, -1, -1]
    assert shorter(np.zeros(0, np.int64), 2).tolist() == []


# Laws ----------------------------------------------------------------------------------------------------------------

Build = Callable[[int, np.random.Generator], np.ndarray]


def any_links(points: int, draw: np.random.Generator) -> np.ndarray:
    edges = draw.integers(0, max(points, 1), (2, 4 * points if points > 1 else 0))
    edges = edges[:, edges[0] != edges[1]]
    score = draw.integers(0, 11, edges.shape[1]) / 10  # many ties, zeros and ones
    return linked(draw.integers(0, 4, points).astype(float), edges, score, threshold=0.3, max_hits=6)


BUILD: dict[str, Build] = {
    "linked": any_links,
    "dbscan": lambda n, draw: dbscan(draw.integers(0, 9, (n, 2)).astype(float), eps=1.0),
    "condensation": lambda n, draw: condensation_points(
        draw.integers(0, 11, n) / 10, draw.integers(0, 9, (n, 2)).astype(float), beta_min=0.4, distance=1.0
    ),
}


@pytest.mark.parametrize("name", BUILD)
@law
@given(points=st.integers(0, 30), seed=st.integers(0, 999))
def test_every_hit_has_one_label(name: str, points: int, seed: int) -> None:
    """int64, -1 or 0 ... n - 1 without a gap, the same again; linked keeps to its sizes."""
    track = BUILD[name](points, np.random.default_rng(seed))
    assert track.dtype == np.int64 and track.shape == (points,)
    names, sizes = np.unique(track[track >= 0], return_counts=True)
    assert names.tolist() == list(range(len(names))) and track.min(initial=-1) == -1
    assert np.array_equal(track, BUILD[name](points, np.random.default_rng(seed)))
    if name == "linked":
        assert all(2 <= size <= 6 for size in sizes)


@law
@given(tracks=st.integers(1, 6), hits=st.integers(2, 8), seed=st.integers(0, 99))
def test_perfect_scores_give_perfect_tracks(tracks: int, hits: int, seed: int) -> None:
    """All pairs scored, those of one particle 1 and the others 0, in a random order of hits and edges."""
    draw = np.random.default_rng(seed)
    particle = draw.permutation(np.repeat(np.arange(tracks), hits))
    a, b = np.nonzero(~np.eye(len(particle), dtype=bool))
    order = draw.permutation(len(a))
    edges = np.stack([a, b])[:, order]
    score = (particle[edges[0]] == particle[edges[1]]).astype(float)
    track = linked(draw.random(len(particle)), edges, score, threshold=0.3)
    assert groups(track) == groups(particle)


@law
@given(points=st.integers(2, 25), seed=st.integers(0, 99))
def test_linked_does_not_see_the_order_of_hits(points: int, seed: int) -> None:
    """Where no two scores and no two depths are equal."""
    draw = np.random.default_rng(seed)
    a, b = np.nonzero(np.triu(np.ones((points, points)), 1))
    edges, score, depth = np.stack([a, b]), draw.permutation(len(a)) / len(a), draw.permutation(points).astype(float)
    order = draw.permutation(points)
    place = np.argsort(order)
    before = linked(depth, edges, score, threshold=0.5, max_hits=7)
    after = linked(depth[order], place[edges], score, threshold=0.5, max_hits=7)
    assert groups(after) == groups(before[order])


def test_no_cut_no_surprise() -> None:
    """Every building function of the module is held to the laws above."""
    public = {name for name, value in vars(building).items() if callable(value) and value.__module__ == building.__name__}
    public = {name for name in public if not name.startswith("_")}
    assert public == {"linked", "dbscan", "condensation_points", "shorter"}
