"""Classifying whole events, each with a weight of any sign: from their labels, or from what a teacher says of them.

``cross_entropy(logits, label, weight)`` and ``distillation(logits, teacher, weight, temperature=2)``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """sum_e w_e ln 1/p_e(label) / sum_e |w_e|: logits [events, classes], label [events] int64, weight [events].

    Without negative weights that is the weighted mean, where an event of weight 2 is two events. Negative ones take away in the
    numerator but not from what it is divided by, so that a batch whose weights cancel still makes a step of bounded length.
    """
    return _mean(F.cross_entropy(logits.float(), label, reduction="none"), weight)


def distillation(logits: Tensor, teacher: Tensor, weight: Tensor, *, temperature: float) -> Tensor:
    """T^2 KL(q || p), averaged as in ``cross_entropy``; q and p are the probabilities of teacher and student at temperature T.

    teacher [events, classes]: its probabilities at T = 1 (Hinton, Vinyals and Dean, arXiv 1503.02531).
    """
    least = torch.finfo(torch.float32).tiny
    q = F.log_softmax(teacher.float().clamp(min=least).log() / temperature, dim=1)
    p = F.log_softmax(logits.float() / temperature, dim=1)
    return temperature**2 * _mean((q.exp() * (q - p)).sum(1), weight)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    weight = weight.float()
    return (weight * values).sum() / weight.abs().sum().clamp(min=torch.finfo(torch.float32).tiny)
