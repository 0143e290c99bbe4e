"""Ranger: RAdam (Liu et al., arXiv 1908.03265) whose weights are pulled to slow ones every few steps (Lookahead, 1907.08610).

``Ranger(parameters, lr=1e-2)``; the state in ``state_dict`` is all it needs to go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer


class Ranger(Optimizer):
    """RAdam with decoupled weight decay; each ``every`` steps slow += ``pull`` (fast - slow), and fast starts anew from there."""

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.95, 0.999),
        eps: float = 1e-5,
        every: int = 6,
        pull: float = 0.5,
    ) -> None:
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay, betas=betas, eps=eps, every=every, pull=pull))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            together: dict[int, list[torch.Tensor]] = {}  # by age: those first used later are corrected otherwise
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p]
                    if not state:
                        state |= {"step": 0, "m": torch.zeros_like(p), "v": torch.zeros_like(p), "slow": p.detach().clone()}
                    state["step"] += 1
                    together.setdefault(state["step"], []).append(p)
            for age, some in together.items():
                self._move(group, age, some)
        return loss

    def _move(self, group: dict[str, Any], age: int, params: list[torch.Tensor]) -> None:
        (beta1, beta2), lr = group["betas"], group["lr"]
        m, v, slow = ([self.state[p][name] for p in params] for name in ("m", "v", "slow"))
        grads = [p.grad for p in params if p.grad is not None]
        torch._foreach_lerp_(m, grads, 1 - beta1)
        torch._foreach_mul_(v, beta2)
        torch._foreach_addcmul_(v, grads, grads, 1 - beta2)
        torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
        rate, known = lr / (1 - beta1**age), rectified(age, beta2)
        if known is None:  # too few steps to know the spread of the gradient: momentum alone
            torch._foreach_add_(params, m, alpha=-rate)
        else:
            below = torch._foreach_sqrt(v)
            torch._foreach_add_(below, group["eps"])
            torch._foreach_addcdiv_(params, m, below, -rate * known * math.sqrt(1 - beta2**age))
        if age % group["every"] == 0:
            torch._foreach_lerp_(slow, params, group["pull"])
            torch._foreach_copy_(params, slow)


def rectified(age: int, beta2: float) -> float | None:
    """RAdam's factor for the variance of the adaptive rate at step ``age``; None where that is not defined (rho <= 5)."""
    most = 2 / (1 - beta2) - 1
    rho = most - 2 * age * beta2**age / (1 - beta2**age)
    if rho <= 5:
        return None
    return math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
