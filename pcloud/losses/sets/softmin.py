"""The Sinkhorn divergence of weighted sets in float32, compiled by numba: one look at a pair of points serves both sets.

``divergence(first, last, x, y, how, out)`` does a range of events; ``sinkhorn`` is where it is used. The exponential is a
polynomial that LLVM makes vector code of, where the mathematics library's would be called pair by pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pcloud.neighbors.lanes import compiled

LOOSE = {"reassoc", "contract", "nsz"}  # sums may be taken in any order; NaN and inf stay what they are
FAR = np.float32(126)  # 2^126 and 2^-126 are the ends of normal float32
HALF, WHOLE = np.float32(0.5), np.float32(1)
EDGE = np.float32(2.0**100)  # a sum beyond it, or below its inverse, is taken again with its largest term taken out


@intrinsic
def _float_of(typing: Any, bits: Any) -> Any:
    """The float32 of these bits (int32)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


@compiled(fastmath=LOOSE)
def _exp2(z: Any) -> Any:
    """2^z to about 2e-7 of itself, z held between -126 and 126."""
    z = min(max(z, -FAR), FAR)
    whole = np.floor(z + np.float32(0.5))
    r = z - whole
    p = np.float32(1.5403530e-4) * r + np.float32(1.3333558e-3)
    p = (p * r + np.float32(9.6181291e-3)) * r + np.float32(5.5504109e-2)
    p = ((p * r + np.float32(2.4022651e-1)) * r + np.float32(6.9314718e-1)) * r + np.float32(1)
    return p * _float_of((np.int32(whole) + np.int32(127)) << np.int32(23))  # type: ignore[call-arg]


@compiled()
def divergence(first: int, last: int, x: Any, y: Any, how: Any, out: Any) -> None:
    """Events ``first`` to ``last``: value and its derivatives by points and by (normalised) weights, into ``out`` = (value
    [events], gx, gy, ga, gb), all float32. x, y: (points, weight, offsets); how: (epsilon, power, ln(scaling) or 0, iterations,
    their push, how many of them a set and itself get).
    """
    value, gx, gy, ga, gb = out
    epsilon, power, step, iterations, push, alone = how
    for event in range(first, last):
        one, two = slice(x[2][event], x[2][event + 1]), slice(y[2][event], y[2][event + 1])
        p, a, q, b = x[0][one], x[1][one], y[0][two], y[1][two]
        if not (a.sum() > 0 and b.sum() > 0):
            continue
        cross, within_p, within_q = _costs(p, q, power), _costs(p, p, power), _costs(q, q, power)
        diameter = _diameter(p, a, q, b)
        end, levels = np.log(epsilon) / power, 0
        if step != 0 and diameter > 0 and np.log(diameter) > end:
            levels = int(np.ceil((end - np.log(diameter)) / step))
        now = np.float32(diameter**power if levels else epsilon)
        f, g, f_p, g_q = np.zeros_like(a), np.zeros_like(b), np.zeros_like(a), np.zeros_like(b)
        soft = np.empty_like(a), np.empty_like(b)
        _both(cross, f, g, a, b, now, soft)
        _mix(f, soft[0], WHOLE)
        _mix(g, soft[1], WHOLE)
        _mix(f_p, _alone(within_p, f_p, a, now, soft[0]), WHOLE)
        _mix(g_q, _alone(within_q, g_q, b, now, soft[1]), WHOLE)
        for turn in range(levels + 2 if levels else 1):
            if turn > levels or levels == 0:
                now = np.float32(epsilon)
            elif turn > 0:
                now = np.float32(np.exp(power * (np.log(diameter) + (turn - 1) * step)))
            _both(cross, f, g, a, b, now, soft)
            _mix(f, soft[0], HALF)
            _mix(g, soft[1], HALF)
            _mix(f_p, _alone(within_p, f_p, a, now, soft[0]), HALF)
            _mix(g_q, _alone(within_q, g_q, b, now, soft[1]), HALF)
        f_old, g_old = f.copy(), g.copy()
        for turn in range(iterations):
            _both(cross, f, g, a, b, now, soft)
            plain = turn == 0 or turn == iterations - 1
            if plain:
                _mix(f_old, f, WHOLE)
                _mix(g_old, g, WHOLE)
            share = HALF if plain else np.float32(push)
            _mix(f_old, soft[0], share)
            _mix(g_old, soft[1], share)
            f, f_old, g, g_old = f_old, f, g_old, g
        for _ in range(min(iterations, alone)):
            _mix(f_p, _alone(within_p, f_p, a, now, soft[0]), HALF)
            _mix(g_q, _alone(within_q, g_q, b, now, soft[1]), HALF)
        total = _settle(cross, (p, a, q, b), f, g, now, power, gx[one], ga[one], np.float32(1))
        total += _settle(np.ascontiguousarray(cross.T), (q, b, p, a), g, f, now, power, gy[two], gb[two], np.float32(1))
        total += _settle(within_p, (p, a, p, a), f_p, f_p, now, power, gx[one], ga[one], np.float32(-1))
        total += _settle(within_q, (q, b, q, b), g_q, g_q, now, power, gy[two], gb[two], np.float32(-1))
        value[event] = total


@compiled()
def _costs(x: Any, y: Any, power: int) -> Any:
    """|x_i - y_j|^power / power."""
    cost = np.zeros((len(x), len(y)), np.float32)
    for i in range(len(x)):
        for k in range(x.shape[1]):
            for j in range(len(y)):
                cost[i, j] += (x[i, k] - y[j, k]) ** 2
        for j in range(len(y)):
            cost[i, j] = np.sqrt(cost[i, j]) if power == 1 else cost[i, j] / np.float32(2)
    return cost


@compiled()
def _diameter(x: Any, a: Any, y: Any, b: Any) -> Any:
    """Diagonal of the box around all points that have weight."""
    square = 0.0
    for k in range(x.shape[1]):
        low, high = np.float32(np.inf), np.float32(-np.inf)
        for i in range(len(x)):
            if a[i] > 0:
                low, high = min(low, x[i, k]), max(high, x[i, k])
        for j in range(len(y)):
            if b[j] > 0:
                low, high = min(low, y[j, k]), max(high, y[j, k])
        square += (np.float64(high) - low) ** 2
    return np.sqrt(square)


@compiled(fastmath=LOOSE)
def _both(cost: Any, f: Any, g: Any, a: Any, b: Any, epsilon: Any, soft: Any) -> None:
    """The softmins of g and of f: with P = exp((f + g - C) / epsilon) they are f - epsilon log(P b) and g - epsilon log(P^T a):
    one exponential does for both. Sums near the ends of float32 are taken again."""
    n, m = cost.shape
    rows, columns = soft
    inverse = np.float32(1.4426950408889634 / epsilon)
    columns[:] = 0
    for i in range(n):
        total, f_i, a_i = np.float32(0), f[i], a[i]
        for j in range(m):
            p = _exp2((f_i + g[j] - cost[i, j]) * inverse)
            total += p * b[j]
            columns[j] += p * a_i
        rows[i] = total
    for i in range(n):
        good = np.float32(1) / EDGE < rows[i] < EDGE
        rows[i] = f[i] - epsilon * np.log(rows[i]) if good else _exactly(cost[i], g, b, epsilon)
    for j in range(m):
        good = np.float32(1) / EDGE < columns[j] < EDGE
        columns[j] = g[j] - epsilon * np.log(columns[j]) if good else _exactly(cost[:, j], f, a, epsilon)


@compiled(fastmath=LOOSE)
def _alone(cost: Any, f: Any, a: Any, epsilon: Any, rows: Any) -> Any:
    """The same of a set and itself, where P is symmetric and g is f."""
    inverse = np.float32(1.4426950408889634 / epsilon)
    for i in range(len(f)):
        total, f_i = np.float32(0), f[i]
        for j in range(len(f)):
            total += _exp2((f_i + f[j] - cost[i, j]) * inverse) * a[j]
        rows[i] = total
    for i in range(len(f)):
        good = np.float32(1) / EDGE < rows[i] < EDGE
        rows[i] = f[i] - epsilon * np.log(rows[i]) if good else _exactly(cost[i], f, a, epsilon)
    return rows


@compiled()
def _mix(f: Any, soft: Any, share: Any) -> None:
    """f += share (soft - f)."""
    for i in range(len(f)):
        f[i] += share * (soft[i] - f[i])


@compiled()
def _exactly(cost: Any, g: Any, b: Any, epsilon: Any) -> Any:
    """-epsilon log sum_j b_j exp((g_j - C_j) / epsilon), its largest term taken out."""
    top = -np.inf
    for j in range(len(g)):
        if b[j] > 0:
            top = max(top, np.float64(g[j]) - cost[j])
    total = 0.0
    for j in range(len(g)):
        if b[j] > 0:
            total += b[j] * np.exp((np.float64(g[j]) - cost[j] - top) / epsilon)
    return np.float32(-top - epsilon * np.log(total))


@compiled(fastmath=LOOSE)
def _settle(cost: Any, sets: Any, f: Any, g: Any, epsilon: Any, power: int, gx: Any, ga: Any, sign: Any) -> float:
    """sign sum_i a_i s_i, s_i the softmin of g at x_i. Adds sign s_i to ga and sign a_i ds_i/dx_i to gx, y and g held. sets: (x,
    a, y, b); f: near s, so that the sums stay in range."""
    x, a, y, b = sets
    value, part = 0.0, np.empty(len(y), np.float32)
    inverse = np.float32(1.4426950408889634 / epsilon)
    for i in range(len(x)):
        near = f[i]
        total = _shares(cost[i], g, b, near, inverse, part)
        if not np.float32(1) / EDGE < total < EDGE:
            near = _exactly(cost[i], g, b, epsilon)
            total = _shares(cost[i], g, b, near, inverse, part)
        soft = near - epsilon * np.log(total)
        ga[i] += sign * soft
        value += sign * a[i] * soft
        if power == 1:  # the gradient of |x - y| is of length 1; 0 where they coincide
            for j in range(len(y)):
                part[j] = part[j] / cost[i, j] if cost[i, j] > 0 else np.float32(0)
        for k in range(x.shape[1]):
            pull, x_ik = np.float32(0), x[i, k]
            for j in range(len(y)):
                pull += part[j] * (x_ik - y[j, k])
            gx[i, k] += sign * a[i] * pull / total
    return value


@compiled(fastmath=LOOSE)
def _shares(cost: Any, g: Any, b: Any, near: Any, inverse: Any, part: Any) -> Any:
    """part_j = b_j exp((near + g_j - C_j) / epsilon), and their sum."""
    total = np.float32(0)
    for j in range(len(g)):
        part[j] = _exp2((near + g[j] - cost[j]) * inverse) * b[j]
        total += part[j]
    return total
