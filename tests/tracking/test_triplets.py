"""The graph of the learned finder, on a small simulated event: what it joins, what it measures, and that threads don't matter."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from data_prep.simulate import simulate_event
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.finding import geometry_of
from pcloud.tracking.hits import Hits, prepare
from pcloud.tracking.settings import GRAPHS
from pcloud.tracking.triplets import PAIR_FEATURES, TRIPLET_FEATURES, Triplets, triplets_of

DETECTOR = trackml_detector()
NAMES = ("x", "y", "z", "volume_id", "layer_id", "module_id")


@lru_cache(maxsize=1)
def event() -> tuple[Hits, np.ndarray]:
    made = simulate_event(5, pileup=6, seed=11)
    hits, _ = prepare({name: made["hits"][name].to_numpy() for name in NAMES}, DETECTOR, geometry_of(DETECTOR)[0])
    return hits, made["truth"]["particle_id"].to_numpy()


def graph(number: int = 0, free: np.ndarray | None = None, threads: int = 1) -> Triplets:
    hits, _ = event()
    free = np.arange(len(hits.x)) if free is None else free
    return triplets_of(hits, free, *geometry_of(DETECTOR), GRAPHS[number], threads)


def joined(made: Triplets) -> set[tuple[int, ...]]:
    return set(map(tuple, made.row[made.hits].tolist()))


@pytest.mark.parametrize("number", range(len(GRAPHS)))
def test_triplets_are_two_pairs_that_share_a_hit_and_go_outward(number: int) -> None:
    made, (hits, _) = graph(number), event()
    assert (made.pairs[made.inner, 1] == made.pairs[made.outer, 0]).all()
    assert len(np.unique(made.pairs, axis=0)) == len(made.pairs) and len(joined(made)) == len(made.inner) > 100
    assert (np.diff(hits.r[made.row[made.hits]], axis=1) > 0).all()
    for table, width in ((made.pair_features, PAIR_FEATURES), (made.triplet_features, TRIPLET_FEATURES)):
        assert table.shape[1] == width and table.dtype == np.float32 and np.isfinite(table).all() and np.abs(table).max() < 30


def share(number: int) -> float:
    """Of triplets whose hits are one particle's."""
    made, (_, particle) = graph(number), event()
    mine = particle[made.row[made.hits]]
    return float(((mine[:, 0] != 0) & (mine == mine[:, :1]).all(1)).mean())


def test_narrow_windows_let_little_else_in() -> None:
    assert share(0) > 0.95 and share(0) > share(2) + 0.02


def test_two_threads_make_the_same_graph() -> None:
    for one, two in zip(graph(threads=1), graph(threads=2), strict=True):
        np.testing.assert_array_equal(one, two)


def test_missing_hits_are_bridged() -> None:
    """Of each particle a chain a-b-c-e-f is left of a-b-c-d-e-f: most steps from c to e are there, and what follows them."""
    hits, particle = event()
    made = graph()
    h = made.row[made.hits]
    h = h[(particle[h[:, 0]] != 0) & (particle[h] == particle[h[:, :1]]).all(1)]
    after = {tuple(one[:2]): one[2] for one in h.tolist()}
    chains = {}
    for a, b, c in h.tolist():
        d = after.get((b, c), -1)
        e = after.get((c, d), -1)
        if (d, e) in after:
            chains[particle[a]] = a, b, c, e, after[d, e]
    kept = np.array(list(chains.values()))
    left = np.concatenate([np.flatnonzero(~np.isin(particle, list(chains))), kept.ravel()])
    sparse = joined(graph(free=np.sort(left)))
    bridged = np.array([(b, c, e) in sparse for _, b, c, e, _ in kept.tolist()])
    assert len(bridged) > 30 and bridged.mean() > 0.7
    assert np.mean([(c, e, f) in sparse for _, _, c, e, f in kept[bridged].tolist()]) > 0.8


def test_hardly_any_hits() -> None:
    for count in (0, 1, 2):
        made = graph(free=np.arange(count))
        assert made.hits.shape == (0, 3) and made.pair_features.shape == (0, PAIR_FEATURES)
