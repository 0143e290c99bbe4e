"""Observables of jets against values worked out by hand, against FastJet, and under what must not change them."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcloud.jets import substructure
from pcloud.jets.declustering import soft_drop_mass, subjet_axes
from pcloud.jets.substructure import OBSERVABLES, observables


def light(pt: float, y: float, phi: float) -> list[float]:
    return [pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(y), pt * math.cosh(y)]


def of(*jets: list[tuple[float, float, float]], **options: object) -> dict[str, np.ndarray]:
    p4 = np.array([light(*one) for jet in jets for one in jet]).reshape(-1, 4)
    return observables(p4, np.cumsum([0, *map(len, jets)]), **options)  # type: ignore[arg-type]


def drawn(seed: int, jets: int, most: int = 60) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, most, jets)
    n = int(counts.sum())
    pt, y, phi = draw.exponential(10, n) + 0.1, draw.normal(0.5, 0.25, n), draw.normal(3.0, 0.25, n)
    mass = draw.choice([0.0, 0.14, 0.94], n)
    across = np.hypot(pt, mass)
    p4 = np.stack([pt * np.cos(phi), pt * np.sin(phi), across * np.sinh(y), across * np.cosh(y)], axis=1)
    return p4, np.concatenate([[0], np.cumsum(counts)])


def test_two_equal_prongs_by_hand() -> None:
    """100 GeV each at rapidities +-0.3: the axis lies between, a winner-take-all axis on one of them."""
    made = of([(100, 0.3, 1.0), (100, -0.3, 1.0)])
    mass = 100 * math.sqrt(2 * (math.cosh(0.6) - 1))
    expected = {
        "mass": mass,
        "soft_drop_mass": mass,
        "tau1": 100 * 0.6 / (200 * 0.8),
        "tau2": 0,
        "tau3": 0,
        "tau21": 0,
        "tau32": 0,
        "c2": 0,
        "d2": 0,
        "multiplicity": 2,
        "pt_dispersion": math.sqrt(0.5),
        "width": 0.3,
    }
    assert tuple(made) == OBSERVABLES and set(expected) == set(OBSERVABLES)
    for name, value in expected.items():
        assert math.isclose(made[name][0], value, rel_tol=1e-9, abs_tol=1e-9), name


def test_a_right_triangle_by_hand() -> None:
    """Sides 0.3, 0.4, 0.5 at pT 2, 1, 1: kT merges the pair at 0.3, whose axis is the harder's."""
    made = of([(2, 0.0, 0.0), (1, 0.3, 0.0), (1, 0.0, 0.4)])
    e2 = (2 * 1 * 0.3 + 2 * 1 * 0.4 + 1 * 1 * 0.5) / 16
    e3 = 2 * 1 * 1 * 0.3 * 0.4 * 0.5 / 64
    expected = {"c2": e3 / e2**2, "d2": e3 / e2**3, "tau1": (0.3 + 0.4) / (4 * 0.8), "tau2": 0.3 / (4 * 0.8), "tau3": 0.0}
    expected |= {"pt_dispersion": math.sqrt(6) / 4, "tau21": 0.3 / 0.7, "tau32": 0.0}
    for name, value in expected.items():
        assert math.isclose(made[name][0], value, rel_tol=1e-9, abs_tol=1e-12), name


def test_soft_drop_by_hand() -> None:
    """A branch of 5 % is dropped, one of 20 % is kept; the wide soft one goes first, then the two prongs stay."""
    made = of([(95, 0, 0), (5, 0.4, 0)], [(80, 0, 0), (20, 0.4, 0)], [(60, 0, 0), (40, 0.2, 0), (5, 0.0, 0.7)])
    kept = [0.0, 40 * math.sqrt(2 * (math.cosh(0.4) - 1)), math.sqrt(2 * 60 * 40 * (math.cosh(0.2) - 1))]
    np.testing.assert_allclose(made["soft_drop_mass"], kept, atol=1e-5)
    assert (made["mass"] > made["soft_drop_mass"] + 1)[[0, 2]].all()
    p4 = np.array([light(95, 0, 0), light(5, 0.4, 0)])
    assert soft_drop_mass(p4, np.array([0, 2]), beta=2.0, radius=0.8)[0] > 1, "0.05 > 0.1 (0.4 / 0.8)^2"


def test_axes_across_the_seam_of_phi() -> None:
    p4 = np.array([light(5, 0.0, math.pi - 0.05), light(4, 0.0, -math.pi + 0.05), light(3, 0.0, 1.0)])
    axes = subjet_axes(p4, np.array([0, 3]), 2)[0]
    assert sorted(axes[:, 1].round(6).tolist()) == [1.0, round(math.pi - 0.05, 6)]
    assert np.isnan(subjet_axes(p4[:1], np.array([0, 1]), 2)[0, :, 0]).sum() == 1


def test_empty_and_single_jets() -> None:
    made = of([], [(50, 0.2, 0.1)], [])
    assert made["multiplicity"].tolist() == [0, 1, 0] and made["pt_dispersion"].tolist() == [0, 1, 0]
    for name in set(OBSERVABLES) - {"multiplicity", "pt_dispersion"}:
        np.testing.assert_allclose(made[name], 0, atol=1e-5)
    assert all(len(column) == 0 for column in observables(np.zeros((0, 4)), np.array([0])).values())


def test_fastjet_gives_the_same() -> None:
    pytest.importorskip("fastjet")
    p4, offsets = drawn(1, 200)
    ours, theirs = observables(p4, offsets), observables(p4, offsets, fastjet=True)
    for name in OBSERVABLES:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_without_fastjet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastjet", None)
    with pytest.raises(ValueError, match=r"fastjet: the package is missing: pip install 'pcloud\[hep\]'"):
        of([(1, 0, 0)], fastjet=True)


@given(st.integers(0, 10_000), st.floats(-2, 2), st.floats(-3, 3))
@settings(max_examples=20, deadline=None)
def test_order_turn_boost_along_the_beam_and_neighbours_change_nothing(seed: int, boost: float, turn: float) -> None:
    p4, offsets = drawn(seed, 4, 25)
    before = observables(p4, offsets)
    px, py, pz, energy = p4.T
    moved = np.stack(
        [
            px * math.cos(turn) - py * math.sin(turn),
            px * math.sin(turn) + py * math.cos(turn),
            pz * math.cosh(boost) + energy * math.sinh(boost),
            energy * math.cosh(boost) + pz * math.sinh(boost),
        ],
        axis=1,
    )
    draw = np.random.default_rng(seed)
    shuffled = np.concatenate([draw.permutation(np.arange(offsets[j], offsets[j + 1])) for j in range(4)])
    after = observables(moved[shuffled], offsets)
    alone = observables(p4[offsets[2] : offsets[3]], offsets[2:4] - offsets[2])
    for name in OBSERVABLES:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-5, atol=2e-3 if "mass" in name else 1e-6, err_msg=name)
        np.testing.assert_allclose(alone[name][0], before[name][2], rtol=1e-9, atol=1e-9, err_msg=name)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    p4, offsets = drawn(3, 30)
    whole = observables(p4, offsets)
    monkeypatch.setattr(substructure, "CHUNK", 2000)
    for name, column in observables(p4, offsets).items():
        np.testing.assert_allclose(column, whole[name], rtol=1e-9, atol=1e-12)
