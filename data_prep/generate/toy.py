"""A toy in place of Pythia where that is not installed: numpy alone, ten thousand jets in seconds. No figure of physics.

``make(recipe, "top", 500, seed)``. Two-body decays with the right masses, isotropic in their rest frames; then a shower of
collinear splittings, ordered in angle, of fixed coupling, down to kT = 0.7 GeV; each parton left breaks into some particles of
kinds drawn at random. Nothing is clustered: a jet is all that one parton left, or one decay, its quarks near one another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from data_prep.jets import Jets, pid_columns

if TYPE_CHECKING:
    from data_prep.generate.recipe import Recipe

VERSIONS: dict[str, Any] = {"toy": 1}
NOTE = "synthetic: TOY jets, not physics: for tests of the software"
COUPLING, KT = 0.2, 0.7  # of a splitting; GeV, below which none is seen
PIECES, KICK = 1.1, 0.2  # particles of a parton more than one, per ln(1 + pT / KT); GeV, sideways, of each
BLUR = (0.01, 0.1)  # of the pT of charged and of neutral particles
QUARK, GLUON = 4 / 3, 3.0  # colour factors
KINDS = (211, -211, 22, 130, 11, -11, 13, -13)
SHARES = (0.29, 0.29, 0.28, 0.12, 0.005, 0.005, 0.005, 0.005)
LIFETIME = 0.3  # mm, mean displacement of a third of a b quark's particles


class _Decay(NamedTuple):
    """mass and width (GeV); second: mass and width of what one of two children is, that decays in turn; which children are b."""

    mass: float
    width: float
    second: tuple[float, float] | None = None
    bottom: tuple[int, ...] = ()


DECAYS = {
    "top": _Decay(172.5, 1.4, (80.4, 2.1), (0,)),
    "w": _Decay(80.4, 2.1),
    "z": _Decay(91.2, 2.5),
    "hbb": _Decay(125.0, 0.01, None, (0, 1)),
    "resonance": _Decay(400.0, 4.0),
    "gluino": _Decay(400.0, 1.0, (250.0, 80.0)),
}


class _Partons(NamedTuple):
    """[partons]: the jet each is of, pT, eta, phi, angle to split within, colour factor, whether of a b quark, kind."""

    jet: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    angle: np.ndarray
    colour: np.ndarray
    bottom: np.ndarray
    pdg: np.ndarray

    def take(self, rows: np.ndarray) -> _Partons:
        return _Partons(*(column[rows] for column in self))


def make(recipe: Recipe, name: str, jets: int, seed: np.random.SeedSequence) -> Jets:
    """So many jets of one class. ValueError where the window and radius hold no such decay."""
    rng = np.random.default_rng(seed)
    kept: list[_Partons] = []
    made = 0
    for _ in range(200):
        batch = _particles(rng, _showered(rng, _hard(rng, recipe, name, 2 * jets + 20)))
        batch = _in_window(batch, recipe, made, jets)
        kept.append(batch)
        made += len(np.unique(batch.jet))
        if made == jets:
            return _measured(rng, _Partons(*(np.concatenate(columns) for columns in zip(*kept, strict=True))), jets)
    where = f"pt {recipe.pt[0]:g}:{recipe.pt[1]:g}, eta {recipe.eta:g}, radius {recipe.radius:g}"
    raise ValueError(f"process {name}: hardly a jet within {where}; a larger radius or pt holds more decays")


def _hard(rng: np.random.Generator, recipe: Recipe, name: str, jets: int) -> _Partons:
    """What the hard process sends out: the quarks of a decay that the radius holds, or one parton."""
    low, high = recipe.pt
    steep = -4.0  # the spectrum falls as pT to this, less one
    pt = (low**steep + rng.random(jets) * (high**steep - low**steep)) ** (1 / steep)
    eta, phi = rng.uniform(-recipe.eta, recipe.eta, jets), rng.uniform(-np.pi, np.pi, jets)
    if name not in DECAYS:
        gluons = {"gluon": 1.0, "quark": 0.0}.get(name, 0.5)
        colour = np.where(rng.random(jets) < gluons, GLUON, QUARK)
        angle, nothing = np.full(jets, recipe.radius), np.zeros(jets, int)
        return _Partons(np.arange(jets), pt, eta, phi, angle, colour, nothing.astype(bool), nothing)
    decay = DECAYS[name]
    whole = _four(pt, eta, phi, _masses(rng, decay.mass, decay.width, jets))
    second = np.zeros(jets) if decay.second is None else _masses(rng, *decay.second, jets)
    first, other = _split(rng, whole, second)
    children = [first, other] if decay.second is None else [first, *_split(rng, other, np.zeros(jets))]
    bottom = [np.full(jets, i in decay.bottom) for i in range(len(children))]
    p4 = np.stack(children)
    pts, etas, phis = np.hypot(p4[..., 0], p4[..., 1]), _eta(p4), np.arctan2(p4[..., 1], p4[..., 0])
    near = np.hypot(etas[:, None] - etas, _wrap(phis[:, None] - phis)) + 9 * np.eye(len(p4))[..., None]
    held = (np.hypot(etas - eta, _wrap(phis - phi)) < recipe.radius).all(0) & (near.min(1) < recipe.radius).all(0)
    angle = near.min(1)
    jet = np.broadcast_to(np.arange(jets), pts.shape)
    columns = (jet, pts, etas, phis, angle, np.full(pts.shape, QUARK), np.stack(bottom), np.zeros(pts.shape, int))
    return _Partons(*(column[:, held].ravel() for column in columns))


def _showered(rng: np.random.Generator, active: _Partons) -> _Partons:
    """Splittings at ever smaller angles, by the veto algorithm: dP = 2 colour coupling / pi (dz / z) (dangle / angle)."""
    final = [active.take(np.zeros(0, int))]
    while len(active.pt):
        reach = active.pt * active.angle
        over = np.flatnonzero(reach > 2 * KT)
        final.append(active.take(np.flatnonzero(reach <= 2 * KT)))
        active, reach = active.take(over), reach[over]
        depth = np.log(reach / KT)  # of ln 1/z that a splitting may have
        rate = 2 * active.colour * COUPLING / np.pi * depth
        angle = active.angle * np.exp(-rng.exponential(size=len(over)) / rate)
        z = np.exp(-depth * rng.random(len(over)))
        splits = (z < 0.5) & (z * active.pt * angle > KT)
        active = active._replace(angle=angle)
        parent, z, around = active.take(splits), z[splits], rng.uniform(-np.pi, np.pi, splits.sum())
        step = np.stack([np.cos(around), np.sin(around)]) * parent.angle
        hard = _aside(parent, 1 - z, step * z)
        soft = _aside(parent, z, -step * (1 - z))._replace(colour=np.full(len(z), GLUON))
        active = _Partons(*(np.concatenate(columns) for columns in zip(active.take(~splits), hard, soft, strict=True)))
    return _Partons(*(np.concatenate(columns) for columns in zip(*final, strict=True)))


def _particles(rng: np.random.Generator, partons: _Partons) -> _Partons:
    """Each parton's pT shared among some particles, as measured."""
    pieces = 1 + rng.poisson(PIECES * np.log1p(partons.pt / KT))
    parent = np.repeat(np.arange(len(pieces)), pieces)
    share = rng.exponential(size=len(parent))
    share /= np.bincount(parent, share)[parent]
    whole = partons.take(parent)
    kick = np.minimum(KICK / (whole.pt * share), 0.3) * rng.standard_normal((2, len(parent)))
    pdg = rng.choice(KINDS, len(parent), p=SHARES)
    blur = np.where(_charge(pdg) == 0, BLUR[1], BLUR[0]) * rng.standard_normal(len(parent))
    return _aside(whole, share * np.exp(blur), kick)._replace(pdg=pdg)


def _charge(pdg: np.ndarray) -> np.ndarray:
    charge: np.ndarray = np.sign(pdg) * np.where(np.isin(np.abs(pdg), (11, 13)), -1, 1) * ~np.isin(pdg, (22, 130))
    return charge


def _aside(parent: _Partons, share: np.ndarray, step: np.ndarray) -> _Partons:
    return parent._replace(pt=parent.pt * share, eta=parent.eta + step[0], phi=parent.phi + step[1])


def _in_window(partons: _Partons, recipe: Recipe, made: int, jets: int) -> _Partons:
    """Those of jets that count, renumbered from `made`, at most up to `jets`."""
    count = int(partons.jet.max(initial=-1)) + 1
    p4 = _four(partons.pt, partons.eta, partons.phi, np.zeros(len(partons.pt)))
    whole = np.stack([np.bincount(partons.jet, column, count) for column in p4.T], axis=1)
    pt = np.hypot(whole[:, 0], whole[:, 1])
    good = np.flatnonzero((pt > recipe.pt[0]) & (pt < recipe.pt[1]) & (np.abs(_eta(whole)) < recipe.eta))[: jets - made]
    number = np.full(count, -1)
    number[good] = made + np.arange(len(good))
    rows = number[partons.jet] >= 0
    return partons.take(rows)._replace(jet=number[partons.jet][rows])


def _measured(rng: np.random.Generator, particles: _Partons, jets: int) -> Jets:
    """With impact parameters of charged ones, larger under a b quark."""
    particles = particles.take(np.argsort(particles.jet, kind="stable"))
    charge = _charge(particles.pdg)
    point = pid_columns(particles.pdg, charge)
    count = len(charge)
    away = np.where(particles.bottom & (rng.random(count) < 1 / 3), LIFETIME, 0.0) * (charge != 0)
    for name in ("d0", "dz"):
        error = np.hypot(0.02, 0.08 / particles.pt) * (charge != 0)
        flight = away * rng.exponential(size=count) * rng.choice((-1, 1), count)
        point |= {name: flight + error * rng.standard_normal(count), f"{name}_error": error}
    offsets = np.searchsorted(particles.jet, np.arange(jets + 1))
    p4 = _four(particles.pt, particles.eta, particles.phi, np.zeros(count))
    return Jets(p4, offsets, np.arange(jets), None, point=point)


def _masses(rng: np.random.Generator, mass: float, width: float, count: int) -> np.ndarray:
    """Breit-Wigner, cut at ten widths, or half the mass, on either side."""
    edge = np.arctan(2 * min(10 * width, mass / 2) / width)
    drawn: np.ndarray = mass + width / 2 * np.tan(edge * rng.uniform(-1, 1, count))
    return drawn


def _split(rng: np.random.Generator, parent: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two children of parents [n, 4], the first of no mass, the second of `mass` [n]; isotropic where the parent rests."""
    m = np.sqrt(np.maximum(parent[:, 3] ** 2 - (parent[:, :3] ** 2).sum(1), 0.0))
    mass = np.minimum(mass, 0.95 * m)
    p = (m**2 - mass**2) / (2 * m)
    cos, phi = rng.uniform(-1, 1, len(m)), rng.uniform(-np.pi, np.pi, len(m))
    sin = np.sqrt(1 - cos**2)
    momentum = p[:, None] * np.stack([sin * np.cos(phi), sin * np.sin(phi), cos], axis=1)
    along = (momentum * parent[:, :3]).sum(1)
    factor = along / (m * (parent[:, 3] + m)) + p / m
    first = np.concatenate([momentum + factor[:, None] * parent[:, :3], ((p * parent[:, 3] + along) / m)[:, None]], axis=1)
    return first, parent - first


def _four(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, mass: np.ndarray) -> np.ndarray:
    pz = pt * np.sinh(eta)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pz, np.sqrt(pt**2 + pz**2 + mass**2)], axis=-1)


def _eta(p4: np.ndarray) -> np.ndarray:
    eta: np.ndarray = np.arcsinh(p4[..., 2] / np.maximum(np.hypot(p4[..., 0], p4[..., 1]), 1e-9))
    return eta


def _wrap(angle: np.ndarray) -> np.ndarray:
    wrapped: np.ndarray = (angle + np.pi) % (2 * np.pi) - np.pi
    return wrapped
