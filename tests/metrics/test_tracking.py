"""Efficiencies, fakes and duplicates against two events worked out on paper and against a slow implementation."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcloud.metrics.particles import Fiducial, Particles
from pcloud.metrics.tracking import (
    EDGES,
    RULES,
    Matches,
    binned_efficiency,
    duplicate_rate,
    efficiency,
    fake_rate,
    match,
    matched,
    tracking_figures,
)

BIG = 1 << 60
A, B, C, D, E, F, G, NOISE = *(BIG + number for number in range(1, 8)), 0

# event, id, hits, pT, eta, radius. Fiducial by pT >= 0.9, |eta| < 4, >= 3 hits: A and B of event 1, A and G of event 2.
TABLE = [
    (1, A, 4, 2.0, 0.0, 0.5), (1, B, 5, 0.9, -1.2, 40.0), (1, C, 3, 0.3, 0.1, 0.0), (1, D, 2, 5.0, 0.0, 0.0),
    (1, E, 0, 5.0, 0.0, 0.0), (1, F, 4, 5.0, 4.0, 0.0), (2, A, 8, 2.0, 0.2, 5.0), (2, G, 4, 2.0, -3.9, 0.0),
]  # fmt: skip
TRACKS = [
    (1, 1, [A, A, A, A]),  # perfect
    (1, 2, [B, B, B, NOISE]),  # 3/4 pure is not more than 75%; 3 of 5 hits: double majority
    (1, 3, [B, B, NOISE]),  # 2 of 5: a fake
    (1, 4, [C, C, C]),  # low pT, but a true particle: no fake
    (1, 5, [NOISE] * 3),  # led by noise: a fake
    (1, 6, [D, D]),  # too short for a candidate
    (1, 7, [F, F, F, F]),  # perfect, outside the fiducial region
    (2, 1, [A, A, A]),  # pure, 3 of 8: LHC only
    (2, 2, [A] * 5),  # pure, 5 of 8: LHC (a duplicate of the one before) and double majority
    (2, 3, [G]), (2, 4, [G]), (2, 5, [G, NOISE]), (2, 6, [G]),  # lost
]  # fmt: skip


def particles(rows: list[tuple[int, int, int, float, float, float]]) -> Particles:
    ids = [np.array([row[column] for row in rows], dtype=np.int64) for column in range(3)]
    return Particles(*ids, *(np.array([row[column] for row in rows], dtype=float) for column in range(3, 6)))


def columns(tracks: list[tuple[int, int, list[int]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = [(event, track, owner) for event, track, owners in tracks for owner in owners]
    event, track, owner = np.array(rows, dtype=np.int64).T
    return event, track, owner


@pytest.fixture
def paper() -> tuple[Matches, Particles]:
    table = particles(TABLE)
    return match(*columns(TRACKS), table), table


def test_matches_paper(paper: tuple[Matches, Particles]) -> None:
    matches, _ = paper
    assert list(zip(matches.event, matches.track, strict=True)) == [
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (1, 5),
        (1, 7),
        (2, 1),
        (2, 2),
    ]
    assert matches.hits.tolist() == [4, 4, 3, 3, 3, 4, 3, 5]
    assert matches.shared.tolist() == [4, 3, 2, 3, 3, 4, 3, 5]
    assert matches.row.tolist() == [0, 1, 1, 2, -1, 5, 6, 6]
    assert matches.particle_hits.tolist() == [4, 5, 5, 3, 0, 4, 8, 8]


@pytest.mark.parametrize(("rule", "found"), [("double_majority", 3), ("lhc", 2), ("perfect", 1)])
def test_efficiency_paper(paper: tuple[Matches, Particles], rule: str, found: int) -> None:
    figure = efficiency(*paper, Fiducial(), rule)
    assert (figure.numerator, figure.denominator, figure.name) == (found, 4, f"{rule}_efficiency")


def test_rates_paper(paper: tuple[Matches, Particles]) -> None:
    matches, table = paper
    fakes = {rule: fake_rate(matches, rule) for rule in RULES}
    # Double majority: (1, 3), (1, 5), (2, 1). LHC: (1, 2), (1, 3), (1, 5). Perfect: all but (1, 1), (1, 4), (1, 7).
    assert {rule: (one.numerator, one.denominator) for rule, one in fakes.items()} == {
        "double_majority": (3, 8), "lhc": (3, 8), "perfect": (5, 8),
    }  # fmt: skip
    # LHC matches (1, 1), (1, 4), (1, 7), (2, 1), (2, 2): five, the last two one particle.
    assert (duplicate_rate(matches).numerator, duplicate_rate(matches).denominator) == (1, 5)
    assert (
        duplicate_rate(matches, "double_majority").numerator,
        duplicate_rate(matches, "double_majority").denominator,
    ) == (0, 5)
    assert [*tracking_figures(matches, table, Fiducial())] == [
        "double_majority_efficiency", "lhc_efficiency", "perfect_efficiency", "fake_rate", "duplicate_rate",
    ]  # fmt: skip


def test_fiducial_cuts_are_explicit_and_printed(paper: tuple[Matches, Particles]) -> None:
    _, table = paper
    assert str(Fiducial(pt_min=0.9, eta_max=4, min_hits=3)) == "pT >= 0.9 GeV, |eta| < 4, >= 3 hits"
    cases = {
        Fiducial(): 4,
        Fiducial(pt_min=0): 5,
        Fiducial(eta_max=5): 5,
        Fiducial(min_hits=0): 6,
        Fiducial(pt_min=0.91): 3,
    }
    for cuts, count in cases.items():
        assert np.count_nonzero(cuts.select(table)) == count
        assert f"fiducial: {cuts};" in efficiency(*paper, cuts, "lhc").definition


def test_bins_paper(paper: tuple[Matches, Particles]) -> None:
    def counts(by: str, **options: list[float]) -> dict[tuple[float, float], tuple[int, int]]:
        bins = binned_efficiency(*paper, Fiducial(), "double_majority", by=by, **options)
        return {(one.low, one.high): (one.figure.numerator, one.figure.denominator) for one in bins if one.figure.denominator}

    assert counts("pt") == {(0.9, 1.2): (1, 1), (1.6, 2.2): (2, 3)}  # an edge belongs to the bin above it
    assert counts("eta") == {(-4.0, -3.5): (0, 1), (-1.5, -1.0): (1, 1), (0.0, 0.5): (2, 2)}
    assert counts("radius") == {(0, 1): (1, 2), (1, 10): (1, 1), (30, 60): (1, 1)}
    assert counts("pt", edges=[1, 3]) == {(1, 3): (2, 3)}
    for by in EDGES:
        assert sum(total for _, total in counts(by).values()) == 4, "the default edges lose no fiducial particle"
    last = binned_efficiency(*paper, Fiducial(), "lhc", by="pt")[-1].as_dict()
    assert (last["low_edge"], last["high_edge"], last["value"], last["denominator"]) == (10, None, None, 0)


def test_unassigned_and_noise_ids(paper: tuple[Matches, Particles]) -> None:
    matches, table = paper
    event, track, owner = columns([*TRACKS, (1, -1, [NOISE, A, B, C])])
    assert len(match(event, track, owner, table).hits) == 9, "no track id is special unless asked for"
    assert len(match(event, track, owner, table, unassigned=-1).hits) == 8
    with_noise = particles([*TABLE, (1, NOISE, 5, 9.0, 0.0, 0.0)])
    assert match(*columns(TRACKS), with_noise).row[4] == -1, "noise stays noise where the table lists it"
    # In a PointCloud particles are rows counted from 0 and noise is -1.
    row = {identity: number for number, identity in enumerate((A, B, C, D, E, F, G))} | {NOISE: -1}
    rows = particles([(first, row[second], *rest) for first, second, *rest in TABLE])
    event, track, owner = columns([(first, second, [row[one] for one in owners]) for first, second, owners in TRACKS])
    again = match(event, track, owner, rows, noise=-1)
    np.testing.assert_array_equal(again.row, matches.row)
    np.testing.assert_array_equal(again.shared, matches.shared)


def test_from_kinematics() -> None:
    table = Particles.from_kinematics(7, np.array([BIG + 1]), [9], vx=[3.0], vy=[4.0], px=[0.6], py=[0.8], pz=[np.sinh(2.0)])
    assert (table.event.tolist(), table.particle.tolist(), table.hits.tolist()) == ([7], [BIG + 1], [9])
    assert [column[0] for column in (table.pt, table.eta, table.radius)] == pytest.approx([1, 2, 5])


def test_nothing_found_and_nothing_there() -> None:
    table = particles(TABLE)
    empty = np.zeros(0, dtype=np.int64)
    matches = match(empty, empty, empty, table)
    figures = tracking_figures(matches, table, Fiducial())
    assert (figures["perfect_efficiency"].numerator, figures["perfect_efficiency"].denominator) == (0, 4)
    assert figures["fake_rate"].denominator == 0
    nobody = Particles(empty, empty, empty, *(np.zeros(0),) * 3)
    noise = match(np.ones(3, dtype=int), np.ones(3, dtype=int), np.zeros(3, dtype=int), nobody)
    assert (fake_rate(noise).numerator, fake_rate(noise).denominator) == (1, 1)


def test_mistakes() -> None:
    table = particles(TABLE)
    event, track, owner = columns(TRACKS)
    with pytest.raises(ValueError, match=f"particle {BIG + 99} of event 1 has hits but no row"):
        match(*columns([(1, 1, [BIG + 99] * 3)]), table)
    with pytest.raises(ValueError, match=f"particle {A} of event 2 is listed twice"):
        match(event, track, owner, particles([*TABLE, TABLE[6]]))
    with pytest.raises(ValueError, match="one row per hit"):
        match(event, track[1:], owner, table)
    matches = match(event, track, owner, table)
    with pytest.raises(ValueError, match="rule is 'atlas'; expected one of perfect, lhc, double_majority"):
        matched(matches, "atlas")
    with pytest.raises(ValueError, match="by is 'phi'; expected one of pt, eta, radius"):
        binned_efficiency(matches, table, Fiducial(), "lhc", by="phi")
    with pytest.raises(ValueError, match="at least two, rising"):
        binned_efficiency(matches, table, Fiducial(), "lhc", by="pt", edges=[1, 1])


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 5), st.integers(0, 4)), max_size=60), st.randoms())
@settings(max_examples=200, deadline=None)
def test_equals_a_slow_implementation(rows: list[tuple[int, int, int]], random: object) -> None:
    """Rows of (event, track, particle); dictionaries only, on the other side."""
    owned = Counter((event, owner) for event, _, owner in rows)
    table = particles([(event, owner, owned[event, owner], float(owner), 0.0, 0.0) for event in (1, 2) for owner in range(1, 5)])
    random.shuffle(rows)  # type: ignore[attr-defined]
    event, track, owner = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    matches = match(event, 7 * track - 3, owner, table)
    inside = {key for key in owned if key[1] >= 2 and owned[key] >= 3}
    members = defaultdict(Counter)
    for one_event, one_track, one_owner in rows:
        members[one_event, one_track][one_event, one_owner] += 1
    hit = {"perfect": [], "lhc": [], "double_majority": []}
    candidates = 0
    for counter in members.values():
        if (size := counter.total()) < 3:
            continue
        candidates += 1
        leader = min(key for key, number in counter.items() if number == max(counter.values()))
        shared = counter[leader]
        if leader[1] == 0:
            continue
        hit["perfect"] += [leader] * (shared == size == owned[leader])
        hit["lhc"] += [leader] * (shared / size > 0.75)
        hit["double_majority"] += [leader] * (shared / size > 0.5 and shared / owned[leader] > 0.5)
    for rule, found in hit.items():
        figure = efficiency(matches, table, Fiducial(pt_min=2), rule)
        assert (figure.numerator, figure.denominator) == (len(inside & set(found)), len(inside))
        fakes = fake_rate(matches, rule)
        assert (fakes.numerator, fakes.denominator) == (candidates - len(found), candidates)
        double = duplicate_rate(matches, rule)
        assert (double.numerator, double.denominator) == (len(found) - len(set(found)), len(found))
