"""A trained model in memory: built from its card, loaded with its weights, ready to be called on a cloud.

``model = load("tracks"); rows = model(cloud)``; ``model.inputs`` says which columns the cloud needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from torch import nn

from pcloud import config
from pcloud.cloud import PointCloud
from pcloud.data.event import Event, Inputs, to_cloud
from pcloud.pretrained import files
from pcloud.pretrained.card import Card
from pcloud.tasks import Rows

Device = Literal["auto", "cpu", "cuda", "mps"]


class Model:
    """``model(cloud)`` gives the rows of its task; ``network`` and ``link`` are the two halves of that call."""

    def __init__(self, name: str, task: nn.Module, card: Card, device: str) -> None:
        self.name, self.card, self.device = name, card, device
        self.inputs = Inputs(tuple(card.pos), tuple(card.feat))
        self.task = task.to(device).eval()

    def __call__(self, cloud: PointCloud) -> Rows:
        return self.link(self.network(cloud), cloud)

    def cloud(self, event: Event) -> PointCloud:
        """The event as a cloud of the columns that this model reads. ValueError where it lacks one."""
        return to_cloud(event, self.inputs)

    @torch.inference_mode()
    def network(self, cloud: PointCloud) -> Any:
        """What the network says of the cloud, with no truth in sight. ValueError where the device cannot do it."""
        for name, table in (("pos", cloud.pos), ("feat", cloud.feat)):
            columns = getattr(self.inputs, name)
            if table.shape[1] != len(columns):
                raise ValueError(
                    f"{name} has {table.shape[1]} columns; model {self.name} reads {len(columns)}: {', '.join(columns)}"
                )
        with self._limits(cloud):
            return self.task(cloud.without_truth().to(self.device))

    @torch.inference_mode()
    def link(self, output: Any, cloud: PointCloud) -> Rows:
        """Rows from what the network said; columns of truth are there where the cloud has truth."""
        with self._limits(cloud):
            return self.task.tabulate(output, cloud.to(self.device))  # type: ignore[operator, no-any-return]

    def wait(self) -> None:
        """Return when the device has done all it was told: for clocks."""
        if self.device != "cpu":
            (torch.cuda if self.device == "cuda" else torch.mps).synchronize()

    @contextmanager
    def _limits(self, cloud: PointCloud) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            raise ValueError(
                f"{cloud.points} points need more memory than {self.device} has; use --device cpu"
            ) from None
        except (NotImplementedError, TypeError) as error:
            if self.device != "mps":
                raise
            raise ValueError(
                f"{self.device} lacks an operation: {str(error).splitlines()[0]}; use --device cpu"
            ) from error


def choose(device: str) -> str:
    """The device to compute on: ``auto`` is cuda where there is one, else cpu. ValueError where it is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    chosen = ("cuda" if there["cuda"] else "cpu") if device == "auto" else device
    if not there.get(chosen):
        found = ", ".join(name for name in there if there[name])
        raise ValueError(f"device {device} came; this torch ({torch.__version__}) finds {found}")
    return chosen


def load(name: str | Path, device: Device | str = "auto") -> Model:
    """A shipped model by name, or that of a run folder.

    The card is checked, the model built from it, and the weights looked at before they are read; nothing runs from a file.
    Raises FileNotFoundError (saying what is shipped) or ValueError with one line.
    """
    found = files.find(name)
    card = Card.read(found.card)
    chosen = choose(device)
    task, encoder = config.check_model(card.task, card.encoder, str(found.card))
    with torch.device("meta"):  # shapes alone: a card cannot make us take memory that its weights file does not have
        shapes = {
            key: list(value.shape) for key, value in config.build(task, encoder, len(card.feat)).state_dict().items()
        }
    files.check_header(found.weights, shapes)
    if files.sha256(found.weights) != card.sha256:
        raise ValueError(f"{found.weights}: its sha256 is not the one of its card; fetch or write the model again")
    made = config.build(task, encoder, len(card.feat))
    made.load_state_dict(safetensors.torch.load_file(found.weights))
    return Model(found.name, made, card, chosen)


def save(target: str | Path, task: nn.Module, card: Card) -> Path:
    """Write weights and card: ``model.*`` in a folder that exists, else ``target`` with the two suffixes. Returns the card.

    Each file appears whole or not at all; the card comes last and holds the sha256 of the weights.
    """
    out = files.at(target)
    weights = {name: value.detach().cpu().contiguous() for name, value in task.state_dict().items()}
    files.write(out.weights, safetensors.torch.save(weights))
    files.write(out.card, replace(card, sha256=files.sha256(out.weights)).to_json().encode())
    return out.card
