"""A network whose graph follows its features gives the same tables compiled, exported and in ONNX Runtime as it does eagerly.

Other kernels round features otherwise, so a neighbour may differ where the distances that compete for its place are as good as
equal; those places are counted.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders import ENCODERS
from pcloud.neighbors import knn
from pcloud.nn import EdgeConv

AS_GOOD_AS_EQUAL = 1e-5
Tables = tuple[Tensor, ...]


class Dynamic(nn.Module):
    """Two edge convolutions, each graph in the features of the one before; gives each table with its distances."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = EdgeConv(3, 16), EdgeConv(16, 16)

    def forward(self, x: Tensor, offsets: Tensor) -> Tables:
        here = knn(x, offsets, 8)
        x = self.first(x, here)
        there = knn(x, offsets, 8)
        last = knn(self.second(x, there), offsets, 8)
        return here.index, here.distance2, there.index, there.distance2, last.index, last.distance2


def jets(seed: int, sizes: list[int]) -> tuple[Tensor, Tensor]:
    x = torch.randn(sum(sizes), 3, generator=torch.Generator().manual_seed(seed))
    return x, segments.offsets_of(torch.tensor(sizes))


def dynamic_shapes() -> tuple[dict[int, object], dict[int, object]]:
    return {0: torch.export.Dim("points", min=2)}, {0: torch.export.Dim("ends", min=3)}


def compiled(tmp_path: Path) -> Callable[..., Tables]:
    traced: Callable[..., Tables] = torch.compile(
        Dynamic().eval(), fullgraph=True, backend=os.environ.get("PCLOUD_COMPILE", "aot_eager")
    )
    return traced


def exported(tmp_path: Path) -> Callable[..., Tables]:
    module: Callable[..., Tables] = torch.export.export(
        Dynamic().eval(), jets(0, [20, 0, 33]), dynamic_shapes=dynamic_shapes()
    ).module()
    return module


def in_onnx_runtime(tmp_path: Path) -> Callable[..., Tables]:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            Dynamic().eval(), jets(0, [20, 0, 33]), dynamo=True, dynamic_shapes=dynamic_shapes(), verbose=False
        )
    assert program is not None
    program.save(tmp_path / "dynamic.onnx")
    session = runtime.InferenceSession(tmp_path / "dynamic.onnx")
    names = [one.name for one in session.get_inputs()]

    def run(*given: Tensor) -> Tables:
        return tuple(map(torch.from_numpy, session.run(None, dict(zip(names, [one.numpy() for one in given], strict=True)))))

    return run


@pytest.mark.parametrize("route", [compiled, exported, in_onnx_runtime])
def test_the_tables_are_the_eager_ones(route: Callable[[Path], Callable[..., Tables]], tmp_path: Path) -> None:
    eager, other = Dynamic().eval(), route(tmp_path)
    differ = places = 0
    with torch.no_grad():
        for seed, sizes in enumerate(([20, 0, 33], [50, 60, 1, 0, 47], [128, 3])):
            here, there = eager(*jets(seed, sizes)), other(*jets(seed, sizes))
            for table in range(0, 6, 2):
                unlike = here[table] != there[table]
                mine, theirs = here[table + 1][unlike], there[table + 1][unlike]
                assert bool(((mine - theirs).abs() <= AS_GOOD_AS_EQUAL * mine).all())
                differ, places = differ + int(unlike.sum()), places + unlike.numel()
                torch.testing.assert_close(there[table + 1], here[table + 1], rtol=1e-4, atol=1e-6)
    print(f"{route.__name__}: {differ} of {places} places differ")
    assert differ <= places / 1000


class Tagger(nn.Module):
    """From tensors to an encoder's output, the making of the cloud included."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        options = {"channels": 8, "layers": 2} if name == "dgcnn" else {"widths": (8, 12), "hidden": 8}
        self.encoder = ENCODERS[name](in_channels=3, k=4, **options)

    def forward(self, x: Tensor, offsets: Tensor) -> Tensor:
        events: Tensor = self.encoder(PointCloud(x[:, :2], x, offsets)).events
        return events


@pytest.mark.parametrize("name", ["dgcnn", "particlenet"])
def test_an_encoder_is_exported_whole(name: str) -> None:
    """For any number of points and events."""
    tagger = Tagger(name).eval()
    program = torch.export.export(tagger, jets(0, [20, 0, 33]), dynamic_shapes=dynamic_shapes()).module()
    for sizes in ([20, 0, 33], [5, 70]):
        torch.testing.assert_close(program(*jets(3, sizes)), tagger(*jets(3, sizes)), rtol=1e-4, atol=1e-5)


def test_particlenet_in_onnx_runtime(tmp_path: Path) -> None:
    """Jets of one to forty constituents, k = 4: events as eager ones."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    tagger = Tagger("particlenet").train()
    tagger(*jets(1, [30, 20]))  # running statistics that are no identity
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            tagger.eval(), jets(0, [20, 0, 33]), dynamo=True, dynamic_shapes=dynamic_shapes(), verbose=False
        )
    assert program is not None
    program.save(tmp_path / "particlenet.onnx")
    session = runtime.InferenceSession(tmp_path / "particlenet.onnx")
    names = [one.name for one in session.get_inputs()]
    for sizes in ([1, 2, 3, 40], [5, 0, 33]):
        given = jets(3, sizes)
        (there,) = session.run(None, dict(zip(names, [one.numpy() for one in given], strict=True)))
        torch.testing.assert_close(torch.from_numpy(there), tagger(*given), rtol=1e-4, atol=1e-5)
