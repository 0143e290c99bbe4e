"""``pcloud export``: a trained tagger as one file for ONNX Runtime or for torch without pcloud, compared with the model itself.

``export("jets-top", "jets-top.onnx")`` returns what was compared; the search for neighbours is inside the file.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pcloud.cloud import PointCloud, collate
from pcloud.data.dataset import Events
from pcloud.data.store import Store
from pcloud.pretrained import Model, load
from pcloud.pretrained.files import write

SUFFIXES = (".onnx", ".pt2")
CLOSE = 1e-4  # of a probability
MADE = 200  # jets made up to compare on, where no store is given
LARGEST = 200  # constituents of those


@dataclass(frozen=True)
class Exported:
    """events: compared one at a time; largest: difference of a probability; apart: event ids that differ by more than 1e-4;
    rate: events per second through the file, on one thread; inputs: what the file reads, in words."""

    out: str
    events: int
    largest: float
    apart: list[int]
    rate: float
    inputs: dict[str, str]


class Probabilities(nn.Module):
    """From plain tensors to the probabilities of each event; ``point`` holds the columns that the encoder reads beside feat."""

    def __init__(self, task: nn.Module, columns: tuple[str, ...]) -> None:
        super().__init__()
        self.task, self.columns = task, columns

    def forward(self, pos: Tensor, feat: Tensor, offsets: Tensor, point: Tensor | None = None) -> Tensor:
        columns = {} if point is None else dict(zip(self.columns, point.unbind(1), strict=True))
        p: Tensor = self.task.probabilities(self.task(PointCloud(pos, feat, offsets, point=columns)))  # type: ignore[operator]
        return p


def export(model: str | Path, out: str | Path, *, store: str | Path | None = None, most: int = 2000) -> Exported:
    """Write a tagger's file (.onnx for ONNX Runtime, .pt2 for torch.export.load) and compare it with the model.

    Compared on up to ``most`` events of ``store``, or on made-up ones, one event at a time. The file takes pos [points, dim],
    feat [points, channels], offsets [events + 1] int64 and, where the encoder reads four-vectors, point [points, columns]; it
    gives p [events, classes]. Its search compares every pair of points: give it one jet or a few at a time. A .pt2 file wants
    two events and two points at least; one more event may be empty.
    Raises ValueError or FileNotFoundError of one line, and leaves no half-written file.
    """
    target = Path(out)
    if target.suffix not in SUFFIXES:
        raise ValueError(f"{out}: a name that ends in {' or '.join(SUFFIXES)} expected, for ONNX Runtime or for torch")
    if not target.absolute().parent.is_dir():
        raise FileNotFoundError(f"{target}: its folder does not exist; make it or choose another path")
    chosen = load(model, "cpu")
    if not hasattr(chosen.task, "probabilities"):
        raise ValueError(f"model {chosen.name}: its task is {chosen.card.task['name']}; only taggers are exported")
    wrapped = Probabilities(chosen.task, getattr(chosen.task.encoder, "point_columns", ())).eval()
    events = list(_stored(chosen, store, wrapped.columns, most) if store is not None else _made(chosen, wrapped.columns))
    several = _tensors(wrapped, collate([_made_jet(chosen, wrapped.columns, size, size) for size in (20, 33, 7)]))
    names = ("pos", "feat", "offsets", "point")[: len(several)]
    about = {
        "model": chosen.name, "sha256": chosen.card.sha256, "classes": list(getattr(chosen.task, "names", ())),
        "pos": list(chosen.inputs.pos), "feat": list(chosen.inputs.feat), "point": list(wrapped.columns),
    }  # fmt: skip
    rows, ends = torch.export.Dim("points", min=2), torch.export.Dim("ends", min=3)
    shapes = tuple({0: ends if name == "offsets" else rows} for name in names)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporters' own
        run = (_onnx if target.suffix == ".onnx" else _program)(wrapped, several, names, shapes, about, target)
        largest, apart, seconds = 0.0, [], 0.0
        for cloud in events:
            given = _tensors(wrapped, cloud)
            start = perf_counter()
            theirs = run(*given)
            seconds += perf_counter() - start
            gap = float((theirs - wrapped(*given)).abs().max())
            largest = max(largest, gap)
            if not gap <= CLOSE:
                apart.append(int(cloud.event["event_id"][0]))
    words = {name: ", ".join(about[name]) or "none" for name in ("pos", "feat", "point")}
    return Exported(str(target), len(events), largest, apart, len(events) / max(seconds, 1e-9), words)


Run = Callable[..., Tensor]
Given = tuple[Tensor, ...]


def _onnx(wrapped: nn.Module, given: Given, names: tuple[str, ...], shapes: Any, about: dict[str, Any], out: Path) -> Run:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it and says so at length
    except ImportError as lack:
        raise ValueError(f"{lack.name} is not installed; pip install 'pcloud[export]', or write a .pt2 file") from None
    program = torch.onnx.export(
        wrapped, given, dynamo=True, dynamic_shapes=shapes, input_names=list(names), output_names=["p"], verbose=False
    )
    assert program is not None
    program.model.metadata_props["pcloud"] = json.dumps(about)
    part = out.with_name(f".{out.name}.part")
    try:
        program.save(part, external_data=False)
        write(out, part.read_bytes())
    finally:
        part.unlink(missing_ok=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(out, options, providers=["CPUExecutionProvider"])

    def run(*given: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: one.numpy() for name, one in zip(names, given, strict=True)})[0])

    return run


def _program(wrapped: nn.Module, given: Given, names: tuple[str, ...], shapes: Any, about: dict[str, Any], out: Path) -> Run:
    program = torch.export.export(wrapped, given, dynamic_shapes=shapes)
    part = out.with_name(f".{os.getpid()}-{out.name}")  # torch wants the suffix
    try:
        torch.export.save(program, part, extra_files={"pcloud.json": json.dumps(about)})
        write(out, part.read_bytes())
    finally:
        part.unlink(missing_ok=True)
    module = torch.export.load(out).module()

    def run(pos: Tensor, feat: Tensor, offsets: Tensor, *point: Tensor) -> Tensor:
        more = 2 if len(pos) < 2 else 0  # torch.export makes a rule of one: two events and two points are the least
        pos, feat, *point = (torch.cat([one, one[:1].expand(more, -1)]) for one in (pos, feat, *point))  # type: ignore[assignment]
        p: Tensor = module(pos, feat, torch.cat([offsets, offsets[-1:] + more]), *point)
        return p[:-1]

    return run


def _tensors(wrapped: Probabilities, cloud: PointCloud) -> Given:
    point = (torch.stack([cloud.point[name].float() for name in wrapped.columns], dim=1),) if wrapped.columns else ()
    return (cloud.pos, cloud.feat, cloud.offsets, *point)


def _stored(model: Model, store: str | Path, columns: tuple[str, ...], most: int) -> Iterator[PointCloud]:
    events = Events(Store.open(store), model.inputs, truth=False, point=columns)
    for number in range(min(len(events), most)):
        cloud = events[number]
        if cloud.points:
            yield replace(cloud, point={name: cloud.point[name] for name in columns})


def _made(model: Model, columns: tuple[str, ...]) -> Iterator[PointCloud]:
    """Jets of 1 to 200 constituents."""
    for number, size in enumerate(np.linspace(1, LARGEST, MADE).astype(int)):
        yield _made_jet(model, columns, int(size), number)


def _made_jet(model: Model, columns: tuple[str, ...], size: int, seed: int) -> PointCloud:
    draw = torch.Generator().manual_seed(seed)
    pos = 0.2 * torch.randn(size, len(model.inputs.pos), generator=draw)
    usual = model.task.encoder.standardize
    feat = usual.mean + usual.width * torch.randn(size, len(model.inputs.feat), generator=draw)
    p3 = torch.randn(size, 3, generator=draw) + torch.tensor([20.0, 0.0, 5.0])
    p4 = dict(zip(("px", "py", "pz", "energy"), (*p3.unbind(1), p3.norm(dim=1) + 0.1), strict=True))
    point = {name: p4.get(name, torch.zeros(size)) for name in columns}
    return PointCloud(pos, feat, torch.tensor([0, size]), point=point, event={"event_id": torch.tensor([seed])})
