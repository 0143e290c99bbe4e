"""Particles of one bunch crossing from tabulated spectra: pile-up vertices, one hard vertex, strange decays, soft secondaries.

`primaries(...)` draws what leaves the vertices, `secondaries(...)` what leaves the nuclear interactions the transport reports.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

PION, PROTON = 0.13957, 0.93827  # GeV

# Tables below are quantiles read off three published training events (20,821 particles of generation 0, 5,931 later ones).
_LEVEL = np.r_[0, 0.02, 0.05, np.arange(0.1, 0.91, 0.05), 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 1]
_PT = np.array(
    "0.1 0.117 0.141 0.175 0.206 0.238 0.268 0.3 0.332 0.367 0.402 0.44 0.483 0.532 0.585 0.646 0.722 0.821 0.959 1.166 "
    "1.36 1.55 1.87 2.135 2.62 3.21 4.2 10.4".split(),
    dtype=float,
)
_HARD_LEVEL = np.array([0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1])
_HARD_PT = np.array([0.1, 0.157, 0.26, 0.51, 1.41, 4.2, 22.0, 70.0])
_ETA, _ETA_DENSITY = np.array([0, 1.5, 2.2, 2.6, 3.3, 4.0]), np.array([1.0, 1.02, 1.08, 0.98, 0.97, 0.88])  # of |eta|
_HARDER = (0.0, 1.5, 2.5, 4.0), (1.07, 1.0, 0.97, 0.96)  # |eta|, pT above threshold relative to the table below
_MULTIPLICITY = np.array(
    "1 4 8 13 16 19 20.3 23 26 30 33 36.5 44 48.7 55.7 67 76 91 109 152 223".split(), dtype=float
)  # visible particles of generation 0 per visible vertex, every 5 %
_SPRAY = np.array([0.11, 0.362, 0.344, 0.144, 0.029, 0.011])  # visible secondaries of an interaction: 0, 1, 2, ...
_SOFT_LEVEL = np.array([0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1])
_SOFT_P = np.array([0.101, 0.126, 0.142, 0.19, 0.272, 0.379, 0.472, 0.55, 2.0, 4.0])

_SOFTEST_ALONG, _KICK = 0.5, 0.2  # GeV: faster secondaries keep their parent's direction but for a kick of this width
_KAONS = (0.1, 0.3, 0.5, 0.8, 1.5, 5.0), (0.03, 0.06, 0.09, 0.12, 0.18, 0.2)  # pT (GeV), share of kaons; from 430 particles
_PROTONS = (0.1, 0.3, 0.5, 0.8, 1.5, 5.0), (0.015, 0.025, 0.035, 0.07, 0.12, 0.14)

FULL_PILEUP = 200
_FIDUCIAL_PT, _FIDUCIAL_ETA = 0.1, 4.0
TRACKER_R, TRACKER_Z = 1000, 2900  # mm: what starts outside is never seen


@dataclass(frozen=True)
class Beam:
    """What differs between the two phases of the challenge."""

    sigma_z: float  # mm
    silent: float  # share of vertices without any visible particle
    particles: float  # per visible vertex, relative to the training phase
    sigma_xy: float = 0.0145  # mm

    def spots(self, rng: np.random.Generator, vertices: int) -> np.ndarray:
        """Where collisions happen, [vertices, 3] mm."""
        return rng.normal(size=(vertices, 3)) * [self.sigma_xy, self.sigma_xy, self.sigma_z]


BEAMS = {1: Beam(5.5, 0.30, 1.0), 2: Beam(60.0, 0.20, 1.25)}


@dataclass
class Particles:
    """Columns over particles; ids are the five packed fields of TrackML's particle_id."""

    position: np.ndarray  # [n, 3] mm
    momentum: np.ndarray  # [n, 3] GeV
    charge: np.ndarray  # [n] e
    species: np.ndarray  # [n] PDG code
    vertex: np.ndarray
    primary: np.ndarray
    generation: np.ndarray
    secondary: np.ndarray

    def __len__(self) -> int:
        return len(self.charge)

    def take(self, rows: np.ndarray) -> Particles:
        return Particles(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def join(parts: list[Particles]) -> Particles:
        return Particles(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Particles)))

    @property
    def particle_id(self) -> np.ndarray:
        """vertex 12 bits | primary 16 | generation 12 | secondary 12 | process 12 (1: first of its interaction, 2: later)."""
        process = np.minimum(self.secondary, 2)
        packed = (self.vertex << 52) | (self.primary << 36) | (self.generation << 24) | (self.secondary << 12) | process
        return np.asarray(packed, dtype=np.int64)


def primaries(rng: np.random.Generator, pileup: float, beam: Beam) -> Particles:
    """Generation 0: Poisson(pileup) soft vertices and one hard one (vertex 1); pT > 0.1 GeV, |eta| < 4.

    Below FULL_PILEUP the hard vertex is thinned in proportion, so that small events are cut-outs of full ones.
    """
    soft = rng.poisson(pileup)
    count = np.interp(rng.random(soft), np.linspace(0, 1, _MULTIPLICITY.size), _MULTIPLICITY) * beam.particles
    count[rng.random(soft) < beam.silent] = 0
    hard = max(rng.normal(135, 35) * beam.particles * min(1.0, pileup / FULL_PILEUP), 20)
    count = np.rint(np.r_[hard, count]).astype(np.int64)
    spot = beam.spots(rng, soft + 1)

    vertex = np.repeat(np.arange(1, soft + 2), count)
    n = vertex.size
    pt = np.interp(rng.random(n), _LEVEL, _PT)
    hard_pt = np.interp(rng.random(n), _HARD_LEVEL, _HARD_PT)
    pt = np.where(vertex == 1, hard_pt, pt)
    eta = _pseudorapidity(rng, n)
    pt = _FIDUCIAL_PT + (pt - _FIDUCIAL_PT) * np.interp(np.abs(eta), *_HARDER)
    momentum = _momentum(pt, eta, rng.uniform(-np.pi, np.pi, n))
    charge = rng.choice([-1, 1], n)
    kaon, proton = np.interp(pt, *_KAONS), np.interp(pt, *_PROTONS)
    lot = rng.random(n)
    species = np.select([lot < kaon, lot < kaon + proton], [321, 2212], 211)
    prompt = Particles(spot[vertex - 1], momentum, charge, charge * species, vertex, *np.zeros((3, n), np.int64))
    strange = _strange(rng, prompt)
    joined = Particles.join([prompt.take(rng.random(n) < 0.905), strange])
    return number(rng, joined)


def _pseudorapidity(rng: np.random.Generator, n: int) -> np.ndarray:
    fine = np.linspace(0, _FIDUCIAL_ETA, 401)
    total = np.cumsum(np.interp(fine, _ETA, _ETA_DENSITY))
    eta: np.ndarray = np.interp(rng.random(n), (total - total[0]) / (total[-1] - total[0]), fine) * rng.choice([-1, 1], n)
    return eta


def _momentum(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)


def _strange(rng: np.random.Generator, prompt: Particles) -> Particles:
    """K_S -> pi pi and Lambda -> p pi from the same vertices, decayed in flight: the displaced part of generation 0."""
    parents = prompt.take(rng.random(len(prompt)) < 0.056)
    n = len(parents)
    kaon = rng.random(n) < 0.75
    mass, life = np.where(kaon, 0.4976, 1.1157), np.where(kaon, 26.84, 78.9)
    parent = parents.momentum * 1.2
    flight = rng.exponential(size=n)[:, None] * (life / mass)[:, None] * parent
    first = np.where(kaon, PION, PROTON)
    inside = np.sqrt((mass**2 - (first + PION) ** 2) * (mass**2 - (first - PION) ** 2)) / (2 * mass)
    away = _isotropic(rng, n) * inside[:, None]
    charge = rng.choice([-1, 1], n)
    daughters = []
    for sign, own in ((1, first), (-1, np.full(n, PION))):
        part = parents.take(np.arange(n))
        part.position = parents.position + flight
        part.momentum = _boost(sign * away, own, parent, mass)
        part.charge = sign * charge
        part.species = part.charge * np.where(own > 0.5, 2212, 211)
        daughters.append(part)
    return visible(Particles.join(daughters))


def visible(particles: Particles) -> Particles:
    """Those of pT > 0.1 GeV and |eta| < 4 that start inside the tracker."""
    pt = np.hypot(particles.momentum[:, 0], particles.momentum[:, 1])
    seen = (pt > _FIDUCIAL_PT) & (np.abs(particles.momentum[:, 2]) < np.sinh(_FIDUCIAL_ETA) * pt)
    radius = np.hypot(particles.position[:, 0], particles.position[:, 1])
    return particles.take(seen & (radius < TRACKER_R) & (np.abs(particles.position[:, 2]) < TRACKER_Z))


def _isotropic(rng: np.random.Generator, n: int, up_to: np.ndarray | float = 1.0) -> np.ndarray:
    """Unit vectors [n, 3] of any direction with |cos theta| below `up_to`."""
    z, phi = rng.uniform(-1, 1, n) * up_to, rng.uniform(-np.pi, np.pi, n)
    return np.stack([np.sqrt(1 - z * z) * np.cos(phi), np.sqrt(1 - z * z) * np.sin(phi), z], axis=1)


def _boost(momentum: np.ndarray, mass: np.ndarray, parent: np.ndarray, parent_mass: np.ndarray) -> np.ndarray:
    """Momentum in the laboratory of a daughter with this momentum in its parent's rest frame."""
    energy = np.sqrt((momentum**2).sum(axis=1) + mass**2)
    parent_energy = np.sqrt((parent**2).sum(axis=1) + parent_mass**2)
    along = (momentum * parent).sum(axis=1) / (parent_energy + parent_mass) + energy
    boosted: np.ndarray = momentum + parent * (along / parent_mass)[:, None]
    return boosted


def number(rng: np.random.Generator, particles: Particles) -> Particles:
    """Sort by vertex and give rising primary numbers with gaps, as neutral particles leave in the official ids."""
    particles = particles.take(np.argsort(particles.vertex, kind="stable"))
    step = rng.geometric(0.4, len(particles))
    total = np.cumsum(step)
    start = np.searchsorted(particles.vertex, particles.vertex)
    particles.primary = total - total[start] + step[start]
    assert len(particles) == 0 or particles.primary.max() < 1 << 16
    return particles


def secondaries(
    rng: np.random.Generator,
    parents: Particles,
    position: np.ndarray,
    momentum: np.ndarray,
    taken: dict[tuple[int, int, int], int],
) -> Particles:
    """What leaves each interaction: a few soft pions and protons in any direction, the rare fast ones along the parent.

    parents: the particle lost at each position [n, 3] (mm) with momentum [n, 3] (GeV); all made have pT > 0.1 GeV. `taken`
    counts the secondary numbers given so far per (vertex, primary, generation) and is updated.
    """
    row = np.repeat(np.arange(len(parents)), rng.choice(_SPRAY.size, len(parents), p=_SPRAY))
    made = parents.take(row)
    n = len(made)
    available = np.linalg.norm(momentum[row], axis=1)
    size = np.interp(rng.random(n), _SOFT_LEVEL, _SOFT_P)
    size = np.where(size < np.maximum(available, _SOFTEST_ALONG), size, _SOFTEST_ALONG / 2)
    soft = _isotropic(rng, n, np.sqrt(1 - (_FIDUCIAL_PT / size) ** 2)) * size[:, None]
    along = momentum[row] * (size / available)[:, None] + rng.normal(0, _KICK, (n, 3))
    made.position = position[row]
    made.momentum = np.where((size < _SOFTEST_ALONG)[:, None], soft, along)
    proton = rng.random(n) < 0.47
    made.charge = np.where(proton, 1, rng.choice([-1, 1], n))
    made.species = np.where(proton, 2212, 211) * made.charge
    made.generation = made.generation + 1
    made = made.take(np.hypot(made.momentum[:, 0], made.momentum[:, 1]) > _FIDUCIAL_PT)
    number = np.zeros(len(made), np.int64)
    for i, key in enumerate(zip(made.vertex.tolist(), made.primary.tolist(), made.generation.tolist(), strict=True)):
        taken[key] = number[i] = taken.get(key, 0) + 1
    made.secondary = number
    return made
