"""Metric learning: hits of one particle close together, all others at least a margin apart.

Hard negatives come from the neighbour operator: only points nearer than the margin are pushed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud import segments
from pcloud.losses.event_mean import event_mean
from pcloud.neighbors import radius
from pcloud.neighbors.reference import squared_distance


def contrastive(
    embedding: Tensor, particle: Tensor, offsets: Tensor, *, margin: float = 1.0, k_max: int = 32
) -> dict[str, Tensor]:
    """Hinge embedding loss (Hadsell et al. 2006; used for tracks in arXiv 2103.06995), per event, then the mean of events.

    attract: |h_i - h_n(i)|^2, n(i) the next point of i's particle, cyclically: all points of a particle form a ring.
    repel:   sum_j (margin - |h_i - h_j|)_+^2, averaged over i; j are those among the k_max nearest points within the margin
             that are not of i's particle. Noise is repelled by everything.
    embedding [points, dim]; particle [points] int64 row in the whole batch, -1 = noise.
    """
    embedding = embedding.float()
    here, following = ring(particle)
    owner = segments.event_of(offsets, len(particle))
    pull = squared_distance(embedding[here], embedding[following])
    near = radius(embedding, offsets, margin, k_max=k_max)
    other = near.mask & ((particle[:, None] < 0) | (particle[:, None] != near.gather(particle)))
    gap = margin - (near.distance2.masked_fill(~other, margin**2) + 1e-12).sqrt()
    return {
        "attract": event_mean(pull, owner[here], len(offsets) - 1),
        "repel": event_mean((gap.clamp(min=0).square() * other).sum(1), owner, len(offsets) - 1),
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
