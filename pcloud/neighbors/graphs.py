"""``knn_graph`` and ``radius_graph`` as users of PyTorch Geometric and torch_cluster know them, on the exact operator.

A change of the import is all: same arguments, same ``edge_index`` [2, edges]; but the *nearest* neighbours are kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud import neighbors, segments


def knn_graph(
    x: Tensor,
    k: int,
    batch: Tensor | None = None,
    loop: bool = False,
    flow: str = "source_to_target",
    cosine: bool = False,
    num_workers: int = 1,
    batch_size: int | None = None,
) -> Tensor:
    """Edges [2, edges] int64 from the ``k`` nearest points to each point; with ``loop`` the point itself is one of the k.

    x [points, dim] or [points]; batch [points] int64, not falling: the event of each point. ``flow`` "target_to_source"
    turns edges round; ``cosine`` takes the angle between vectors in place of their distance. ``num_workers`` is accepted
    and not needed: threads are torch's.
    """
    x = _table(x)
    if cosine:
        x = torch.nn.functional.normalize(x, dim=1)  # then the nearest are those at the smallest angle
    offsets = _offsets(x, batch, batch_size)
    found = neighbors.knn(x, offsets, _at_most(k, offsets), loop=loop)
    return _flowing(found.edge_index(), flow)


def radius_graph(
    x: Tensor,
    r: float,
    batch: Tensor | None = None,
    loop: bool = False,
    max_num_neighbors: int = 32,
    flow: str = "source_to_target",
    num_workers: int = 1,
    batch_size: int | None = None,
) -> Tensor:
    """Edges [2, edges] int64 to each point from all within ``r`` (inclusive), or the nearest ``max_num_neighbors`` of them."""
    x = _table(x)
    offsets = _offsets(x, batch, batch_size)
    found = neighbors.radius(x, offsets, r, k_max=_at_most(max_num_neighbors, offsets), loop=loop)
    return _flowing(found.edge_index(), flow)


def _table(x: Tensor) -> Tensor:
    return x[:, None] if x.dim() == 1 else x  # one coordinate, as those libraries take it


def _at_most(k: int, offsets: Tensor) -> int:
    """Places in the table: "all of them" is often said as a huge number, and no event has more neighbours than points."""
    largest: int = max(segments.lengths(offsets).tolist(), default=0)
    return min(k, max(largest, 1))


def _offsets(x: Tensor, batch: Tensor | None, batch_size: int | None) -> Tensor:
    if batch is None:
        return torch.tensor([0, len(x)], device=x.device)
    if batch.shape != x.shape[:1]:
        raise ValueError(f"batch {list(batch.shape)} came for {len(x)} points; the event of each point was expected")
    if bool((batch[1:] < batch[:-1]).any()) or bool((batch[:1] < 0).any()):
        raise ValueError("batch falls somewhere, or is negative; sort the points by event first")
    events = int(batch[-1]) + 1 if len(batch) else 0
    if batch_size is not None and batch_size < events:
        raise ValueError(f"batch_size {batch_size} came, but batch names event {events - 1}; at least {events} was expected")
    return segments.offsets_of(torch.bincount(batch, minlength=batch_size or events))


def _flowing(edge_index: Tensor, flow: str) -> Tensor:
    if flow not in ("source_to_target", "target_to_source"):
        raise ValueError(f"flow {flow!r} came; source_to_target or target_to_source was expected")
    return edge_index if flow == "source_to_target" else edge_index.flip(0)
