"""Hungarian matching: the cheapest one-to-one pairing of the points of two sets; who stays alone pays a price.

``hungarian(x, x_offsets, y, y_offsets, price=1.0)``, solved by SciPy event by event on the CPU, by a kernel on a GPU.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import torch
from torch import Tensor

from pcloud import segments
from pcloud.losses.sets.sides import Block, Side, blocks, sides

CELLS = 1 << 22  # pairs of points whose costs a GPU holds at once


def hungarian(
    x: Tensor,
    x_offsets: Tensor,
    y: Tensor,
    y_offsets: Tensor,
    *,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    price: float = 1.0,
) -> Tensor:
    """[sum_pairs ((a_i + b_j) / 2 |x_i - y_j|^2 + price |a_i - b_j|) + price sum_alone weight] / max(sum a, sum b): [events].

    min(N, M) pairs are made, those that make the value least; a, b: the weights as they are. Without weights that is the mean
    over max(N, M) points of squared distances and of ``price`` (in the square of x's unit) for each point left alone. Points of
    weight zero are not there. One empty set: ``price``; two: 0.

    Cost: N^3 at worst; memory N^2 of one event, on a GPU of a few thousand. Without Triton, or with sets of more than 2,048
    points, what is on a GPU is matched on the CPU. Gradient: with the matching held, which is
    exact but where two matchings cost the same. Bias: none as a matching; multiplicity is paid by ``price``, without gradient by
    the points. Source: Kuhn 1955; SciPy's linear_sum_assignment (Crouse 2016); the price as in OSPA (Schuhmacher et al. 2008).
    """
    left, right = (side.present() for side in sides(x, x_offsets, y, y_offsets, x_weight, y_weight))
    i, j = _matching(left, right, price)
    apart = (left.points[i] - right.points[j]).square().sum(1)
    a, b = left.weight[i], right.weight[j]
    saved = (a + b) / 2 * apart + price * ((a - b).abs() - a - b)
    total = left.total(), right.total()
    value = (price * (total[0] + total[1])).index_add(0, left.owner[i], saved)
    most = torch.maximum(*total)
    return value / torch.where(most > 0, most, 1.0)


def _matching(x: Side, y: Side, price: float) -> tuple[Tensor, Tensor]:
    """Rows of x and of y that belong together."""
    if x.points.is_cuda and importlib.util.find_spec("triton") is not None:
        from pcloud.losses.sets import gpu_matching

        sizes = torch.cat([segments.lengths(side.offsets) for side in (x, y)])
        if not bool((sizes > gpu_matching.MOST).any()):
            return on_gpu(x, y, price)
    return _on_cpu(x, y, price)


def _cost(a: Tensor, b: Tensor, apart: Tensor, price: float) -> Tensor:
    """What a pair costs above leaving both alone; all of shapes that go together."""
    return (a + b) / 2 * apart - 2 * price * torch.minimum(a, b)


def on_gpu(x: Side, y: Side, price: float) -> tuple[Tensor, Tensor]:
    """The pairs by Triton's kernel, blocks of events at a time; sets of at most ``gpu_matching.MOST`` points."""
    from pcloud.losses.sets.gpu_matching import matching

    rows: list[Tensor] = [x.offsets.new_zeros((2, 0))]
    for block in blocks(x, y, CELLS):
        partner = matching(_block_cost(block, price), *(segments.lengths(side.offsets)[block.event] for side in (x, y)))
        event, row = (partner >= 0).nonzero(as_tuple=True)
        first = block.event[event]
        rows.append(torch.stack([x.offsets[first] + row, y.offsets[first] + partner[event, row]]))
    i, j = torch.cat(rows, 1)
    return i, j


def _block_cost(block: Block, price: float) -> Tensor:
    x, a, y, b = (one.detach().double() for one in (block.x, block.a, block.y, block.b))
    apart = x.new_zeros(*a.shape, b.shape[1])
    for axis in range(x.shape[2]):
        apart += (x[:, :, None, axis] - y[:, None, :, axis]).square()
    return _cost(a[:, :, None], b[:, None], apart, price)


def _on_cpu(x: Side, y: Side, price: float) -> tuple[Tensor, Tensor]:
    """The pairs by SciPy, event by event."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    points, others, a, b = (one.detach().double().cpu() for one in (x.points, y.points, x.weight, y.weight))
    starts, other_starts = (side.offsets.cpu().numpy() for side in (x, y))
    rows: list[np.ndarray] = [np.zeros((2, 0), np.int64)]
    for event in np.flatnonzero((np.diff(starts) > 0) & (np.diff(other_starts) > 0)):
        one, two = slice(*starts[event : event + 2]), slice(*other_starts[event : event + 2])
        apart = torch.from_numpy(cdist(points[one].numpy(), others[two].numpy(), "sqeuclidean"))
        pairs = np.stack(linear_sum_assignment(_cost(a[one, None], b[two], apart, price).numpy()))
        rows.append(pairs + np.array([[one.start], [two.start]]))
    i, j = torch.from_numpy(np.concatenate(rows, 1)).to(x.points.device)
    return i, j
