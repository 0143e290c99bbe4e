"""A tagger as one file that runs elsewhere: in ONNX Runtime, or in torch by ``torch.export.load``, its search inside.

``run = to_onnx(Probabilities(task), example, file)`` writes it; ``run(*tensors(cloud))`` are the file's probabilities.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcloud.cloud import PointCloud
from pcloud.pretrained.files import write

INPUTS = ("pos", "feat", "offsets", "point")
Run = Callable[..., Tensor]


class Probabilities(nn.Module):
    """From plain tensors to the probabilities of each event [events, classes].

    pos [points, dim], feat [points, channels], offsets [events + 1] int64; point [points, columns] where the encoder reads
    further columns, in the order of ``columns``.
    """

    def __init__(self, task: nn.Module) -> None:
        super().__init__()
        self.task = task.eval()
        self.columns: tuple[str, ...] = getattr(task.encoder, "point_columns", ())

    def forward(self, pos: Tensor, feat: Tensor, offsets: Tensor, point: Tensor | None = None) -> Tensor:
        columns = {} if point is None else dict(zip(self.columns, point.unbind(1), strict=True))
        p: Tensor = self.task.probabilities(self.task(PointCloud(pos, feat, offsets, point=columns)))  # type: ignore[operator]
        return p

    def tensors(self, cloud: PointCloud) -> tuple[Tensor, ...]:
        """What ``forward`` takes, of a cloud."""
        point = (torch.stack([cloud.point[name].float() for name in self.columns], dim=1),) if self.columns else ()
        return (cloud.pos, cloud.feat, cloud.offsets, *point)


def to_onnx(network: Probabilities, example: PointCloud, out: Path, about: dict[str, Any], threads: int = 1) -> Run:
    """Write an ONNX file, ``about`` as JSON in its metadata, and give what runs it. ValueError where a package is missing."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it and says so at length
    except ImportError as lack:
        raise ValueError(f"{lack.name} is not installed; pip install 'pcloud[export]', or write a .pt2 file") from None
    given = network.tensors(example)
    names = INPUTS[: len(given)]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            network, given, dynamo=True, dynamic_shapes=_shapes(names), input_names=list(names), output_names=["p"], verbose=False
        )
    assert program is not None
    program.model.metadata_props["pcloud"] = json.dumps(about)
    _through(out, lambda part: program.save(part, external_data=False))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(out, options, providers=["CPUExecutionProvider"])

    def run(*given: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: one.numpy() for name, one in zip(names, given, strict=True)})[0])

    return run


def to_program(network: Probabilities, example: PointCloud, out: Path, about: dict[str, Any]) -> Run:
    """Write a file for ``torch.export.load``, ``about`` beside as pcloud.json, and give what runs it.

    torch.export makes a rule of one: the file takes no less than two events and two points, of which ``run`` takes care.
    """
    given = network.tensors(example)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, given, dynamic_shapes=_shapes(INPUTS[: len(given)]))
    _through(out, lambda part: torch.export.save(program, part, extra_files={"pcloud.json": json.dumps(about)}))
    module = torch.export.load(out).module()

    def run(pos: Tensor, feat: Tensor, offsets: Tensor, *point: Tensor) -> Tensor:
        more = 2 if len(pos) < 2 else 0
        pos, feat, *point = (torch.cat([one, one[:1].expand(more, -1)]) for one in (pos, feat, *point))  # type: ignore[assignment]
        p: Tensor = module(pos, feat, torch.cat([offsets, offsets[-1:] + more]), *point)
        return p[:-1]

    return run


def _shapes(names: tuple[str, ...]) -> tuple[dict[int, Any], ...]:
    rows, ends = torch.export.Dim("points", min=2), torch.export.Dim("ends", min=3)
    return tuple({0: ends if name == "offsets" else rows} for name in names)


def _through(out: Path, save: Callable[[Path], Any]) -> None:
    """Let ``save`` write beside ``out``, under its suffix, then put the whole file in its place."""
    part = out.with_name(f".{os.getpid()}-{out.name}")
    try:
        save(part)
        write(out, part.read_bytes())
    finally:
        part.unlink(missing_ok=True)
