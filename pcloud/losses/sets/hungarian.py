"""Hungarian matching: the cheapest one-to-one pairing of the points of two sets; who stays alone pays a price.

``hungarian(x, x_offsets, y, y_offsets, price=1.0)``, solved by SciPy event by event on the CPU.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pcloud.losses.sets.sides import Side, sides


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

    Cost: N^3 at worst, on the CPU wherever the points are; memory N^2 of one event. Gradient: with the matching held, which is
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
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    points, others, a, b = (one.detach().double().cpu().numpy() for one in (x.points, y.points, x.weight, y.weight))
    starts, other_starts = (side.offsets.cpu().numpy() for side in (x, y))
    rows: list[np.ndarray] = [np.zeros((2, 0), np.int64)]
    for event in np.flatnonzero((np.diff(starts) > 0) & (np.diff(other_starts) > 0)):
        one, two = slice(*starts[event : event + 2]), slice(*other_starts[event : event + 2])
        cost = (a[one, None] + b[two]) / 2 * cdist(points[one], others[two], "sqeuclidean")
        cost -= 2 * price * np.minimum(a[one, None], b[two])
        pairs = np.stack(linear_sum_assignment(cost))
        rows.append(pairs + np.array([[one.start], [two.start]]))
    i, j = torch.from_numpy(np.concatenate(rows, 1)).to(x.points.device)
    return i, j
