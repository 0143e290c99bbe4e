"""The GPU's kernels give the reference's bytes: in Triton's interpreter on any machine, and on a GPU where there is one."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest
import torch
from searches import SEARCHES, assert_equal, interpreted

from pcloud.neighbors import gpu, knn, paths
from pcloud.neighbors.search import Search

PATHS = {
    "small": "pcloud.neighbors.gpu_small:small",
    "grid": "pcloud.neighbors.gpu_grid:grid",
    "tiles": "pcloud.neighbors.gpu_tiles:tiles",
}
TOO_MANY = {"grid": {"k above the points"}}  # k = 70, beyond what the grid keeps


def names(path: str) -> list[str]:
    return [name for name in SEARCHES if name not in TOO_MANY.get(path, set())]


@pytest.mark.parametrize("path", PATHS)
def test_in_the_interpreter(path: str) -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    interpreted(PATHS[path], names(path))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", SEARCHES)
def test_on_a_gpu(path: str, name: str) -> None:
    if name not in names(path):
        pytest.skip("more neighbours than this path keeps")
    asked = SEARCHES[name]()
    points = asked.points.cuda()
    queries = points if asked.queries is asked.points else asked.queries.cuda()
    moved = replace(asked, points=points, queries=queries, offsets=asked.offsets.cuda(), query_offsets=asked.query_offsets.cuda())
    module, function = PATHS[path].split(":")
    assert_equal(lambda _: tuple(part.cpu() for part in getattr(importlib.import_module(module), function)(moved)), asked)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("path", PATHS)
def test_a_cuda_graph_holds_it(path: str) -> None:
    pos = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0)).cuda()
    offsets = torch.arange(0, 2001, 50).cuda()

    def table() -> torch.Tensor:
        return knn(pos, offsets, 8, check=False, max_points=50, path=path).index

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        table()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        index = table()
    pos.copy_(torch.randn(2000, 3, generator=torch.Generator().manual_seed(1)))
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(index.cpu(), knn(pos.cpu(), offsets.cpu(), 8).index)


def asked(points: int, dim: int, k: int, reach2: float = float("inf"), most: int | None = None, wrap: bool = False) -> Search:
    pos = torch.zeros(points, dim)
    offsets = torch.tensor([0, points])
    return Search(pos, offsets, pos, offsets, k, reach2, True, wrap, most)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (asked(50, 2, 16, most=50), "small"),
        (asked(50, 2, 16, most=256), "small"),
        (asked(300, 2, 16, most=257), "grid"),
        (asked(300, 3, 16), "grid"),
        (asked(300, 3, 65), "tiles"),
        (asked(300, 8, 32), "tiles"),
        (asked(300, 8, 32, reach2=1.0), "grid"),
        (asked(300, 13, 32, reach2=1.0), "tiles"),
        (asked(300, 1, 8, wrap=True), "tiles"),
        (asked(300, 3, 1025), "reference"),
        (asked(300, 33, 8, most=50), "reference"),
    ],
)
def test_the_choice(question: Search, answer: str) -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    assert gpu.choose(question)[0] == answer


def test_without_triton_the_reference_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    assert gpu.choose(asked(50, 2, 16)) == ("reference", "plain torch, as triton is not installed")


def test_the_kernels_refuse_what_they_are_not_made_for() -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    with pytest.raises(ValueError, match="max_points None came; this path is for events of at most 256"):
        gpu.PATHS["small"](asked(5, 2, 3))
    with pytest.raises(ValueError, match="k 65 came; this path keeps at most 64 neighbours"):
        gpu.PATHS["grid"](asked(5, 2, 65))
    with pytest.raises(ValueError, match="path 'grid' came; on cpu there are"):
        paths.search(asked(5, 2, 3), "grid")
