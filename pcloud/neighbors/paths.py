"""Which code answers a search: chosen by device, dimension, k, radius and size, and said aloud when asked.

``choose(asked) -> (name, why)``; ``search(asked, name)`` forces a path by its name, for benchmarks and tests.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

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


def unwatched() -> bool:
    """Whether numbers alone are asked for: no gradient of either kind, no compiler, tracer, transform or mode of torch looks on.
    Only then may a tensor be handed to compiled code as what it is in memory."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    modes = torch._C._len_torch_dispatch_stack() or torch._C._functorch.peek_interpreter_stack() is not None
    return not modes and forward_ad._current_level < 0


def short(pos: Tensor) -> bool:
    """Whether nothing but the search itself is to be done for points that look for each other: few, on a CPU, float32, nobody
    asking for gradients or looking on."""
    plain = type(pos) is Tensor and pos.device.type == "cpu" and pos.dtype == torch.float32 and pos.is_contiguous()
    return plain and len(pos) ** 2 <= FEW and unwatched()


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
