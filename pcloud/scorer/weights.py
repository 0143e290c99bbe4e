"""The hit weights of the TrackML score, recomputed from truth and particles, so that simulated events carry them too.

``hit_weights(truth, particles, phase=2)`` returns one weight per truth row; the recipe is the one published in the
challenge's own library (github.com/LAL/trackml-library).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pcloud.scorer.tables import integers

ORDER_PROFILE = (10.0, 8.0, 6.0, 5.0, 3.0, 3.0, 3.0, 5.0, 6.0)
MIN_HITS, MAX_HITS = 4, 20
PT_GUARD, PT_LOW, PT_HIGH = 0.05, 0.5, 3.0  # GeV
LOW_PT_WEIGHT = 0.2

# particle_id, from the highest bit: vertex 12 | primary 16 | generation 12 | secondary 12 | process 12
_FIELDS = {"vertex": (52, 12), "primary": (36, 16), "generation": (24, 12), "secondary": (12, 12), "process": (0, 12)}


def decode_particle_id(particle_id: ArrayLike) -> dict[str, NDArray[np.int64]]:
    """The bit fields of a particle_id: vertex, primary, generation (0 = from the collision), secondary, process."""
    bits = integers(particle_id, "particle_id").view(np.uint64)
    return {
        name: ((bits >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)
        for name, (shift, width) in _FIELDS.items()
    }


def momentum_weight(pt: ArrayLike) -> NDArray[np.float64]:
    """Weight of a particle by its transverse momentum in GeV: 0.2 to 0.5 GeV, linear to 1 at 3 GeV, then flat."""
    momentum = np.asarray(pt, dtype=np.float64)
    weight = np.interp(momentum, (PT_LOW, PT_HIGH), (LOW_PT_WEIGHT, 1.0))
    return np.where(momentum < PT_GUARD, 0.0, weight)


def _order_table() -> NDArray[np.float64]:
    """Weight [hits of the particle, order of the hit]; each row from 4 hits on sums to 1."""
    table = np.zeros((MAX_HITS + 1, MAX_HITS))
    for hits in range(MIN_HITS, MAX_HITS + 1):
        nodes = np.arange(len(ORDER_PROFILE)) * (hits - 1) / (len(ORDER_PROFILE) - 1)
        row = np.interp(np.arange(hits), nodes, ORDER_PROFILE)
        table[hits, :hits] = row / row.sum()
    return table


ORDER_TABLE = _order_table()


def order_weight(order: NDArray[np.int64], hits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weight of hit number ``order`` (from 0) of a particle with ``hits`` hits; 0 below 4 hits and from the 21st on."""
    weight = ORDER_TABLE[np.minimum(hits, MAX_HITS), np.minimum(order, MAX_HITS - 1)]
    return np.where(order < MAX_HITS, weight, 0.0)


def hit_weights(truth: pd.DataFrame, particles: pd.DataFrame, *, phase: int) -> NDArray[np.float64]:
    """Weights [truth rows] of ONE event, summing to 1 (all 0 where no particle qualifies).

    ``truth``: particle_id, tz (mm). ``particles``: particle_id, vz (mm), px, py (GeV), nhits. Weight = momentum weight
    x order weight; the order of a hit is its rank in |tz - vz| among the hits of its particle, equal distances sharing
    the rank rounded down. ``phase`` 1 is the accuracy phase; 2 the throughput phase, where particles that do not stem
    from the collision itself (generation above 0) weigh nothing. Noise (particle_id 0) weighs nothing.
    Raises ``ValueError`` for another phase, a particle listed twice, or more hits in truth than ``nhits`` says.
    """
    if phase not in (1, 2):
        raise ValueError(f"phase is {phase!r}; expected 1 (accuracy phase) or 2 (throughput phase)")
    ids = integers(truth["particle_id"], "truth particle_id")
    table = pd.Index(integers(particles["particle_id"], "particles particle_id"))
    if not table.is_unique:
        raise ValueError(f"particles: particle_id {table[table.duplicated()][0]} is listed twice; keep one row")
    row = table.get_indexer(pd.Index(ids))
    found = (row >= 0) & (ids != 0)
    weight = np.zeros(len(ids))
    owner = row[found]
    hits = particles["nhits"].to_numpy().astype(np.int64)[owner]
    distance = np.abs(truth["tz"].to_numpy()[found] - particles["vz"].to_numpy()[owner])
    order = (pd.Series(distance).groupby(owner).rank().to_numpy() - 1).astype(np.int64)
    if (short := order >= hits).any():
        raise ValueError(
            f"particle_id {ids[found][short][0]} has more hits in truth than nhits = {hits[short][0]} in particles; "
            "give both tables of the same event"
        )
    pt = np.hypot(particles["px"].to_numpy(), particles["py"].to_numpy())
    weight[found] = momentum_weight(pt)[owner] * order_weight(order, hits)
    if phase == 2:
        weight[decode_particle_id(ids)["generation"] != 0] = 0.0
    total = weight.sum()
    return weight / total if total > 0 else weight
