"""The search as an operator of torch: compiled, exported, in ONNX Runtime, unchecked, differentiated; always the same table."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pcloud import segments
from pcloud.neighbors import knn, operator, radius

SIZES = [12, 0, 25, 1]
# torch's own "aot_dispatch" check sums outputs of all types as floats; the compiled backward has a test here instead.
CHECKS = ("test_schema", "test_autograd_registration", "test_faketensor")


def cloud(sizes: list[int] = SIZES, dim: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    pos = torch.randn(sum(sizes), dim, generator=torch.Generator().manual_seed(seed))
    return pos, segments.offsets_of(torch.tensor(sizes))


class Table(nn.Module):
    """All that the door gives, from coordinates that a layer has made."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.options = options

    def forward(self, pos: Tensor, offsets: Tensor) -> tuple[Tensor, ...]:
        found = knn(2 * pos + 1, offsets, 4, **self.options)  # type: ignore[arg-type]
        return found.index, found.distance2, found.truncated, found.nonfinite


@pytest.mark.parametrize("own", [True, False])
def test_it_is_a_proper_operator(own: bool) -> None:
    """Schema, fake kernel, autograd and traced backward agree with what the operator does."""
    (pos, offsets), (query, query_offsets) = cloud(), cloud([3, 2, 0, 4], seed=1)
    pos.requires_grad_(), query.requires_grad_()
    others = (None, None) if own else (query, query_offsets)
    torch.library.opcheck(operator.knn, (pos, offsets, *others, 4, 2.0, own, False, None, None), test_utils=CHECKS)


@pytest.mark.parametrize("options", [{}, {"r_max": 1.5}, {"metric": "cylinder", "loop": True}], ids=str)
def test_compiled_and_exported_tables_are_the_eager_one(options: dict[str, object]) -> None:
    table = Table(**options)
    compiled = torch.compile(table, fullgraph=True, backend="aot_eager", dynamic=True)
    points, events = torch.export.Dim("points", min=2), torch.export.Dim("ends", min=3)
    exported = torch.export.export(table, cloud(), dynamic_shapes=({0: points}, {0: events})).module()
    for sizes in (SIZES, [5, 9], [0, 7, 30, 2, 0]):
        eager = table(*cloud(sizes, seed=3))
        for traced in (compiled, exported):
            assert all(map(torch.equal, traced(*cloud(sizes, seed=3)), eager))


def test_compiled_gradients_are_the_eager_ones() -> None:
    pos, offsets = cloud()

    def gradient(search: object) -> Tensor:
        moved = pos.clone().requires_grad_()
        index, distance2, *_ = search(moved, offsets)  # type: ignore[operator]
        torch.where(index >= 0, distance2, 0.0).sin().sum().backward()
        assert moved.grad is not None
        return moved.grad

    compiled = torch.compile(Table(), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(gradient(compiled), gradient(Table()))


def test_compiled_doubles_keep_their_digits() -> None:
    pos, offsets = cloud()
    far = pos.double() * 1e-3 + 1e6
    table = Table()
    assert all(map(torch.equal, torch.compile(table, fullgraph=True, backend="aot_eager")(far, offsets), table(far, offsets)))


@pytest.mark.parametrize("options", [{}, {"r_max": 1.5}, {"metric": "cylinder"}], ids=str)
def test_onnx_runtime_gives_the_table(options: dict[str, object], tmp_path: Path) -> None:
    """From the plain decomposition; ties by lower index there, too."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    points, events = torch.export.Dim("points", min=2), torch.export.Dim("ends", min=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            Table(**options), cloud(), dynamo=True, dynamic_shapes=({0: points}, {0: events}), verbose=False
        )
    assert program is not None
    program.save(tmp_path / "table.onnx")
    session = runtime.InferenceSession(tmp_path / "table.onnx")
    lattice = torch.cartesian_prod(*[torch.arange(3.0)] * 3), torch.tensor([0, 9, 27])
    for pos, offsets in (cloud(), cloud([4, 40], seed=5), lattice):
        names = [one.name for one in session.get_inputs()]
        there = session.run(None, dict(zip(names, [pos.numpy(), offsets.numpy()], strict=True)))
        index, distance2, truncated, _ = map(torch.from_numpy, there)
        here = Table(**options)(pos, offsets)
        assert torch.equal(index, here[0]) and torch.equal(truncated, here[2])
        torch.testing.assert_close(distance2, here[1], rtol=1e-6, atol=0)


def test_unchecked_rows_that_are_not_finite_are_left_out_and_counted() -> None:
    pos, offsets = cloud()
    clean = knn(pos, offsets, 40)
    pos[3, 1], pos[15, 0], pos[16, 2] = math.nan, math.inf, -1e20
    found = knn(pos, offsets, 40, check=False)
    assert int(found.nonfinite) == 3 and int(clean.nonfinite) == 0
    bad = torch.zeros(len(pos), dtype=torch.bool)
    bad[[3, 15, 16]] = True
    assert not found.mask[bad].any() and not bad[found.index[found.mask].long()].any()
    kept = [[one for one in row[row >= 0].tolist() if not bad[one]] for row in clean.index[~bad]]
    assert [row[row >= 0].tolist() for row in found.index[~bad]] == kept
    far = knn(pos.double() + 1e6, offsets, 40, check=False)
    assert int(far.nonfinite) == 3 and torch.equal(far.mask.sum(1), found.mask.sum(1)), "a bad row must not move its event"
    graph = torch.compile(Table(), fullgraph=True, backend="aot_eager")(pos, offsets)
    assert int(graph[3]) == 3 and not (graph[0][bad] >= 0).any()
    query = knn(pos, offsets, 4, query=pos.clone(), query_offsets=offsets, check=False)
    assert int(query.nonfinite) == 6 and not query.mask[bad].any()


def test_gradient_has_no_part_in_missing_rows() -> None:
    pos, offsets = cloud()
    pos[3, 1] = math.nan
    pos.requires_grad_()
    found = knn(pos, offsets, 40, check=False)
    found.distance2[found.mask].sum().backward()
    assert pos.grad is not None and bool(torch.isfinite(pos.grad).all()) and bool((pos.grad[3] == 0).all())


def test_truncated_queries_are_told() -> None:
    pos, offsets = torch.tensor([[0.0], [1.0], [2.0], [10.0]]), torch.tensor([0, 4])
    assert radius(pos, offsets, 2.0, k_max=1).truncated.tolist() == [True, True, True, False]
    assert radius(pos, offsets, 2.0, k_max=2).truncated.tolist() == [False] * 4
    assert radius(pos, offsets, 2.0, k_max=2, loop=True).truncated.tolist() == [True, True, True, False]
    assert not knn(pos, offsets, 1).truncated.any()
    for r in (1e17, 1e20, 1e300, math.inf):  # of any size: without a warning that its square is beyond float32
        assert radius(pos, offsets, r, k_max=2).truncated.tolist() == [True] * 4
        assert not radius(pos, offsets, r, k_max=3).truncated.any()


@pytest.mark.parametrize("metric", ["euclidean", "cylinder"])
def test_gradients_of_first_and_second_order(metric: str) -> None:
    """Quadratic in the coordinates: central differences are exact at any step, so float32 inside does no harm."""
    draw = torch.Generator().manual_seed(1)
    pos = (torch.rand(9, 2, generator=draw, dtype=torch.float64) * 6 - 3).requires_grad_()
    query = (torch.rand(4, 2, generator=draw, dtype=torch.float64) * 6 - 3).requires_grad_()

    def distances(pos: Tensor, query: Tensor) -> Tensor:
        own = knn(pos, torch.tensor([0, 5, 9]), 3, metric=metric)
        other = knn(pos, torch.tensor([0, 5, 9]), 3, query=query, query_offsets=torch.tensor([0, 3, 4]), metric=metric)
        return torch.cat([part.distance2[part.mask] for part in (own, other)]).double()

    assert torch.autograd.gradcheck(distances, (pos, query), eps=1e-3, atol=2e-2, rtol=1e-3)
    assert torch.autograd.gradgradcheck(distances, (pos, query), eps=1e-3, atol=2e-2, rtol=1e-3)


def test_the_cylinder_has_no_seam() -> None:
    pos = torch.tensor([[0.0, 3.1], [0.0, -3.1], [0.0, 0.0], [0.1, 3.1 - 4 * math.pi]], requires_grad=True)
    found = knn(pos, torch.tensor([0, 4]), 2, metric="cylinder")
    assert found.index.tolist()[:2] == [[1, 3], [0, 3]]
    gap = 2 * math.pi - 6.2
    torch.testing.assert_close(found.distance2[0, 0], torch.tensor(gap**2), rtol=1e-4, atol=0)
    found.distance2[0, 0].backward()
    assert pos.grad is not None
    torch.testing.assert_close(pos.grad[0, 1], torch.tensor(-2 * gap), rtol=1e-4, atol=0)


def test_the_choice_can_be_seen_and_forced() -> None:
    pos, offsets = cloud()
    assert knn(pos, offsets, 2).path == ""
    assert knn(pos, offsets, 2, explain=True).path.startswith("pairs: ")
    assert knn(torch.rand(257, 2), torch.tensor([0, 257]), 2, explain=True).path.startswith("forest: ")
    assert knn(pos, offsets, 2, path="reference", explain=True).path == "reference: asked for"
    with pytest.raises(ValueError, match="path 'tree' came; on cpu there are reference, faiss, pairs, forest"):
        knn(pos, offsets, 2, path="tree")
