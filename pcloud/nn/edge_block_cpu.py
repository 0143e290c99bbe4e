"""The pairs of an :class:`~pcloud.nn.edge_block.EdgeBlock` on a CPU, in blocks of points that stay in the cache of a core.

Batch normalisation wants each layer's statistics before the next may begin, so every layer is one walk over the blocks. Kept
for the backward are the layers' inputs to the normalisation alone; all else is made anew there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from pcloud.neighbors.table import known_rows
from pcloud.nn.batch_norm import BatchNorm
from pcloud.nn.blocks import team

BLOCK = 1 << 17  # numbers in a block's [points, k, channels]
Affine = tuple[Tensor, Tensor]  # scale and shift [channels]


def suits(receiver: Tensor, index: Tensor) -> bool:
    """Whether :func:`fused` may do it and gains: on a CPU, in full precision, no compiler looking on, more than half a block."""
    if torch.compiler.is_compiling() or receiver.device.type != "cpu" or index.numel() * receiver.shape[1] <= BLOCK // 2:
        return False
    return receiver.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")


def fused(receiver: Tensor, sender: Tensor, index: Tensor, weights: Sequence[Tensor], norms: Sequence[BatchNorm]) -> Tensor:
    """mean_j h_ij, h = relu(norm_1(receiver_i + sender_j)), then relu(norm(W h)) for each weight: [points, widths[-1]].

    receiver, sender [points, widths[0]], index [points, k] int32 with -1 for nobody. Running statistics are moved along.
    """
    count = (index >= 0).sum()
    learning = norms[0].training and int(count) > 1
    fixed = [] if learning else [part for norm in norms for part in (norm.mean, norm.var)]
    plan = _Plan(index.shape[1], len(weights) + 1, norms[0].eps, learning)
    own = [part for norm in norms for part in (norm.weight, norm.bias)]
    out, *moments = _Pairs.apply(plan, index, receiver, sender, *weights, *own, *fixed)  # type: ignore[no-untyped-call]
    if learning:
        for norm, mean, var in zip(norms, moments[::2], moments[1::2], strict=True):
            norm.known(mean, var, count)
    result: Tensor = out
    return result


@dataclass(frozen=True)
class _Plan:
    k: int
    layers: int
    eps: float
    learning: bool

    def parts(self, given: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
        """weights, scales, shifts, fixed moments."""
        rest = given[self.layers - 1 :]
        return given[: self.layers - 1], rest[: 2 * self.layers : 2], rest[1 : 2 * self.layers : 2], rest[2 * self.layers :]


class _Table:
    """A neighbour table cut into blocks of points."""

    def __init__(self, index: Tensor, senders: int, channels: int) -> None:
        self.points, self.k = index.shape
        self.near = known_rows(index, senders)
        there = index >= 0
        self.count = there.sum(1, keepdim=True)
        self.size = max(1, BLOCK // (self.k * channels))
        missing = (~there).flatten().nonzero().squeeze(1)  # pairs of nobody: few, as only jets of up to k points have them
        self.edges = index.numel() - len(missing)
        bounds = torch.searchsorted(missing, torch.tensor([self.rows(block).stop for block in self.blocks()])).tolist()
        parts = zip(self.blocks(), [0, *bounds], bounds, strict=False)
        self.missing = {block.start: missing[low:high] - block.start * self.k for block, low, high in parts if high > low}

    def blocks(self) -> list[slice]:
        return [slice(low, min(low + self.size, self.points)) for low in range(0, self.points, self.size)]

    def rows(self, block: slice) -> slice:
        """The pairs of a block."""
        return slice(block.start * self.k, block.stop * self.k)

    def pairs(self, receiver: Tensor, sender: Tensor, block: slice) -> Tensor:
        """receiver_i + sender_j: [pairs, channels]."""
        z = sender.index_select(0, self.near[self.rows(block)])
        z.view(-1, self.k, z.shape[1]).add_(receiver[block][:, None])
        return z

    def real(self, values: Tensor, block: slice) -> Tensor:
        """``values`` [pairs, channels], set to 0 where there is no neighbour."""
        if block.start in self.missing:
            values.index_fill_(0, self.missing[block.start], 0.0)
        return values

    def pairs_in(self, block: slice) -> int:
        here: int = (block.stop - block.start) * self.k - len(self.missing.get(block.start, ()))
        return here


def _moments(parts: Sequence[tuple[int, Tensor, Tensor]]) -> Affine:
    """Mean and variance of all rows from (rows, sum, squares about the block's own mean) of each block, in float64."""
    counts = torch.tensor([count for count, _, _ in parts], dtype=torch.float64)[:, None]
    sums = torch.stack([one for _, one, _ in parts]).double()
    squares = torch.stack([two for _, _, two in parts]).double().sum(0)
    mean = sums.sum(0) / counts.sum()
    between = (counts * (sums / counts.clamp(min=1) - mean).square()).sum(0)
    return mean.to(parts[0][1].dtype), ((squares + between) / counts.sum()).to(parts[0][1].dtype)


def _folded(mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Affine:
    scale = torch.rsqrt(var + eps) * weight
    return scale, bias - mean * scale


class _Pairs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: _Plan, index: Tensor, receiver: Tensor, sender: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        walk = _Walk(plan, index, receiver.detach(), sender.detach(), [one.detach() for one in given])
        with team("cpu") as share:
            out = walk.forward(share, keep=any(ctx.needs_input_grad))
        ctx.walk = walk
        ctx.save_for_backward(index, receiver, sender, *given)
        moments = [part for pair in walk.moments for part in pair] if plan.learning else []
        ctx.mark_non_differentiable(*moments)
        return (out, *moments)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        index, *inputs = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative will be asked for: autograd must see every step
            wanted = [which for which, wants in enumerate(ctx.needs_input_grad[2:]) if wants]
            out = plainly(ctx.walk.plan, index, inputs[0], inputs[1], inputs[2:])
            found = torch.autograd.grad(out, [inputs[which] for which in wanted], grad, create_graph=True)
            every: list[Tensor | None] = [None] * len(inputs)
            for which, one in zip(wanted, found, strict=True):
                every[which] = one
            return None, None, *every
        with team("cpu") as share:
            return None, None, *_Backward(ctx.walk, grad.contiguous())(share)


def plainly(plan: _Plan, index: Tensor, receiver: Tensor, sender: Tensor, given: Sequence[Tensor]) -> Tensor:
    """The same function of the same inputs, every step seen by autograd."""
    weights, scales, shifts, fixed = plan.parts(given)
    there = index >= 0
    h = receiver[:, None] + sender.index_select(0, known_rows(index, len(sender))).view(*index.shape, -1)
    for layer in range(plan.layers):
        h = linear(h, weights[layer - 1]) if layer else h
        rows = h[there]
        moments = (rows.mean(0), rows.var(0, correction=0)) if plan.learning else (fixed[2 * layer], fixed[2 * layer + 1])
        scale, shift = _folded(*moments, scales[layer], shifts[layer], plan.eps)
        h = torch.relu(h * scale + shift)
    return (h * there[..., None]).sum(1) / there.sum(1, keepdim=True).clamp(min=1)


Share = Callable[..., Iterator[Any]]


class _Walk:
    """The walks over the blocks, layer by layer, and what they leave for the backward."""

    def __init__(self, plan: _Plan, index: Tensor, receiver: Tensor, sender: Tensor, given: Sequence[Tensor]) -> None:
        self.plan, self.receiver, self.sender = plan, receiver, sender
        self.weights, self.scales, self.shifts, fixed = plan.parts(given)
        self.table = _Table(index, len(sender), max(len(scale) for scale in self.scales))
        self.moments: list[Affine] = []
        self.folded: list[Affine] = []
        self.normed = receiver, sender  # whose sum is the first layer's output before the relu
        self.kept: list[Tensor] = []  # input to the norm of the second layer and on: [pairs, channels]
        for mean, var in zip(fixed[::2], fixed[1::2], strict=True):
            self.fold((mean, var))

    def fold(self, moments: Affine) -> None:
        layer = len(self.folded)
        self.moments.append(moments)
        self.folded.append(_folded(*moments, self.scales[layer], self.shifts[layer], self.plan.eps))
        if layer == 0:
            scale, shift = self.folded[0]
            self.normed = torch.addcmul(shift, self.receiver, scale), self.sender * scale

    def forward(self, share: Share, *, keep: bool) -> Tensor:
        table, layers = self.table, range(self.plan.layers)
        if keep or self.plan.learning:
            rows = table.points * table.k
            self.kept = [self.receiver.new_empty(rows, len(self.scales[layer])) for layer in layers[1:]]
        if self.plan.learning:
            for layer in layers:
                self.fold(_moments(list(share(partial(self.measure, layer), table.blocks()))))
        out = torch.cat(list(share(partial(self.finish, layers[-1] if self.plan.learning else 0), table.blocks())))
        if not keep:
            self.kept = []
        return out

    def hidden(self, layer: int, block: slice) -> Tensor:
        """The layer's output [pairs, channels], from its kept input; 0 where there is no neighbour."""
        if layer == 0:
            return self.table.real(self.table.pairs(*self.normed, block).relu_(), block)
        scale, shift = self.folded[layer]
        return self.table.real(torch.addcmul(shift, self.kept[layer - 1][self.table.rows(block)], scale).relu_(), block)

    def measure(self, layer: int, block: slice) -> tuple[int, Tensor, Tensor]:
        """Make the input to the layer's norm; how many pairs, their sum, their squares about their own mean."""
        if layer == 0:
            z = self.table.real(self.table.pairs(self.receiver, self.sender, block), block)
        else:
            z = self.kept[layer - 1][self.table.rows(block)]
            torch.mm(self.hidden(layer - 1, block), self.weights[layer - 1].t(), out=z)
        count, total = self.table.pairs_in(block), z.sum(0)
        return count, total, self.table.real(z - total / max(count, 1), block).square_().sum(0)

    def finish(self, layer: int, block: slice) -> Tensor:
        """The mean over neighbours [block, channels], where inputs are kept up to ``layer``."""
        h = self.hidden(layer, block)
        for later in range(layer + 1, self.plan.layers):
            z = torch.mm(h, self.weights[later - 1].t())
            if self.kept:
                self.kept[later - 1][self.table.rows(block)] = z
            scale, shift = self.folded[later]
            h = self.table.real(torch.addcmul(shift, z, scale).relu_(), block)
        mean: Tensor = h.view(-1, self.table.k, h.shape[1]).sum(1) / self.table.count[block].clamp(min=1)
        return mean


class _Backward:
    """From the gradient of the mean to those of all inputs; g is the gradient between a layer's norm and its relu, and of the
    norm's input z it is dz = scale (g - mean g - zhat mean(g zhat)), which is a g + b z + c by channel."""

    def __init__(self, walk: _Walk, grad: Tensor) -> None:
        self.walk, self.table, self.plan = walk, walk.table, walk.plan
        self.grad = grad / self.table.count.clamp(min=1)
        self.g = grad.new_empty(0)
        self.affine: tuple[Tensor, Tensor, Tensor] = (self.g, self.g, self.g)

    def __call__(self, share: Share) -> list[Tensor | None]:
        walk, blocks, last = self.walk, self.table.blocks(), self.plan.layers - 1
        weights: list[Tensor | None] = []
        norms: list[Tensor | None] = []
        found = list(share(self.last, blocks))
        for layer in range(last, -1, -1):
            d_scale, d_shift = self.close(layer, found)
            norms = [d_scale, d_shift, *norms]
            if layer:
                below = self.grad.new_empty(len(self.table.near), len(walk.scales[layer - 1]))
                found = list(share(partial(self.step, layer, below), blocks))
                weights.insert(0, torch.stack([one for _, _, one in found]).sum(0))
                self.g = below
        d_receiver, d_sender = torch.empty_like(walk.receiver), torch.zeros_like(walk.sender)
        for block, (own, pairs) in zip(blocks, share(self.first, blocks), strict=True):
            d_receiver[block] = own
            d_sender.index_add_(0, self.table.near[self.table.rows(block)], pairs)
        fixed = [] if self.plan.learning else [None] * (2 * self.plan.layers)
        return [d_receiver, d_sender, *weights, *norms, *fixed]

    def last(self, block: slice) -> tuple[Tensor, Tensor]:
        """Sums of g and g z of the last layer."""
        g = self.of_last(block)
        return g.sum(0), (g * self.z(self.plan.layers - 1, block)).sum(0)

    def of_last(self, block: slice) -> Tensor:
        h = self.walk.hidden(self.plan.layers - 1, block).view(-1, self.table.k, self.grad.shape[1])
        g: Tensor = torch.ops.aten.threshold_backward(self.grad[block][:, None].expand_as(h), h, 0)
        return g.flatten(0, 1)

    def z(self, layer: int, block: slice) -> Tensor:
        if layer == 0:
            return self.table.pairs(self.walk.receiver, self.walk.sender, block)
        return self.walk.kept[layer - 1][self.table.rows(block)]

    def close(self, layer: int, found: Sequence[tuple[Tensor, ...]]) -> Affine:
        """The gradients of the norm's weight and bias, from the sums of all blocks; sets a, b, c of dz."""
        total, product = (torch.stack(parts).double().sum(0) for parts in list(zip(*found, strict=True))[:2])
        mean, var = (part.double() for part in self.walk.moments[layer])
        width = torch.rsqrt(var + self.plan.eps)
        d_scale = (product - mean * total) * width
        a = self.walk.scales[layer].double() * width
        b = -a * width * d_scale / self.table.edges if self.plan.learning else torch.zeros_like(a)
        c = -a * total / self.table.edges - b * mean if self.plan.learning else b
        kind = self.grad.dtype
        self.affine = a.to(kind), b.to(kind), c.to(kind)
        return d_scale.to(kind), total.to(kind)

    def dz(self, layer: int, block: slice) -> Tensor:
        a, b, c = self.affine
        g = self.g[self.table.rows(block)] if layer < self.plan.layers - 1 else self.of_last(block)
        return self.table.real(torch.addcmul(c, self.z(layer, block), b).addcmul_(g, a), block)

    def step(self, layer: int, below: Tensor, block: slice) -> tuple[Tensor, Tensor, Tensor]:
        """g of the layer below, into ``below``; sums of it and of g z there, and the gradient of the weight between."""
        h, dz = self.walk.hidden(layer - 1, block), self.dz(layer, block)
        g = below[self.table.rows(block)]
        torch.mm(dz, self.walk.weights[layer - 1], out=g)
        torch.ops.aten.threshold_backward.grad_input(g, h, 0, grad_input=g)
        return g.sum(0), (g * self.z(layer - 1, block)).sum(0), dz.t() @ h

    def first(self, block: slice) -> tuple[Tensor, Tensor]:
        dz = self.dz(0, block)
        return dz.view(-1, self.table.k, dz.shape[1]).sum(1), dz
