"""``torch.ops.pcloud.knn``: the search as an operator of torch, so that compile, export and CUDA graphs see one opaque step.

Indices carry no gradient; squared distances pass it to the coordinates. A plain-torch decomposition serves ONNX.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import paths
from pcloud.neighbors.coordinates import LARGEST
from pcloud.neighbors.reference import TURN, squared_distance
from pcloud.neighbors.search import Search
from pcloud.neighbors.table import rows_at

FEW = 4  # axes
SCHEMA = (
    "(Tensor points, Tensor offsets, Tensor? queries, Tensor? query_offsets, int k, float reach2, bool skip_self, bool wrap, "
    "SymInt? max_points, str? path) -> (Tensor index, Tensor distance2, Tensor truncated)"
)


def _knn(
    points: Tensor,
    offsets: Tensor,
    queries: Tensor | None,
    query_offsets: Tensor | None,
    k: int,
    reach2: float,
    skip_self: bool,
    wrap: bool,
    max_points: int | None,
    path: str | None,
) -> tuple[Tensor, ...]:
    """The fields of :class:`~pcloud.neighbors.search.Search` in, those of ``Found`` out; no queries: the points themselves."""
    points = points.contiguous()
    if queries is None or query_offsets is None:
        asked = Search(points, offsets, points, offsets, k, reach2, skip_self, wrap, max_points)
    else:
        asked = Search(points, offsets, queries.contiguous(), query_offsets, k, reach2, skip_self, wrap, max_points)
    return tuple(paths.search(asked, path))


def _shapes(
    points: Tensor, offsets: Tensor, queries: Tensor | None, query_offsets: Tensor | None, k: int, *_: object
) -> tuple[Tensor, ...]:
    rows = (points if queries is None else queries).shape[0]
    return (
        points.new_empty((rows, k), dtype=torch.int32),
        points.new_empty((rows, k)),
        points.new_empty(rows, dtype=torch.bool),
    )


def _save(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[object, ...], output: tuple[Tensor, ...]) -> None:
    points, _, queries, *_, wrap, _, _ = inputs
    ctx.own, ctx.wrap = queries is None, wrap  # type: ignore[attr-defined]
    ctx.save_for_backward(points, points if queries is None else queries, output[0])  # type: ignore[arg-type]


def _backward(ctx: torch.autograd.function.FunctionCtx, _: object, grad: Tensor, __: object) -> tuple[Tensor | None, ...]:
    """d|q - p|^2 = 2 (q - p) (dq - dp), for the neighbours there are."""
    points, queries, index = ctx.saved_tensors  # type: ignore[attr-defined]
    step = queries[:, None] - rows_at(points, index)
    if ctx.wrap:  # type: ignore[attr-defined]
        turn = torch.zeros_like(step)
        turn[..., -1] = torch.where(step[..., -1].abs() > TURN / 2, TURN * step[..., -1].sign(), 0.0)
        step = step - turn
    pull = torch.where((index >= 0)[..., None], 2 * grad[..., None] * step, 0.0)
    to_queries = pull.sum(1)
    to_points = torch.zeros_like(points).index_add(0, index.clamp(min=0).flatten(), -pull.flatten(0, 1))
    if ctx.own:  # type: ignore[attr-defined]
        return to_points + to_queries, *[None] * 9
    return to_points, None, to_queries, *[None] * 7


# Registered part by part: the decorator that does it all imports torch's compiler at the first call, which takes seconds.
torch.library.define("pcloud::knn", SCHEMA)
torch.library.impl("pcloud::knn", "CompositeExplicitAutograd", _knn)
torch.library.register_fake("pcloud::knn", _shapes)
torch.library.register_autograd("pcloud::knn", _backward, setup_context=_save)
knn = torch.ops.pcloud.knn.default


def decomposed(
    points: Tensor,
    offsets: Tensor,
    queries: Tensor | None,
    query_offsets: Tensor | None,
    k: int,
    reach2: float,
    skip_self: bool,
    wrap: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same answer from operators that ONNX has: every query against every point, other events masked out.

    Memory grows with queries times points: for jets and small events.
    """
    rows = torch.arange(points.shape[0], device=points.device)
    event = segments.event_of(offsets, points.shape[0])
    asked, asked_rows, asked_event = points, rows, event
    if queries is not None and query_offsets is not None:
        asked, asked_rows = queries, torch.arange(queries.shape[0], device=points.device)
        asked_event = segments.event_of(query_offsets, queries.shape[0])
    bounded = reach2 < torch.inf
    distance2 = _apart(asked, points, wrap, by_products=skip_self and not bounded)
    near = event[None] == asked_event[:, None]
    if skip_self:
        near = near & (rows[None] != asked_rows[:, None])
    distance2 = torch.where(near & (distance2 <= reach2), distance2, torch.inf)
    width = k + 1 if bounded else k  # one more tells whether there are more
    beyond = distance2.new_full((asked.shape[0], width), torch.inf)  # so that there are always enough to take
    nearest, order = torch.cat([distance2, beyond], 1).topk(width, dim=1, largest=False)  # in ONNX, ties by lower index
    index = torch.where(nearest < torch.inf, order, -1).int()
    if not bounded:
        return index, nearest, torch.zeros_like(asked_rows, dtype=torch.bool)
    return index[:, :k], nearest[:, :k], nearest[:, k] < torch.inf


def _apart(asked: Tensor, points: Tensor, wrap: bool, by_products: bool) -> Tensor:
    """Squared distances [queries, points]: axis by axis, or where these are many, all at once.

    by_products: of many axes as |a|^2 + |b|^2 - 2 a b, in float64 about the points' middle: within a few ulp of float32 of the
    sum of squares, but that a point's twin may be 1e-8 of the points' spread away. A small event waits for each step of an
    exported file, and for differences of many axes longest.
    """
    if wrap:
        return squared_distance(asked[:, None], points[None], wrap)
    if points.shape[1] <= FEW:
        steps = [a - b.t() for a, b in zip(torch.split(asked, 1, dim=1), torch.split(points, 1, dim=1), strict=True)]
        squares: list[Tensor] = [step * step for step in steps]
        return sum(squares[1:], squares[0])
    if not by_products:
        return (asked[:, None] - points[None]).square().sum(-1)
    wide = points.double()
    wide = wide - torch.where(wide.abs() <= LARGEST, wide, 0.0).mean(0)  # a NaN of another event must not reach this one
    own = (wide * wide).sum(1)
    return (own[:, None] + own[None] - 2 * wide @ wide.t()).float().clamp(min=0)
