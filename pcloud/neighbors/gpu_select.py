"""What every GPU kernel of this folder shares: the reference's distance, the key it sorts by, the k least of a list.

Import it beside triton only. A list lies on axis 0 and a query on axis 1, so that in Triton's own layout a thread holds whole
lists and sorts them without a shuffle, given ``rows >= 32 * num_warps``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from pcloud.neighbors import reference

TURN = tl.constexpr(reference.TURN)
NONE = tl.constexpr((0x7F800000 << 32) | 0xFFFFFFFF)  # the key of no neighbour reads as distance +inf, index -1


@triton.constexpr_function
def rounds(n):
    """log2 of a power of two."""
    return n.bit_length() - 1


@triton.jit
def add_square(total, a, b, WRAP: tl.constexpr):
    """total + (a - b)^2 as the reference rounds it; WRAP: of the short way round the cylinder."""
    step = a - b
    if WRAP:
        step = tl.minimum(tl.abs(step), TURN - tl.abs(step))
    return total + step * step


@triton.jit
def key(distance2, index, near):
    """int64 that sorts by (distance2, index): the bits of a float that is not negative sort as it does. near implies a finite
    distance2."""
    bits = distance2.to(tl.int32, bitcast=True).to(tl.int64) << 32
    return tl.where(near, bits | index.to(tl.int64), NONE)


@triton.jit
def distance_of(keys):
    return (keys >> 32).to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def index_of(keys):
    return keys.to(tl.int32)


@triton.jit
def smallest(keys, K: tl.constexpr, DOWN: tl.constexpr):
    """The K least of each column, sorted: [n, rows] -> [K, rows], all powers of two, K <= n. DOWN: the greatest of them first.

    Runs of K are sorted up and down in turn; of two such runs the lesser of each pair are the K least of both (Batcher 1968).
    """
    rows: tl.constexpr = keys.shape[1]
    for level in tl.static_range(rounds(K)):
        keys = _sort_runs(keys, 2 << level, DOWN)
    for _ in tl.static_range(rounds(keys.shape[0] // K)):
        keys = tl.reshape(tl.min(tl.reshape(keys, [keys.shape[0] // (2 * K), 2, K, rows]), 1), [keys.shape[0] // 2, rows])
        keys = _sort_runs(keys, K, DOWN)
    return keys


@triton.jit
def merged(best, more):
    """The K least of two sorted lists, least first; ``more`` has its greatest first: [K, rows], [K, rows] -> [K, rows]."""
    return _sort_runs(tl.minimum(best, more), best.shape[0], False)


@triton.jit
def joined(keys):
    """The K least of every two columns, c and c + half, that hold a sorted list each: [K, columns] -> [K, columns / 2]."""
    K: tl.constexpr = keys.shape[0]
    columns: tl.constexpr = keys.shape[1]
    a, b = tl.split(tl.permute(tl.reshape(keys, [K, 2, columns // 2]), [0, 2, 1]))
    return merged(a, tl.flip(b, 0))


@triton.jit
def _sort_runs(keys, RUN: tl.constexpr, DOWN: tl.constexpr):
    """Sort bitonic runs of RUN keys: up and down in turn, or all alike where there is but one."""
    for level in tl.static_range(rounds(RUN)):
        keys = _swap(keys, RUN, RUN >> (level + 1), DOWN)
    return keys


@triton.jit
def _swap(keys, RUN: tl.constexpr, APART: tl.constexpr, DOWN: tl.constexpr):
    """Put in order every two keys that lie APART in the same run."""
    n: tl.constexpr = keys.shape[0]
    rows: tl.constexpr = keys.shape[1]
    pairs: tl.constexpr = n // (2 * APART)
    a, b = tl.split(tl.permute(tl.reshape(keys, [pairs, 2, APART, rows]), [0, 2, 3, 1]))
    low = tl.minimum(a, b)
    high = a ^ b ^ low  # a third cheaper than a second comparison of 64 bits
    if RUN < n:
        down = ((tl.arange(0, pairs) * (2 * APART)) & RUN)[:, None, None] != 0
        low, high = tl.where(down, high, low), tl.where(down, low, high)
    if DOWN:
        low, high = high, low
    return tl.reshape(tl.permute(tl.join(low, high), [0, 3, 1, 2]), [n, rows])
