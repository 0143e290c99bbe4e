"""Walking along triplets: on graphs small enough to see the answer, and against all chains of random ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pcloud.tracking.chains import MOST, ends, extend, merged
from pcloud.tracking.triplets import Triplets


def graph(triplets: list[tuple[int, int, int]], hits: int) -> Triplets:
    """Places are hits; features play no part."""
    pairs = sorted({pair for a, b, c in triplets for pair in ((a, b), (b, c))})
    number = {pair: i for i, pair in enumerate(pairs)}
    inner, outer = (np.array([number[t[i], t[i + 1]] for t in triplets], np.int64) for i in (0, 1))
    none = np.zeros((0, 0), np.float32)
    return Triplets(np.arange(hits), np.array(pairs, np.int64).reshape(-1, 2), inner, outer, none, none)


def walked(
    triplets: dict[tuple[int, int, int], float], hits: int, worth: float = 1.0, track: list[int] | None = None
) -> list[int]:
    names = np.array([-1] * hits if track is None else track)
    extend(graph(list(triplets), hits), np.arange(hits, dtype=float), np.array(list(triplets.values())), names, worth=worth)
    return names.tolist()


def test_overlapping_triplets_make_one_chain() -> None:
    assert walked({(0, 1, 2): 2.0, (1, 2, 3): 2.0, (2, 3, 4): -0.5, (3, 4, 5): 2.0}, 7) == [0, 0, 0, 0, 0, 0, -1]


def test_a_chain_ends_before_what_costs_more_than_it_brings() -> None:
    assert walked({(0, 1, 2): 2.0, (1, 2, 3): -1.0}, 4) == [0, 0, 0, -1]


def test_what_is_worth_too_little_is_left() -> None:
    assert walked({(0, 1, 2): 0.9}, 3) == [-1, -1, -1]


def test_the_better_chain_takes_the_hit_and_the_rest_is_tried_again() -> None:
    crossing = {(0, 2, 4): 3.0, (2, 4, 6): 3.0, (1, 2, 5): 2.0, (2, 5, 7): 0.5, (5, 7, 8): 1.5}
    assert walked(crossing, 9) == [0, -1, 0, -1, 0, 1, 0, 1, 1]


def test_a_double_hit_joins_the_chain_of_its_twin() -> None:
    twins = {(0, 1, 3): 2.0, (0, 2, 3): 1.5, (1, 3, 4): 2.0, (2, 3, 4): 1.5}
    assert walked(twins, 5) == [0, 0, 0, 0, 0]


def test_free_hits_extend_tracks_hit_by_hit_and_taken_ones_stay() -> None:
    onward = {(0, 1, 2): 1.0, (1, 2, 3): 1.0, (0, 1, 4): 9.0}
    assert walked(onward, 5, worth=50.0, track=[7, 7, -1, -1, 3]) == [7, 7, 7, 7, 3]


@pytest.mark.parametrize("seed", range(5))
def test_the_first_chain_is_the_best_of_all(seed: int) -> None:
    chance = np.random.default_rng(seed)
    triplets = {t: float(chance.normal()) for t in itertools.combinations(range(7), 3) if chance.random() < 0.5}
    best = 0.0
    for size in range(3, 8):
        for chain in itertools.combinations(range(7), size):
            parts = [triplets.get(chain[i : i + 3]) for i in range(size - 2)]
            if None not in parts:
                best = max(best, sum(parts))
    track = np.array(walked(triplets, 7, worth=best - 1e-9))
    assert track.max() == 0  # the best chain is worth that much, and no other
    assert walked(triplets, 7, worth=best + 1e-6) == [-1] * 7


def test_ends_are_two_hits_on_each_side_and_all_free_ones() -> None:
    track = np.array([0, 0, 0, 0, 0, -1, 1, 1, 1, -1])
    radius = np.array([5.0, 1, 2, 3, 4, 9, 1, 2, 3, 0])
    assert ends(radius, track).tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert ends(np.zeros(0), np.zeros(0, np.int64)).tolist() == []


def test_pieces_that_choose_each_other_are_put_together() -> None:
    """Tracks 0 (places 0, 1, 2), 1 (3, 4), 2 (5, 6): 0 and 1 agree most, 2 is left out, in spite of what speaks for it and 1."""
    track = np.array([0, 0, 0, 1, 1, 2, 2, -1])
    triplets = np.array([(0, 1, 3), (1, 2, 3), (2, 3, 4), (3, 4, 5), (3, 4, 7), (0, 3, 5)])
    odds = np.array([2.0, 2.0, 1.0, 4.0, 50.0, 0.5])
    assert merged(track, np.zeros(3, np.int64), triplets, odds, worth=3.0).tolist() == [
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        -1,
    ]  # 2 joins what 0 and 1 have become
    odds[3] = -1.0
    assert merged(track, np.zeros(3, np.int64), triplets, odds, worth=3.0).tolist() == [0, 0, 0, 0, 0, 2, 2, -1]
    odds[1] = -2.0
    assert merged(track, np.zeros(3, np.int64), triplets, odds, worth=3.0).tolist() == track.tolist()


def test_nothing_is_put_together_beyond_the_length_of_a_track() -> None:
    track = np.repeat([0, 1], [MOST - 2, 3])
    triplet, odds = np.array([(0, 1, MOST)]), np.array([9.0])
    assert merged(track, np.zeros(2, np.int64), triplet, odds, worth=1.0).tolist() == track.tolist()
    short = np.repeat([0, 1], [3, 3])
    assert merged(short, np.array([0, MOST - 5]), triplet.clip(max=3), odds, worth=1.0).tolist() == short.tolist()
    assert merged(short, np.array([0, MOST - 6]), triplet.clip(max=3), odds, worth=1.0).tolist() == [0] * 6


def test_a_track_outside_of_the_graph_keeps_its_name_with_the_piece_that_joins_it() -> None:
    """Hits 0 and 1 are of track 5, whose third hit is not in the graph; 3, 4, 5 become a piece that joins it."""
    made = graph([(0, 1, 3), (1, 3, 4), (3, 4, 5)], 6)
    names = np.array([5, 5, 5, -1, -1, -1])
    extend(made, np.arange(6.0), np.array([-1.0, 9.0, 9.0]), names, worth=1.0)
    assert names.tolist() == [5] * 6
