"""A value whose gradient is known with it: a solver's optimum, where nothing is to be differentiated through the solver.

``known(value, x, y, gradients)`` hands autograd the derivatives by points and weights that the solver's plan and duals give.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pcloud.losses.sets.sides import Side


def known(value: Tensor, x: Side, y: Side, gradients: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """``value`` [events] with d value / d (x.points, y.points, x.weight, y.weight), each for its own event's value."""
    out: Tensor = _Known.apply(value, x.owner, y.owner, *gradients, x.points, y.points, x.weight, y.weight)  # type: ignore[no-untyped-call]
    return out


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, x_owner: Tensor, y_owner: Tensor, *rest: Tensor) -> Tensor:
        ctx.save_for_backward(x_owner, y_owner, *rest[:4])
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, step: Tensor) -> Any:
        x_owner, y_owner, x, y, a, b = ctx.saved_tensors
        at_x, at_y = step[x_owner], step[y_owner]
        return (*7 * [None], at_x[:, None] * x, at_y[:, None] * y, at_x * a, at_y * b)
