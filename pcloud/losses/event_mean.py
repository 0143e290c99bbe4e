"""The mean that every loss here takes: first over an event's own rows, then over events, so that a large event weighs no more.

``event_mean(values, owner, events)`` with the event of each value; events without any do not count.
"""

from __future__ import annotations

from torch import Tensor


def event_mean(values: Tensor, owner: Tensor, events: int) -> Tensor:
    """Mean over events of the mean of ``values`` [rows] whose ``owner`` [rows] is the event; 0 if there is no row at all."""
    total = values.new_zeros(events).index_add(0, owner, values)
    count = values.new_zeros(events).index_add(0, owner, values.new_ones(len(values)))
    return (total / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)
