"""Reductions over ragged rows: event e owns rows ``offsets[e]:offsets[e + 1]``, and empty events are legal anywhere.

Everything that pools, normalises or attends inside an event goes through here, so an event boundary is never forgotten.
"""

from __future__ import annotations

import builtins

import torch
from torch import Tensor


def lengths(offsets: Tensor) -> Tensor:
    """Rows of each event. ``offsets`` [events + 1] -> [events], int64."""
    return offsets[1:] - offsets[:-1]


def offsets_of(counts: Tensor) -> Tensor:
    """Offsets [events + 1] of events with ``counts`` [events] rows each."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def event_of(offsets: Tensor, rows: int | None = None) -> Tensor:
    """The event that owns each row: [rows], int64. Giving ``rows`` saves a sync with the device."""
    rows = int(offsets[-1]) if rows is None else rows
    if _one(offsets):
        return offsets.new_zeros(rows)
    ends = offsets[1:]  # a row before which k events end (empty ones included) counts k up
    steps = ends.new_zeros(rows + 1).scatter_add(0, ends, torch.ones_like(ends))
    return steps[:rows].cumsum(0)


def _one(offsets: Tensor) -> bool:
    """Whether one event has all rows: a single jet waits for each step."""
    return offsets.shape[0] == 2 and not torch.compiler.is_compiling()


def sum(values: Tensor, offsets: Tensor) -> Tensor:  # noqa: A001 - segments.sum reads as what it is
    """Sum over each event's rows: [rows, ...] -> [events, ...]; zero for an empty event.

    Half precision adds up in float32, and stays so: the sum of an event's 100,000 halves is beyond half's range.
    """
    values = _single(values)
    out = values.new_zeros(offsets.shape[0] - 1, *values.shape[1:])
    return out.index_add(0, event_of(offsets, values.shape[0]), values)


def mean(values: Tensor, offsets: Tensor) -> Tensor:
    """Mean over each event's rows: [rows, ...] -> [events, ...]; zero for an empty event. Keeps half precision."""
    if _one(offsets):
        average = sum(values, offsets) / builtins.max(values.shape[0], 1)
        return average.to(values.dtype) if values.is_floating_point() else average
    count = lengths(offsets).clamp(min=1).view(-1, *[1] * (values.dim() - 1))
    average = sum(values, offsets) / count
    return average.to(values.dtype) if values.is_floating_point() else average


def max(values: Tensor, offsets: Tensor, empty: float = 0.0) -> Tensor:  # noqa: A001
    """Maximum over each event's rows: [rows, ...] -> [events, ...]; ``empty`` for an empty event."""
    owner = event_of(offsets, values.shape[0]).view(-1, *[1] * (values.dim() - 1)).expand_as(values)
    out = values.new_full((offsets.shape[0] - 1, *values.shape[1:]), empty)
    return out.scatter_reduce(0, owner, values, "amax", include_self=False)


def softmax(values: Tensor, offsets: Tensor) -> Tensor:
    """Softmax over each event's rows: [rows, ...] -> [rows, ...]; the rows of one event sum to one. Keeps half precision."""
    owner = event_of(offsets, values.shape[0])
    shifted = _single(values - max(values.detach(), offsets)[owner]).exp()
    return (shifted / sum(shifted, offsets)[owner]).to(values.dtype)


def pad(values: Tensor, offsets: Tensor, longest: int, fill: float = 0.0) -> tuple[Tensor, Tensor]:
    """A padded view: values [rows, ...] -> ([events, longest, ...], mask [events, longest], true on real rows)."""
    mask = torch.arange(longest, device=offsets.device) < lengths(offsets)[:, None]
    out = values.new_full((offsets.shape[0] - 1, longest, *values.shape[1:]), fill)
    owner = event_of(offsets, values.shape[0])
    place = torch.arange(values.shape[0], device=offsets.device) - offsets[:-1][owner]
    return out.index_put((owner, place), values), mask


def unpad(padded: Tensor, mask: Tensor) -> Tensor:
    """Back to ragged rows: the inverse of :func:`pad`."""
    return padded[mask]


def jagged(values: Tensor, offsets: Tensor) -> Tensor:
    """The same rows as a torch nested tensor (jagged layout), for attention kernels that take one."""
    return torch.nested.nested_tensor_from_jagged(values, offsets)


def _single(values: Tensor) -> Tensor:
    """Half precision as float32; all else as it came."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
