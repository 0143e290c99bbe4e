"""Hit weights against values worked out on paper, and against the ones shipped with a real event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pcloud.scorer import decode_particle_id, hit_weights, read_particles, read_truth
from pcloud.scorer.weights import ORDER_TABLE, momentum_weight


def particle_id(vertex: int = 1, primary: int = 1, generation: int = 0, secondary: int = 0, process: int = 0) -> int:
    return vertex << 52 | primary << 36 | generation << 24 | secondary << 12 | process


def tables(*particles: tuple[int, float, list[float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Truth and particles of (id, pT, tz of each hit), all from vz = 10 mm."""
    hits = [(owner, z) for owner, _, distances in particles for z in distances]
    truth = pd.DataFrame(hits, columns=["particle_id", "tz"]).assign(hit_id=range(len(hits)))
    rows = [(owner, 10.0, pt, 0.0, len(distances)) for owner, pt, distances in particles if owner]
    return truth, pd.DataFrame(rows, columns=["particle_id", "vz", "px", "py", "nhits"])


# Four hits stretch the profile's nine nodes to 0, 3/8, ... 3: orders 0, 1, 2, 3 fall on nodes 0, 2 2/3, 5 1/3, 8,
# where it is 10, 6 - 2/3, 3, 6; their sum is 73/3, so the hits get 30/73, 16/73, 9/73, 18/73.
FOUR = np.array([30, 16, 9, 18]) / 73


def test_order_table_paper() -> None:
    np.testing.assert_allclose(ORDER_TABLE[4, :4], FOUR, rtol=1e-14)
    nine = np.array([10, 8, 6, 5, 3, 3, 3, 5, 6]) / 49  # nine hits: the nodes themselves
    np.testing.assert_allclose(ORDER_TABLE[9, :9], nine, rtol=1e-14)
    assert not ORDER_TABLE[:4].any()
    np.testing.assert_allclose(ORDER_TABLE[4:].sum(axis=1), 1, rtol=1e-14)


def test_momentum_weight_paper() -> None:
    pt = [0.0, 0.049, 0.05, 0.3, 0.5, 1.75, 3.0, 50.0]
    np.testing.assert_allclose(momentum_weight(pt), [0, 0, 0.2, 0.2, 0.2, 0.6, 1, 1], rtol=1e-14)


def test_weights_paper() -> None:
    one, two, short = particle_id(primary=1), particle_id(primary=2), particle_id(primary=3)
    # Orders by |tz - 10|: distances 30, 5, 100, 60 have the orders 1, 0, 3, 2. pT 1.75 weighs 0.6, pT 0.3 weighs 0.2.
    truth, particles = tables(
        (one, 1.75, [-20, 15, 110, 70]), (0, 0.0, [3, 4, 5, 6]), (two, 0.3, [11, 12, 13, 14]), (short, 9.0, [1, 2, 3])
    )
    expected = np.concatenate([0.6 * FOUR[[1, 0, 3, 2]], np.zeros(4), 0.2 * FOUR, np.zeros(3)]) / 0.8
    for phase in (1, 2):
        np.testing.assert_allclose(hit_weights(truth, particles, phase=phase), expected, rtol=1e-14)
    shuffled = truth.sample(frac=1, random_state=0)
    again = hit_weights(shuffled, particles.iloc[::-1], phase=1)
    np.testing.assert_allclose(again, expected[shuffled["hit_id"]], rtol=1e-14)


def test_equal_distances_share_the_rank_rounded_down() -> None:
    # Distances 1, 1, 2, 3: the first two share rank 1.5, which counts as order 0 for both (1.5 - 1, cut to whole).
    truth, particles = tables((particle_id(), 5.0, [11, 9, 12, 13]))
    expected = FOUR[[0, 0, 2, 3]]
    np.testing.assert_allclose(hit_weights(truth, particles, phase=1), expected / expected.sum(), rtol=1e-14)


def test_more_than_twenty_hits() -> None:
    truth, particles = tables((particle_id(), 5.0, [10.0 + step for step in range(22)]))
    weight = hit_weights(truth, particles, phase=1)
    np.testing.assert_allclose(weight[:20], ORDER_TABLE[20], rtol=1e-14)
    assert weight[20:].tolist() == [0, 0]


def test_phase_two_drops_secondaries() -> None:
    first, second = particle_id(primary=1), particle_id(primary=1, generation=1, secondary=5)
    truth, particles = tables((first, 5.0, [11, 12, 13, 14]), (second, 5.0, [11, 12, 13, 14]))
    np.testing.assert_allclose(hit_weights(truth, particles, phase=1), np.tile(FOUR, 2) / 2, rtol=1e-14)
    np.testing.assert_allclose(hit_weights(truth, particles, phase=2), np.append(FOUR, np.zeros(4)), rtol=1e-14)


def test_no_particle_qualifies() -> None:
    truth, particles = tables((0, 0.0, [1, 2, 3]), (particle_id(), 5.0, [1, 2]))
    assert hit_weights(truth, particles, phase=1).tolist() == [0] * 5


def test_noise_in_the_particle_table_weighs_nothing() -> None:
    truth, particles = tables((particle_id(), 5.0, [11, 12, 13, 14]), (0, 5.0, [11, 12, 13, 14]))
    noise = pd.DataFrame([(0, 10.0, 5.0, 0.0, 4)], columns=list(particles))
    weight = hit_weights(truth, pd.concat([particles, noise]), phase=1)
    np.testing.assert_allclose(weight, np.append(FOUR, np.zeros(4)), rtol=1e-14)


def test_decode_particle_id() -> None:
    fields = {"vertex": 0xABC, "primary": 0x1234, "generation": 0x567, "secondary": 0x89A, "process": 0xBCD}
    packed = np.array([particle_id(**fields)], dtype=np.uint64).view(np.int64)
    assert {name: int(value[0]) for name, value in decode_particle_id(packed).items()} == fields


def test_mistakes() -> None:
    truth, particles = tables((particle_id(), 5.0, [1, 2, 3, 4, 5]))
    with pytest.raises(ValueError, match="phase is 3; expected 1"):
        hit_weights(truth, particles, phase=3)
    with pytest.raises(ValueError, match="more hits in truth than nhits = 4"):
        hit_weights(truth, particles.assign(nhits=4), phase=1)
    with pytest.raises(ValueError, match="is listed twice"):
        hit_weights(truth, pd.concat([particles, particles]), phase=1)


def test_trackml_library_weights_break_on_pandas_3() -> None:
    """Peer's mistake: filling the noise rows in place does nothing on pandas 3, so NaN reaches the weights."""
    truth, particles = tables((particle_id(), 5.0, [1, 2, 3, 4]), (0, 0.0, [1, 2]))
    for phase in (1, 2):
        weight = hit_weights(truth, particles, phase=phase)
        assert np.isfinite(weight).all()
        assert weight[4:].tolist() == [0, 0]
        assert weight.sum() == pytest.approx(1, abs=1e-14)


def test_real_event(shared_data: Path) -> None:
    """The shipped weights come from the throughput phase: its rule gives them back, the other phase's does not."""
    folder = shared_data / "trackml/small_event"
    truth = read_truth(folder / "event000000001-truth.csv.gz")
    particles = read_particles(folder / "event000000001-particles.csv.gz")
    shipped = (truth["weight"] / truth["weight"].sum()).to_numpy()
    weight = hit_weights(truth, particles, phase=2)
    np.testing.assert_array_equal(weight > 0, shipped > 0)
    some = shipped > 0
    assert np.max(np.abs(weight[some] - shipped[some]) / shipped[some]) <= 1e-5
    assert np.count_nonzero((hit_weights(truth, particles, phase=1) > 0) != some) == 306
