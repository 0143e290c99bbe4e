"""The loops of an :class:`~pcloud.nn.edge_block.EdgeBlock` that learns, compiled: a few points' pairs at a time, in the cache.

Each takes a block of points, low to high. A pair is a row: point i has the rows starts[i] to starts[i + 1], none for a missing
neighbour. z is what a layer's norm is given, h = relu(scale z + shift) what it gives; channels are filled up to
whole tiles with zeros, which stay zeros. g is the gradient between a layer's norm and its relu.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.nn.tiles import ROWS, add_outer, affine


@compiled()
def measure(low: int, high: int, starts: Any, index: Any, receiver: Any, sender: Any, moments: Any) -> None:
    """Into moments [2, channels] float64: the sum of the first layer's z and of its squares about their mean."""
    z, before = _room(index, receiver), 0
    for start in range(low, high, ROWS):
        stop = min(start + ROWS, high)
        _pairs(start, stop, index, receiver, sender, z)
        before = _count(z[: starts[stop] - starts[start]], before, moments)


@compiled()
def layer(
    low: int, high: int, starts: Any, index: Any, receiver: Any, sender: Any, kept: Any, norm: Any, w: Any, z: Any, moments: Any
) -> None:
    """z = w h of the layer before, whose own z are ``kept`` [pairs, channels], or of no columns: made of receiver and sender.
    norm [2, channels]: scale and shift of that layer; moments as :func:`measure` gives them, of no channels: not asked for."""
    spare, h, before = _room(index, receiver), _room(index, norm), 0
    for start in range(low, high, ROWS):
        stop = min(start + ROWS, high)
        first, rows = starts[start], starts[stop] - starts[start]
        given = _given(start, stop, starts, index, receiver, sender, kept, spare)
        _activate(given, norm, h)
        mine = z[first : first + rows]
        affine(h, rows, w, mine, z.dtype.type(-np.inf))
        if moments.shape[1]:
            before = _count(mine, before, moments)


@compiled()
def finish(
    low: int, high: int, starts: Any, index: Any, receiver: Any, sender: Any, kept: Any, norm: Any, out: Any
) -> None:
    """out [points, channels]: the mean of the last layer's h over each point's pairs, 0 where there is none."""
    spare, h, zero = _room(index, receiver), _room(index, norm), out.dtype.type(0)
    for start in range(low, high, ROWS):
        stop = min(start + ROWS, high)
        _activate(_given(start, stop, starts, index, receiver, sender, kept, spare), norm, h)
        for point in range(start, stop):
            total = out[point]
            total[:] = zero
            for row in range(starts[point] - starts[start], starts[point + 1] - starts[start]):
                pair = h[row]
                for c in range(len(total)):
                    total[c] += pair[c]
            share = out.dtype.type(1) / out.dtype.type(max(starts[point + 1] - starts[point], 1))
            for c in range(len(total)):
                total[c] *= share


@compiled()
def last_sums(
    low: int, high: int, starts: Any, index: Any, receiver: Any, sender: Any, kept: Any, norm: Any, grad: Any, sums: Any
) -> None:
    """Into sums [2, channels] float64: of g and of g z of the last layer; grad [points, channels]: by each of a point's pairs."""
    spare, g = _room(index, receiver), _room(index, norm)
    for start in range(low, high, ROWS):
        stop = min(start + ROWS, high)
        z = _given(start, stop, starts, index, receiver, sender, kept, spare)
        _last(start, stop, starts, z, norm, grad, g)
        _add(g, z, sums)


@compiled()
def step(
    low: int, high: int, starts: Any, index: Any, receiver: Any, sender: Any, below: Any, norm_below: Any, kept: Any, norm: Any,
    grad: Any, g: Any, line: Any, w: Any, g_below: Any, sums: Any, d_w: Any,
) -> None:  # fmt: skip
    """From a layer's g to that of the layer below, into g_below [pairs, channels below]; its sums as in :func:`last_sums`.

    kept, below: z of the two layers (below of no columns: made of receiver and sender). g [pairs, channels], or of no columns: of
    the last layer, from grad. line [3, channels]: dz = line_0 g + line_1 z + line_2. w: the weight [channels, channels below] as
    a matrix; d_w [channels, channels below] gets the weights' gradient added.
    """
    spare, mine, h, dz = _room(index, receiver), _room(index, norm), _room(index, norm_below), _room(index, norm)
    zero = dz.dtype.type(0)
    for start in range(low, high, ROWS):
        stop = min(start + ROWS, high)
        first, rows = starts[start], starts[stop] - starts[start]
        z = kept[first : first + rows]
        if g.shape[1]:
            _line(g[first : first + rows], z, line, dz)
        else:
            _last(start, stop, starts, z, norm, grad, mine)
            _line(mine, z, line, dz)
        z_below = _given(start, stop, starts, index, receiver, sender, below, spare)
        _activate(z_below, norm_below, h)
        add_outer(dz, h, rows, d_w)
        found = g_below[first : first + rows]
        affine(dz, rows, w, found, dz.dtype.type(-np.inf))
        for row in range(rows):
            one, hidden = found[row], h[row]
            for c in range(len(one)):
                one[c] = zero if hidden[c] <= zero else one[c]
        _add(found, z_below, sums)


@compiled()
def first(
    low: int, high: int, starts: Any, index: Any, receiver: Any, sender: Any, norm: Any, grad: Any, g: Any, line: Any,
    d_receiver: Any, d_sender: Any, lowest: int,
) -> None:  # fmt: skip
    """The gradients of receiver [points, channels] and, added up, of sender: d_sender's first row is that of point ``lowest``."""
    spare, mine, dz = _room(index, receiver), _room(index, norm), _room(index, norm)
    zero = dz.dtype.type(0)
    for start in range(low, high, ROWS):
        stop = min(start + ROWS, high)
        rows = _pairs(start, stop, index, receiver, sender, spare)
        if g.shape[1]:
            _line(g[starts[start] : starts[stop]], spare[:rows], line, dz)
        else:
            _last(start, stop, starts, spare[:rows], norm, grad, mine)
            _line(mine, spare[:rows], line, dz)
        row = 0
        for point in range(start, stop):
            own = d_receiver[point]
            own[:] = zero
            for place in range(index.shape[1]):
                if index[point, place] >= 0:
                    one, other = dz[row], d_sender[index[point, place] - lowest]
                    for c in range(len(own)):
                        own[c] += one[c]
                        other[c] += one[c]
                    row += 1


@compiled()
def reach(low: int, high: int, index: Any) -> Any:
    """The lowest row that a block's points hear, and one beyond the highest."""
    least, most = 0x7FFFFFFF, 0
    for point in range(low, high):
        for place in range(index.shape[1]):
            if index[point, place] >= 0:
                least, most = min(least, index[point, place]), max(most, index[point, place] + 1)
    return min(least, most), most


@compiled()
def _room(index: Any, like: Any) -> Any:
    """[pairs of ROWS points, channels]"""
    return np.empty((ROWS * index.shape[1], like.shape[1]), like.dtype)


@compiled()
def _pairs(start: int, stop: int, index: Any, receiver: Any, sender: Any, z: Any) -> int:
    """z = receiver_i + sender_j of the pairs there are; returns how many."""
    row = 0
    for point in range(start, stop):
        own = receiver[point]
        for place in range(index.shape[1]):
            if index[point, place] >= 0:
                told, pair = sender[index[point, place]], z[row]
                for c in range(len(own)):
                    pair[c] = own[c] + told[c]
                row += 1
    return row


@compiled()
def _given(start: int, stop: int, starts: Any, index: Any, receiver: Any, sender: Any, kept: Any, spare: Any) -> Any:
    """z [pairs, channels] of some points: kept, or made in ``spare``."""
    if kept.shape[1]:
        return kept[starts[start] : starts[stop]]
    return spare[: _pairs(start, stop, index, receiver, sender, spare)]


@compiled()
def _activate(z: Any, norm: Any, h: Any) -> None:
    scale, shift, zero = norm[0], norm[1], h.dtype.type(0)
    for row in range(len(z)):
        given, out = z[row], h[row]
        for c in range(len(given)):
            value = scale[c] * given[c] + shift[c]
            out[c] = zero if value < zero else value


@compiled()
def _count(z: Any, before: int, moments: Any) -> int:
    """Add rows to the sum, and to the squares about the mean, of ``before`` others (Chan et al.); returns how many there are."""
    rows = len(z)
    if rows:
        total, spread = np.zeros(z.shape[1], z.dtype), np.zeros(z.shape[1], z.dtype)
        for row in range(rows):
            one = z[row]
            for c in range(len(total)):
                total[c] += one[c]
        mean = total / z.dtype.type(rows)
        for row in range(rows):
            one = z[row]
            for c in range(len(total)):
                off = one[c] - mean[c]
                spread[c] += off * off
        for c in range(len(total)):
            moments[1, c] += spread[c]
            if before:
                off = moments[0, c] / before - np.float64(total[c]) / rows
                moments[1, c] += off * off * (before * rows / (before + rows))
            moments[0, c] += total[c]
    return before + rows


@compiled()
def _last(start: int, stop: int, starts: Any, z: Any, norm: Any, grad: Any, g: Any) -> None:
    """The last layer's g: grad_i where its relu lets it through."""
    scale, shift, zero = norm[0], norm[1], g.dtype.type(0)
    for point in range(start, stop):
        own = grad[point]
        for row in range(starts[point] - starts[start], starts[point + 1] - starts[start]):
            given, out = z[row], g[row]
            for c in range(len(own)):
                out[c] = zero if scale[c] * given[c] + shift[c] <= zero else own[c]


@compiled()
def _line(g: Any, z: Any, line: Any, dz: Any) -> None:
    a, b, c = line[0], line[1], line[2]
    for row in range(len(z)):
        one, two, out = g[row], z[row], dz[row]
        for x in range(len(out)):
            out[x] = a[x] * one[x] + b[x] * two[x] + c[x]


@compiled()
def _add(g: Any, z: Any, sums: Any) -> None:
    """Sums of g and g z, few rows in their own precision, all of them in float64."""
    one, two = np.zeros(z.shape[1], z.dtype), np.zeros(z.shape[1], z.dtype)
    for row in range(len(z)):
        here, there = g[row], z[row]
        for c in range(len(one)):
            one[c] += here[c]
            two[c] += here[c] * there[c]
    for c in range(len(one)):
        sums[0, c] += one[c]
        sums[1, c] += two[c]
