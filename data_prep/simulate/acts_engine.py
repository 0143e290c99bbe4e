"""A second opinion to our own transport: particles carried by Fatras, the fast simulation of ACTS, through the same modules.

`follow(rng, first, detector)` stands in for `transport`; it needs the package pyacts, which the extra `acts` brings.

Fatras scatters particles and takes energy from them, but has no nuclear interaction. So no hadron ends early and none
leaves secondaries: expect more hits per particle than ours or the challenge's, and no generation above 0 but for electrons.
It has none of the official shortcuts of our transport either, so soft particles live longer. Prompt particles have 12.3 hits
above pT 1 GeV (ours 11.0, a real event 11.1) and 10.5 below 0.2 GeV (ours 4.9); means of three events of pile-up 200. What it
shares with ours is the field, the modules, the readout and the noise.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.interpolate import interpn
from scipy.spatial import cKDTree

from data_prep.simulate.particles import Particles
from data_prep.simulate.transport import GRAZING, Tracks
from pcloud.tracking.detector import CENTRE, Table
from pcloud.tracking.field import AXIS_X, AXIS_Y, TABLE_R, TABLE_STEP, TABLE_Z, field_table

if TYPE_CHECKING:
    import acts

LOWEST_P = 0.05  # GeV; where Fatras gives a particle up. Its own default, 0.5, never starts half of ours
LOWEST_PT = 0.1  # GeV, of what Fatras makes: as of all particles in the tables
SAME_PLACE = 0.1  # mm between a module's centre in the detectors table and in ACTS
FIELD_STEP, FIELD_XY, FIELD_Z = 50.0, 1100.0, 3100.0  # mm; the generic detector ends at r = 1029, |z| = 3001
MOST_FAILED = 0.01  # share of particles whose propagation may fail


class World(NamedTuple):
    """What stands still in ACTS."""

    detector: acts.examples.GenericDetector  # owns the surfaces
    field: acts.MagneticFieldProvider
    surface: np.ndarray  # [modules] geometry ids, sorted
    centre: np.ndarray  # [modules, 3] mm


def check() -> str:
    """Raise ValueError where pyacts is missing, else return its name and version: other versions may give other events."""
    try:
        import acts.examples  # noqa: F401
    except ImportError as error:
        raise ValueError("engine acts: the package pyacts is missing or does not load; pip install 'pcloud[acts]'") from error
    return f"acts {version('pyacts')}"


def follow(rng: np.random.Generator, first: Particles, detector: Table) -> tuple[Particles, Tracks]:
    """Carry particles of generation 0: they and what Fatras made of them (pT > 0.1 GeV), and their hits.

    All crossings are hits but those too flat to be read out. Nothing is ever lost, so the interactions of the tracks are
    empty. Raises ValueError without pyacts, and for a detector whose modules ACTS does not have.
    """
    check()
    world = _world()
    made, owner, surface, state = _simulate(world, int(rng.integers(1 << 62)), first)
    place, row = world.surface.searchsorted(surface), _rows(world, detector)
    module = row[place]
    normal = np.stack([detector[f"rot_{axis}w"] for axis in "xyz"], axis=1)[module]
    cosine = (state[:, 3:] * normal).sum(axis=1) / np.linalg.norm(state[:, 3:], axis=1)
    seen = (module >= 0) & (np.abs(cosine) > GRAZING) & (owner >= 0)
    nothing = np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3))
    return Particles.join([first, made]), Tracks(owner[seen], module[seen], state[seen, :3], state[seen, 3:], *nothing)


@lru_cache(maxsize=1)
def _world() -> World:
    import acts
    import acts.examples as examples

    config = examples.GenericDetector.Config()
    config.logLevel = acts.logging.WARNING
    detector = examples.GenericDetector(config)
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    found: dict[int, list[float]] = {}

    def visit(surface: acts.Surface) -> None:
        centre = surface.center(context)
        found[surface.geometryId.value] = [centre[0], centre[1], centre[2]]

    detector.trackingGeometry().visitSurfaces(visit)
    surface = np.array(sorted(found), dtype=np.int64)
    return World(detector, _field(), surface, np.array([found[one] for one in surface.tolist()]))


def _field() -> acts.MagneticFieldProvider:
    """Our solenoid as the map of ACTS, which reads one from a text file: x y z in mm, field in T."""
    import acts

    x, z = (np.arange(-reach, reach + 1, FIELD_STEP) for reach in (FIELD_XY, FIELD_Z))
    point = np.stack(np.meshgrid(x, x, z, indexing="ij"), axis=-1).reshape(-1, 3)
    away = point[:, :2] - [AXIS_X, AXIS_Y]
    r = np.hypot(away[:, 0], away[:, 1])
    table = field_table()
    grid = np.arange(0.0, TABLE_R + 1, TABLE_STEP), np.arange(-TABLE_Z, TABLE_Z + 1, TABLE_STEP)
    value = interpn(grid, table, np.stack([r.clip(max=TABLE_R), point[:, 2]], axis=1))
    radial = value[:, :1] * away / np.maximum(r, 1e-6)[:, None]
    rows = np.concatenate([point, radial, value[:, 1:]], axis=1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "field.txt"
        file.write_text("%d %d %d %.6f %.6f %.6f\n" * len(rows) % tuple(rows.ravel().tolist()))
        return acts.MagneticFieldMapXyz(str(file))


def _rows(world: World, detector: Table) -> np.ndarray:
    """[modules of ACTS] rows of the detectors table, -1 where it has none.

    By place: volume and layer ids are the same in both, but ACTS has come to number the modules of discs in another order.
    """
    away, nearest = cKDTree(world.centre).query(np.stack([detector[name] for name in CENTRE], axis=1))
    if away.max() > SAME_PLACE or np.unique(nearest).size != nearest.size:
        raise ValueError(
            f"engine acts: a module of the detectors table is {away.max():.3g} mm from those of ACTS' generic detector, "
            f"expected one each within {SAME_PLACE} mm; use engine pcloud"
        )
    row = np.full(len(world.centre), -1)
    row[nearest] = np.arange(nearest.size)
    return row


def _simulate(world: World, seed: int, first: Particles) -> tuple[Particles, np.ndarray, np.ndarray, np.ndarray]:
    """Particles made; then, of each hit, the row of its particle (-1 if that was not kept; those made come after `first`),
    its surface, position (mm) and momentum (GeV). ACTS counts in mm and GeV itself."""
    import acts
    import acts.examples as examples

    fatras = examples.FatrasSimulation(
        level=acts.logging.FATAL,
        inputParticles="first",
        outputParticles="carried",
        outputSimHits="hits",
        randomNumbers=examples.RandomNumbers(seed=seed),
        trackingGeometry=world.detector.trackingGeometry(),
        magneticField=world.field,
        pMin=LOWEST_P,
    )
    put = examples.WriteDataHandle(fatras, examples.SimParticleContainer, "first")
    carried = examples.ReadDataHandle(fatras, examples.SimParticleContainer, "carried")
    hits = examples.ReadDataHandle(fatras, examples.SimHitContainer, "hits")
    for handle, key in ((put, "first"), (carried, "carried"), (hits, "hits")):
        handle.initialize(key)
    board = examples.WhiteBoard(acts.logging.FATAL)
    context = examples.AlgorithmContext(0, 0, board, 0)
    put(context, _given(first))
    if fatras.execute(context) != examples.ProcessCode.SUCCESS:
        raise RuntimeError("engine acts: Fatras gave the event up; see what it printed")
    failed = len(first) - sum(one.particleId.generation == 0 for one in carried(board))
    if failed > MOST_FAILED * len(first) + 1:
        raise RuntimeError(f"engine acts: {failed} of {len(first)} particles failed in Fatras, expected next to none")
    return _taken(first, carried(board), hits(board))


def _given(first: Particles) -> Any:
    """The particles in ACTS' container, which sorts them by their ids: row + 1 of one vertex."""
    import acts
    import acts.examples as examples

    box = examples.SimParticleContainer()
    columns = first.species, first.position, first.momentum, np.linalg.norm(first.momentum, axis=1)
    for row, (species, position, momentum, p) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        name = examples.SimBarcode()
        name.vertexPrimary, name.particle = 1, row + 1
        one = examples.SimParticle(name, acts.PdgParticle(species))
        one.fourPosition = acts.Vector4(*position, 0.0)
        one.direction, one.absoluteMomentum = acts.Vector3(*momentum), p
        box.insert(one)
    return box


def _taken(first: Particles, carried: Any, hits: Any) -> tuple[Particles, np.ndarray, np.ndarray, np.ndarray]:
    """What Fatras gave, as arrays: see `_simulate`."""
    later = [one for one in carried if one.particleId.generation > 0 and one.charge != 0]
    later = [one for one in later if one.transverseMomentum > LOWEST_PT]
    row = {_key(one.particleId): len(first) + i for i, one in enumerate(later)}
    owner, order, surface, state = [], [], [], []
    for hit in hits:
        name, x, p = hit.particleId, hit.fourPosition, hit.momentum4Before
        owner.append(row.get(_key(name), -1) if name.generation else name.particle - 1)
        order.append(hit.index)
        surface.append(hit.geometryId.value)
        state.append((x[0], x[1], x[2], p[0], p[1], p[2]))
    sort = np.lexsort((np.array(order, np.int64), np.array(owner, np.int64)))
    made = _secondaries(first, later)
    return made, np.array(owner, np.int64)[sort], np.array(surface, np.int64)[sort], np.array(state).reshape(-1, 6)[sort]


def _key(name: Any) -> tuple[int, int, int]:
    return name.particle, name.generation, name.subParticle


def _secondaries(first: Particles, later: list[Any]) -> Particles:
    """Particles with the ids of their parents, but for generation and a secondary number that rises within it."""
    made = first.take(np.array([one.particleId.particle - 1 for one in later], dtype=np.int64))
    made.generation = made.generation + np.array([one.particleId.generation for one in later], dtype=np.int64)
    made.position = np.array([[one.position[i] for i in range(3)] for one in later]).reshape(-1, 3)
    made.momentum = np.array([[one.momentum[i] for i in range(3)] for one in later]).reshape(-1, 3)
    made.charge = np.array([round(one.charge) for one in later], dtype=np.int64)
    made.species = np.array([int(one.pdg) for one in later], dtype=np.int64)
    taken: dict[tuple[int, int, int], int] = {}
    for i, key in enumerate(zip(made.vertex.tolist(), made.primary.tolist(), made.generation.tolist(), strict=True)):
        taken[key] = made.secondary[i] = taken.get(key, 0) + 1
    return made
