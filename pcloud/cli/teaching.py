"""``pcloud teach``: what trained taggers say of events, written beside their labels, so that a smaller one can learn from it.

``teach("runs/jets", ["runs/big/seed-0", "runs/big/seed-1"], "runs/taught")`` writes a store; then train with task.teacher = 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pcloud.cli.sources import Progress
from pcloud.data.event import Block, to_cloud
from pcloud.data.sampler import PointBudget
from pcloud.data.schema import Column
from pcloud.data.store import Store, StoreWriter
from pcloud.pretrained import Model, load

POINTS = 50_000  # in one look at the store


def teach(
    store: str | Path,
    teachers: Sequence[str | Path],
    out: str | Path,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Store:
    """Copy a store with event_truth columns ``teacher_0``, ...: the mean of the teachers' probabilities of each class.

    ValueError where a model is no tagger, reads other columns, or tells other classes apart than the first.
    """
    source = Store.open(store)
    models = [load(one, device) for one in teachers]
    names = [_classes(model, source) for model in models]
    if odd := [model.name for model, one in zip(models, names, strict=True) if one != names[0]]:
        raise ValueError(f"model {odd[0]}: its classes are not those of {models[0].name}; teachers of the same classes expected")
    said = [f"teacher_{number}" for number in range(len(names[0]))]
    kept = [column for column in source.schema.columns if column.scope != "event_truth" or not column.name.startswith("teacher_")]
    columns = [replace(column, mean=None, width=None) for column in kept]
    columns += [Column("event_truth", name, "float32", "", "probability of the class, as the teachers say") for name in said]
    about = {**source.source, "teachers": [{"name": model.name, "sha256": model.card.sha256} for model in models]}
    writer = StoreWriter(
        out, columns, source=about, geometry=source.geometry, detector=source.detector(), phase=source.phase, overwrite=overwrite
    )
    with writer:
        done = 0
        for places in PointBudget(source.sizes, POINTS, seed=0, shuffle=False, events=4096):
            block = source.read_many(places)
            p = np.stack([_says(model, block) for model in models]).mean(axis=0, dtype=np.float64)
            truth = {name: column for name, column in block.event_truth.items() if not name.startswith("teacher_")}
            truth |= {name: p[:, number].astype(np.float32) for number, name in enumerate(said)}
            writer.add_many(source.event_ids[places], replace(block, event_truth=truth))
            done += len(places)
            if progress is not None:
                progress(done, len(source))
    return Store.open(out)


def _classes(model: Model, source: Store) -> list[str]:
    if model.card.task.get("name") != "tagging":
        raise ValueError(f"model {model.name}: its task is {model.card.task.get('name')}; a teacher is a tagger")
    if lack := model.inputs.missing_from(source.schema.names("point")):
        raise ValueError(f"{source.path}: {lack}; model {model.name} reads them")
    names: list[str] = model.task.names
    return names


def _says(model: Model, block: Block) -> np.ndarray:
    rows = model(to_cloud(block, model.inputs))
    return np.stack([column for name, column in rows.items() if name.startswith("p_")], axis=1)
