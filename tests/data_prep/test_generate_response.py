"""What the parametrised detector makes of single particles, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np

from data_prep.generate.response import Objects, respond
from data_prep.generate.truth import Particles

COPIES = 4000


def measure(*rows: tuple[int, int, float, float], origin: tuple[float, float, float] = (0, 0, 0), seed: int = 1) -> Objects:
    """COPIES events of particles (PDG, charge, energy in GeV, eta), of no mass, at phi = 0.3."""
    pdg, charge, energy, eta = np.array(rows).T
    pt = energy / np.cosh(eta)
    p4 = np.stack([pt * np.cos(0.3), pt * np.sin(0.3), pt * np.sinh(eta), energy], axis=1)
    event = np.repeat(np.arange(COPIES), len(rows))
    many = [np.tile(one, COPIES) for one in (pdg.astype(int), charge)]
    particles = Particles(COPIES, event, *many, np.tile(p4, (COPIES, 1)), np.tile(origin, (len(event), 1)))
    return respond(particles, np.random.default_rng(seed))


def eta(objects: Objects) -> np.ndarray:
    return np.arcsinh(objects.p4[:, 2] / np.hypot(objects.p4[:, 0], objects.p4[:, 1]))


def test_a_photon_lies_in_its_cell_with_the_resolution_of_the_ecal() -> None:
    seen = measure((22, 0, 50.0, 1.0))
    assert seen.point["is_photon"].all() and np.diff(seen.offsets).tolist() == [1] * COPIES
    energy = seen.p4[:, 3]
    assert abs(energy.mean() - 50) < 0.06  # sigma / sqrt(COPIES) = 0.0124
    assert abs(energy.std() - np.hypot(0.1 * np.sqrt(50), 0.007 * 50)) < 0.04
    cell = np.pi / 180
    first = np.floor(1.0 / cell) * cell
    assert first <= eta(seen).min() and eta(seen).max() <= first + cell and eta(seen).std() > 0.25 * cell
    assert not seen.point["d0_error"].any()


def test_a_neutral_hadron_is_seen_by_the_hcal() -> None:
    seen = measure((130, 0, 50.0, 0.5))
    assert seen.point["is_neutral_hadron"].all()
    assert abs(seen.p4[:, 3].std() - np.hypot(np.sqrt(50), 0.05 * 50)) < 0.4
    assert np.ptp(eta(seen)) <= np.pi / 36


def test_a_track_is_found_as_often_as_said_and_its_energy_counts_once() -> None:
    seen = measure((211, 1, 30.0, 0.5))
    tracks = seen.point["is_charged_hadron"] == 1
    assert abs(tracks.sum() / COPIES - 0.95) < 0.015 and (seen.point["charge"][tracks] == 1).all()
    missed = COPIES - tracks.sum()
    extra = (~tracks).sum() - missed
    assert 0 < extra < 0.06 * COPIES  # upward fluctuations beyond 2 sigma
    assert 0.99 < seen.p4[:, 3].sum() / (30 * COPIES) < 1.06
    pt = np.hypot(seen.p4[tracks, 0], seen.p4[tracks, 1])
    true = 30 / np.cosh(0.5)
    assert abs(pt.std() / true - np.hypot(0.01, 0.00015 * true) * (1 + 0.25 / 4)) < 0.0006
    assert abs(eta(seen)[tracks].std() - 0.0005) < 0.00004
    mass2 = seen.p4[tracks, 3] ** 2 - (seen.p4[tracks, :3] ** 2).sum(1)
    assert np.allclose(mass2, 0.13957**2, atol=1e-6)


def test_a_photon_beside_a_track_in_one_cell_is_kept() -> None:
    seen = measure((211, 1, 20.0, 0.5), (22, 0, 10.0, 0.5))
    assert (seen.point["is_photon"].sum() == COPIES) and abs(seen.p4[seen.point["is_photon"] == 1, 3].mean() - 10) < 0.05


def test_an_electron_takes_its_energy_from_the_ecal_and_a_muon_leaves_none() -> None:
    electrons = measure((11, -1, 20.0, 0.0))
    found = electrons.point["is_electron"].sum()
    assert abs(found / COPIES - 0.95) < 0.015
    photons = electrons.point["is_photon"].sum() - (COPIES - found)
    assert 0 <= photons < 0.06 * COPIES and not electrons.point["is_neutral_hadron"].any()
    muons = measure((-13, 1, 20.0, 0.0))
    assert muons.point["is_muon"].all() and abs(len(muons.p4) / COPIES - 0.95) < 0.015


def test_soft_far_and_late_particles() -> None:
    assert len(measure((211, 1, 0.45, 0.0)).p4) == 0  # neither tracked nor at the calorimeter
    curled = measure((211, 1, 0.6, 0.0))
    assert curled.point["is_charged_hadron"].all() and abs(len(curled.p4) / COPIES - 0.85) < 0.02
    assert measure((211, 1, 100.0, 3.0)).point["is_neutral_hadron"].all()  # beyond the tracker
    assert len(measure((22, 0, 500.0, 5.2)).p4) == 0
    late = measure((211, 1, 30.0, 0.0), origin=(0.0, 400.0, 0.0))
    assert late.point["is_neutral_hadron"].all()


def test_impact_parameters() -> None:
    """From (0, 1, 2) mm at phi = 0.3 and eta = 0.5: d0 = -cos 0.3, dz = 2 - sin 0.3 sinh 0.5."""
    seen = measure((211, 1, 30.0, 0.5), origin=(0.0, 1.0, 2.0))
    tracks = seen.point["is_charged_hadron"] == 1
    pull = {}
    for name, true in (("d0", -np.cos(0.3)), ("dz", 2 - np.sin(0.3) * np.sinh(0.5))):
        pull[name] = (seen.point[name][tracks] - true) / seen.point[f"{name}_error"][tracks]
        assert abs(pull[name].mean()) < 0.08 and abs(pull[name].std() - 1) < 0.06
    pt = 30 / np.cosh(0.5)
    assert np.isclose(np.median(seen.point["d0_error"][tracks]), np.hypot(0.015, 0.08 * np.sqrt(np.cosh(0.5)) / pt), rtol=1e-2)
    assert not seen.point["d0"][~tracks].any()


def test_events_stay_apart_and_empty_ones_are_legal() -> None:
    one = np.array([[10.0, 0, 0, 10.0]] * 2)
    particles = Particles(4, np.array([1, 3]), np.array([22, 22]), np.zeros(2), one, np.zeros((2, 3)))
    assert np.diff(respond(particles, np.random.default_rng(0)).offsets).tolist() == [0, 1, 0, 1]
