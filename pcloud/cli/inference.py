"""A model at work on events: do they fit together, how long did each stage take, on what machine, from which weights.

``predict`` and ``evaluate`` both go through ``check_input`` and ``infer``, so that their figures mean the same.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch

from pcloud.cli.sources import Input
from pcloud.cloud import PointCloud, collate
from pcloud.data.event import Event, to_cloud
from pcloud.data.schema import VERSION
from pcloud.pretrained import Model
from pcloud.tasks import Rows, TrackFollowing, TripletFinding

Seconds = dict[str, float]


def check_input(model: Model, source: Input, allow_geometry: bool = False) -> list[str]:
    """ValueError where the model cannot read these events; otherwise what must be noted beside its figures."""
    card = model.card
    if isinstance(model.task, TrackFollowing | TripletFinding):
        _follow_in(model.task, source)
    if card.schema != VERSION:
        raise ValueError(
            f"model {model.name} reads columns of store schema {card.schema}, this pcloud has {VERSION}: train it anew"
        )
    if source.store is not None:
        schema = source.store.schema
        if lack := model.inputs.missing_from(schema.names("point")):
            raise ValueError(f"{source.path}: {lack}; model {model.name} reads them: prepare the store with them")
        for name, unit in card.units.items():
            came = schema.column("point", name).unit
            if came != unit:
                raise ValueError(f"{source.path}: column {name} has unit {came!r}, model {model.name} expects {unit!r}")
    notes = list(source.notes)
    if card.geometry in (None, source.geometry):
        return notes
    if source.geometry is None:
        return notes + ["geometry not checked: no detectors.csv came with the events (--detectors F names one)"]
    words = f"geometry {source.geometry[:16]} came, model {model.name} was trained on {str(card.geometry)[:16]}"
    if not allow_geometry:
        raise ValueError(f"{source.path}: {words}: use a model of this detector, or --allow-geometry")
    return notes + [f"another detector, as allowed: {words}"]


def _follow_in(task: TrackFollowing | TripletFinding, source: Input) -> None:
    """Tell a finder that walks from layer to layer which detector these events come from."""
    if source.detector is not None:
        task.use_detector(source.detector)
    elif source.geometry is not None:
        raise ValueError(f"{source.path}: the layers of its detector are not known; name its table with --detectors F")


def infer(model: Model, event: Event, truth: bool, seconds: Seconds) -> Rows:
    """Rows of one event; the times of ``network`` and ``linking`` are added to ``seconds``. ValueError names lacking columns."""
    return infer_many(model, [event], truth, seconds)


def infer_many(
    model: Model, events: Sequence[Event], truth: bool, seconds: Seconds, change: Callable[[PointCloud], PointCloud] | None = None
) -> Rows:
    """As ``infer``, of several events as one batch, which ``change`` may alter before the network sees it."""
    for event in events:
        if lack := model.inputs.missing_from(tuple(event.point)):
            raise ValueError(f"event {event.event_id}: {lack}; model {model.name} reads them: give the files they come from")
    with clock(seconds, "network", model.wait):
        clouds = [to_cloud(event, model.inputs, truth=truth) for event in events]
        cloud = clouds[0] if len(clouds) == 1 else collate(clouds)
        cloud = cloud if change is None else change(cloud)
        output = model.network(cloud)
    with clock(seconds, "linking"):
        rows: Rows = model.link(output, cloud)
    return rows


@contextmanager
def clock(seconds: Seconds, stage: str, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Add the time inside the block to ``seconds[stage]``; ``wait`` lets a device finish first."""
    start = perf_counter()
    yield
    if wait is not None:
        wait()
    seconds[stage] = seconds.get(stage, 0.0) + perf_counter() - start


def origin(model: Model) -> dict[str, Any]:
    """What every report says of the weights behind it."""
    card = model.card
    training = {"steps": card.training.steps, "seed": card.training.seed, "seconds": card.training.seconds}
    return {
        "name": model.name,
        "task": card.task,
        "encoder": card.encoder,
        "sha256": card.sha256,
        **training,
        "trained_on": card.training.source,
        "cuts": card.training.cuts,
        "pcloud": card.pcloud,
        "commit": card.commit,
    }


def machine(device: str) -> str:
    """Device, threads and versions in one line."""
    where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{device} ({where}), torch {torch.__version__}, {platform.system()} {platform.machine()}"


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
