"""``pcloud export``: a trained tagger as one file for ONNX Runtime or for torch, compared with the model itself.

``export("jets-top", "jets-top.onnx")`` returns what was compared; the search for neighbours is inside the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from pcloud.cloud import PointCloud, collate
from pcloud.data.dataset import Events
from pcloud.data.store import Store
from pcloud.pretrained import Model, load
from pcloud.pretrained.portable import Probabilities, to_onnx, to_program

WRITERS = {".onnx": to_onnx, ".pt2": to_program}
CLOSE = 1e-4  # of a probability
MADE = 200  # jets made up to compare on, where no store is given
LARGEST = 200  # constituents of those


@dataclass(frozen=True)
class Exported:
    """events: compared one at a time; largest: difference of a probability; apart: event ids that differ by more than 1e-4;
    rate: events per second through the file, one at a time on one thread; inputs: the columns that the file reads, in words."""

    out: str
    events: int
    largest: float
    apart: list[int]
    rate: float
    inputs: dict[str, str]


@torch.no_grad()
def export(model: str | Path, out: str | Path, *, store: str | Path | None = None, most: int = 2000) -> Exported:
    """Write a tagger's file (.onnx for ONNX Runtime, .pt2 for torch.export.load) and compare it with the model.

    Compared on up to ``most`` events of ``store``, or on made-up ones, one event at a time. What the file takes and gives is
    that of ``pretrained.portable.Probabilities``; its search compares every pair of points: give it one jet or a few at a time.
    Raises ValueError or FileNotFoundError of one line, and leaves no half-written file.
    """
    target = Path(out)
    if target.suffix not in WRITERS:
        raise ValueError(f"{out}: a name that ends in {' or '.join(WRITERS)} expected, for ONNX Runtime or for torch")
    if not target.absolute().parent.is_dir():
        raise FileNotFoundError(f"{target}: its folder does not exist; make it or choose another path")
    chosen = load(model, "cpu")
    if not hasattr(chosen.task, "probabilities"):
        raise ValueError(f"model {chosen.name}: its task is {chosen.card.task['name']}; only taggers are exported")
    network = Probabilities(chosen.task)
    events = list(_stored(chosen, store, network.columns, most) if store is not None else _made(chosen, network.columns))
    columns = {"pos": chosen.inputs.pos, "feat": chosen.inputs.feat, "point": network.columns}
    about = {"model": chosen.name, "sha256": chosen.card.sha256, "classes": list(getattr(chosen.task, "names", ()))}
    about |= {name: list(one) for name, one in columns.items()}
    example = collate([_made_jet(chosen, network.columns, size, size) for size in (20, 33, 7)])
    run = WRITERS[target.suffix](network, example, target, about)
    largest, apart, seconds = 0.0, [], 0.0
    for cloud in events:
        given = network.tensors(cloud)
        start = perf_counter()
        theirs = run(*given)
        seconds += perf_counter() - start
        gap = float((theirs - network(*given)).abs().max())
        largest = max(largest, gap)
        if not gap <= CLOSE:
            apart.append(int(cloud.event["event_id"][0]))
    words = {name: ", ".join(one) or "none" for name, one in columns.items()}
    return Exported(str(target), len(events), largest, apart, len(events) / max(seconds, 1e-9), words)


def _stored(model: Model, store: str | Path, columns: tuple[str, ...], most: int) -> Iterator[PointCloud]:
    events = Events(Store.open(store), model.inputs, truth=False)
    for number in range(min(len(events), most)):
        cloud = events[number]
        if lack := [name for name in columns if name not in cloud.point]:
            raise ValueError(f"{store}: point column {lack[0]} is missing; model {model.name} reads it")
        if cloud.points:
            yield cloud


def _made(model: Model, columns: tuple[str, ...]) -> Iterator[PointCloud]:
    """Jets of 1 to 200 constituents."""
    for number, size in enumerate(np.linspace(1, LARGEST, MADE).astype(int)):
        yield _made_jet(model, columns, int(size), number)


def _made_jet(model: Model, columns: tuple[str, ...], size: int, seed: int) -> PointCloud:
    draw = torch.Generator().manual_seed(seed)
    usual = model.task.encoder.standardize
    pos = 0.2 * torch.randn(size, len(model.inputs.pos), generator=draw)
    feat = usual.mean + usual.width * torch.randn(size, len(model.inputs.feat), generator=draw)
    p3 = torch.randn(size, 3, generator=draw) + torch.tensor([20.0, 0.0, 5.0])
    p4 = dict(zip(("px", "py", "pz", "energy"), (*p3.unbind(1), p3.norm(dim=1) + 0.1), strict=True))
    point = {name: p4.get(name, torch.zeros(size)) for name in columns}
    return PointCloud(pos, feat, torch.tensor([0, size]), point=point, event={"event_id": torch.tensor([seed])})
