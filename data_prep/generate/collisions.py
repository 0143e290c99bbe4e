"""Jets of Pythia's collisions as the detector measures them: one class, one chunk, from its own seed.

``make(recipe, "top", 500, seed)`` runs a fresh Pythia: a used one would carry over what it learned from earlier events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.generate import clusters, pythia, response
from data_prep.generate.processes import PROCESSES
from data_prep.jets import Jets

if TYPE_CHECKING:
    from data_prep.generate.recipe import Recipe

VERSIONS: dict[str, Any] = {"pythia": pythia.VERSION, "fastjet": clusters.VERSION, "response": response.VERSION}
NOTE = f"synthetic: jets of Pythia {pythia.VERSION}, no multiple interactions, no pile-up, parametrised detector"
BATCH = 100  # events that numpy and FastJet take at once
PATIENCE = 5000  # events without any jet that counts


def make(recipe: Recipe, name: str, jets: int, seed: np.random.SeedSequence) -> Jets:
    """So many jets of one class, at least one. ValueError where the window and radius hold no such decay."""
    process, (low, high) = PROCESSES[name], recipe.pt
    rng = np.random.default_rng(seed)
    p4, counts, point = [], [], []
    made = tried = 0
    collider = pythia.Collider(process, int(rng.integers(1, 900_000_000)), low=low, high=high)
    while made < jets:
        particles, decays = collider.batch(BATCH)
        objects = response.respond(particles, rng)
        rows, offsets = clusters.pick(
            objects,
            decays if process.roots else None,
            radius=recipe.radius,
            low=low,
            high=high,
            eta=recipe.eta,
            hardest=process.hardest,
        )
        new = min(len(offsets) - 1, jets - made)
        rows = rows[: offsets[new]]
        p4.append(objects.p4[rows])
        counts.append(np.diff(offsets[: new + 1]))
        point.append({name: column[rows] for name, column in objects.point.items()})
        made, tried = made + new, tried + BATCH
        if tried >= PATIENCE and not made:
            where = f"pt {low:g}:{high:g}, eta {recipe.eta:g}, radius {recipe.radius:g}"
            raise ValueError(f"process {name}: {tried} events gave no jet within {where}; a larger radius holds more decays")
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    columns = {name: np.concatenate([one[name] for one in point]) for name in point[0]}
    return Jets(np.concatenate(p4), offsets, np.arange(jets), None, point=columns)
