"""Messages between neighbours in blocks of points that stay in the cache, so that no [points, k, channels] ever exists whole.

``by_blocks(message, neighbors, rows=..., tables=..., nets=...)`` is ``message`` on all points at once, several times faster
on a CPU and in a fraction of the memory: the backward makes each block's messages anew instead of keeping them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pcloud.neighbors import Neighbors
from pcloud.neighbors.table import known_rows

# Numbers in a block's [points, k, channels]. On a CPU a few such tensors fit the cache of a core; elsewhere only memory is
# saved, and a block must keep the whole device at work.
CPU_BLOCK, BLOCK = 1 << 19, 1 << 26
MOST_THREADS = 16  # more would wait for Python, and for the one that adds up

Message = Callable[..., Tensor]


def by_blocks(
    message: Message,
    neighbors: Neighbors,
    *,
    rows: Sequence[Tensor] = (),
    tables: Sequence[Tensor] = (),
    nets: Sequence[nn.Module] = (),
) -> Tensor:
    """``message(mask, *rows, *gathered, *nets)`` [points, ...], where each point's row comes from its own rows of input.

    rows    [points, ...] each: what receivers know. A block sees its own points' part.
    tables  [senders, ...] each: what neighbours tell. A block sees them gathered, [block, k, ...], with its own row where its
            mask [block, k] is false; message must see to it that such a row changes nothing.
    nets    modules that message calls. They must treat rows one by one; their parameters get gradients, no other does.

    All points go at once where they are few, where a compiler splits the work itself, and where dropout is at work or a
    module keeps buffers (statistics), for a block can't be made anew then. The result does not depend on the number of
    threads; several run messages at a time.
    """
    index, kind = neighbors.index, neighbors.index.device.type
    k = index.shape[1]
    width = max([k, *(k * table.shape[1:].numel() for table in tables), *(row.shape[1:].numel() for row in rows)])
    size = max(1, (CPU_BLOCK if kind == "cpu" else BLOCK) // width)
    if torch.compiler.is_compiling() or not _worth_it(size, index, tables, nets):
        return message(neighbors.mask, *rows, *(neighbors.gather(table) for table in tables), *nets)
    parameters = [one for net in nets for one in net.parameters()]
    plan = _Plan(message, size, len(rows), len(tables), list(nets), _autocast(kind))
    out: Tensor = _Blocks.apply(plan, index, *rows, *tables, *parameters)  # type: ignore[no-untyped-call]
    return out


def _worth_it(size: int, index: Tensor, tables: Sequence[Tensor], nets: Sequence[nn.Module]) -> bool:
    """Whether there is more than one block, and each can be made anew."""
    parts = [part for net in nets for part in net.modules()]
    dropout = any(isinstance(part, nn.Dropout) and part.training and part.p > 0 for part in parts)
    buffers = any(next(net.buffers(), None) is not None for net in nets)
    return len(index) > size and all(map(len, tables)) and not dropout and not buffers


def _autocast(kind: str) -> Callable[[], AbstractContextManager[object]]:
    """Makes the present autocast state anew, on or off, for other threads and the backward don't know it."""
    if not torch.amp.is_autocast_available(kind):
        return nullcontext
    return partial(torch.autocast, kind, dtype=torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind))


@contextmanager
def team(kind: str) -> Iterator[Callable[..., Iterator[Any]]]:
    """A ``map`` on a CPU's threads, each with a block of its own and its operators on that thread alone.

    Within one operator, threads wait for one another at its end, for several ms if the machine has other work; a block
    takes dozens of operators. Results come in order, so that sums of them are the same each time.
    """
    threads = torch.get_num_threads() if kind == "cpu" else 1
    if threads == 1:
        yield map
        return
    torch.set_num_threads(1)  # of this thread, which adds up meanwhile; the others are told when they start
    try:
        with ThreadPoolExecutor(min(threads, MOST_THREADS), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            inference = torch.is_inference_mode_enabled()  # is of the thread that asks, and not passed on by itself

            def share(work: Callable[..., Any], *columns: Any) -> Iterator[Any]:
                def mine(*given: Any) -> Any:
                    with torch.inference_mode(inference):
                        return work(*given)

                return pool.map(mine, *columns)

            yield share
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Plan:
    message: Message
    size: int
    rows: int
    tables: int
    nets: list[nn.Module]
    autocast: Callable[[], AbstractContextManager[object]]

    def places(self, index: Tensor) -> list[slice]:
        return [slice(low, low + self.size) for low in range(0, len(index), self.size)]

    def cut(self, place: slice, index: Tensor, whole: Sequence[Tensor]) -> list[Tensor]:
        """What a block sees of rows and tables."""
        near, k = known_rows(index[place], len(whole[-1]), place.start or 0), index.shape[1]
        gathered = [table.index_select(0, near).view(-1, k, *table.shape[1:]) for table in whole[self.rows :]]
        return [*(row[place] for row in whole[: self.rows]), *gathered]

    def run(self, index: Tensor, inputs: Sequence[Tensor], nets: Sequence[nn.Module]) -> Tensor:
        with self.autocast():
            return self.message(index >= 0, *inputs, *nets)

    def lent(self, parameters: Sequence[Tensor]) -> list[nn.Module]:
        """The modules with these parameters; copies, as other threads may use the modules now."""
        old = [one for net in self.nets for one in net.parameters()]
        return copy.deepcopy(self.nets, {id(one): new for one, new in zip(old, parameters, strict=True)})


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: _Plan, index: Tensor, *whole: Tensor) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(index, *whole)
        inputs = whole[: plan.rows + plan.tables]

        def made(place: slice) -> Tensor:
            with torch.no_grad():
                return plan.run(index[place], plan.cut(place, index, inputs), plan.nets)

        with team(index.device.type) as share:
            return torch.cat(list(share(made, plan.places(index))))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        plan: _Plan = ctx.plan
        index, *whole = ctx.saved_tensors
        wanted = [which for which, wants in enumerate(ctx.needs_input_grad[2:]) if wants]
        found: list[Tensor | None] = [None] * len(whole)
        gradients = _again if torch.is_grad_enabled() else _anew
        for which, gradient in zip(wanted, gradients(plan, grad, index, whole, wanted), strict=True):
            found[which] = gradient
        return None, None, *found


def _again(plan: _Plan, grad: Tensor, index: Tensor, whole: list[Tensor], wanted: list[int]) -> Sequence[Tensor]:
    """The gradients where a second derivative will be asked for: autograd must see all points at once."""
    last = plan.rows + plan.tables
    out = plan.run(index, plan.cut(slice(None), index, whole[:last]), plan.lent(whole[last:]))
    return torch.autograd.grad(out, [whole[which] for which in wanted], grad, create_graph=True)


def _anew(plan: _Plan, grad: Tensor, index: Tensor, whole: list[Tensor], wanted: list[int]) -> Sequence[Tensor]:
    """The gradients, by making each block's messages a second time."""
    last = plan.rows + plan.tables
    whole = [one.detach() for one in whole]
    parameters = [one.requires_grad_(which in wanted) for which, one in enumerate(whole[last:], last)]
    nets = plan.lent(parameters)
    # Many small gradients are added up here, which half precision would lose.
    sums = [torch.zeros_like(whole[which], dtype=torch.promote_types(whole[which].dtype, torch.float32)) for which in wanted]

    def of_block(place: slice) -> Sequence[Tensor]:
        with torch.enable_grad():
            inputs = [one.requires_grad_(which in wanted) for which, one in enumerate(plan.cut(place, index, whole[:last]))]
            out = plan.run(index[place], inputs, nets)
        parts = [*inputs, *parameters]
        return torch.autograd.grad(out, [parts[which] for which in wanted], grad[place])

    places = plan.places(index)
    with team(index.device.type) as share:
        for place, gradients in zip(places, share(of_block, places), strict=True):
            for which, total, gradient in zip(wanted, sums, gradients, strict=True):
                if which < plan.rows:
                    total[place] = gradient
                elif which < last:
                    total.index_add_(0, known_rows(index[place], len(total), place.start), gradient.flatten(0, 1).to(total.dtype))
                else:
                    total += gradient
    return [total.to(whole[which].dtype) for which, total in zip(wanted, sums, strict=True)]
