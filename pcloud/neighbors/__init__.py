"""Who is near whom, inside an event: one door for every neighbour search, exact and the same on every device.

``knn(pos, offsets, k)`` and ``radius(pos, offsets, r, k_max=...)`` give a dense :class:`Neighbors` table.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud.neighbors import reference
from pcloud.neighbors.table import Neighbors

__all__ = ["Neighbors", "knn", "radius"]


@torch.compiler.disable
def knn(
    pos: Tensor,
    offsets: Tensor,
    k: int,
    *,
    r_max: float | None = None,
    query: Tensor | None = None,
    query_offsets: Tensor | None = None,
    loop: bool = False,
) -> Neighbors:
    """The nearest ``k`` points of each query inside its event, within ``r_max`` where given.

    pos [points, dim] float; offsets [events + 1] int64; query [queries, dim] with its own offsets, by default the points
    themselves, which then are not their own neighbours unless ``loop``. Distances are differentiable, indices are not.
    Raises ValueError on a coordinate that is not finite, naming its row.
    """
    if k < 1:
        raise ValueError(f"k = {k} came; at least 1 was expected")
    skip_self = query is None and not loop
    if query is None or query_offsets is None:
        if query is not None or query_offsets is not None:
            raise ValueError("query and query_offsets belong together; give both or neither")
        query, query_offsets = pos, offsets
    for name, table in (("pos", pos), ("query", query)):
        if not bool(torch.isfinite(table).all()):
            row = int((~torch.isfinite(table)).any(1).nonzero()[0])
            raise ValueError(f"{name} row {row} is {table[row].tolist()}; neighbours need finite coordinates")
    with torch.no_grad():
        points, queries = pos.detach().float(), query.detach().float()
        search = _search(points)
        index = search(points, offsets, k, queries, query_offsets, skip_self)
    sender = pos[index.clamp(min=0)]
    distance2 = reference.squared_distance(query[:, None].float(), sender.float()).masked_fill(index < 0, torch.inf)
    if r_max is not None:
        index = index.masked_fill(distance2 > r_max**2, -1)
        distance2 = distance2.masked_fill(index < 0, torch.inf)
    return Neighbors(index, distance2)


def radius(
    pos: Tensor,
    offsets: Tensor,
    r: float,
    *,
    k_max: int,
    query: Tensor | None = None,
    query_offsets: Tensor | None = None,
    loop: bool = False,
) -> Neighbors:
    """All points within distance ``r`` (inclusive); where there are more than ``k_max``, the nearest ``k_max``."""
    return knn(pos, offsets, k_max, r_max=r, query=query, query_offsets=query_offsets, loop=loop)


def _search(pos: Tensor):  # type: ignore[no-untyped-def]
    """The fast path for this device: SciPy's tree on the CPU, the reference elsewhere."""
    if pos.device.type == "cpu":
        from pcloud.neighbors import cpu

        return cpu.knn
    return reference.knn
