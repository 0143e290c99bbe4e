"""What a TrackML event looks like, in figures: the probes that tell a faithful simulation from an easy one.

Each function takes events (their TrackML tables) and returns named `Probe`s, a value with its standard error; `of_hits` needs no
truth, so that it also reads events whose truth is kept back. `benchmarks.fidelity` sets simulated beside real.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from data_prep.clusters import module_rows
from pcloud.neighbors import knn
from pcloud.scorer import decode_particle_id
from pcloud.tracking.detector import Table

Event = dict[str, pd.DataFrame]


class Probe(NamedTuple):
    value: float
    error: float  # standard error of the value, from the numbers it is counted from


Probes = dict[str, Probe]

QUANTILES = (0.1, 0.5, 0.9)
BARRELS = (8, 13, 17)
NEGATIVE = (7, 12, 16)  # discs whose layer ids rise towards the middle
GROUPS = {"7, 9": (7, 9), "8": (8,), "12, 14": (12, 14), "13": (13,), "16, 18": (16, 18), "17": (17,)}


def share(part: float, whole: float) -> Probe:
    p = part / whole
    return Probe(p, float(np.sqrt(max(p * (1 - p), 1 / whole) / whole)))


def mean(values: np.ndarray) -> Probe:
    return Probe(float(np.mean(values)), float(np.std(values) / np.sqrt(len(values))))


def quantile(values: np.ndarray, level: float) -> Probe:
    """A quantile; its error is half the way between the ranks one standard deviation of the binomial below and above."""
    reach = np.sqrt(level * (1 - level) / len(values))
    low, at, high = np.quantile(values, np.clip([level - reach, level, level + reach], 0, 1))
    return Probe(float(at), float(high - low) / 2)


def half_width(values: np.ndarray) -> Probe:
    """Half of what lies between the quantiles 16 % and 84 %."""
    low, high = quantile(values, 0.16), quantile(values, 0.84)
    return Probe((high.value - low.value) / 2, float(np.hypot(low.error, high.error)) / 2)


def of_hits(events: Sequence[Event]) -> Probes:
    """Share of each volume, and how near the nearest hit is: in the same layer, in the next, and there on the straight line
    from the middle of the detector through the hit (mm)."""
    volume = np.concatenate([event["hits"].volume_id.to_numpy() for event in events])
    out = {f"share of hits, volume {v}": share((volume == v).sum(), len(volume)) for v in np.unique(volume)}
    for name, distance in (("same layer", same_layer), ("next layer", next_layer), ("next layer, straight on", straight_on)):
        parts = [distance(event["hits"]) for event in events]
        volume = np.concatenate([part[0] for part in parts])
        away = np.concatenate([part[1] for part in parts])
        for v in np.unique(volume):
            for level in QUANTILES:
                out[f"distance in {name}, volume {v}, {level:.0%}"] = quantile(away[volume == v], level)
    return out


def _by_layer(hits: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Volume, dense layer number counted from the middle outwards, and places [n, 3] of the hits, sorted by these two."""
    volume, layer = hits.volume_id.to_numpy(), hits.layer_id.to_numpy() // 2
    outward = np.where(np.isin(volume, NEGATIVE), 8 - layer, layer)
    order = np.lexsort((outward, volume))
    return volume[order], outward[order], hits[["x", "y", "z"]].to_numpy(np.float64)[order]


def _nearest(where: np.ndarray, start: np.ndarray, query: np.ndarray | None, query_start: np.ndarray | None) -> np.ndarray:
    near = knn(
        torch.from_numpy(where),
        torch.from_numpy(start),
        1,
        query=None if query is None else torch.from_numpy(query),
        query_offsets=None if query_start is None else torch.from_numpy(query_start),
    )
    return near.distance2[:, 0].sqrt().double().numpy()


def same_layer(hits: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    volume, layer, where = _by_layer(hits)
    start = np.flatnonzero(np.r_[True, np.diff(volume * 100 + layer) != 0, True])
    away = _nearest(where, start, None, None)
    kept = np.isfinite(away)
    return volume[kept], away[kept]


def next_layer(hits: pd.DataFrame, straight: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Volume of each hit that has a next layer in its volume, and its distance there (mm): from the hit itself, or from where
    the straight line from the middle of the detector through it meets that layer, if it does."""
    volume, layer, where = _by_layer(hits)
    start = np.flatnonzero(np.r_[True, np.diff(volume * 100 + layer) != 0, True])
    volumes, out = [], []
    for first, second, end in zip(start[:-2], start[1:-1], start[2:], strict=True):
        if volume[first] != volume[second]:
            continue
        here, there = where[first:second], where[second:end]
        if straight:
            here = _carried(here, there, barrel=bool(volume[first] in BARRELS))
        out.append(_nearest(there, np.array([0, len(there)]), here, np.array([0, len(here)])))
        volumes.append(np.full(len(here), volume[first]))
    return np.concatenate(volumes), np.concatenate(out)


def _carried(here: np.ndarray, there: np.ndarray, barrel: bool) -> np.ndarray:
    """Hits moved straight on to the radius (barrel) or height (disc) of another layer; those that miss it are left out."""
    radius, height = (np.hypot(there[:, 0], there[:, 1]), np.abs(there[:, 2]))
    depth, along = (radius, height) if barrel else (height, radius)
    own = np.hypot(here[:, 0], here[:, 1]) if barrel else np.abs(here[:, 2])
    moved = here * (depth.mean() / own)[:, None]
    side = np.abs(moved[:, 2]) if barrel else np.hypot(moved[:, 0], moved[:, 1])
    return np.asarray(moved[(side >= along.min()) & (side <= along.max())])


def straight_on(hits: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return next_layer(hits, straight=True)


def of_particles(events: Sequence[Event]) -> Probes:
    """Vertices, multiplicities, noise and spectra; "seen" is a particle with at least one hit. Needs hits and particles."""
    sizes = [np.unique(decode_particle_id(event["particles"].particle_id)["vertex"], return_counts=True)[1] for event in events]
    noise = [len(event["hits"]) - int(event["particles"].nhits.sum()) for event in events]
    p = pd.concat([event["particles"] for event in events])
    depth = decode_particle_id(p.particle_id)["generation"]
    pt, birth = np.hypot(p.px, p.py).to_numpy(), np.hypot(p.vx, p.vy).to_numpy()
    eta = np.arcsinh(p.pz / pt).to_numpy()
    nhits = p.nhits.to_numpy()
    first = depth == 0
    spread = {"visible vertices": mean(np.array([len(one) for one in sizes])), "noise hits": mean(np.array(noise))}
    out = {label: Probe(one.value, max(one.error, np.sqrt(one.value / len(events)))) for label, one in spread.items()}
    out["particles per visible vertex"] = mean(np.concatenate(sizes))
    out["hits per seen particle"] = mean(nhits[nhits > 0])
    out["particles without a hit"] = share((nhits == 0).sum(), len(nhits))
    out["particles of later generations"] = share((~first).sum(), len(p))
    out["hits of particles of later generations"] = share(nhits[~first].sum(), nhits.sum())
    out["generation 0 born beyond r = 1 mm"] = share((birth[first] > 1).sum(), first.sum())
    for level in (0.1, 0.5, 0.9, 0.99):
        out[f"pT of generation 0, {level:.0%}"] = quantile(pt[first], level)
    for level in (0.1, 0.5, 0.9):
        out[f"pT of later generations, {level:.0%}"] = quantile(pt[~first], level)
        out[f"birth radius of later generations, {level:.0%}"] = quantile(birth[~first], level)
    for low in range(4):
        inside = (np.abs(eta) >= low) & (np.abs(eta) < low + 1)
        out[f"particles with {low} <= |eta| < {low + 1}"] = share(inside.sum(), len(p))
        chosen = inside & (birth < 0.1) & (pt > 0.5)
        out[f"hits of prompt, pT > 0.5, {low} <= |eta| < {low + 1}"] = mean(nhits[chosen])
    for low, high in ((0, 3), (3, 6), (6, 9), (9, 12), (12, 15), (15, 99)):
        name = f"{low} to {high - 1}" if high < 99 else f"{low} or more"
        out[f"particles with {name} hits"] = share(((nhits >= low) & (nhits < high)).sum(), len(p))
    return out


def of_truth(events: Sequence[Event], detector: Table) -> Probes:
    """Weights, double hits, residuals and clusters. Needs all tables of the events."""
    whole = pd.concat([joined(event, detector).assign(event=number) for number, event in enumerate(events)], ignore_index=True)
    true = whole[whole.particle_id != 0]
    out: Probes = {"noise, share of hits": share((whole.particle_id == 0).sum(), len(whole))}
    out |= _weights(true)
    crossed = true.groupby(["event", "particle_id", "volume_id", "layer_id"]).size().reset_index(name="n")
    for name, volumes in GROUPS.items():
        n = crossed.n[crossed.volume_id.isin(volumes)]
        out[f"double hits, volume {name}"] = share((n > 1).sum(), len(n))
    numbers: dict[str, Callable[[np.ndarray], Probe]] = {"residual in u": half_width, "residual in v": half_width}
    numbers |= {"cells per hit": mean, "cluster width in u": mean, "cluster width in v": mean}
    for label, probe in numbers.items():
        for name, volumes in GROUPS.items():
            out[f"{label}, volume {name}"] = probe(true.loc[true.volume_id.isin(volumes), label].to_numpy())
    return out | _doublets(true)


def joined(event: Event, detector: Table) -> pd.DataFrame:
    hits, truth = event["hits"], event["truth"]
    whole = hits.merge(truth, on="hit_id")
    particles = event["particles"][["particle_id", "vx", "vy", "vz", "px", "py", "pz"]]
    whole = whole.merge(particles, on="particle_id", how="left")
    rows = module_rows(whole, detector)
    for axis in "uv":
        turn = np.stack([detector[f"rot_{x}{axis}"][rows] for x in "xyz"], axis=1)
        away = whole[["x", "y", "z"]].to_numpy() - whole[["tx", "ty", "tz"]].to_numpy()
        whole[f"residual in {axis}"] = (away * turn).sum(axis=1)
    fired = event["cells"].groupby("hit_id")[["ch0", "ch1"]]
    whole["cells per hit"] = fired.size().reindex(whole.hit_id).to_numpy()
    for axis, span in zip("uv", (fired.max() - fired.min() + 1).reindex(whole.hit_id).to_numpy().T, strict=True):
        whole[f"cluster width in {axis}"] = span
    return whole


def _weights(true: pd.DataFrame) -> Probes:
    """Share of the weight; the error is that of particles drawn with their weights."""
    by = true.groupby(["event", "particle_id"]).agg(weight=("weight", "sum"), px=("px", "first"), py=("py", "first"))
    weight, pt = by.weight.to_numpy() / by.weight.sum(), np.hypot(by.px, by.py).to_numpy()
    out = {}
    for cut in (0.5, 0.9, 1.0, 3.0):
        above = (pt > cut).astype(float)
        p = float((weight * above).sum())
        out[f"weight of pT > {cut} GeV"] = Probe(p, float(np.sqrt(((weight * (above - p)) ** 2).sum())))
    return out


def _doublets(true: pd.DataFrame) -> Probes:
    """Angle (mrad) between two hits next to each other on a particle's way and the line from its vertex to the first."""
    path = true[["x", "y", "z"]].to_numpy() - true[["vx", "vy", "vz"]].to_numpy()
    order = np.lexsort((np.linalg.norm(path, axis=1), true.particle_id, true.event))
    path = path[order]
    owner = true[["event", "particle_id"]].to_numpy()[order]
    layer = (true.volume_id * 100 + true.layer_id).to_numpy()[order]
    chosen = (owner[1:] == owner[:-1]).all(axis=1) & (layer[1:] != layer[:-1])
    step, line = (path[1:] - path[:-1])[chosen], path[:-1][chosen]
    norm = np.linalg.norm(step, axis=1) * np.linalg.norm(line, axis=1)
    angle = 1e3 * np.arccos(np.clip((step * line).sum(axis=1) / np.maximum(norm, 1e-9), -1, 1))
    return {f"doublet angle, {level:.0%}": quantile(angle, level) for level in QUANTILES}
