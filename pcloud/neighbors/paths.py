"""Which code answers a search: chosen by device, dimension, k, radius and size, and said aloud when asked.

``choose(asked) -> (name, why)``; ``search(asked, name)`` forces a path by its name, for benchmarks and tests.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud.neighbors import reference
from pcloud.neighbors.search import Found, Path, Search

FEW = 256 * 256  # queries times points up to which the CPU compares every pair


def choose(asked: Search) -> tuple[str, str]:
    """The path's name and the reason in words; looks at shapes and at what the host knows, never at a coordinate."""
    kind = asked.points.device.type
    if kind == "cpu":
        if len(asked.points) * len(asked.queries) <= FEW:
            return "pairs", f"every pair of {len(asked.points)} points: too few to plant a forest for"
        return "forest", f"k-d forest of small leaves on {len(asked.points)} points"
    if kind == "cuda":
        from pcloud.neighbors import gpu

        return gpu.choose(asked)
    return "reference", f"plain torch, as nothing faster is written for {kind}"


def search(asked: Search, name: str | None = None) -> Found:
    """Answer on the named path, by default the chosen one. ValueError: a name that this device has no path of."""
    name = name or choose(asked)[0]
    kind = asked.points.device.type
    known: dict[str, Path] = {"reference": reference.search}
    if kind in ("cpu", "cuda"):
        known["faiss"] = _faiss
    if kind == "cpu":
        known |= {"pairs": _pairs, "forest": _forest}
    elif kind == "cuda":
        from pcloud.neighbors import gpu

        known |= gpu.PATHS
    if name not in known:
        raise ValueError(f"path {name!r} came; on {kind} there are {', '.join(known)}")
    return known[name](asked)


def short(pos: Tensor) -> bool:
    """Whether nothing but the search itself is to be done for points that look for each other: few, on a CPU, float32, nobody
    asking for gradients or looking on."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or type(pos) is not Tensor or pos.device.type != "cpu":
        return False
    return pos.dtype == torch.float32 and len(pos) ** 2 <= FEW and pos.is_contiguous()


def at_once(pos: Tensor, offsets: Tensor, k: int, reach2: float, skip_self: bool) -> Found | None:
    """The answer of a :func:`short` search, or None where something is wrong with what came."""
    from pcloud.neighbors import pairs

    return pairs.at_once(pos, offsets, k, reach2, skip_self)


def _pairs(asked: Search) -> Found:
    from pcloud.neighbors import pairs  # numba is heavy

    return pairs.search(asked)


def _forest(asked: Search) -> Found:
    from pcloud.neighbors import forest

    return forest.search(asked)


def _faiss(asked: Search) -> Found:
    from pcloud.neighbors import faiss

    return faiss.search(asked)
