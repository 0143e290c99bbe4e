"""Transport along lines in float32, compiled: NumPy's vector sort of (place, row) as one integer, then one walk along both sets.

``compare(first, last, x, y, directions, power, out)`` does a range of events; ``sliced`` is where it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcloud.neighbors.lanes import compiled


def compare(first: int, last: int, x: Any, y: Any, directions: Any, power: int, out: Any) -> None:
    """Events ``first`` to ``last``: mean over lines of W_p^p and its derivatives by points and weights, into ``out`` = (value
    [events], gx, gy, ga, gb), float32. x, y: (points, weight, offsets); weights are normalised here; no weight, no value."""
    value, gx, gy, ga, gb = out
    for event in range(first, last):
        one, two = slice(*x[2][event : event + 2]), slice(*y[2][event : event + 2])
        p, q = x[0][one], y[0][two]
        if len(p) and len(q):
            ranks = _ranks(p, directions), _ranks(q, directions)
            for some in ranks:
                some.sort(axis=1)
            value[event] = _walk((p, x[1][one], q, y[1][two]), ranks, directions, power, (gx[one], gy[two], ga[one], gb[two]))


@compiled()
def _ranks(points: Any, directions: Any) -> Any:
    """[lines, points] int64 that order as the places on the line do: the bits of the place above the row."""
    ranks = np.empty((len(directions), len(points)), np.int64)
    place = np.empty(len(points), np.float32)
    bits = place.view(np.int32)
    for line in range(len(directions)):
        place[:] = 0
        for k in range(points.shape[1]):
            along = directions[line, k]
            for i in range(len(points)):
                place[i] += along * points[i, k]
        for i in range(len(points)):
            order = bits[i] ^ ((bits[i] >> 31) & 0x7FFFFFFF)  # as integers, floats below zero order the wrong way round
            ranks[line, i] = (np.int64(order) << 32) | i
    return ranks


@compiled()
def _sorted(ranks: Any, weight: Any, total: float, row: Any, place: Any, share: Any) -> None:
    """Rows, places and normalised weights in the order of a line."""
    bits = place.view(np.int32)
    for i in range(len(ranks)):
        order = np.int32(ranks[i] >> 32)
        bits[i] = order ^ ((order >> 31) & 0x7FFFFFFF)
        row[i] = ranks[i] & 0xFFFFFFFF
        share[i] = weight[row[i]] / total


@compiled()
def _walk(sets: Any, ranks: Any, directions: Any, power: int, gradients: Any) -> Any:
    """Mean over lines of W_p^p; adds its derivatives to ``gradients``."""
    x, a, y, b = sets
    gx, gy, ga, gb = gradients
    lines, n, m = len(directions), len(x), len(y)
    total, other = 0.0, 0.0
    for i in range(n):
        total += a[i]
    for j in range(m):
        other += b[j]
    if not (total > 0 and other > 0):
        return 0.0
    here = np.empty(n, np.int64), np.empty(n, np.float32), np.empty(n)
    there = np.empty(m, np.int64), np.empty(m, np.float32), np.empty(m)
    pull_x, pull_y, price_x, price_y = np.empty(n), np.empty(m), np.empty(n), np.empty(m)
    value = 0.0
    for line in range(lines):
        _sorted(ranks[0][line], a, total, *here)
        _sorted(ranks[1][line], b, other, *there)
        value += _line(here[1], here[2], there[1], there[2], power, (pull_x, pull_y, price_x, price_y))
        _add(here[0], here[2], pull_x, price_x, directions[line], 1 / lines, total, gx, ga)
        _add(there[0], there[2], pull_y, price_y, directions[line], 1 / lines, other, gy, gb)
    return value / lines


@compiled()
def _line(x: Any, a: Any, y: Any, b: Any, power: int, out: Any) -> Any:
    """W_p^p of sorted places and weights, and its derivatives by them; by weights up to a constant, the last one's is 0."""
    pull_x, pull_y, price_x, price_y = out
    n, m = len(x), len(y)
    pull_x[:], pull_y[:], price_x[:], price_y[:] = 0, 0, 0, 0
    i, j, left, right, value = 0, 0, a[0], b[0], 0.0
    while True:
        gap = np.float64(x[i]) - y[j]
        cost = abs(gap) if power == 1 else gap * gap
        pull = np.sign(gap) if power == 1 else 2 * gap
        step = min(left, right)
        value += step * cost
        pull_x[i] += step * pull
        pull_y[j] -= step * pull
        left, right = left - step, right - step
        if i + 1 < n and (left <= right or j + 1 == m):
            after = np.float64(x[i + 1]) - y[j]
            price_x[i] = cost - (abs(after) if power == 1 else after * after)
            i, left = i + 1, a[i + 1]
        elif j + 1 < m:
            after = np.float64(x[i]) - y[j + 1]
            price_y[j] = cost - (abs(after) if power == 1 else after * after)
            j, right = j + 1, b[j + 1]
        else:
            break
    for k in range(n - 2, -1, -1):  # a weight moves the end of its own step and of all that follow, but the last
        price_x[k] += price_x[k + 1]
    for k in range(m - 2, -1, -1):
        price_y[k] += price_y[k + 1]
    return value


@compiled()
def _add(row: Any, share: Any, pull: Any, price: Any, along: Any, part: float, total: float, gx: Any, ga: Any) -> None:
    """Adds a line's derivatives to those by points and by the weights before they were normalised."""
    mean = 0.0
    for i in range(len(row)):
        mean += share[i] * price[i]
    for i in range(len(row)):
        for k in range(len(along)):
            gx[row[i], k] += np.float32(part * pull[i] * along[k])
        ga[row[i]] += np.float32(part * (price[i] - mean) / total)
