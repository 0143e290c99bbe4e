"""Edge classification: does this pair of hits belong to one particle?

``edge_cross_entropy(logits, same, mask, offsets)`` on the cells of a neighbour table.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pcloud import segments


def edge_cross_entropy(logits: Tensor, same: Tensor, mask: Tensor, offsets: Tensor, *, focus: float = 0.0) -> Tensor:
    """Mean over events of the mean binary cross-entropy of an event's edges; events without an edge do not count.

    logits, same (bool), mask (bool, true where there is a neighbour): [points, k]. ``focus`` is gamma of the focal loss
    (Lin et al., arXiv 1708.02002): each edge weighs (1 - p of its label)^gamma; 0 or at least 1.
    """
    if focus and focus < 1:
        raise ValueError(f"focus = {focus} came; 0 or at least 1 was expected: between, the gradient of a sure edge is infinite")
    clean = logits.float().masked_fill(~mask, 0.0)  # what stands where there is no neighbour may be anything, NaN too
    cross = F.binary_cross_entropy_with_logits(clean, same.float(), reduction="none")
    if focus:
        cross = cross * (1 - torch.exp(-cross)) ** focus
    edges = segments.sum(mask.sum(1).float(), offsets)
    total = segments.sum((cross * mask).sum(1), offsets)
    return (total / edges.clamp(min=1)).sum() / (edges > 0).sum().clamp(min=1)
