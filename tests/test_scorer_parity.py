"""The event score against a slow implementation written from the definition alone, on random and on real events, and
against trackml-library where it is importable."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scorer import overlay, reference_score_event
from pcloud import scorer
from pcloud.scorer import score_event

BIG = 1 << 60  # ids of this size are not exact as float64


def slow_score(truth: pd.DataFrame, submission: pd.DataFrame) -> float:
    """From the definition: dictionaries and exact sums, nothing shared with the code under test."""
    label = dict(zip(submission["hit_id"].tolist(), submission["track_id"].tolist(), strict=True))
    members = defaultdict(list)
    for hit, particle, weight in truth[["hit_id", "particle_id", "weight"]].itertuples(index=False):
        track = label.get(hit)
        alone = track is None or (isinstance(track, float) and math.isnan(track))
        members[("alone", hit) if alone else ("track", track)].append((particle, weight))
    owned = Counter(truth["particle_id"].tolist())
    earned = []
    for hits in members.values():
        count = Counter(particle for particle, _ in hits)
        most = max(count.values())
        leader = min(particle for particle, number in count.items() if number == most)
        if most / len(hits) > 0.5 and most / owned[leader] > 0.5:
            earned += [weight for particle, weight in hits if particle == leader]
    return math.fsum(earned) / math.fsum(truth["weight"])


@st.composite
def small_events(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame]:
    hits = draw(st.integers(1, 40))
    column = st.integers(0, draw(st.integers(1, 6)))
    particle = np.array(draw(st.lists(column, min_size=hits, max_size=hits)))
    track = draw(st.lists(column, min_size=hits, max_size=hits))
    weight = draw(st.lists(st.floats(1e-3, 1), min_size=hits, max_size=hits))
    ids = draw(st.permutations(range(10, 10 + hits)))
    truth = pd.DataFrame({"hit_id": ids, "particle_id": np.where(particle > 0, particle + BIG, 0), "weight": weight})
    kept = draw(st.integers(0, hits))
    return truth, pd.DataFrame({"hit_id": ids[:kept], "track_id": track[:kept]}, dtype="int64")


@given(small_events(), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_laws(tables: tuple[pd.DataFrame, pd.DataFrame], seed: int) -> None:
    truth, submission = tables
    score = score_event(truth, submission)
    assert score == pytest.approx(slow_score(truth, submission), abs=1e-12)
    random = np.random.default_rng(seed)
    shuffled = truth.sample(frac=1, random_state=seed % 1000), submission.sample(frac=1, random_state=seed % 997)
    assert score_event(*shuffled) == pytest.approx(score, abs=1e-12)
    names = random.permutation(10**6)[:7] * random.choice([-(2**40), 1, 2**40])
    renamed = submission.assign(track_id=names[submission["track_id"]])
    assert score_event(truth, renamed) == pytest.approx(score, abs=1e-12)
    assert score_event(truth, truth.rename(columns={"particle_id": "track_id"})) == pytest.approx(1, abs=1e-12)


def finders(truth: pd.DataFrame, hits: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """Submissions of many kinds for one event."""
    random = np.random.default_rng(3)
    size, owner = len(truth), truth["particle_id"].to_numpy()
    rank = truth.groupby("particle_id").cumcount().to_numpy()
    half = rank < truth.groupby("particle_id")["hit_id"].transform("size").to_numpy() / 2
    code = pd.factorize(owner)[0]
    noisy = np.where(random.random(size) < 0.3, code[random.integers(0, size, size)], code)
    labels = {
        "truth": code,
        "random tracks": random.integers(0, size // 10, size),
        "half and half": 2 * code + half,
        "one in three moved": noisy,
        "noise majorities": np.where(owner == 0, random.integers(0, code.max() + 1, size), code % 40),
        "all in one": np.zeros(size, dtype=int),
        "all alone": random.permutation(size),
    }
    if hits is not None:
        cluster = pytest.importorskip("sklearn.cluster")
        position = hits.set_index("hit_id").loc[truth["hit_id"], ["x", "y", "z"]].to_numpy()
        direction = position / np.linalg.norm(position, axis=1, keepdims=True)
        labels["DBSCAN"] = cluster.DBSCAN(eps=0.008, min_samples=1, algorithm="kd_tree").fit(direction).labels_
    found = {name: pd.DataFrame({"hit_id": truth["hit_id"], "track_id": label}) for name, label in labels.items()}
    found["missing hits"] = found["one in three moved"][random.random(size) < 0.7]
    return {name: table.sample(frac=1, random_state=1) for name, table in found.items()}


KINDS = ["truth", "random tracks", "half and half", "one in three moved", "noise majorities", "all in one", "all alone",
         "DBSCAN", "missing hits"]  # fmt: skip


@pytest.fixture(scope="module")
def real(shared_data: Path) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    folder = shared_data / "trackml/small_event"
    truth = scorer.read_truth(folder / "event000000001-truth.csv.gz")
    return truth, finders(truth, pd.read_csv(folder / "event000000001-hits.csv.gz"))


@pytest.mark.parametrize("kind", KINDS)
def test_real_event_equals_the_slow_implementation(real: tuple, kind: str) -> None:
    truth, found = real
    score = score_event(truth, found[kind])
    assert score == pytest.approx(slow_score(truth, found[kind]), abs=1e-12)
    if kind == "truth":
        assert score == pytest.approx(1, abs=1e-12)
    if kind in ("DBSCAN", "one in three moved", "missing hits"):
        assert 0.02 < score < 0.95, "this case must have good and bad tracks"


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # the library's own, on pandas >= 3.1
@pytest.mark.parametrize("kind", KINDS)
def test_real_event_equals_trackml_library(real: tuple, kind: str) -> None:
    library = reference_score_event()
    if library is None:
        pytest.skip("trackml-library is not importable: put a checkout of github.com/LAL/trackml-library on PYTHONPATH")
    truth, found = real
    assert score_event(truth, found[kind]) == pytest.approx(library[0](truth, found[kind]), abs=1e-12)


def test_full_size_event_equals_the_slow_implementation(real: tuple) -> None:
    truth = overlay(real[0], 30_000)
    assert len(truth) == 33_162
    assert truth["particle_id"].nunique() == 6 * (real[0]["particle_id"].nunique() - 1) + 1
    found = finders(truth, None)["one in three moved"]
    assert score_event(truth, found) == pytest.approx(slow_score(truth, found), abs=1e-12)
