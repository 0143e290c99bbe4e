"""How a judge of candidates learns: candidates of simulated events, their worth by the truth, a small network fitted to it.

``weights = fit(*candidates_of(hits, particle_id, detector, settings))``; `pcloud.cli.judging` does it for a store of events.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from pcloud.tracking.detector import Table
from pcloud.tracking.finding import Stages, find_tracks
from pcloud.tracking.judging import WIDTH
from pcloud.tracking.passes import Candidates
from pcloud.tracking.settings import Settings

EPOCHS, BATCH = 12, 512
CAUTION = 3.0  # weight of worthless candidates in the loss: on simulated events a third fewer fakes than 1, for .0001 of score


def steps(candidates: int, epochs: int = EPOCHS, batch: int = BATCH) -> int:
    """Steps of a fit to so many candidates."""
    return epochs * (candidates // batch + 1)


def candidates_of(
    hits: Mapping[str, np.ndarray], particle_id: np.ndarray, detector: Table, settings: Settings, *, threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Features [candidates, features] and worth [candidates] of all candidates of all passes; hits as in `find_tracks`."""
    tables: list[np.ndarray] = []

    def record(table: np.ndarray) -> np.ndarray:
        tables.append(table)
        return np.zeros(len(table))

    stages = Stages()
    find_tracks(hits, detector, settings, threads=threads, judge=record, stages=stages)
    return np.concatenate(tables), np.concatenate([worth(found.candidates, particle_id) for found in stages.passes])


def worth(candidates: Candidates, particle_id: np.ndarray) -> np.ndarray:
    """[candidates] in 0..1: purity times the share of the hits that the particle's best candidate has of it.

    0 without double majority: more than half of the candidate's hits, and of the particle's, shared.
    """
    known, owner = np.unique(particle_id, return_inverse=True)
    of_particle = np.bincount(owner, minlength=len(known))
    sizes = candidates.sizes
    inside = np.arange(candidates.names.shape[1]) < sizes[:, None]
    pair = np.repeat(np.arange(len(sizes)), sizes) * len(known) + owner[candidates.names[inside]]
    pair, shared = np.unique(pair, return_counts=True)
    candidate, particle = np.divmod(pair, len(known))
    good = (2 * shared > sizes[candidate]) & (2 * shared > of_particle[particle]) & (known[particle] != 0)
    candidate, particle, shared = candidate[good], particle[good], shared[good]
    best = np.zeros(len(known), np.int64)
    np.maximum.at(best, particle, shared)
    found = np.zeros(len(sizes))
    found[candidate] = shared / sizes[candidate] * shared / best[particle]
    return found


def fit(
    table: np.ndarray,
    target: np.ndarray,
    *,
    epochs: int = EPOCHS,
    batch: int = BATCH,
    rate: float = 3e-3,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Weights of a `Judge` whose log odds predict the target; cross entropy, Adam, a rate that falls to zero along a cosine."""
    torch.manual_seed(seed)
    mean, spread = table.mean(axis=0), table.std(axis=0) + 1e-3
    x, y = torch.as_tensor((table - mean) / spread, dtype=torch.float32), torch.as_tensor(target, dtype=torch.float32)
    matters = torch.where(y == 0, CAUTION, 1.0)
    inside, hidden, out = nn.Linear(x.shape[1], WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 1)
    net = nn.Sequential(inside, nn.ReLU(), hidden, nn.ReLU(), out)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps(len(x), epochs, batch))
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):  # type: ignore[no-untyped-call]
            loss = nn.functional.binary_cross_entropy_with_logits(net(x[rows])[:, 0], y[rows], matters[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    parts = {"mean": mean, "spread": spread}
    for name, layer in (("inside", inside), ("hidden", hidden), ("out", out)):
        parts[name], parts[f"{name}_bias"] = layer.weight.detach().numpy().T, layer.bias.detach().numpy()
    parts["out"] = parts["out"][:, 0]
    return {name: np.ascontiguousarray(part, dtype=np.float32) for name, part in parts.items()}
