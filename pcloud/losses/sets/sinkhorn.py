"""Sinkhorn divergence: optimal transport blurred by an entropy, less what each set is away from itself by that blur.

``sinkhorn(x, x_offsets, y, y_offsets, epsilon=0.01)``. On the CPU float32 goes to compiled loops (``softmin``), all else
through padded blocks in torch, which the compiled loops are tested against.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from pcloud.losses.sets.kernels import distance
from pcloud.losses.sets.known import known
from pcloud.losses.sets.sides import Block, Side, blocks, gathered, settled, sides
from pcloud.losses.sets.spread import spread

PUSH = 1.5  # 1 is none; near 2 the steps swing
ALONE = 24  # steps that a set and itself get at most: each at least halves what is left
CELLS = {"cpu": 2**17, "cuda": 2**24}  # pairs of points looked at together


def sinkhorn(
    x: Tensor,
    x_offsets: Tensor,
    y: Tensor,
    y_offsets: Tensor,
    *,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    epsilon: float = 0.01,
    power: int = 2,
    scaling: float | None = 0.7,
    iterations: int = 20,
    empty: float = 1.0,
) -> Tensor:
    """OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2, OT(a, b) = min_P <P, C> + epsilon KL(P | a b^T): [events], in x's unit^power.

    C = |x - y|^power / power, power 1 or 2; P has marginals a, b: the weights, normalised in each event. epsilon: in the unit of
    C; blur = epsilon^(1/power) is the distance below which it sees no detail. ``empty``: what an event costs where one set has
    no weight (a constant, without gradient); 0 where neither has.

    Solver, in the log domain, both sets alike: epsilon falls from the event's diameter^power by ``scaling``^power a step, at each
    f <- (f + softmin) / 2, as in geomloss; then ``iterations`` at epsilon itself with momentum, f_k+1 = f_k-1 + 1.5 (softmin -
    f_k-1), which takes about a tenth of the plain ones. Without scaling it begins at epsilon. iterations = 0 is geomloss's
    SamplesLoss to the last step, and often far from converged. The schedule is the event's own: others don't change it.

    Cost: N^2 a step, ln(diameter / blur) / ln(1/scaling) + iterations steps; memory N^2 of a thread's event, or of a block.
    Gradient: that of the optimum with plans held (the envelope theorem), nothing goes back through the steps: exact once they
    have converged. In float32 a plan is good to 1e-7 diameter^power / epsilon. Bias: none at equal sets; elsewhere between OT
    (epsilon -> 0) and half the energy distance (power 1) or half the squared distance of means (power 2; epsilon -> inf).
    Source: Feydy et al., arXiv 1810.08278; Cuturi 2013; updates: Feydy's thesis (2020), section 3.3; momentum: Thibault et al.,
    arXiv 1711.01851, here for symmetric updates.
    """
    if power not in (1, 2) or not 0 < epsilon < math.inf or iterations < 0 or (scaling is not None and not 0 < scaling < 1):
        raise ValueError(
            f"power = {power}, epsilon = {epsilon}, scaling = {scaling}, iterations = {iterations} came; power 1 or 2, "
            "epsilon > 0, scaling None or between 0 and 1, iterations >= 0 were expected"
        )
    left, right = sides(x, x_offsets, y, y_offsets, x_weight, y_weight)
    one, two = left.normalised(), right.normalised()
    step = math.log(scaling) if scaling else 0.0
    if one.weight.device.type == "cpu" and one.weight.dtype == torch.float32:
        value = _compiled(one, two, epsilon, power, step, iterations)
    else:
        event, parts = [], []
        for block in blocks(one, two, CELLS["cpu" if one.weight.device.type == "cpu" else "cuda"]):
            with torch.autocast(block.x.device.type, enabled=False):
                parts.append(_divergence(block, _schedule(block, epsilon, power, step), power, iterations))
            event.append(block.event)
        value = gathered(event, parts, one.weight, len(x_offsets) - 1)
    return settled(value, one, two, empty)


def _compiled(x: Side, y: Side, epsilon: float, power: int, step: float, iterations: int) -> Tensor:
    from pcloud.losses.sets import softmin  # numba is heavy

    one, two = (
        (side.points.detach().contiguous().numpy(), side.weight.detach().contiguous().numpy(), side.offsets.contiguous().numpy())
        for side in (x, y)
    )
    events = len(x.offsets) - 1
    out = (np.zeros(events, np.float32), *(np.zeros_like(side[part]) for part in (0, 1) for side in (one, two)))
    how = (np.float64(epsilon), power, step, iterations, PUSH, ALONE)
    spread(lambda first, last: softmin.divergence(first, last, one, two, how, out), events)
    value, gx, gy, ga, gb = (torch.from_numpy(part) for part in out)
    return known(value, x, y, (gx, gy, ga, gb))


def _schedule(block: Block, epsilon: float, power: int, step: float) -> tuple[Tensor, Tensor]:
    """Epsilons [steps, events], and which steps are an event's own: events that need fewer start later."""
    lone = (block.a == 0, block.b == 0)
    both = torch.cat([block.x, block.y], 1).detach()
    there = ~torch.cat(lone, 1)[:, :, None]
    span = torch.where(there, both, -math.inf).amax(1) - torch.where(there, both, math.inf).amin(1)
    diameter = span.double().norm(dim=1).cpu().numpy()
    falls = []
    for one in diameter.tolist():
        start, end = (math.log(one) if one > 0 else -math.inf), math.log(epsilon) / power
        levels = math.ceil((end - start) / step) if step and start > end else 0
        fall = [one**power] * bool(levels) + [math.exp(power * (start + level * step)) for level in range(levels)]
        falls.append([*fall, epsilon])
    longest = max(map(len, falls))
    padded = np.array([[fall[0]] * (longest - len(fall)) + fall for fall in falls])
    own = np.array([[False] * (longest - len(fall)) + [True] * len(fall) for fall in falls])
    return torch.from_numpy(padded.T).to(block.x), torch.from_numpy(own.T).to(block.x.device)


def _divergence(block: Block, schedule: tuple[Tensor, Tensor], power: int, iterations: int) -> Tensor:
    """sum a (f_xy - f_xx) + sum b (g_xy - g_yy), [events]; f, g: softmins by held potentials, as the envelope theorem allows."""
    a, b = block.a, block.b
    log_a, log_b = a.detach().log(), b.detach().log()
    fixed = block.x.detach(), block.y.detach()
    with torch.no_grad():
        cross, within_x, within_y = (
            _cost(p, q, power) for p, q in ((fixed[0], fixed[1]), (fixed[0], fixed[0]), (fixed[1], fixed[1]))
        )
        back = cross.transpose(1, 2)
        epsilon = schedule[0][0][:, None]
        f, g = _softmin(epsilon, cross, log_b), _softmin(epsilon, back, log_a)
        f_x, g_y = _softmin(epsilon, within_x, log_a), _softmin(epsilon, within_y, log_b)
        for now, own in zip(*schedule, strict=True):
            epsilon, half = now[:, None], 0.5 * own[:, None]
            f_new, g_new = _softmin(epsilon, cross, log_b + g / epsilon), _softmin(epsilon, back, log_a + f / epsilon)
            f_x = f_x + half * (_softmin(epsilon, within_x, log_a + f_x / epsilon) - f_x)
            g_y = g_y + half * (_softmin(epsilon, within_y, log_b + g_y / epsilon) - g_y)
            f, g = f + half * (f_new - f), g + half * (g_new - g)
        f_old, g_old = f, g
        for turn in range(iterations):
            f_new, g_new = _softmin(epsilon, cross, log_b + g / epsilon), _softmin(epsilon, back, log_a + f / epsilon)
            if turn in (0, iterations - 1):  # what f + g is too much by changes sign under the push, and vanishes here
                f, f_old, g, g_old = (f + f_new) / 2, f, (g + g_new) / 2, g
            else:
                f, f_old, g, g_old = f_old + PUSH * (f_new - f_old), f, g_old + PUSH * (g_new - g_old), g
        for _ in range(min(iterations, ALONE)):
            f_x = (f_x + _softmin(epsilon, within_x, log_a + f_x / epsilon)) / 2
            g_y = (g_y + _softmin(epsilon, within_y, log_b + g_y / epsilon)) / 2
    f_last = _softmin(epsilon, _cost(block.x, fixed[1], power), log_b + g / epsilon)
    g_last = _softmin(epsilon, _cost(block.y, fixed[0], power), log_a + f / epsilon)
    f_x = _softmin(epsilon, _cost(block.x, fixed[0], power), log_a + f_x / epsilon)
    g_y = _softmin(epsilon, _cost(block.y, fixed[1], power), log_b + g_y / epsilon)
    return (a * (f_last - f_x)).sum(1) + (b * (g_last - g_y)).sum(1)


def _softmin(epsilon: Tensor, cost: Tensor, h: Tensor) -> Tensor:
    """-epsilon log sum_j exp(h_j - C_ij / epsilon): cost [events, n, m], h [events, m], epsilon [events, 1] -> [events, n]."""
    return -epsilon * torch.logsumexp(h[:, None] - cost / epsilon[:, :, None], 2)


def _cost(x: Tensor, y: Tensor, power: int) -> Tensor:
    apart = distance(x, y)
    return apart if power == 1 else apart.square() / 2
