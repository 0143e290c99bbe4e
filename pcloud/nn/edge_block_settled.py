"""An :class:`~pcloud.nn.edge_block.EdgeBlock` that learns no more, on a CPU: one compiled walk over points, few pairs at a time.

``walk(x, index, pack(layers, out))``: no step of torch inside, for which a single jet would wait longer than for the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcloud.neighbors.lanes import compiled
from pcloud.nn.blocks import team
from pcloud.nn.tiles import ROWS, affine, matrix, whole

SERIAL = 1 << 17  # numbers in [points, k, channels] up to which one thread does it
SHARE = 512  # points of a thread's piece
Affine = tuple[Tensor, Tensor]


class Packed(NamedTuple):
    """Matrices as :func:`~pcloud.nn.tiles.matrix` lays them out, each part's channels filled up with zeros to whole tiles.

    every: to receiver, sender and shortcut at once; later: of each further layer; ``out`` channels without the filling.
    """

    every: NDArray[Any]
    later: tuple[NDArray[Any], ...]
    out: int

    def check(self, x: NDArray[Any], index: NDArray[Any]) -> None:
        """RuntimeError or IndexError, as torch has them, on what the loops would read beyond its end."""
        kinds = {one.dtype for one in (x, self.every, *self.later)}
        if len(kinds) > 1:
            raise RuntimeError(f"points and layers of {', '.join(map(str, kinds))} came; one floating type was expected")
        if x.shape != (len(index), self.every.shape[1] - 1):
            raise RuntimeError(f"x {list(x.shape)} came; [{len(index)}, {self.every.shape[1] - 1}] was expected")
        if index.max(initial=-1) >= len(x):
            raise IndexError(f"neighbour {index.max()} came for {len(x)} points")


def pack(layers: Sequence[Affine], out: int) -> Packed:
    """From (W [channels, in], shift [channels]) of receiver, sender and shortcut in one, and of the layers after them."""
    (weight, shift), *later = layers
    width = (len(shift) - out) // 2
    parts = zip(*(torch.split(one, [width, width, out]) for one in (weight, shift)), strict=True)
    every = np.concatenate([_matrix((w, b), w.shape[1]) for w, b in parts])
    return Packed(every, tuple(_matrix(one, whole(one[0].shape[1])) for one in later), out)


def _matrix(layer: Affine, deep: int) -> NDArray[Any]:
    weight, shift = (one.detach().numpy() for one in layer)
    return matrix(weight.T, deep, shift)


def walk(x: Tensor, index: Tensor, packed: Packed) -> Tensor:
    """The block's output [points, out]; x [points, channels_in], index [points, k] int32, -1 for nobody."""
    points, k = index.shape
    given, near, out = x.detach().contiguous().numpy(), index.contiguous().numpy(), x.new_empty(points, packed.out)
    packed.check(given, near)
    every, result = np.empty((points, packed.every.shape[0] * packed.every.shape[2]), given.dtype), out.numpy()
    if points * k * packed.out <= SERIAL or torch.get_num_threads() == 1:
        _whole(given, packed.every, every, near, packed.later, result)
        return out
    pieces = [(low, min(low + SHARE, points)) for low in range(0, points, SHARE)]
    with team("cpu") as share:
        list(share(lambda piece: _first(*piece, given, packed.every, every), pieces))
        list(share(lambda piece: _rest(*piece, every, near, packed.later, result), pieces))
    return out


@compiled()
def _whole(x: Any, w: Any, every: Any, index: Any, later: Any, out: Any) -> None:
    _first(0, len(x), x, w, every)
    _rest(0, len(x), every, index, later, out)


@compiled()
def _first(low: int, high: int, x: Any, w: Any, every: Any) -> None:
    affine(x[low:high], high - low, w, every[low:high], x.dtype.type(-np.inf))


@compiled()
def _rest(low: int, high: int, every: Any, index: Any, later: Any, out: Any) -> None:
    """``every`` [points, receiver + sender + shortcut]: relu(shortcut + mean over the neighbours there are of the last layer)."""
    k, width, zero = index.shape[1], (every.shape[1] - later[-1].shape[0] * later[-1].shape[2]) // 2, every.dtype.type(0)
    most = width
    for w in later:
        most = max(most, w.shape[0] * w.shape[2])
    one, two = np.empty((ROWS * k, most), every.dtype), np.empty((ROWS * k, most), every.dtype)
    for start in range(low, high, ROWS):
        pairs = 0
        for point in range(start, min(start + ROWS, high)):
            own = every[point, :width]
            for place in range(k):
                if index[point, place] >= 0:
                    told, pair = every[index[point, place], width : 2 * width], one[pairs, :width]
                    for c in range(width):
                        value = own[c] + told[c]
                        pair[c] = zero if value < zero else value
                    pairs += 1
        a, b = one, two
        for w in later:
            affine(a, pairs, w, b, zero)
            a, b = b, a
        pairs = 0
        for point in range(start, min(start + ROWS, high)):
            total, short = out[point], every[point, 2 * width :]
            total[:] = zero
            count = 0
            for place in range(k):
                if index[point, place] >= 0:
                    heard = a[pairs]
                    for c in range(len(total)):
                        total[c] += heard[c]
                    pairs += 1
                    count += 1
            share = every.dtype.type(1) / every.dtype.type(max(count, 1))
            for c in range(len(total)):
                value = short[c] + share * total[c]
                total[c] = zero if value < zero else value
