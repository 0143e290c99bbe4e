"""From a task and two datasets to trained weights: ``fit`` puts loader, learner, log and checkpoints together.

The run folder gets versions.json, metrics.csv, tensorboard/ and checkpoints/; ``resume=True`` goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import lightning.pytorch as lightning
import numpy as np
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from torch import nn
from torch.utils.data import DataLoader

from pcloud.cloud import PointCloud, collate
from pcloud.data.sampler import Endless, PointBudget
from pcloud.train import checkpoint, versions
from pcloud.train.device import choose, keep_memory, repeatable
from pcloud.train.learner import Learner
from pcloud.train.log import Log
from pcloud.train.options import TrainOptions
from pcloud.train.progress import Show
from pcloud.train.quiet import quiet
from pcloud.train.recorder import Recorder
from pcloud.train.stop import Interrupted, Stop, in_worker


class Clouds(Protocol):
    """A map dataset: item i is a cloud of one event, the same at every call; ``sizes`` are the points of each."""

    @property
    def sizes(self) -> Any: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> PointCloud: ...


def fit(
    task: nn.Module,
    train_set: Clouds,
    val_set: Clouds | None,
    options: TrainOptions,
    run: str | Path,
    *,
    resume: bool = False,
    notes: Sequence[str] = (),
) -> dict[str, float]:
    """Train ``task`` in place and return the final figures (the newest of each column of metrics.csv).

    With ``options.average`` the task ends with the running mean of its weights. ``notes`` are told at the start.

    Raises ValueError on a folder in use, nothing to resume, other options than the checkpoint's, or a loss that is no
    number; OSError on a full disk; Interrupted, after a checkpoint, on Ctrl-C or SIGTERM.
    """
    run = Path(run)
    device = choose(options.device, options.precision)
    identity = {"options": options.binding(), "data": _fingerprint(train_set)}
    state, complaints = _begin(run, task, identity, resume)
    step = state.get("step", 0)
    if device == "cpu":
        keep_memory()
    show, stop, log = Show(options.steps, step), Stop(run, step), Log(run, step)
    for line in [*complaints, *notes]:
        show.say(line)
    show.say(_opening(run, task, train_set, val_set, device, step))
    learner = Learner(task, options, step)
    recorder = Recorder(
        run,
        identity=identity,
        state=state,
        val_clouds=_loader(val_set, options, device) if val_set is not None and len(val_set) else None,
        log=log,
        show=show,
        stop=stop,
    )
    try:
        if step < options.steps:
            versions.record(run, device, step)
            with stop, quiet(), repeatable(device):
                _trainer(options, device, step, recorder).fit(learner, _loader(train_set, options, device, step))
    finally:
        show.close()
    if stop.asked is not None and learner.step < options.steps:
        raise Interrupted(stop.saved, run, stop.asked)
    mean = state.get("average") if recorder.average is None else recorder.average.state
    if mean is not None:
        task.load_state_dict(mean)
    task.eval()
    return log.last


def _begin(run: Path, task: nn.Module, identity: dict[str, Any], resume: bool) -> tuple[dict[str, Any], list[str]]:
    """The checkpoint to go on from, its weights in the task, and complaints on spoilt ones; {} in a new run."""
    folder = run / "checkpoints"
    if not resume:
        if checkpoint.listed(folder):
            raise ValueError(f"{run}: a run is there already; resume it or give another folder")
        folder.mkdir(parents=True, exist_ok=True)
        return {}, []
    state, complaints = checkpoint.newest(folder)
    former = state["identity"]
    began = {**TrainOptions().binding(), **former["options"]}  # an option younger than the run had its default's effect
    for name, value in identity["options"].items():
        if began[name] != value:
            raise ValueError(
                f"{run}: train.{name} was {began[name]}, now {value} came; a run is resumed with the "
                "options it began with: give the old value, or start a new run"
            )
    if former["data"] != identity["data"]:
        raise ValueError(f"{run}: the training events are others than those it began with; start a new run")
    _load_weights(run, task, state.pop("weights"))
    return state, complaints


def _load_weights(run: Path, task: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    mine = {name: list(value.shape) for name, value in task.state_dict().items()}
    theirs = {name: list(value.shape) for name, value in weights.items()}
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            came, expected = theirs.get(name, "nothing"), mine.get(name, "nothing")
            raise ValueError(f"{run}: the checkpoint is of another model: {name} is {came}, the model has {expected}")
    task.load_state_dict(weights)


def _loader(clouds: Clouds, options: TrainOptions, device: str, step: int | None = None) -> DataLoader[PointCloud]:
    """Endless batches from the first that optimiser step ``step`` needs; None: all once, in order, without workers."""
    epoch = PointBudget(clouds.sizes, options.budget, seed=options.seed, shuffle=step is not None, events=options.events)
    return DataLoader(
        clouds,  # type: ignore[arg-type]
        batch_sampler=epoch if step is None else Endless(epoch, step * options.accumulate),
        collate_fn=collate,
        num_workers=0 if step is None else options.loader_workers,
        worker_init_fn=in_worker,
        pin_memory=device == "cuda",
    )


def _trainer(options: TrainOptions, device: str, step: int, recorder: Recorder) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator=device,
        devices=1,
        precision=options.precision,
        max_steps=options.steps - step,
        max_epochs=-1,  # one epoch without end: the sampler deals the real ones
        accumulate_grad_batches=options.accumulate,
        callbacks=[recorder],
        plugins=[LightningEnvironment()],  # one process, also inside a Slurm job
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _fingerprint(clouds: Clouds) -> str:
    """Tells other training events apart by the points in each."""
    return hashlib.sha256(np.asarray(clouds.sizes, np.int64).tobytes()).hexdigest()


def _opening(run: Path, task: nn.Module, train_set: Clouds, val_set: Clouds | None, device: str, step: int) -> str:
    learned = sum(p.numel() for p in task.parameters() if p.requires_grad)
    others = len(val_set) if val_set is not None else 0
    begin = f"going on from step {step}" if step else "training"
    return (
        f"{begin} on {device}: {learned:,} parameters, {len(train_set):,} events, {others:,} for validation; "
        f"{run} gets metrics.csv, tensorboard/, checkpoints/, versions.json"
    )
