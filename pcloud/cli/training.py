"""``pcloud train``: from a configuration to a run folder with a model in it.

``train("configs/tracking.yaml", overrides=["train.steps=100"])`` returns the folder; ``resume=True`` goes on after a stop.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from pcloud import __version__, config
from pcloud.cli.arguments import CUTS
from pcloud.config import Config
from pcloud.data.event import Event, Inputs
from pcloud.data.sampler import PointBudget
from pcloud.data.schema import VERSION
from pcloud.data.store import Store
from pcloud.pretrained import Card, Training, fingerprint, save
from pcloud.pretrained.files import write


def train(
    path: str | Path,
    *,
    run: str | Path | None = None,
    resume: bool = False,
    overrides: Sequence[str] = (),
    cuts: str = CUTS,
    start: str | Path | None = None,
) -> Path:
    """Train as the YAML file at ``path`` says, each of ``overrides`` ("encoder.k=8") put in its place; returns the run folder.

    The folder (``run``, else runs/ and the file's name) gets config.yaml, split.json, fit's logs and checkpoints, and at the
    end model.safetensors and model.json, whose card says by ``cuts`` where the task's thresholds come from. ``start`` names a
    run folder or a shipped model to begin from, with a new head where the classes differ.
    Raises ValueError on a folder in use and on a resumed run whose configuration differs; KeyboardInterrupt, after a
    checkpoint, with the step and how to go on.
    """
    chosen = config.read(path, overrides)  # a mistake in it is told before anything heavy is imported
    import torch

    from pcloud.cli.starting import begin
    from pcloud.data.dataset import Events
    from pcloud.data.patches import Patches
    from pcloud.train import Interrupted, fit

    folder = Path(run) if run is not None else Path("runs") / Path(path).stem
    store = Store.open(chosen.data.store)
    inputs = Inputs(chosen.data.pos, chosen.data.feat)
    parts = parts_of(chosen, store)
    torch.manual_seed(chosen.train.seed)
    task = config.build(chosen.task, chosen.encoder, len(inputs.feat), store.schema.moments(inputs.feat))
    read = getattr(getattr(task, "encoder", None), "point_columns", None) if hasattr(task, "begin") else None
    sets = {name: Events(store, inputs, places, point=read) for name, places in parts.items()}
    seen = Patches(sets["train"], chosen.data.patch) if chosen.data.patch else sets["train"]
    notes = _without_spread(store, inputs)
    origin: dict[str, Any] = {}
    if start is not None and not resume:
        origin, more = begin(task, start, inputs)
        notes += more
    _same_classes(task, store)
    if callable(look := getattr(task, "begin", None)):
        notes += look(inputs.feat, store.read_many(parts["train"], point=()).event_truth)
    _begin(folder, chosen, {name: one.event_ids.tolist() for name, one in sets.items()}, resume)
    cuts = _kept(folder / "cuts.txt", cuts, resume)
    origin = json.loads(_kept(folder / "origin.json", json.dumps(origin), resume))
    began = perf_counter()
    try:
        figures = fit(task, seen, sets.get("validation"), chosen.train, folder, resume=resume, notes=notes)
    except Interrupted as stop:
        again = f"resume with `pcloud train {folder / 'config.yaml'} --run {folder} --resume`"
        raise KeyboardInterrupt(f"saved at step {stop.step}; {again}") from stop
    finally:
        seconds = _add_time(folder, perf_counter() - began)
    training = Training(
        steps=chosen.train.steps,
        seed=chosen.train.seed,
        seconds=round(seconds, 1),
        source={**store.source, **({"begun_from": {key: origin[key] for key in ("name", "sha256")}} if origin else {})},
        events=" ".join([*origin.get("events", "").split(), *map(str, sets["train"].event_ids)]),
        fingerprints=" ".join([*origin.get("fingerprints", "").split(), *fingerprints(store, inputs, parts["train"])]),
        cuts=cuts,
    )
    save(folder, task, card(chosen, store, training, figures))
    return folder


def fingerprints(store: Store, inputs: Inputs, places: Sequence[int]) -> Iterator[str]:
    """Of these events, in this order."""
    for some in PointBudget(store.sizes[places], 100_000, seed=0, shuffle=False, events=4096):
        block = store.read_many([places[one] for one in some], truth=False, point=set(inputs.pos))
        cuts = np.cumsum(block.points)[:-1]
        columns = {name: np.split(column, cuts) for name, column in block.point.items()}
        for number in range(len(some)):
            yield fingerprint(Event(0, point={name: parts[number] for name, parts in columns.items()}), inputs.pos)


def _same_classes(task: Any, store: Store) -> None:
    """A task that names its classes names those of the store, in its order: labels are places in that list."""
    said, known = getattr(task, "names", None), store.source.get("classes")
    if said and known and said not in (known, [str(number) for number in range(len(known))]):
        words = f"its labels stand for {', '.join(known)}; task.classes = {', '.join(said)} came"
        raise ValueError(f"{store.path}: {words}: give the same, in the same order")


def _without_spread(store: Store, inputs: Inputs) -> list[str]:
    """A line on the features that are the same for all points, such as particle flags that a sample came without."""
    mean, width = store.schema.moments(inputs.feat)
    same = [f"{name} = {value:g}" for name, value, spread in zip(inputs.feat, mean, width, strict=True) if not spread > 0]
    return [f"{store.path}: of every point the same, so that nothing is learned from it: {', '.join(same)}"] if same else []


def card(
    chosen: Config, store: Store, training: Training | None = None, figures: dict[str, float] | None = None
) -> Card:
    """The card of a model of this configuration for the events of this store; without ``training`` that of untrained weights."""
    from pcloud.train.versions import commit

    return Card(
        task=chosen.as_dict()["task"],
        encoder=chosen.as_dict()["encoder"],
        pos=list(chosen.data.pos),
        feat=list(chosen.data.feat),
        units={name: store.schema.column("point", name).unit for name in (*chosen.data.pos, *chosen.data.feat)},
        geometry=store.geometry,
        schema=VERSION,
        pcloud=__version__,
        commit=commit(),
        training=training or Training(),
        figures=figures or {},
    )


def parts_of(chosen: Config, store: Store) -> dict[str, list[int]]:
    """Places in the store of the events to train on and, where a share is held out, of those to validate on."""
    from pcloud.data.dataset import split

    held = chosen.data.validation
    shares = {"train": 1 - held, "validation": held} if held else {"train": 1.0}
    parts = split(store.event_ids, shares, chosen.data.split_seed)
    if empty := [name for name, places in parts.items() if not places]:
        raise ValueError(
            f"{store.path}: data.validation = {held} leaves no event of {len(store)} for {empty[0]}; "
            "give more events, or another data.validation or data.split_seed"
        )
    return parts


def _begin(folder: Path, chosen: Config, events: dict[str, list[int]], resume: bool) -> None:
    """Write configuration and split into a new run folder; hold a resumed run to the ones it has."""
    file = folder / "config.yaml"
    if resume:
        if not file.exists():
            raise FileNotFoundError(f"{folder}: no run there to resume (it has no config.yaml); leave out --resume")
        _compare(file, chosen)
    elif file.exists():
        raise ValueError(f"{folder}: a run is there already; go on with --resume, or name another folder with --run")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "split.json", (json.dumps(events) + "\n").encode())
        write(file, chosen.to_yaml().encode())


def _kept(file: Path, words: str, resume: bool) -> str:
    """What was said when the run began; a resumed run says the same."""
    if resume and file.exists():
        return file.read_text(encoding="utf-8").strip()
    write(file, f"{words}\n".encode())
    return words


def _compare(file: Path, chosen: Config) -> None:
    """What is computed must be what the run began with; ``fit`` itself looks after the section train."""
    former, now = config.read(file).as_dict(), chosen.as_dict()
    for section in ("task", "encoder", "data"):
        for key in former[section].keys() | now[section].keys():
            then, came = (one[section].get(key) for one in (former, now))
            if then != came:
                words = f"{section}.{key} was {then!r}, now {came!r} came"
                raise ValueError(f"{file}: {words}; give the old value, or start a new run")


def _add_time(folder: Path, seconds: float) -> float:
    """Wall time of all sessions of a run that ended in order, this one included."""
    file = folder / "seconds.json"
    former: Any = json.loads(file.read_text()) if file.exists() else 0.0
    write(file, json.dumps(former + seconds).encode())
    return float(former + seconds)
