"""Object condensation: one point per particle becomes its representative and gathers the others (Kieseler, arXiv 2002.03605).

Potentials act inside an event only; repulsion is sought with the neighbour operator, so memory grows with points, not points x particles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud import segments
from pcloud.neighbors import radius
from pcloud.neighbors.reference import squared_distance


def condensation(
    beta_logit: Tensor, coords: Tensor, particle: Tensor, offsets: Tensor, *, q_min: float = 0.1, k_max: int = 32
) -> dict[str, Tensor]:
    """Equations 4 to 8 of the paper; each term is a mean over events.

    beta_logit [points]: beta = sigmoid; charge q = artanh(beta)^2 + q_min. coords [points, dim]: learned space.
    particle [points] int64: row in the whole batch, -1 = noise.
    attract: q_i q_a d_ia^2 to the particle's own representative a (its point of largest charge);  repel: q_i q_b (1 - d_ib)_+
    from the k_max nearest other representatives;  coward: 1 - beta_a;  noise: beta of noise points.
    """
    beta = torch.sigmoid(beta_logit.float()).clamp(1e-4, 1 - 1e-4)
    charge = torch.atanh(beta).square() + q_min
    owner = segments.event_of(offsets, len(particle))
    events = len(offsets) - 1
    member = particle >= 0
    names, group = particle[member].unique(return_inverse=True)
    chosen = _argmax(charge[member].detach(), group, len(names))
    top = member.nonzero().squeeze(1)[chosen]  # the representative of each particle, as a row of the batch
    order = torch.argsort(owner[top], stable=True)
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    top, group = top[order], rank[group]

    def per_point(values: Tensor, rows: Tensor, counted: Tensor) -> Tensor:
        """Sum over rows, divided by what is counted in the event, averaged over events."""
        total = values.new_zeros(events).index_add(0, owner[rows], values)
        count = torch.bincount(owner[counted], minlength=events)
        return (total / count.clamp(min=1)).sum() / max(events, 1)

    rows = member.nonzero().squeeze(1)
    every = torch.arange(len(particle), device=particle.device)
    pull = charge[rows] * charge[top][group] * squared_distance(coords[rows], coords[top][group])
    top_offsets = segments.offsets_of(torch.bincount(owner[top], minlength=events))
    push = torch.zeros_like(charge)
    if len(top):
        near = radius(coords[top], top_offsets, 1.0, k_max=k_max, query=coords, query_offsets=offsets)
        other = near.mask & (particle[:, None] != particle[top][near.index.clamp(min=0)])
        gap = (1 - (near.distance2.masked_fill(~other, 1.0) + 1e-12).sqrt()).clamp(min=0) * other
        push = charge * (gap * charge[top][near.index.clamp(min=0)]).sum(1)
    noise = (~member).nonzero().squeeze(1)
    return {
        "attract": per_point(pull, rows, rows),
        "repel": per_point(push, every, every),
        "coward": per_point(1 - beta[top], top, top),
        "noise": per_point(beta[noise], noise, noise),
    }


def _argmax(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Position of the largest value of each group; the first of equals."""
    best = values.new_full((groups,), -torch.inf).scatter_reduce(0, group, values, "amax")
    here = torch.arange(len(values), device=values.device)
    first = torch.where(values == best[group], here, len(values))
    return torch.full((groups,), len(values), device=values.device).scatter_reduce(0, group, first, "amin")
