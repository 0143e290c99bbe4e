"""What a detector of the size of CMS makes of particles: tracks, and what its calorimeters see beyond them.

``respond(particles, rng)``: a parametrisation in the manner of fast simulations; (+) adds in quadrature, GeV, mm, rad.

tracks   charged particles of |eta| < 2.5, pT > 0.5, made within 300 mm of the beam. Found: 85 % below pT 1 and 95 % above;
         beyond |eta| 1.5, 75 % and 88 %. sigma(pT) / pT = (1 % (+) 0.015 % pT) (1 + eta^2 / 4); sigma(eta) = sigma(phi) =
         0.0005 (+) 0.0015 / pT. d0 and dz are those of straight lines, known to 0.015 (+) 0.08 cosh(eta)^0.5 / pT and to
         0.03 (+) 0.1 cosh(eta) / pT. Electrons and muons are told from hadrons without error; hadrons get the pion's mass.
ECAL     photons and electrons; cells of 1 x 1 degree (0.0175); sigma(E) = 10 % sqrt(E) (+) 0.7 % E.
HCAL     hadrons; cells of 5 x 5 degrees (0.087); sigma(E) = 100 % sqrt(E) (+) 5 % E. Both reach |eta| = 5.
flow     From a cell's measured energy that of the tracks pointing to it is taken; what is left is a photon (ECAL) or a neutral
         hadron (HCAL) of no mass, anywhere in the cell, where it is above 0.5 (1 in the HCAL) and above twice the sigma that
         the tracks alone would have there.

Charged particles of pT < 0.7 curl up before the calorimeters, others go straight. Muons leave tracks alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_prep.generate.truth import Particles
from data_prep.jets import pid_columns

VERSION = 1  # raised whenever the same particles give other objects
ETA_MAX, TRACKER_ETA, TRACK_PT, TRACK_R, REACH_PT = 5.0, 2.5, 0.5, 300.0, 0.7
MASS = {11: 0.000511, 13: 0.10566}
PION = 0.13957
PHOTON, NEUTRON = 22, 2112


class Calorimeter(NamedTuple):
    cell: float
    stochastic: float
    constant: float
    least: float
    seen_as: int

    def sigma(self, energy: np.ndarray) -> np.ndarray:
        spread: np.ndarray = np.hypot(self.stochastic * np.sqrt(energy), self.constant * energy)
        return spread


ECAL = Calorimeter(np.pi / 180, 0.10, 0.007, 0.5, PHOTON)
HCAL = Calorimeter(np.pi / 36, 1.00, 0.05, 1.0, NEUTRON)
SIGNIFICANT = 2.0


class Objects(NamedTuple):
    """What was measured, by event: p4 [objects, 4] (GeV), offsets [events + 1], and the columns PID and DISPLACEMENT."""

    p4: np.ndarray
    offsets: np.ndarray
    point: dict[str, np.ndarray]


class _Seen(NamedTuple):
    """Particles or what was measured of them: directions, energy, and the kind (PDG, as measured) and charge."""

    event: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    energy: np.ndarray
    pdg: np.ndarray
    charge: np.ndarray

    def take(self, rows: np.ndarray) -> _Seen:
        return _Seen(*(column[rows] for column in self))


def respond(particles: Particles, rng: np.random.Generator) -> Objects:
    true, rows = _visible(particles)
    found = _found(true, particles.origin[rows], rng)
    measured = _tracks(true.take(found), rng)
    displacement = _displacement(measured, true.take(found), particles.origin[rows][found], rng)
    electromagnetic = np.isin(np.abs(true.pdg), (11, 22))
    reaches = ((true.charge == 0) | (true.pt > REACH_PT)) & (np.abs(true.pdg) != 13)
    parts = [measured]
    for calorimeter, deposits in ((ECAL, electromagnetic), (HCAL, ~electromagnetic)):
        left, pointing = reaches & deposits, (reaches & deposits)[found]
        parts.append(_excess(calorimeter, true.take(left), true.take(found[pointing]), measured.energy[pointing], rng))
    all_ = _Seen(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    blank = np.zeros(len(all_.pt) - len(measured.pt))
    point = pid_columns(all_.pdg, all_.charge) | {name: np.concatenate([one, blank]) for name, one in displacement.items()}
    p4 = np.stack([all_.pt * np.cos(all_.phi), all_.pt * np.sin(all_.phi), all_.pt * np.sinh(all_.eta), all_.energy], axis=1)
    order = np.argsort(all_.event, kind="stable")
    offsets = np.searchsorted(all_.event[order], np.arange(particles.events + 1))
    return Objects(p4[order], offsets, {name: column[order] for name, column in point.items()})


def _visible(particles: Particles) -> tuple[_Seen, np.ndarray]:
    """Those within the calorimeters, and which rows they are."""
    px, py, pz, energy = particles.p4.T
    pt = np.hypot(px, py)
    eta = np.arcsinh(pz / np.maximum(pt, 1e-9))
    rows = np.flatnonzero((np.abs(eta) < ETA_MAX) & (pt > 0))
    whole = _Seen(particles.event, pt, eta, np.arctan2(py, px), energy, particles.pdg, particles.charge)
    return whole.take(rows), rows


def _found(true: _Seen, origin: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of the particles that leave a track."""
    central = np.abs(true.eta) < 1.5
    chance = np.where(true.pt > 1.0, np.where(central, 0.95, 0.88), np.where(central, 0.85, 0.75))
    inside = (np.abs(true.eta) < TRACKER_ETA) & (true.pt > TRACK_PT) & (np.hypot(origin[:, 0], origin[:, 1]) < TRACK_R)
    found: np.ndarray = np.flatnonzero((true.charge != 0) & inside & (rng.random(len(chance)) < chance))
    return found


def _tracks(true: _Seen, rng: np.random.Generator) -> _Seen:
    blur = rng.standard_normal((3, len(true.pt)))
    relative = np.hypot(0.01, 0.00015 * true.pt) * (1 + true.eta**2 / 4)
    pt = true.pt * np.exp(relative * blur[0])
    angle = np.hypot(0.0005, 0.0015 / true.pt)
    eta, phi = true.eta + angle * blur[1], true.phi + angle * blur[2]
    mass = np.full(len(pt), PION)
    for kind, its in MASS.items():
        mass[np.abs(true.pdg) == kind] = its
    return _Seen(true.event, pt, eta, phi, np.hypot(pt * np.cosh(eta), mass), true.pdg, true.charge)


def _displacement(measured: _Seen, true: _Seen, origin: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Impact parameters about the beam line and the collision, at (0, 0, 0), with the errors that they are blurred by (mm)."""
    x, y, z = origin.T
    cos, sin = np.cos(true.phi), np.sin(true.phi)
    d0_error = np.hypot(0.015, 0.08 * np.sqrt(np.cosh(measured.eta)) / measured.pt)
    dz_error = np.hypot(0.03, 0.1 * np.cosh(measured.eta) / measured.pt)
    blur = rng.standard_normal((2, len(x)))
    d0 = x * sin - y * cos + d0_error * blur[0]
    dz = z - (x * cos + y * sin) * np.sinh(true.eta) + dz_error * blur[1]
    return {"d0": d0, "d0_error": d0_error, "dz": dz, "dz_error": dz_error}


def _excess(calorimeter: Calorimeter, left: _Seen, tracked: _Seen, track_energy: np.ndarray, rng: np.random.Generator) -> _Seen:
    """Neutral objects: what the cells measured of the energy left in them, less that of the tracks (true direction) there."""
    cells, where = np.unique(_cell(left, calorimeter.cell), return_inverse=True)
    energy = np.bincount(where, left.energy, len(cells))
    spread = np.log1p((calorimeter.sigma(energy) / energy) ** 2)
    measured = energy * np.exp(np.sqrt(spread) * rng.standard_normal(len(cells)) - spread / 2)
    tracks = np.bincount(np.searchsorted(cells, _cell(tracked, calorimeter.cell)), track_energy, len(cells))
    excess = measured - tracks
    kept = excess > np.maximum(calorimeter.least, SIGNIFICANT * calorimeter.sigma(tracks))
    excess, (event, row, column) = excess[kept], _place(cells[kept], calorimeter.cell)
    eta = (row + rng.random(len(row))) * calorimeter.cell
    phi = (column + rng.random(len(row))) * calorimeter.cell
    kind = np.full(len(eta), calorimeter.seen_as)
    return _Seen(event, excess / np.cosh(eta), eta, phi, excess, kind, np.zeros(len(eta)))


_SPAN = 2048  # more than the cells of a full turn, and of twice ETA_MAX


def _cell(seen: _Seen, width: float) -> np.ndarray:
    """One number per event, cell in eta and cell in phi."""
    row = np.floor(seen.eta / width).astype(np.int64) + _SPAN // 2
    column = np.floor(seen.phi / width).astype(np.int64) + _SPAN // 2
    number: np.ndarray = (seen.event * _SPAN + row) * _SPAN + column
    return number


def _place(number: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rest, column = np.divmod(number, _SPAN)
    event, row = np.divmod(rest, _SPAN)
    return event, row - _SPAN // 2, column - _SPAN // 2
