"""Whole events of Pythia as the detector measures them, their jets as points, in the columns of `data_prep.collisions`.

``make(recipe, "ttbar", 500, seed)`` runs a fresh Pythia, as `data_prep.generate.collisions` does for single jets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from data_prep import collisions
from data_prep.columns import Lists
from data_prep.generate import clusters, pythia, response
from data_prep.generate.collisions import BATCH, PATIENCE, VERSIONS
from data_prep.generate.processes import PAIRS
from data_prep.generate.truth import Decays
from data_prep.jets import Jets, joined

if TYPE_CHECKING:
    from data_prep.generate.recipe import Recipe

__all__ = ["LEAST_JETS", "NOTE", "VERSIONS", "make"]

LEAST_JETS = 4  # of an event that counts: two tops decay to six quarks, of which boosts and the window take some
NOTE = (
    f"synthetic: events of Pythia {pythia.VERSION}, no multiple interactions, no pile-up, parametrised detector, at least "
    f"{LEAST_JETS} jets; {collisions.NOTE}"
)


def make(recipe: Recipe, name: str, events: int, seed: np.random.SeedSequence) -> Jets:
    """So many events of one class, at least one; truth ``pair_mass`` (GeV), of the two tops. ValueError where none counts.

    Points are all jets of the recipe's radius, pT and eta. An event counts with ``LEAST_JETS`` of them or more.
    """
    low, high = recipe.pt
    rng = np.random.default_rng(seed)
    collider = pythia.Collider(PAIRS[name], int(rng.integers(1, 900_000_000)), low=low, high=high)
    kept: list[Jets] = []
    made = tried = 0
    while made < events:
        particles, decays = collider.batch(BATCH)
        objects = response.respond(particles, rng)
        p4, owner = clusters.jets(objects, radius=recipe.radius, low=low, high=high, eta=recipe.eta)
        cloud = collisions.cloud_of([_listed(p4, owner, particles.events)], 0)
        cloud.truth["pair_mass"] = _pair_mass(decays, particles.events)
        kept.append(cloud.take(np.flatnonzero(np.diff(cloud.offsets) >= LEAST_JETS)[: events - made]))
        made, tried = made + len(kept[-1].event_id), tried + BATCH
        if tried >= PATIENCE and not made:
            where = f"pt {low:g}:{high:g}, eta {recipe.eta:g}, radius {recipe.radius:g}"
            raise ValueError(f"process {name}: none of {tried} events has {LEAST_JETS} jets within {where}")
    return joined(kept)


def _listed(p4: np.ndarray, owner: np.ndarray, events: int) -> collisions.Objects:
    """Jets, in the order of their events, as the readers of events give them."""
    counts = np.bincount(owner, minlength=events)
    pt = np.hypot(p4[:, 0], p4[:, 1])
    mass = np.sqrt(np.maximum(p4[:, 3] ** 2 - (p4[:, :3] ** 2).sum(1), 0.0))
    eta, phi = np.arcsinh(p4[:, 2] / pt), np.arctan2(p4[:, 1], p4[:, 0])
    return collisions.Objects("is_jet", *(Lists(column, counts) for column in (pt, eta, phi, mass)))


def _pair_mass(decays: Decays, events: int) -> np.ndarray:
    whole = np.stack([np.bincount(decays.event, column, events) for column in decays.p4.T])
    return np.asarray(np.sqrt(np.maximum(whole[3] ** 2 - (whole[:3] ** 2).sum(0), 0.0)))
