"""One simulated collision event as the four TrackML tables: this is where generator, transport and read-out meet.

`simulate_event(event_id, pileup=..., seed=...)` is a pure function of its arguments, whichever process runs it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from data_prep.simulate import generators
from data_prep.simulate.digitise import noise, read_out
from data_prep.simulate.lookup import Lookup
from data_prep.simulate.material import layer_material, surfaces
from data_prep.simulate.particles import BEAMS, Particles, secondaries
from data_prep.simulate.transport import Tracks, transport
from pcloud.scorer import hit_weights
from pcloud.tracking.detector import Table, trackml_detector
from pcloud.tracking.field import field_table

EFFICIENCY = 0.993  # of one crossing to give a hit
NOISE_PER_PILEUP = 17_535 / 200  # training phase: noise hits do not depend on the particles
MODULES = 18_728  # of the whole TrackML detector, over which noise is spread evenly
NOISE_SHARE = 0.15  # throughput phase: share of noise in all hits
MAX_GENERATION = 3
PRINTED = 6  # decimal digits of a number in the tables, but for the weights, which are exact
ENGINES = ("pcloud", "acts")  # what carries particles: our transport, or Fatras of ACTS
MAX_PILEUP = 4000  # vertices have 12 bits in a particle id

Event = dict[str, pd.DataFrame]


def simulate_event(
    event_id: int,
    *,
    pileup: float,
    seed: int,
    phase: int = 2,
    generator: str = generators.TABLES,
    engine: str = ENGINES[0],
    apparatus: Apparatus | None = None,
) -> Event:
    """Tables `hits`, `cells`, `particles`, `truth` (TrackML columns; mm, GeV) of event `event_id`, as its files hold them.

    pileup: mean number of soft vertices (challenge: 200; 8 gives about 5,500 hits). phase: 1 training (short beam
    spot, constant noise, weights for all particles) or 2 throughput (long beam spot, 15 % noise, no weight for secondaries).
    generator: "tables", "pythia8" or a HepMC3 file, whose event number `event_id` (from 0) is taken. engine: "pcloud", our
    transport, or "acts", a second opinion (see `acts_engine`). apparatus: `Apparatus.of(detectors table)`, TrackML's if
    None. Raises ValueError as `check` does.
    """
    check(pileup=pileup, phase=phase, seed=seed, event_id=event_id, generator=generator, engine=engine)
    rng = np.random.default_rng([seed, event_id])
    apparatus = trackml_apparatus() if apparatus is None else apparatus
    detector, lookup = apparatus.detector, apparatus.lookup
    first = generators.generate(generator, rng, event_id, pileup=pileup, beam=BEAMS[phase])
    follow = _follow if engine == ENGINES[0] else _follow_with_acts
    particles, tracks = follow(rng, first, apparatus)

    n_signal = len(tracks.particle)
    n_noise = _noise_count(rng, phase, pileup * len(lookup.centre) / MODULES, n_signal)
    noise_module, noise_true, noise_momentum = noise(rng, n_noise, lookup)
    module = np.concatenate([tracks.module, noise_module])
    true = np.concatenate([tracks.position, noise_true])
    momentum = np.concatenate([tracks.momentum, noise_momentum])
    owner = np.concatenate([particles.particle_id[tracks.particle], np.zeros(n_noise, np.int64)])

    order = rng.permutation(len(module))
    module, true, momentum, owner = module[order], true[order], momentum[order], owner[order]
    readout = read_out(rng, true, momentum, module, detector, lookup)

    hit_id = np.arange(1, len(module) + 1)
    ids = {name: detector[name][module] for name in ("volume_id", "layer_id", "module_id")}
    hits = pd.DataFrame({"hit_id": hit_id, **_columns("x y z", readout.position), **ids})
    truth = pd.DataFrame(
        {"hit_id": hit_id, "particle_id": owner, **_columns("tx ty tz", true), **_columns("tpx tpy tpz", momentum)}
    )
    table = _particle_table(particles, np.bincount(tracks.particle, minlength=len(particles)), phase)
    truth["weight"] = hit_weights(truth, table, phase=phase)
    value = rounded(readout.value, PRINTED)
    cell_table = pd.DataFrame({"hit_id": hit_id[readout.hit], **_columns("ch0 ch1", readout.channel), "value": value})
    return {"hits": hits, "cells": cell_table, "particles": table, "truth": truth}


def check(
    *,
    pileup: float,
    phase: int,
    seed: int,
    event_id: int,
    generator: str = generators.TABLES,
    engine: str = ENGINES[0],
) -> None:
    """Raise ValueError, in one line, where an event cannot be made from these."""
    if phase not in BEAMS:
        raise ValueError(f"phase: {phase!r} came, expected 1 (training) or 2 (throughput)")
    if not (np.isfinite(pileup) and 0 <= pileup <= MAX_PILEUP):
        raise ValueError(f"pileup: {pileup!r} came, expected a mean number of vertices from 0 to {MAX_PILEUP}")
    for name, value in (("seed", seed), ("event id", event_id)):
        if value < 0:
            raise ValueError(f"{name}: {value!r} came, expected a number >= 0")
    if engine not in ENGINES:
        raise ValueError(f"engine: {engine!r} came, expected one of {', '.join(ENGINES)}")
    if engine == "acts":
        from data_prep.simulate import acts_engine

        acts_engine.check()
    generators.check(generator, event_id)


def rounded(values: np.ndarray, digits: int) -> np.ndarray:
    """The nearest numbers of so many decimal digits: what is read back from a file that prints them."""
    size = np.floor(np.log10(np.maximum(np.abs(values), 1e-300))).astype(np.int64)
    lift = digits - 1 - np.clip(size, digits - 1 - 22, digits - 1 + 22)
    power = 10.0 ** np.abs(lift)
    whole = np.rint(np.where(lift >= 0, values * power, values / power))
    return np.asarray(np.where(lift >= 0, whole / power, whole * power))


class Apparatus(NamedTuple):
    """All that stands still: made once per detector, shared by all events of a process."""

    detector: Table
    lookup: Lookup
    field: np.ndarray
    layers: np.ndarray
    surfaces: np.ndarray

    @classmethod
    def of(cls, detector: Table) -> Apparatus:
        return cls(detector, Lookup.of(detector), field_table(), layer_material(detector), surfaces())


@lru_cache(maxsize=1)
def trackml_apparatus() -> Apparatus:
    return Apparatus.of(trackml_detector())


def _follow(rng: np.random.Generator, first: Particles, apparatus: Apparatus) -> tuple[Particles, Tracks]:
    """Carry primaries, then what their interactions make, up to the third generation."""
    generations, results = [first], []
    taken: dict[tuple[int, int, int], int] = {}
    offset = 0
    for generation in range(MAX_GENERATION + 1):
        now = generations[-1]
        tracks = transport(now.position, now.momentum, now.charge, *apparatus[1:], EFFICIENCY, rng)
        results.append(tracks._replace(particle=tracks.particle + offset))
        offset += len(now)
        if generation == MAX_GENERATION or not len(tracks.lost):
            break
        generations.append(secondaries(rng, now.take(tracks.lost), tracks.lost_position, tracks.lost_momentum, taken))
    return Particles.join(generations), Tracks(*(np.concatenate(column) for column in zip(*results, strict=True)))


def _follow_with_acts(rng: np.random.Generator, first: Particles, apparatus: Apparatus) -> tuple[Particles, Tracks]:
    """As `_follow`, by Fatras; not every crossing is read out, as in our transport."""
    from data_prep.simulate import acts_engine

    particles, tracks = acts_engine.follow(rng, first, apparatus.detector)
    seen = rng.random(len(tracks.module)) < EFFICIENCY
    hits = {name: getattr(tracks, name)[seen] for name in ("particle", "module", "position", "momentum")}
    return particles, tracks._replace(**hits)


def _noise_count(rng: np.random.Generator, phase: int, pileup: float, n_signal: int) -> int:
    if phase == 1:
        mean = NOISE_PER_PILEUP * pileup
        return max(0, round(float(rng.normal(mean, 0.45 * np.sqrt(mean)))))
    return int(rng.binomial(n_signal, NOISE_SHARE / (1 - NOISE_SHARE)))


def _columns(names: str, values: np.ndarray) -> dict[str, np.ndarray]:
    if values.dtype.kind == "f":
        values = rounded(values, PRINTED)
    return {name: values[:, i] for i, name in enumerate(names.split())}


def _particle_table(particles: Particles, nhits: np.ndarray, phase: int) -> pd.DataFrame:
    """As published: particle_type is in the tables of the throughput phase alone."""
    table = pd.DataFrame(
        {
            "particle_id": particles.particle_id,
            **({"particle_type": particles.species} if phase == 2 else {}),
            **_columns("vx vy vz", particles.position),
            **_columns("px py pz", particles.momentum),
            "q": particles.charge,
            "nhits": nhits,
        }
    )
    return table.sort_values("particle_id", ignore_index=True)
