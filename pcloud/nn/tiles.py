"""Products of matrices in tiles that stay in the registers of the processor, for loops that cannot wait for a library's call.

``affine`` and ``add_outer`` are called inside other compiled loops. Numba alone leaves such sums in memory, so a tile is written
for LLVM directly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numpy.typing import NDArray

from pcloud.neighbors.lanes import compiled

ROWS = 6
LANES = 32 if binding.get_host_cpu_features().get("avx512f") else 16  # channels: ROWS times LANES sums fill the registers
DEEP = 32  # rows at a time where many are added up: more would not stay in the nearest cache
LONG, WORD = ir.IntType(64), ir.IntType(32)


def whole(channels: int) -> int:
    """The channels of a matrix whose tiles are all full."""
    return -(-channels // LANES) * LANES


def matrix(weight: NDArray[Any], deep: int, shift: NDArray[Any] | None = None) -> NDArray[Any]:
    """weight [inputs, outputs] and its shift [outputs] as :func:`affine` takes them: a panel of LANES outputs after the other,
    [panels, deep + 1, LANES], deep >= inputs, the last row the shift, filled up with zeros, which add nothing."""
    made = np.zeros((deep + 1, whole(weight.shape[1])), weight.dtype)
    made[: len(weight), : weight.shape[1]] = weight
    made[-1, : weight.shape[1]] = 0 if shift is None else shift
    return np.ascontiguousarray(made.reshape(deep + 1, -1, LANES).swapaxes(0, 1))


@compiled(inline="always")
def affine(x: Any, rows: int, w: Any, out: Any, floor: float) -> None:
    """out[:rows] = max(x[:rows] @ W + shift, floor), NaN staying NaN; ``w`` is their :func:`matrix`.

    x [>= rows, >= deep], out [>= rows, >= panels * LANES], all of one floating type and contiguous.
    """
    for panel in range(len(w)):
        for row in range(0, rows, ROWS):
            _affine_tile(x, row, rows, w[panel], panel * LANES, out, floor)


@compiled(inline="always")
def add_outer(x: Any, w: Any, rows: int, out: Any) -> None:
    """out += x[:rows].T @ w[:rows]; x [>= rows, channels], w [>= rows, whole(others)], out [channels, whole(others)]."""
    for start in range(0, rows, DEEP):
        deep = min(DEEP, rows - start)
        for column in range(0, out.shape[1], LANES):
            for row in range(0, out.shape[0], ROWS):
                _outer_tile(x[start:], row, w[start:], deep, column, out)


@intrinsic
def _affine_tile(typing: Any, x: Any, row: Any, rows: Any, w: Any, column: Any, out: Any, floor: Any) -> Any:
    """ROWS rows from ``row`` and LANES columns from ``column``."""
    kinds = x, w, out

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, row, rows, w, column, out, floor = args
        tile = _Tile(context, builder, kinds, (x, w, out))
        deep = builder.sub(tile.height(1), LONG(1))
        places = tile.places(row, rows)
        shift = tile.vector(1, deep, LONG(0))
        sums = tile.product([(place, LONG(0)) for place in places], (LONG(0), LONG(1)), deep, LONG(0), [shift for _ in places])
        bottom = tile.everywhere(floor)
        for place, total in zip(places, sums, strict=True):
            tile.store(builder.select(builder.fcmp_ordered("<", total, bottom), bottom, total), place, column)
        return context.get_dummy_value()

    return types.void(x, types.int64, types.int64, w, types.int64, out, x.dtype), codegen


@intrinsic
def _outer_tile(typing: Any, x: Any, row: Any, w: Any, deep: Any, column: Any, out: Any) -> Any:
    """ROWS channels of x from ``row`` and LANES columns from ``column``, over ``deep`` rows of both."""
    kinds = x, w, out

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, row, w, deep, column, out = args
        tile = _Tile(context, builder, kinds, (x, w, out))
        places = tile.places(row, tile.height(2))
        before = [tile.vector(2, place, column) for place in places]
        sums = tile.product([(LONG(0), place) for place in places], (LONG(1), LONG(0)), deep, column, before)
        for place, total in zip(places, sums, strict=True):
            tile.store(total, place, column)
        return context.get_dummy_value()

    return types.void(x, types.int64, w, types.int64, types.int64, out), codegen


class _Tile:
    """What both tiles are written with: three contiguous tables x, w, out of one floating type."""

    def __init__(self, context: Any, builder: Any, kinds: Any, values: Any) -> None:
        if len({kind.dtype for kind in kinds}) > 1:
            raise TypingError(f"tables of {', '.join(str(kind.dtype) for kind in kinds)} came; one floating type was expected")
        self.builder, self.bits = builder, kinds[0].dtype.bitwidth
        made = [context.make_array(kind)(context, builder, value=value) for kind, value in zip(kinds, values, strict=True)]
        self.shapes = [cgutils.unpack_tuple(builder, one.shape, 2) for one in made]
        self.tables = [one.data for one in made]
        self.lanes = ir.VectorType(context.get_value_type(kinds[0].dtype), LANES)
        name = f"llvm.fmuladd.v{LANES}f{self.bits}"
        self.madd = cgutils.get_or_insert_function(builder.module, ir.FunctionType(self.lanes, [self.lanes] * 3), name)

    def height(self, table: int) -> Any:
        return self.shapes[table][0]

    def places(self, row: Any, rows: Any) -> list[Any]:
        """ROWS places from ``row``; in place of those beyond the last the last stands once more, and is made more than once."""
        last = self.builder.sub(rows, LONG(1))
        found = [self.builder.add(row, LONG(one)) for one in range(ROWS)]
        return [self.builder.select(self.builder.icmp_signed("<", one, last), one, last) for one in found]

    def at(self, table: int, row: Any, column: Any) -> Any:
        start = self.builder.mul(row, self.shapes[table][1])
        return self.builder.gep(self.tables[table], [self.builder.add(start, column)])

    def vector(self, table: int, row: Any, column: Any) -> Any:
        loaded = self.builder.load(self.builder.bitcast(self.at(table, row, column), self.lanes.as_pointer()))
        loaded.align = self.bits // 8  # numpy promises no more
        return loaded

    def store(self, value: Any, row: Any, column: Any) -> None:
        place = self.builder.bitcast(self.at(2, row, column), self.lanes.as_pointer())
        self.builder.store(value, place).align = self.bits // 8

    def everywhere(self, value: Any) -> Any:
        empty = ir.Constant(self.lanes, ir.Undefined)
        one = self.builder.insert_element(empty, value, WORD(0))
        return self.builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(WORD, LANES), [0] * LANES))

    def product(self, starts: Any, step: Any, deep: Any, column: Any, initial: list[Any]) -> list[Any]:
        """initial_r + sum over d of x[start_r + d step] w[d, column...]: LANES sums for each of the starts (row, column) in x."""
        builder = self.builder
        inputs = [self.at(0, *start) for start in starts]
        stride = builder.add(builder.mul(step[0], self.shapes[0][1]), step[1])
        sums = [cgutils.alloca_once_value(builder, one) for one in initial]
        with cgutils.for_range(builder, deep, intp=LONG) as loop:
            here = self.vector(1, loop.index, column)
            for place, total in zip(inputs, sums, strict=True):
                value = self.everywhere(builder.load(builder.gep(place, [builder.mul(loop.index, stride)])))
                builder.store(builder.call(self.madd, [value, here, builder.load(total)]), total)
        return [builder.load(one) for one in sums]
