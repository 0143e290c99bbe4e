"""One simulated collision event as the four TrackML tables: this is where generator, transport and read-out meet.

`simulate_event(event_id, pileup=..., seed=...)` is a pure function of its arguments, whichever process runs it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from data_prep.simulate.digitise import noise, read_out
from data_prep.simulate.field import field_table
from data_prep.simulate.lookup import Lookup
from data_prep.simulate.material import layer_material, surfaces
from data_prep.simulate.particles import BEAMS, Particles, primaries, secondaries
from data_prep.simulate.transport import Tracks, transport
from pcloud.tracking.detector import Table, trackml_detector

# The official simulation loses up to an eighth of the prompt particles about |eta| = 3.1 before their first hit.
_LOST_ETA, _LOST_SHARE = (2.8, 2.9, 3.0, 3.1, 3.2, 3.3, 3.4, 3.5), (0.0, 0.03, 0.08, 0.12, 0.10, 0.06, 0.02, 0.0)
EFFICIENCY = {7: 0.98, 9: 0.98}  # of one crossing to give a hit; elsewhere
EFFICIENCY_ELSEWHERE = 0.993
NOISE_PER_PILEUP = 17_535 / 200  # training phase: noise hits do not depend on the particles
NOISE_SHARE = 0.15  # throughput phase: share of noise in all hits
MAX_GENERATION = 3

Event = dict[str, pd.DataFrame]


def simulate_event(event_id: int, *, pileup: float, seed: int, phase: int = 2, detector: Table | None = None) -> Event:
    """Tables `hits`, `cells`, `particles`, `truth` (TrackML columns; mm, GeV) of event `event_id`.

    pileup: mean number of soft vertices (challenge: 200; about 10 gives an event of 5,000 hits). phase: 1 training (short beam
    spot, constant noise, weights for all particles) or 2 throughput (long beam spot, 15 % noise, no weight for secondaries).
    detector: a table of `pcloud.tracking.detector`, the TrackML one if None. Raises ValueError on other phases or pileup < 0.
    """
    if phase not in BEAMS:
        raise ValueError(f"phase: got {phase!r}, expected 1 (training) or 2 (throughput)")
    if not (np.isfinite(pileup) and pileup >= 0):
        raise ValueError(f"pileup: got {pileup!r}, expected a number of vertices >= 0")
    rng = np.random.default_rng([seed, event_id])
    apparatus = _trackml() if detector is None else Apparatus.of(detector)
    detector, lookup = apparatus.detector, apparatus.lookup
    particles, tracks = _follow(rng, primaries(rng, pileup, BEAMS[phase]), apparatus)

    n_signal = len(tracks.particle)
    n_noise = _noise_count(rng, phase, pileup, n_signal)
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
    table = _particle_table(particles, np.bincount(tracks.particle, minlength=len(particles)))
    truth["weight"] = _weights(truth, table, phase)
    cell_table = pd.DataFrame({"hit_id": hit_id[readout.hit], **_columns("ch0 ch1", readout.channel), "value": readout.value})
    return {"hits": hits, "cells": cell_table, "particles": table, "truth": truth}


class Apparatus(NamedTuple):
    """All that stands still: made once per detector, shared by all events of a process."""

    detector: Table
    lookup: Lookup
    field: np.ndarray
    layers: np.ndarray
    surfaces: np.ndarray
    efficiency: np.ndarray

    @classmethod
    def of(cls, detector: Table) -> Apparatus:
        return cls(detector, Lookup.of(detector), field_table(), layer_material(detector), surfaces(), _efficiency(detector))


@lru_cache(maxsize=1)
def _trackml() -> Apparatus:
    return Apparatus.of(trackml_detector())


def _follow(rng: np.random.Generator, first: Particles, apparatus: Apparatus) -> tuple[Particles, Tracks]:
    """Carry primaries, then what their interactions make, up to the third generation."""
    generations, results = [first], []
    taken: dict[tuple[int, int, int], int] = {}
    offset = 0
    for generation in range(MAX_GENERATION + 1):
        now = generations[-1]
        rows = np.arange(len(now)) if generation else np.flatnonzero(~_untracked(rng, now))
        going = now.take(rows)
        tracks = transport(going.position, going.momentum, going.charge, *apparatus[1:], rng)
        results.append(tracks._replace(particle=rows[tracks.particle] + offset))
        offset += len(now)
        if generation == MAX_GENERATION or not len(tracks.lost):
            break
        generations.append(secondaries(rng, going.take(tracks.lost), tracks.lost_position, taken))
    return Particles.join(generations), Tracks(*(np.concatenate(column) for column in zip(*results, strict=True)))


def _untracked(rng: np.random.Generator, particles: Particles) -> np.ndarray:
    pt, radius = np.hypot(*particles.momentum[:, :2].T), np.hypot(*particles.position[:, :2].T)
    eta = np.arcsinh(np.abs(particles.momentum[:, 2]) / pt)
    return (rng.random(len(particles)) < np.interp(eta, _LOST_ETA, _LOST_SHARE)) & (radius < 1)


def _efficiency(detector: Table) -> np.ndarray:
    volume = np.unique(detector["volume_id"] * 1000 + detector["layer_id"]) // 1000
    return np.array([EFFICIENCY.get(int(v), EFFICIENCY_ELSEWHERE) for v in volume])


def _noise_count(rng: np.random.Generator, phase: int, pileup: float, n_signal: int) -> int:
    if phase == 1:
        mean = NOISE_PER_PILEUP * pileup
        return max(0, round(rng.normal(mean, 0.45 * np.sqrt(mean))))
    return int(rng.binomial(n_signal, NOISE_SHARE / (1 - NOISE_SHARE)))


def _columns(names: str, values: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[:, i] for i, name in enumerate(names.split())}


def _particle_table(particles: Particles, nhits: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "particle_id": particles.particle_id,
            "particle_type": particles.species,
            **_columns("vx vy vz", particles.position),
            **_columns("px py pz", particles.momentum),
            "q": particles.charge,
            "nhits": nhits,
        }
    )
    return table.sort_values("particle_id", ignore_index=True)


def _weights(truth: pd.DataFrame, particles: pd.DataFrame, phase: int) -> np.ndarray:
    """Weights by the recipe of the challenge, summing to 1."""
    merged = truth.merge(particles, on="particle_id", how="left")
    real = (truth["particle_id"] != 0).to_numpy()
    pt = np.hypot(merged["px"], merged["py"]).to_numpy()
    by_pt = np.where(pt < 0.05, 0, np.clip(0.2 + 0.8 * (pt - 0.5) / 2.5, 0.2, 1.0))
    frame = pd.DataFrame({"particle": truth["particle_id"], "d": np.abs(merged["tz"] - merged["vz"])})
    rank = frame.groupby("particle")["d"].rank(method="first").to_numpy() - 1
    n = frame.groupby("particle")["d"].transform("size").to_numpy()
    profile = np.array([10, 8, 6, 5, 3, 3, 3, 5, 6.0])
    length = np.minimum(n, 20)
    where = rank / np.maximum(length - 1, 1) * (len(profile) - 1)
    by_order = np.where((rank < 20) & (n > 3), np.interp(where, np.arange(len(profile)), profile), 0)
    total = pd.Series(by_order).groupby(truth["particle_id"].to_numpy()).transform("sum").to_numpy()
    weight = np.where(real & (total > 0), by_pt * by_order / np.where(total > 0, total, 1), 0)
    if phase == 2:
        weight[((truth["particle_id"].to_numpy() >> 24) & 0xFFF) != 0] = 0
    return weight / weight.sum() if weight.sum() > 0 else weight
