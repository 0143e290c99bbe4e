"""Trains the judge of candidates that `TrackFollowing(judged=True)` asks: on all candidates of simulated events.

``python -m pcloud.cli.judging STORE RUN`` writes model.safetensors and model.json into the folder RUN; minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

from pcloud import __version__
from pcloud.cli.sources import Progress
from pcloud.data.event import Inputs, to_cloud
from pcloud.data.schema import VERSION
from pcloud.data.store import Store
from pcloud.pretrained import Card, Training, fingerprint, save
from pcloud.tasks import TrackFollowing
from pcloud.tasks.following import events_of
from pcloud.tracking.judge_training import candidates_of, fit, steps
from pcloud.train.versions import commit

POS = ("x", "y", "z")


def train(store: str | Path, run: str | Path, *, seed: int = 0, progress: Progress | None = None) -> Path:
    """A model of the task following whose judge learned from every event of a store; returns its card.

    ValueError where the store's events are not synthetic or have no truth.
    """
    source = Store.open(store)
    if not source.source.get("synthetic"):
        raise ValueError(f"{source.path}: not a store of simulated events (pcloud simulate --store); give one")
    start, task = time.perf_counter(), TrackFollowing(judged=True)
    seen, names = [], []
    for place in range(len(source)):
        event = source.read(place)
        cloud = to_cloud(event, Inputs(POS))
        (hits,) = events_of(cloud)
        seen.append(candidates_of(hits, cloud.particle_of_point.numpy() + 1, task.detector, task.settings))
        names.append(fingerprint(event, POS))
        if progress is not None:
            progress(place + 1, len(source))
    weights = fit(*(np.concatenate(part) for part in zip(*seen, strict=True)), seed=seed)
    task.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    training = Training(
        steps=steps(sum(len(target) for _, target in seen)),
        seed=seed,
        seconds=round(time.perf_counter() - start, 1),
        source=source.source,
        events=" ".join(map(str, source.event_ids)),
        fingerprints=" ".join(names),
        cuts="simulated events alone",
    )
    Path(run).mkdir(parents=True, exist_ok=True)
    options = {"name": "following", "cuts": None, "judged": True}
    card = Card(options, {}, list(POS), [], dict.fromkeys(POS, "mm"), None, VERSION, __version__, commit(), training)
    made: Path = save(run, task, card)
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the judge of track candidates on simulated events.")
    parser.add_argument("store", help="made by pcloud simulate --store")
    parser.add_argument("run", help="folder for the model")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    def say(done: int, of: int) -> None:
        sys.stderr.write(f"event {done} of {of}\n")

    train(given.store, given.run, seed=given.seed, progress=say)
