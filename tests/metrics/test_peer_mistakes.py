"""Mistakes found by reading other projects' evaluations, each as the event that shows it; a test is named after one."""

from __future__ import annotations

import ast
import time
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pcloud.metrics.particles import Fiducial, Particles
from pcloud.metrics.tracking import RULES, duplicate_rate, efficiency, fake_rate, match
from pcloud.scorer import score_event

ROOT = Path(__file__).parents[2]
ALL = Fiducial(pt_min=0.9, eta_max=4, min_hits=3)


def table(*rows: tuple[int, int, int, float]) -> Particles:
    """Particles of (event, id, hits, pT)."""
    event, identity, hits = (np.array([row[column] for row in rows]) for column in range(3))
    zeros = np.zeros(len(rows))
    return Particles(event, identity, hits, np.array([row[3] for row in rows]), zeros, zeros)


def hits(*tracks: tuple[int, int, list[int]]) -> tuple[np.ndarray, ...]:
    return tuple(np.array([(event, track, one) for event, track, owners in tracks for one in owners]).T)


def test_hepattn_reconstructable_particles_counted_after_the_hit_filter() -> None:
    """A filter drops 6 of 8 hits of particle 2: it is lost, and stays in the denominator."""
    particles = table((1, 1, 8, 2.0), (1, 2, 8, 2.0))
    filtered = hits((1, 1, [1] * 8), (1, 2, [2] * 2))
    for rule in RULES:
        figure = efficiency(match(*filtered, particles), particles, ALL, rule)
        assert (figure.numerator, figure.denominator) == (1, 2)
    # With 3 of its hits left, all in one pure track, its own 8 hits still decide: 3 of 8 is no double majority.
    figure = efficiency(match(*hits((1, 1, [1] * 8), (1, 2, [2] * 3)), particles), particles, ALL, "double_majority")
    assert (figure.numerator, figure.denominator) == (1, 2)


def test_heptv2_clusters_led_by_noise_or_low_pt_are_never_fakes() -> None:
    """Noise-led and badly matched low-pT candidates are fakes; all candidates are in the denominator."""
    particles = table((1, 1, 6, 2.0), (1, 2, 9, 0.2), (1, 3, 3, 0.2))
    matches = match(*hits((1, 1, [1] * 6), (1, 2, [0] * 5), (1, 3, [2] * 4), (1, 4, [3] * 3)), particles)
    # Track 2 is noise, track 3 has 4 of 9 hits of a low-pT particle; track 4 is a true low-pT particle.
    assert (fake_rate(matches).numerator, fake_rate(matches).denominator) == (2, 4)


def test_heptv2_denominator_from_hits_that_survive_a_cut() -> None:
    """Particle 2 has not one hit left after the cut: it still counts."""
    particles = table((1, 1, 5, 2.0), (1, 2, 5, 2.0))
    figure = efficiency(match(*hits((1, 1, [1] * 5)), particles), particles, ALL, "lhc")
    assert (figure.numerator, figure.denominator) == (1, 2)


def test_eggnet_one_way_majority_only() -> None:
    """Three pure pieces of one particle: each matches one way, none holds more than half of it."""
    particles = table((1, 1, 9, 2.0))
    matches = match(*hits((1, 1, [1] * 3), (1, 2, [1] * 3), (1, 3, [1] * 3)), particles)
    assert efficiency(matches, particles, ALL, "lhc").numerator == 1
    assert efficiency(matches, particles, ALL, "double_majority").numerator == 0
    assert fake_rate(matches).numerator == 3
    assert duplicate_rate(matches).numerator == 2


def test_acorn_groups_by_particle_without_the_event() -> None:
    """The same particle and track ids in two events: found in one, lost in the other."""
    particles = table((1, 1, 4, 2.0), (2, 1, 4, 2.0))
    matches = match(*hits((1, 1, [1] * 4), (2, 1, [1]), (2, 2, [1]), (2, 3, [1]), (2, 4, [1])), particles)
    for rule in RULES:
        figure = efficiency(matches, particles, ALL, rule)
        assert (figure.numerator, figure.denominator) == (1, 2)
    assert len(matches.hits) == 1, "hits of two events never share a track"


def tables(*tracks: list[int], weight: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Truth and submission of one event, each track the list of the particles of its hits."""
    rows = [(number, owner) for number, owners in enumerate(tracks) for owner in owners]
    truth = pd.DataFrame({"hit_id": range(len(rows)), "particle_id": [owner for _, owner in rows], "weight": weight})
    return truth, pd.DataFrame({"hit_id": range(len(rows)), "track_id": [number for number, _ in rows]})


def test_colliderml_half_counts_as_more_than_half() -> None:
    truth, submission = tables([1, 1], [1, 1], [2, 2, 3, 3])
    assert score_event(truth, submission) == 0.0
    particles = table((1, 1, 6, 2.0), (1, 2, 3, 2.0))
    matches = match(*hits((1, 1, [1] * 3), (1, 2, [1] * 3), (1, 3, [2] * 3 + [0] * 3)), particles)
    assert efficiency(matches, particles, ALL, "double_majority").numerator == 0
    # Exactly 75% is not more than 75%.
    matches = match(*hits((1, 1, [1] * 6 + [0] * 2)), particles)
    assert efficiency(matches, particles, ALL, "lhc").numerator == 0


def test_colliderml_majority_by_weight() -> None:
    """Particle 1 has 90% of the weight of the track and a third of its hits."""
    truth, submission = tables([1, 2, 2])
    assert score_event(truth.assign(weight=[9.0, 0.5, 0.5]), submission) == pytest.approx(0.1)


def test_colliderml_denominator_over_submitted_hits_only() -> None:
    truth, submission = tables([1] * 4, [2] * 4)
    assert score_event(truth, submission.iloc[:4]) == 0.5


def test_colliderml_any_shared_hit_is_a_duplicate() -> None:
    """Track 2 holds one hit of particle 1 and all of particle 2: two particles, two tracks, no duplicate."""
    particles = table((1, 1, 6, 2.0), (1, 2, 6, 2.0))
    matches = match(*hits((1, 1, [1] * 5), (1, 2, [2] * 6 + [1])), particles)
    assert (duplicate_rate(matches).numerator, duplicate_rate(matches).denominator) == (0, 2)


def test_colliderml_a_second_per_event() -> None:
    random = np.random.default_rng(0)
    owner = random.integers(1, 10_000, 120_000)
    truth = pd.DataFrame({"hit_id": np.arange(120_000), "particle_id": owner, "weight": random.random(120_000)})
    submission = pd.DataFrame({"hit_id": random.permutation(120_000), "track_id": random.integers(1, 10_000, 120_000)})
    times = []
    for _ in range(5):
        start = time.perf_counter()
        score_event(truth, submission)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.25, "about 0.02 s on one free core; the margin is for busy machines"


def test_gnn_tracking_definitions_changed_between_releases() -> None:
    """Every figure carries its definition; changing one must be a decision seen in this table."""
    particles = table((1, 1, 6, 2.0))
    matches = match(*hits((1, 1, [1] * 6)), particles)
    words = {
        "perfect": "candidate has all hits of the particle and no other",
        "lhc": "more than 75% of the candidate's hits belong to the particle",
        "double_majority": "more than 50% of the candidate's hits belong to the particle and it has more than 50% of "
        "the particle's hits",
    }
    for rule, rule_words in words.items():
        assert efficiency(matches, particles, ALL, rule).definition == (
            "fiducial particles with a matched candidate / all fiducial particles; fiducial: pT >= 0.9 GeV, |eta| < 4, "
            f">= 3 hits; matched: {rule_words}; candidates: tracks of >= 3 hits"
        )
    assert fake_rate(matches).definition == (
        "candidates led by noise or matched to no particle of any pT / all candidates; matched: "
        f"{words['double_majority']}; candidates: tracks of >= 3 hits"
    )
    assert duplicate_rate(matches).definition == (
        "matched candidates beyond the first of their particle / matched candidates; matched: "
        f"{words['lhc']}; candidates: tracks of >= 3 hits"
    )


def test_pypi_trackml_is_another_package() -> None:
    """Nothing imports `trackml` by statement and no dependency names it: PyPI's package of that name sends data out."""
    for folder in ("pcloud", "data_prep", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
                assert not any(name.split(".")[0] == "trackml" for name in names), path
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    assert not [one for one in wanted if one.startswith("trackml")]
