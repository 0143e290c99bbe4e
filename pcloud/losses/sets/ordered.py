"""Points compared in descending weight order: the naive baseline, which must guess who is the k-th.

``ordered(x, x_offsets, y, y_offsets, x_weight=pt, y_weight=pt)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud import segments
from pcloud.losses.sets.sides import Side, sides


def ordered(
    x: Tensor,
    x_offsets: Tensor,
    y: Tensor,
    y_offsets: Tensor,
    *,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    scale: float = 1.0,
) -> Tensor:
    """sum_k (|x_k - y_k|^2 + scale^2 (a_k - b_k)^2) / max(N, M), k-th in weight, the shorter set padded with zeros: [events].

    a, b: the weights as they are, 1 each where not given; ``scale``: x's unit per unit of weight, 0 leaves weights out. Points
    of equal weight are ordered by their coordinates, so that the order that they come in says nothing. Points of weight zero are
    not there. Empty sets are padding: two of them give 0.

    Cost: N log N. Gradient: with the order held. Bias: large: a small change of weight swaps two points and the value jumps; a
    point missed early shifts all later ones. Source: the loss of 4-vector autoencoders, Heimel et al., arXiv 1808.08979.
    """
    left, right = (side.present() for side in sides(x, x_offsets, y, y_offsets, x_weight, y_weight))
    most = torch.maximum(segments.lengths(left.offsets), segments.lengths(right.offsets))
    longest = int(most.max()) if len(most) else 0
    here, there = (segments.pad(_sorted(side, scale), side.offsets, longest)[0] for side in (left, right))
    return (here - there).square().sum((1, 2)) / most.clamp(min=1)


def _sorted(side: Side, scale: float) -> Tensor:
    """Rows (coordinates, scale * weight) [points, d + 1] in the order of events, then of falling weight, then of coordinates."""
    order = torch.arange(len(side.weight), device=side.weight.device)
    for key in (*side.points.detach().unbind(1)[::-1], -side.weight.detach(), side.owner):
        order = order[torch.argsort(key[order], stable=True)]
    return torch.cat([side.points, scale * side.weight[:, None]], 1)[order]
