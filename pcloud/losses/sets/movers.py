"""The energy mover's distance: the work to make one jet of another, exactly, with the difference of their summed pT.

``emd(x, x_offsets, y, y_offsets, x_weight=pt, y_weight=pt, R=0.8)``; the solver is ours (``transport``), on the CPU.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pcloud.losses.sets.known import known
from pcloud.losses.sets.sides import Side, sides
from pcloud.losses.sets.spread import spread


def emd(
    x: Tensor,
    x_offsets: Tensor,
    y: Tensor,
    y_offsets: Tensor,
    *,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    R: float = 1.0,
    beta: float = 1.0,
) -> Tensor:
    """min_f sum_ij f_ij (|x_i - y_j| / R)^beta + |sum a - sum b|, in the weights' unit: [events].

    f_ij >= 0, sum_j f_ij <= a_i, sum_i f_ij <= b_j, sum_ij f_ij = min(sum a, sum b). Weights a, b are not normalised; R in x's
    unit; beta > 0. Distances are straight: an azimuth is to be given about the jet's axis. An empty set leaves the other's
    summed weight; two give 0. Points of weight zero are not there.

    Cost: about N^2 to N^3 (a network simplex in float64 on the CPU, wherever the points are); memory N^2 of an event and thread.
    Gradient: exact where it exists: by points from the plan, by weights from its duals; none from a pair that coincides, the mean
    of both sides where the summed weights are equal. Bias: none. A metric for beta = 1 and R at least half the largest distance.
    Source: Komiske, Metodiev and Thaler, arXiv 1902.02346 (R), 2004.04159 (beta).
    """
    if not (0 < R < float("inf") and 0 < beta < float("inf")):
        raise ValueError(f"R = {R}, beta = {beta} came; positive numbers were expected")
    left, right = (side.present() for side in sides(x, x_offsets, y, y_offsets, x_weight, y_weight))
    from pcloud.losses.sets import transport  # numba is heavy

    one, two = _arrays(left), _arrays(right)
    events = len(x_offsets) - 1
    out = (np.zeros(events), *(np.zeros(part.shape) for part in (one[0], two[0], one[1], two[1])))
    close = 4 * torch.finfo(left.weight.dtype).eps

    def work(first: int, last: int) -> None:
        lost = transport.move(first, last, one, two, float(R), float(beta), close, out)
        if lost >= 0:
            raise RuntimeError(f"the transport of event {lost} found no end; please report its points and weights")

    spread(work, events)
    value, gx, gy, ga, gb = (torch.from_numpy(part).to(left.points) for part in out)
    return known(value, left, right, (gx, gy, ga, gb))


def _arrays(side: Side) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points, weight = (part.detach().double().cpu().contiguous().numpy() for part in (side.points, side.weight))
    return points, weight, side.offsets.cpu().contiguous().numpy()
