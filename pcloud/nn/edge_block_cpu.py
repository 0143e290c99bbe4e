"""The pairs of an :class:`~pcloud.nn.edge_block.EdgeBlock` that learns, on a CPU, in blocks of points for its threads.

Batch normalisation wants each layer's statistics before the next may begin, so every layer is one walk over the blocks. Kept
for the backward are the layers' inputs to the normalisation alone; all else is made anew there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import linear

from pcloud.neighbors.table import known_rows
from pcloud.nn.batch_norm import BatchNorm
from pcloud.nn.blocks import team

BLOCK = 1 << 19  # numbers in a block's [points, k, channels]
FEW = 1 << 16  # up to so many there is nothing to gain
Affine = tuple[Tensor, Tensor]  # scale and shift [channels]
Array = NDArray[Any]


def suits(receiver: Tensor, index: Tensor) -> bool:
    """Whether :func:`fused` may do it and gains: on a CPU, in full precision, no compiler looking on, not just a few pairs."""
    if torch.compiler.is_compiling() or receiver.device.type != "cpu" or index.numel() * receiver.shape[1] <= min(FEW, BLOCK):
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
    """The walks over the blocks, layer by layer, and what they leave for the backward: z of the second layer and on."""

    def __init__(self, plan: _Plan, index: Tensor, receiver: Tensor, sender: Tensor, given: Sequence[Tensor]) -> None:
        from pcloud.nn import edge_block_loops, tiles  # numba is heavy

        kinds = {one.dtype for one in (receiver, sender, *given)}
        if len(kinds) > 1:
            raise RuntimeError(f"points and layers of {', '.join(map(str, kinds))} came; one floating type was expected")
        self.loops: ModuleType = edge_block_loops
        self.plan, self.whole, self.matrix = plan, tiles.whole, tiles.matrix
        weights, self.scales, self.shifts, fixed = plan.parts(given)
        self.kind = receiver.detach().numpy().dtype
        self.widths = [len(scale) for scale in self.scales]
        self.index = index.contiguous().numpy()
        most = self.index.max(initial=-1)
        if len(receiver) != len(self.index) or most >= len(sender):
            raise IndexError(f"neighbours up to row {most} of {len(self.index)} points came for {len(sender)} rows")
        self.starts: Array = np.append(0, np.cumsum((self.index >= 0).sum(1)))
        self.receiver, self.sender = (self.filled(one.detach().numpy()) for one in (receiver, sender))
        self.weights = [weight.detach().numpy() for weight in weights]
        size = max(1, BLOCK // (plan.k * max(self.widths)))
        self.blocks = [(low, min(low + size, len(self.index))) for low in range(0, len(self.index), size)]
        self.moments: list[Affine] = []
        self.norms: list[Array] = []  # [2, channels]: scale and shift
        self.kept: list[Array] = [np.empty((0, 0), self.kind)]  # by layer; the first layer's is made of receiver and sender
        for mean, var in zip(fixed[::2], fixed[1::2], strict=True):
            self.fold((mean, var))

    def filled(self, table: Array) -> Array:
        """Contiguous, its channels filled up to whole tiles."""
        more = self.whole(table.shape[1]) - table.shape[1]
        return np.pad(table, ((0, 0), (0, more))) if more else np.ascontiguousarray(table)

    @property
    def pairs(self) -> tuple[Array, Array, Array, Array]:
        """What every loop is given."""
        return self.starts, self.index, self.receiver, self.sender

    def fold(self, moments: Affine) -> None:
        layer = len(self.norms)
        self.moments.append(moments)
        scale, shift = _folded(*moments, self.scales[layer], self.shifts[layer], self.plan.eps)
        self.norms.append(self.filled(torch.stack([scale, shift]).numpy()))

    def forward(self, share: Share, *, keep: bool) -> Tensor:
        for layer in range(self.plan.layers):
            if layer:
                self.kept.append(np.empty((self.starts[-1], self.whole(self.widths[layer])), self.kind))
            if layer or self.plan.learning:
                w = self.matrix(self.weights[layer - 1].T, self.norms[layer - 1].shape[1]) if layer else None
                parts = list(share(partial(self.measure, layer, w), self.blocks))
                if self.plan.learning:
                    self.fold(self.taken(layer, parts))
        out = np.empty((len(self.index), self.norms[-1].shape[1]), self.kind)

        def finish(block: tuple[int, int]) -> None:
            self.loops.finish(*block, *self.pairs, self.kept[-1], self.norms[-1], out)

        list(share(finish, self.blocks))
        if not keep:
            self.kept = []
        return torch.from_numpy(np.ascontiguousarray(out[:, : self.widths[-1]]))

    def measure(self, layer: int, w: Array | None, block: tuple[int, int]) -> Array:
        """Make the input to the layer's norm; its sum and its squares about their own mean."""
        moments = np.zeros((2, self.whole(self.widths[layer]) if self.plan.learning else 0))
        if layer:
            self.loops.layer(*block, *self.pairs, self.kept[layer - 1], self.norms[layer - 1], w, self.kept[layer], moments)
        else:
            self.loops.measure(*block, *self.pairs, moments)
        return moments

    def taken(self, layer: int, parts: Sequence[Array]) -> Affine:
        """Mean and variance of all rows from those of each block."""
        counts = np.array([self.starts[high] - self.starts[low] for low, high in self.blocks])[:, None]
        sums, squares = (np.stack([part[which] for part in parts])[:, : self.widths[layer]] for which in range(2))
        mean = sums.sum(0) / counts.sum()
        between = (counts * (sums / np.maximum(counts, 1) - mean) ** 2).sum(0)
        var = (squares.sum(0) + between) / counts.sum()
        return torch.from_numpy(mean.astype(self.kind)), torch.from_numpy(var.astype(self.kind))


def _folded(mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Affine:
    scale = torch.rsqrt(var + eps) * weight
    return scale, bias - mean * scale


class _Backward:
    """From the gradient of the mean to those of all inputs; g is the gradient between a layer's norm and its relu, and of the
    norm's input z it is dz = scale (g - mean g - zhat mean(g zhat)), which is a g + b z + c by channel."""

    def __init__(self, walk: _Walk, grad: Tensor) -> None:
        self.walk, self.plan = walk, walk.plan
        count = np.maximum(np.diff(walk.starts), 1).astype(walk.kind)[:, None]
        self.grad = walk.filled(grad.detach().numpy() / count)
        self.g: Array = np.empty((0, 0), walk.kind)
        self.line: Array = self.g

    def __call__(self, share: Share) -> list[Tensor | None]:
        walk, last = self.walk, self.plan.layers - 1
        weights: list[Tensor | None] = []
        norms: list[Tensor | None] = []
        found = list(share(self.last, walk.blocks))
        for layer in range(last, -1, -1):
            d_scale, d_shift = self.close(layer, np.stack(found).sum(0)[:, : walk.widths[layer]])
            norms = [d_scale, d_shift, *norms]
            if layer:
                below = np.empty((walk.starts[-1], walk.norms[layer - 1].shape[1]), walk.kind)
                w = walk.matrix(walk.weights[layer - 1], walk.norms[layer].shape[1])
                sums, parts = zip(*share(partial(self.step, layer, w, below), walk.blocks), strict=True)
                found, d_weight = list(sums), np.stack(parts).sum(0, dtype=np.float64)
                out, into = walk.weights[layer - 1].shape
                weights.insert(0, torch.from_numpy(d_weight[:out, :into].astype(walk.kind)))
                self.g = below
        d_receiver, d_sender = np.empty_like(walk.receiver), np.zeros_like(walk.sender)
        for low, part in share(partial(self.first, d_receiver), walk.blocks):
            d_sender[low : low + len(part)] += part
        ends = [torch.from_numpy(one[:, : walk.widths[0]]) for one in (d_receiver, d_sender)]
        fixed = [] if self.plan.learning else [None] * (2 * self.plan.layers)
        return [*ends, *weights, *norms, *fixed]

    def last(self, block: tuple[int, int]) -> Array:
        """Sums of g and g z of the last layer."""
        walk, sums = self.walk, np.zeros((2, self.grad.shape[1]))
        walk.loops.last_sums(*block, *walk.pairs, walk.kept[-1], walk.norms[-1], self.grad, sums)
        return sums

    def close(self, layer: int, sums: Array) -> Affine:
        """The gradients of the norm's weight and bias, from the sums over all pairs; sets a, b, c of dz."""
        total, product = sums
        mean, var = (part.double().numpy() for part in self.walk.moments[layer])
        width = 1 / np.sqrt(var + self.plan.eps)
        d_scale = (product - mean * total) * width
        a = self.walk.scales[layer].detach().double().numpy() * width
        edges = max(int(self.walk.starts[-1]), 1)
        b = -a * width * d_scale / edges if self.plan.learning else np.zeros_like(a)
        c = -a * total / edges - b * mean if self.plan.learning else b
        kind = self.walk.kind
        self.line = self.walk.filled(np.stack([a, b, c]).astype(kind))
        return torch.from_numpy(d_scale.astype(kind)), torch.from_numpy(total.astype(kind))

    def step(self, layer: int, w: Array, g_below: Array, block: tuple[int, int]) -> tuple[Array, Array]:
        """g of the layer below, into ``g_below``; sums of it and of g z there, and the gradient of the weight between."""
        walk = self.walk
        sums, d_weight = np.zeros((2, g_below.shape[1])), np.zeros((walk.norms[layer].shape[1], g_below.shape[1]), walk.kind)
        lower, upper = (walk.kept[layer - 1], walk.norms[layer - 1]), (walk.kept[layer], walk.norms[layer])
        walk.loops.step(*block, *walk.pairs, *lower, *upper, self.grad, self.g, self.line, w, g_below, sums, d_weight)
        return sums, d_weight

    def first(self, d_receiver: Array, block: tuple[int, int]) -> tuple[int, Array]:
        walk = self.walk
        low, high = walk.loops.reach(*block, walk.index)
        d_sender = np.zeros((high - low, walk.sender.shape[1]), walk.kind)
        walk.loops.first(*block, *walk.pairs, walk.norms[0], self.grad, self.g, self.line, d_receiver, d_sender, low)
        return low, d_sender
