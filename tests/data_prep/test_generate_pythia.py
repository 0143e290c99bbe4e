"""Jets of Pythia and FastJet: in their window, matched to what decayed, and the same from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="pythia8mc is not installed (extra jets)")
pytest.importorskip("fastjet", reason="fastjet is not installed (extra jets)")

from data_prep.generate import clusters  # noqa: E402
from data_prep.generate.processes import GLUINO, PROCESSES  # noqa: E402
from data_prep.generate.pythia import Collider  # noqa: E402
from data_prep.generate.recipe import Recipe  # noqa: E402
from data_prep.generate.response import Objects  # noqa: E402
from data_prep.generate.truth import Decays  # noqa: E402
from data_prep.jets import Jets  # noqa: E402

WINDOW = {"radius": 0.8, "low": 550.0, "high": 650.0, "eta": 2.0}


def four(pt: float, eta: float, phi: float, mass: float = 0.0) -> list[float]:
    p = pt * np.cosh(eta)
    return [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), float(np.hypot(p, mass))]


def objects(*events: list[list[float]]) -> Objects:
    offsets = np.cumsum([0, *(len(event) for event in events)])
    return Objects(np.array([row for event in events for row in event]), offsets, {})


def sums(jets: Jets) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p4 = np.add.reduceat(jets.p4, jets.offsets[:-1])
    pt = np.hypot(p4[:, 0], p4[:, 1])
    return pt, np.arcsinh(p4[:, 2] / pt), np.sqrt(p4[:, 3] ** 2 - (p4[:, :3] ** 2).sum(1))


def test_one_of_the_two_hardest_jets_of_an_event_counts_if_it_is_in_the_window() -> None:
    near = [four(300, 0.5, 3.1), four(290, 0.7, -3.1), four(5, 0.6, 3.0)]  # one jet, across phi = pi
    soft = [four(560, -0.5, 0.0)]
    made = objects([*soft, *near], [*soft, four(700, 0.5, 3.0)], [], [four(600, 2.5, 0.0)], [four(20, 0, 0)])
    rows, offsets = clusters.pick(made, None, **WINDOW)
    assert sorted(rows) == [1, 2, 3, 4] and offsets.tolist() == [0, 3, 4]  # the harder of two, then the second
    rows, offsets = clusters.pick(made, None, **WINDOW, hardest=1)
    assert sorted(rows) == [1, 2, 3] and offsets.tolist() == [0, 3]


def test_a_jet_holds_its_decay_whole_and_may_be_the_second_of_its_event() -> None:
    event = [four(640, 0.0, 0.0), four(600, 1.0, 3.0)]
    made = objects(event, event, event)
    decay = np.array([four(600, 1.0, 3.0, 172.0)] * 3)
    quarks = np.array([four(300, 1.0, 2.5), four(300, 1.0, -3.0)] * 2 + [four(300, 1.0, 2.1), four(300, 1.0, -3.0)])
    rows, offsets = clusters.pick(made, Decays(np.arange(3), decay, np.array([0, 0, 1, 1, 2, 2]), quarks), **WINDOW)
    assert rows.tolist() == [1, 3] and offsets.tolist() == [0, 1, 2]
    away = Decays(np.array([1]), np.array([four(600, 1.0, 1.0)]), np.array([0]), np.array([four(600, 1.0, 3.0)]))
    assert clusters.pick(made, away, **WINDOW)[1].tolist() == [0]


@pytest.mark.parametrize(("name", "quarks"), [("top", 3), ("w", 2), ("gluino", 3), ("qcd", 0)])
def test_the_quarks_of_a_decay_make_up_its_mass(name: str, quarks: int) -> None:
    _, decays = Collider(PROCESSES[name], 3, low=550, high=650).batch(10)
    each = {"top": 2, "w": 1, "gluino": 2, "qcd": 0}[name]
    assert len(decays.event) == 10 * each and len(decays.quark) == 10 * each * quarks
    if quarks:
        mass = np.sqrt(decays.p4[:, 3] ** 2 - (decays.p4[:, :3] ** 2).sum(1))
        true = {"top": 172.5, "w": 80.4, "gluino": 400.0}[name]
        assert abs(np.median(mass) - true) < 3
        total = np.stack([np.bincount(decays.decay, column) for column in decays.quark.T], axis=1)
        assert np.abs(total[:, 3] / decays.p4[:, 3] - 1).max() < 0.5  # gluons of the decay are no quarks
        assert np.median(np.abs(total[:, 3] / decays.p4[:, 3] - 1)) < 0.05
    assert PROCESSES["gluino"].roots == (GLUINO,)


def test_twenty_jets_from_the_same_seed() -> None:
    recipe = Recipe.of("top-tagging", seed=2026)
    jets, again = recipe.chunk(0, 20), recipe.chunk(0, 20)
    assert np.array_equal(jets.p4, again.p4) and np.array_equal(jets.label, again.label)
    assert not np.array_equal(jets.p4[:50], recipe.chunk(1, 20).p4[:50])
    assert jets.label is not None and np.bincount(jets.label).tolist() == [10, 10]
    pt, eta, mass = sums(jets)
    assert 550 < pt.min() and pt.max() < 650 and np.abs(eta).max() < 2
    assert 150 < np.median(mass[jets.label == 1]) < 200 and np.median(mass[jets.label == 0]) < 130
    assert 25 < np.diff(jets.offsets).mean() < 90
    assert 0.4 < jets.point["is_charged_hadron"].mean() < 0.75
    assert {"charge", "d0", "dz_error"} < set(jets.point) and recipe.told()["fastjet"] == clusters.VERSION


@pytest.mark.parametrize(("name", "mass"), [("w", 80.4), ("z", 91.2), ("hbb", 125.0)])
def test_bosons(name: str, mass: float) -> None:
    found = sums(Recipe.of("top-tagging", seed=1, process=(name,)).chunk(0, 9))[2]
    assert abs(np.median(found) - mass) < 0.12 * mass


def test_the_signals_of_anomaly_searches() -> None:
    recipe = Recipe.of("top-tagging", seed=1, process=("gluino", "resonance"), pt=(800, 900), eta=1.0, radius=1.0)
    assert abs(np.median(sums(recipe.chunk(0, 10))[2]) - 400) < 40


def test_gluons_have_more_particles_than_quarks() -> None:
    jets = Recipe.of("quark-gluon", seed=3).chunk(0, 30)
    sizes = np.diff(jets.offsets)
    assert jets.label is not None and sizes[jets.label == 0].mean() > sizes[jets.label == 1].mean()


def test_a_window_that_holds_no_decay_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_prep.generate.collisions.PATIENCE", 200)
    with pytest.raises(ValueError, match="process resonance: 200 events gave no jet within pt 550:650, eta 2, radius 0.8"):
        Recipe.of("top-tagging", seed=1, process=("resonance",)).chunk(0, 5)
