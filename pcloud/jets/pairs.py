"""What two constituents of a jet are to each other: the pair features of the Particle Transformer (Qu et al., arXiv 2202.03772).

``unordered(offsets)`` lists every pair inside an event once; ``features(p4[first], p4[second])`` describes it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcloud import physics, segments
from pcloud.jets.momenta import azimuth, mass2, rapidity, root, transverse

FLOOR = 1e-8  # of kT (GeV), z, Delta R and m^2 (GeV^2), before the logarithm
CHANNELS = 4


def features(a: Tensor, b: Tensor) -> Tensor:
    """(ln kT, ln z, ln Delta, ln m^2): four-vectors [..., 4], [..., 4] (GeV) -> [..., 4], the same for (a, b) and (b, a).

    Delta^2 = (y_a - y_b)^2 + (phi_a - phi_b)^2 with rapidities y and the azimuth wrapped; kT = min(pT_a, pT_b) Delta;
    z = min(pT_a, pT_b) / (pT_a + pT_b); m^2 = (p_a + p_b)^2. Each is at least ``FLOOR`` before its logarithm is taken.

    m^2 is added up from parts that are all positive, so that a nearly collinear pair keeps its digits in float32.
    """
    pt_a, pt_b, m2_a, m2_b = transverse(a), transverse(b), mass2(a), mass2(b)
    dy = rapidity(a) - rapidity(b)
    dphi = physics.wrap(azimuth(a) - azimuth(b))
    distance = root(dy.square() + dphi.square())
    softer = torch.minimum(pt_a, pt_b)
    across_a, across_b = root(m2_a + pt_a.square()), root(m2_b + pt_b.square())
    both = across_a * across_b + pt_a * pt_b
    massive = (m2_a * pt_b.square() + m2_b * pt_a.square() + m2_a * m2_b) / both.clamp(min=FLOOR)  # mT_a mT_b - pT_a pT_b
    opening = 2 * (across_a * across_b * torch.sinh(dy / 2).square() + pt_a * pt_b * torch.sin(dphi / 2).square())
    mass = m2_a + m2_b + 2 * (massive + opening)
    parts = [softer * distance, softer / (pt_a + pt_b).clamp(min=FLOOR), distance, mass]
    return torch.stack([torch.log(part.clamp(min=FLOOR)) for part in parts], dim=-1)


def unordered(offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (first, second), second <= first, of each pair inside an event once, a row with itself too: [pairs] int64 each.

    An event of n rows has n (n + 1) / 2 pairs, event after event, in the order (0, 0), (1, 0), (1, 1), (2, 0), ...
    """
    count = segments.lengths(offsets)
    starts = segments.offsets_of(count * (count + 1) // 2)
    owner = segments.event_of(starts)
    place = torch.arange(len(owner), device=offsets.device) - starts[owner]
    first = ((torch.sqrt(8.0 * place.double() + 1.0) - 1.0) / 2.0).long()  # exact below 2^50 pairs
    second = place - first * (first + 1) // 2
    return first + offsets[owner], second + offsets[owner]


def ordered(offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (receiver, sender), two different ones of an event, of each ordered pair, by receiver: [pairs] int64 each."""
    count = segments.lengths(offsets)
    rows = segments.event_of(offsets)
    others = (count - 1).clamp(min=0)[rows]
    starts = segments.offsets_of(others)
    receiver = segments.event_of(starts)
    sender = torch.arange(len(receiver), device=offsets.device) - starts[receiver] + offsets[rows[receiver]]
    return receiver, sender + (sender >= receiver)
