"""Chamfer distance: every point to the nearest one of the other set.

``chamfer(x, x_offsets, y, y_offsets)``, weighted by pT where weights are given.
"""

from __future__ import annotations

from torch import Tensor

from pcloud import segments
from pcloud.losses.sets.sides import Side, settled, sides
from pcloud.neighbors import knn


def chamfer(
    x: Tensor,
    x_offsets: Tensor,
    y: Tensor,
    y_offsets: Tensor,
    *,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    empty: float = 1.0,
) -> Tensor:
    """sum_i a_i min_j |x_i - y_j|^2 + sum_j b_j min_i |x_i - y_j|^2, in the square of x's unit: [events].

    a, b: the weights, normalised in each event. Points of weight zero are not there. ``empty``: what an event costs where one
    set has no weight (a constant, without gradient); 0 where neither has.

    Cost: two neighbour searches, about N log N; memory N. Gradient: by points with the nearest ones held; by weights exact.
    Bias: zero wherever each point lies on some point of the other set, whatever multiplicity and weights: it does not conserve
    pT. Nearest is decided in float32. Source: Barrow et al. 1977; on clouds Fan, Su and Guibas, arXiv 1612.00603.
    """
    left, right = sides(x, x_offsets, y, y_offsets, x_weight, y_weight)
    left, right = left.present().normalised(), right.present().normalised()
    return settled(_one_way(left, right) + _one_way(right, left), left, right, empty)


def _one_way(x: Side, y: Side) -> Tensor:
    """sum_i a_i min_j |x_i - y_j|^2, zero where y is empty."""
    near = knn(y.points.detach(), y.offsets, 1, query=x.points.detach(), query_offsets=x.offsets)
    index = near.index.squeeze(1).long()
    found = index >= 0
    here, there = x.points[found], y.points[index[found]]
    cost = x.weight.new_zeros(len(x.weight)).index_put((found.nonzero().squeeze(1),), (here - there).square().sum(1))
    return segments.sum(x.weight * cost, x.offsets)
