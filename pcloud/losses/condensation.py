"""Object condensation: one point per particle becomes its representative and gathers the others (Kieseler, arXiv 2002.03605).

Potentials act inside an event only; repulsion is sought with the neighbour operator: memory grows with points, not their square.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pcloud import segments
from pcloud.losses.event_mean import event_mean
from pcloud.neighbors import radius
from pcloud.neighbors.reference import squared_distance

BETA_MAX = 1 - 1e-4  # the charge artanh(beta)^2 has a pole at 1


def condensation(
    beta_logit: Tensor,
    coords: Tensor,
    particle: Tensor,
    offsets: Tensor,
    *,
    q_min: float = 0.1,
    k_max: int = 32,
    forgiving: bool = False,
) -> dict[str, Tensor]:
    """The paper's L_V in two parts and L_beta in two parts; each a mean over the events that have what it counts.

    With N points, K particles, M noise points in an event, a the representative of i's particle (its point of largest
    charge), q = artanh(beta)^2 + q_min and beta = sigmoid(beta_logit):
    attract = 1/N sum_i q_i q_a |x_i - x_a|^2, noise feels none;  repel = 1/N sum_i sum_b q_i q_b (1 - |x_i - x_b|)_+ over the
    representatives b of other particles, those among the k_max nearest representatives;  coward = 1/K sum_a (1 - beta_a);
    noise = 1/M sum_noise beta.
    ``forgiving`` puts ln(1 + e |x_i - x_a|^2) for the square in attract (arXiv 2204.01681): where points of some particles can't
    be told apart yet, the square holds the whole space together.
    beta_logit [points]; coords [points, dim]: x; particle [points] int64: row in the whole batch, -1 = noise.
    """
    beta, coords = torch.sigmoid(beta_logit.float()), coords.float()
    charge = torch.atanh(beta.clamp(max=BETA_MAX)).square() + q_min
    owner = segments.event_of(offsets, len(particle))
    events = len(offsets) - 1
    member, noise = (particle >= 0).nonzero().squeeze(1), (particle < 0).nonzero().squeeze(1)
    top, group = _representatives(charge.detach(), particle, member)

    gap2 = squared_distance(coords[member], coords[top][group])
    pull = charge[member] * charge[top][group] * (torch.log1p(math.e * gap2) if forgiving else gap2)
    pull = torch.zeros_like(charge).index_add(0, member, pull)
    top_offsets = segments.offsets_of(torch.bincount(owner[top], minlength=events))
    near = radius(coords[top], top_offsets, 1.0, k_max=k_max, query=coords, query_offsets=offsets)
    other = near.mask & (near.gather(particle[top]) != particle[:, None])
    gap = 1 - (near.distance2.masked_fill(~other, 1.0) + 1e-12).sqrt()
    push = charge * (gap.clamp(min=0) * near.gather(charge[top]) * other).sum(1)
    return {
        "attract": event_mean(pull, owner, events),
        "repel": event_mean(push, owner, events),
        "coward": event_mean(1 - beta[top], owner[top], events),
        "noise": event_mean(beta[noise], owner[noise], events),
    }


def _representatives(charge: Tensor, particle: Tensor, member: Tensor) -> tuple[Tensor, Tensor]:
    """The point of largest charge of each particle, the first of equals, in order of points (so of events); and for each
    of ``member``, the points of particles, where its own representative stands in that list."""
    names, group = torch.unique(particle[member], return_inverse=True)
    best = charge.new_full((len(names),), -torch.inf).scatter_reduce(0, group, charge[member], "amax")
    first = torch.where(charge[member] == best[group], member, len(charge))
    top = torch.full_like(names, len(charge)).scatter_reduce(0, group, first, "amin")
    top, order = top.sort()
    return top, torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))[group]
