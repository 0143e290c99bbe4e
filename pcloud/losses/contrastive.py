"""Metric learning: hits of one particle close together, all others at least a margin apart.

Hard negatives come from the neighbour operator: only points nearer than the margin are pushed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import radius
from pcloud.neighbors.reference import squared_distance


def contrastive(
    embedding: Tensor, particle: Tensor, offsets: Tensor, *, margin: float = 1.0, k_max: int = 32
) -> dict[str, Tensor]:
    """Hinge embedding loss (Hadsell et al. 2006; used for tracks in arXiv 2103.06995), per event, then the mean of events.

    attract: |h_i - h_n(i)|^2, n(i) the next point of i's particle, cyclically: all points of a particle form a ring.
    repel:   (margin - |h_i - h_j|)_+^2 over the k_max nearest j within the margin that are not of i's particle; noise is
             repelled by everything. embedding [points, dim]; particle [points] int64 row in the whole batch, -1 = noise.
    """
    here, following = ring(particle)
    owner = segments.event_of(offsets, len(particle))
    pull = squared_distance(embedding[here], embedding[following])
    neighbors = radius(embedding, offsets, margin, k_max=k_max)
    other = neighbors.mask & ((particle[:, None] < 0) | (particle[:, None] != particle[neighbors.index.clamp(min=0)]))
    push = (margin - (neighbors.distance2.masked_fill(~other, 1.0) + 1e-12).sqrt()).clamp(min=0).square() * other
    return {
        "attract": _event_mean(pull, owner[here], len(offsets) - 1),
        "repel": _event_mean(push.sum(1), owner, len(offsets) - 1),
    }


def ring(particle: Tensor) -> tuple[Tensor, Tensor]:
    """Each point of a particle with >= 2 points, and the next point of the same particle: two index lists."""
    order = torch.argsort(particle, stable=True)
    order = order[particle[order] >= 0]
    if not len(order):
        return order, order
    _, counts = torch.unique_consecutive(particle[order], return_counts=True)
    ends = counts.cumsum(0) - 1
    following = torch.roll(order, -1)
    following[ends] = order[ends - counts + 1]
    several = torch.repeat_interleave(counts > 1, counts)
    return order[several], following[several]


def _event_mean(values: Tensor, owner: Tensor, events: int) -> Tensor:
    total = values.new_zeros(events).index_add(0, owner, values)
    count = values.new_zeros(events).index_add(0, owner, torch.ones_like(values))
    return (total / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)
