"""``pcloud tune``: the cuts with which a track finder builds candidates, chosen by the score on simulated events.

``tune("tracks-classical", "store", "runs/tuned", trials=50)`` leaves study.json and a model with the best cuts. Real events are
refused: figures on them would be figures on what was tuned on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pcloud.cli.inference import check_input, infer
from pcloud.cli.sources import Input, Progress
from pcloud.config import build, check_model
from pcloud.data.event import Event
from pcloud.pretrained import Model, fingerprint, load, save
from pcloud.pretrained.files import write
from pcloud.tasks import concatenate

STUDY = "study.json"
Ranges = Mapping[str, tuple[float, float]]
# What is varied if nothing is named, by task: an option of the task, or one of its cuts.
VARIED: dict[str, dict[str, tuple[float, float]]] = {
    "following": {f"{number}.accept": (5.0, 25.0) for number in range(5)},
    "tracking": {"threshold": (0.05, 0.95)},
    "triplets": {"threshold": (0.2, 0.8), "worth": (0.5, 8.0)},
}


@dataclass(frozen=True)
class Study:
    """What a tuning found: the best values, their score and seconds per event, beside those that the model had."""

    best: dict[str, float]
    score: float
    seconds: float
    score_before: float
    trials: int


def tune(
    model: str | Path,
    store: str | Path,
    run: str | Path,
    *,
    trials: int = 50,
    vary: Ranges | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Study:
    """Search for the cuts of highest mean TrackML score on the events of a store, by Optuna (TPE); one event after another.

    Writes into the folder ``run``: journal.log, from which a broken search goes on; study.json with event ids and fingerprints,
    every trial, and the best; model.json with the best cuts, ready for predict. ValueError where the store's events are not
    synthetic, where the model was trained on one of them, and where there is nothing to vary.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    chosen = load(model, device)
    source = Input.open(store)
    check_input(chosen, source)
    events = [source.read(event_id, True) for event_id in source.ids]
    names = [fingerprint(event, chosen.inputs.pos) for event in events]
    _check(chosen, source, events, names)
    ranges = dict(vary or VARIED.get(chosen.card.task["name"], {}))
    if not ranges:
        raise ValueError(f"model {chosen.name}: nothing to vary; name cuts and their ranges with --vary NAME=LOW:HIGH")
    folder = Path(run)
    folder.mkdir(parents=True, exist_ok=True)
    before = _score(chosen, events)[0]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        study_name="pcloud",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
    )

    def objective(trial: Any) -> float:
        values = {name: trial.suggest_float(name, *limits) for name, limits in ranges.items()}
        score, seconds = _score(with_values(chosen, values), events)
        trial.set_user_attr("seconds", seconds)
        return score

    done = len(study.trials)
    while done < trials:
        study.optimize(objective, n_trials=1)
        done += 1
        if progress is not None:
            progress(done, trials)
    best = study.best_trial
    found = Study(dict(best.params), float(best.value or 0.0), float(best.user_attrs["seconds"]), before, len(study.trials))
    record = {
        "model": chosen.name,
        "events": list(source.ids),
        "fingerprints": names,
        "source": source.store.source if source.store else {},
        "varied": ranges,
        "before": before,
        "best": {"values": found.best, "score": found.score, "seconds": found.seconds},
        "trials": [{"values": t.params, "score": t.value, "seconds": t.user_attrs.get("seconds")} for t in study.trials],
    }
    write(folder / STUDY, (json.dumps(record, indent=1) + "\n").encode())
    tuned = with_values(chosen, found.best)
    words = f"tuned on {len(events)} simulated events ({STUDY} beside this)"
    save(folder, tuned.task, replace(tuned.card, training=replace(tuned.card.training, cuts=words)))
    return found


def with_values(model: Model, values: Mapping[str, float]) -> Model:
    """The model with other options or cuts ("PASS.NAME") of its task, its weights kept."""
    options = dict(model.card.task)
    for name, value in values.items():
        if "." in name:
            options["cuts"] = {**(options.get("cuts") or {}), name: value}
        else:
            options[name] = value
    task, encoder = check_model(options, model.card.encoder, "tune")
    made = build(task, encoder, len(model.card.feat))
    made.load_state_dict(model.task.state_dict())
    if hasattr(model.task, "detector"):
        made.use_detector(model.task.detector)  # type: ignore[operator]
    return Model(model.name, made, replace(model.card, task=task), model.device)


def _score(model: Model, events: list[Event]) -> tuple[float, float]:
    """Mean score, and seconds per event."""
    start = time.perf_counter()
    rows = concatenate([infer(model, event, True, {}) for event in events])
    return float(model.task.summarize(rows)["score"]), (time.perf_counter() - start) / len(events)


def _check(model: Model, source: Input, events: list[Event], names: list[str]) -> None:
    if source.store is None or not source.store.source.get("synthetic"):
        raise ValueError(f"{source.path}: not a store of simulated events (pcloud simulate --store); cuts are tuned on no others")
    if any("weight" not in event.point_truth or not np.any(event.point_truth["weight"]) for event in events):
        raise ValueError(f"{source.path}: an event without truth or weights; the score needs both")
    known = model.card.training.knows()
    if trained := [event.event_id for event, name in zip(events, names, strict=True) if name in known]:
        raise ValueError(f"{source.path}: model {model.name} was trained on event {trained[0]}; tune on others")
