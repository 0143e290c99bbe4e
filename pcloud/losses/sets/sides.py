"""The two sets of every event that a set loss compares: checked, weighed, and cut into padded blocks of like sizes.

``x, y = sides(x, x_offsets, y, y_offsets, x_weight, y_weight)``; ``blocks(x, y, cells)`` for losses that look at all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pcloud import segments

GROWTH = 1.25  # sizes of one block differ by no more than this factor


@dataclass(frozen=True)
class Side:
    """One set of each event: points [points, d], weight [points], offsets [events + 1], owner [points] (its event)."""

    points: Tensor
    weight: Tensor
    offsets: Tensor
    owner: Tensor

    def total(self) -> Tensor:
        """Summed weight of each event, [events]."""
        return segments.sum(self.weight, self.offsets)

    def normalised(self) -> Side:
        """Weights that sum to one in each event; all zero where they were."""
        total = self.total()
        return replace(self, weight=self.weight / torch.where(total > 0, total, 1.0)[self.owner])

    def present(self) -> Side:
        """Without the points of weight zero."""
        there = self.weight > 0
        owner = self.owner[there]
        offsets = segments.offsets_of(torch.bincount(owner, minlength=len(self.offsets) - 1))
        return Side(self.points[there], self.weight[there], offsets, owner)


@dataclass(frozen=True)
class Block:
    """Events of like sizes, padded: x [events, n, d], a [events, n], y [events, m, d], b [events, m]; padding has weight zero and
    stands where a point of its event does. event [events]: which ones."""

    event: Tensor
    x: Tensor
    a: Tensor
    y: Tensor
    b: Tensor


def sides(
    x: Tensor, x_offsets: Tensor, y: Tensor, y_offsets: Tensor, x_weight: Tensor | None, y_weight: Tensor | None
) -> tuple[Side, Side]:
    """Both sets, checked; half precision becomes float32, and both get the wider type of the two. ValueError: shapes that don't
    fit, coordinates or weights that are not finite, negative weights; the row is named."""
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"x {list(x.shape)}, y {list(y.shape)} came; [points, d] with the same d was expected")
    if x_offsets.shape != y_offsets.shape or x_offsets.dim() != 1 or not len(x_offsets):
        raise ValueError(f"{list(x_offsets.shape)} and {list(y_offsets.shape)} offsets came; [events + 1] of both was expected")
    given = [one for one in (x, y, x_weight, y_weight) if one is not None]
    kind = torch.float64 if any(one.dtype == torch.float64 for one in given) else torch.float32
    return _side("x", x.to(kind), x_offsets, x_weight), _side("y", y.to(kind), y_offsets, y_weight)


def _side(name: str, points: Tensor, offsets: Tensor, weight: Tensor | None) -> Side:
    if int(offsets[0]) != 0 or int(offsets[-1]) != len(points) or bool((offsets[1:] < offsets[:-1]).any()):
        raise ValueError(
            f"{name}_offsets run from {int(offsets[0])} to {int(offsets[-1])}; from 0 up to {len(points)} points expected"
        )
    if weight is None:
        weight = points.new_ones(len(points))
    elif weight.shape != points.shape[:1]:
        raise ValueError(f"{name}_weight {list(weight.shape)} came; [points] = [{len(points)}] was expected")
    weight = weight.to(points.dtype)
    good = torch.isfinite(points).all(1) & torch.isfinite(weight) & (weight >= 0)
    if not bool(good.all()):
        row = int((~good).nonzero()[0])
        what = f"{points[row].tolist()} with weight {weight[row].item():g}"
        raise ValueError(f"{name}: row {row} is {what}; finite coordinates and a finite weight >= 0 were expected")
    return Side(points, weight, offsets, segments.event_of(offsets, len(points)))


def blocks(x: Side, y: Side, cells: int) -> Iterator[Block]:
    """All events where both sets have weight, in blocks of about ``cells`` pairs of points at most (one event at least)."""
    both = ((x.total() > 0) & (y.total() > 0)).nonzero().squeeze(1)
    sizes = torch.stack([segments.lengths(x.offsets)[both], segments.lengths(y.offsets)[both]]).cpu().numpy()
    grade = np.ceil(np.log(np.maximum(sizes, 1)) / np.log(GROWTH))
    order = np.lexsort((*sizes[::-1], *grade[::-1]))
    first = 0
    while first < len(order):
        n, m = sizes[:, order[first]]
        last = first + 1
        while last < len(order) and (grade[:, order[last]] == grade[:, order[first]]).all():
            n, m = max(n, sizes[0, order[last]]), max(m, sizes[1, order[last]])
            if (last + 1 - first) * n * m > cells:
                break
            last += 1
        chosen = both[torch.from_numpy(order[first:last]).to(both.device)]
        longest = sizes[:, order[first:last]].max(1).tolist()
        yield Block(chosen, *_padded(x, chosen, longest[0]), *_padded(y, chosen, longest[1]))
        first = last


def _padded(side: Side, event: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    place = torch.arange(longest, device=event.device)
    there = place < segments.lengths(side.offsets)[event][:, None]
    row = side.offsets[event][:, None] + torch.where(there, place, 0)
    points = side.points.index_select(0, row.flatten()).view(*row.shape, -1)
    return points, torch.where(there, side.weight[row], 0.0)


def gathered(event: list[Tensor], value: list[Tensor], like: Tensor, events: int) -> Tensor:
    """Values of blocks, put in the order of events: [events], zero for events in none."""
    out = like.new_zeros(events)
    return out.index_add(0, torch.cat(event), torch.cat(value)) if event else out


def settled(value: Tensor, x: Side, y: Side, empty: float) -> Tensor:
    """``value`` [events] where both sets have weight; ``empty`` where one has none, 0 where neither has: no gradient."""
    x_there, y_there = x.total() > 0, y.total() > 0
    return torch.where(x_there & y_there, value, torch.where(x_there ^ y_there, empty, 0.0).to(value.dtype))
