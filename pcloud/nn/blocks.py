"""Messages between neighbours in blocks of points that stay in the cache, so that no [points, k, channels] ever exists whole.

``by_blocks(message, neighbors, rows=..., tables=..., nets=...)`` is ``message`` on all points at once, several times faster
on a CPU and in a fraction of the memory: the backward makes each block's messages anew instead of keeping them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pcloud.neighbors import Neighbors

# Numbers in a block's [points, k, channels]. On a CPU a few such tensors should fit its last cache, yet the fewer blocks, the
# fewer waits of its threads for one another; elsewhere only memory is saved, and a block must keep every core at work.
CPU_BLOCK, BLOCK = 1 << 21, 1 << 26


def by_blocks(
    message: Callable[..., Tensor],
    neighbors: Neighbors,
    *,
    rows: Sequence[Tensor] = (),
    tables: Sequence[Tensor] = (),
    nets: Sequence[nn.Module] = (),
) -> Tensor:
    """``message(mask, *rows, *gathered, *nets)`` [points, ...], where each point's row comes from its own rows of input.

    rows    [points, ...] each: what receivers know. A block sees its own points' part.
    tables  [senders, ...] each: what neighbours tell. A block sees them gathered, [block, k, ...], with some row where its
            mask [block, k] is false; message must see to it that such a row changes nothing.
    nets    modules that message calls. They must treat rows one by one; their parameters get gradients, no other does.

    All points go at once where they are few, where a compiler splits the work itself, and where dropout is at work or a
    module keeps buffers (statistics), for a block can't be made anew then.
    """
    index, kind = neighbors.index, neighbors.index.device.type
    k = index.shape[1]
    width = max([k, *(k * table.shape[1:].numel() for table in tables), *(row.shape[1:].numel() for row in rows)])
    size = max(1, (CPU_BLOCK if kind == "cpu" else BLOCK) // width)
    if torch.compiler.is_compiling() or not _worth_it(size, index, tables, nets):
        return message(neighbors.mask, *rows, *(neighbors.gather(table) for table in tables), *nets)
    named = [dict(net.named_parameters()) for net in nets]
    plan = _Plan(message, size, len(rows), len(tables), tuple(nets), [list(names) for names in named], _autocast(kind))
    parameters = [one for names in named for one in names.values()]
    out: Tensor = _Blocks.apply(plan, index, *rows, *tables, *parameters)  # type: ignore[no-untyped-call]
    return out


def _worth_it(size: int, index: Tensor, tables: Sequence[Tensor], nets: Sequence[nn.Module]) -> bool:
    """Whether there is more than one block, and each can be made anew."""
    parts = [part for net in nets for part in net.modules()]
    dropout = any(isinstance(part, nn.Dropout) and part.training and part.p > 0 for part in parts)
    buffers = any(next(net.buffers(), None) is not None for net in nets)
    return len(index) > size and all(map(len, tables)) and not dropout and not buffers


def _autocast(kind: str) -> Callable[[], AbstractContextManager[object]]:
    """Makes the present autocast state anew, on or off, for the backward may run in another."""
    if not torch.amp.is_autocast_available(kind):
        return nullcontext
    return partial(torch.autocast, kind, dtype=torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind))


@dataclass(frozen=True)
class _Plan:
    message: Callable[..., Tensor]
    size: int
    rows: int
    tables: int
    nets: tuple[nn.Module, ...]
    names: list[list[str]]
    autocast: Callable[[], AbstractContextManager[object]]

    def cut(self, place: slice, index: Tensor, whole: Sequence[Tensor]) -> list[Tensor]:
        """What a block sees of rows, tables and parameters."""
        near, k = _near(index[place]), index.shape[1]
        rows, tables = whole[: self.rows], whole[self.rows : self.rows + self.tables]
        gathered = [table.index_select(0, near).view(-1, k, *table.shape[1:]) for table in tables]
        return [*(row[place] for row in rows), *gathered, *whole[self.rows + self.tables :]]

    def run(self, mask: Tensor, parts: Sequence[Tensor]) -> Tensor:
        """The message of a block, by the parameters given and not by those that the modules may hold by now."""
        at, nets = self.rows + self.tables, []
        for net, names in zip(self.nets, self.names, strict=True):
            given = dict(zip(names, parts[at : at + len(names)], strict=True))
            nets.append(partial(_call, net, given))
            at += len(names)
        with self.autocast():
            return self.message(mask, *parts[: self.rows + self.tables], *nets)

    def add(self, total: Tensor, which: int, place: slice, index: Tensor, gradient: Tensor) -> None:
        """Bring a block's gradient of the ``which``-th input to where it belongs."""
        if which < self.rows:
            total[place] = gradient
        elif which < self.rows + self.tables:
            total.index_add_(0, _near(index[place]), gradient.flatten(0, 1).to(total.dtype))
        else:
            total += gradient


def _near(index: Tensor) -> Tensor:
    """The table's cells as one list of rows, int64: torch adds up at int32 several times slower."""
    return index.clamp(min=0).flatten().long()


def _places(index: Tensor, size: int) -> list[slice]:
    return [slice(low, low + size) for low in range(0, len(index), size)]


def _zeros(like: Tensor) -> Tensor:
    """Where many small gradients are added up: in float32 at least."""
    return torch.zeros_like(like, dtype=torch.promote_types(like.dtype, torch.float32))


def _call(net: nn.Module, parameters: dict[str, Tensor], *inputs: Tensor) -> Tensor:
    out: Tensor = functional_call(net, parameters, inputs)
    return out


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: _Plan, index: Tensor, *whole: Tensor) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(index, *whole)
        return torch.cat([plan.run(index[at] >= 0, plan.cut(at, index, whole)) for at in _places(index, plan.size)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        plan: _Plan = ctx.plan
        index, *whole = ctx.saved_tensors
        wanted = [which for which, wants in enumerate(ctx.needs_input_grad[2:]) if wants]
        found: list[Tensor | None] = [None] * len(whole)
        if torch.is_grad_enabled():  # a second derivative will be asked for: let autograd see it all at once
            out = plan.run(index >= 0, plan.cut(slice(None), index, whole))
            gradients = torch.autograd.grad(out, [whole[which] for which in wanted], grad, create_graph=True)
            for which, gradient in zip(wanted, gradients, strict=True):
                found[which] = gradient
            return None, None, *found
        sums = {which: _zeros(whole[which]) for which in wanted}
        whole = [one.detach() for one in whole]
        for at in _places(index, plan.size):
            parts = [part.requires_grad_(which in sums) for which, part in enumerate(plan.cut(at, index, whole))]
            with torch.enable_grad():
                out = plan.run(index[at] >= 0, parts)
            gradients = torch.autograd.grad(out, [parts[which] for which in wanted], grad[at])
            for (which, total), gradient in zip(sums.items(), gradients, strict=True):
                plan.add(total, which, at, index, gradient)
        for which, total in sums.items():
            found[which] = total.to(whole[which].dtype)
        return None, None, *found
