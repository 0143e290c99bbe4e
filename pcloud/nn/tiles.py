"""Rows times a matrix in tiles that stay in the registers of the processor: what few rows wait for is no call of a library.

``affine(x, rows, w, out, floor)`` inside other compiled loops; Numba alone leaves such sums in memory, so the tile is written for
LLVM directly.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pcloud.neighbors.lanes import compiled

ROWS = 6
LANES = 32 if binding.get_host_cpu_features().get("avx512f") else 16  # channels: ROWS times LANES sums fill the registers
LONG, WORD = ir.IntType(64), ir.IntType(32)


def whole(channels: int) -> int:
    """The channels of a matrix whose tiles are all full."""
    return -(-channels // LANES) * LANES


@compiled(inline="always")
def affine(x: Any, rows: int, w: Any, out: Any, floor: float) -> None:
    """out[:rows] = max(x[:rows] @ w[:-1] + w[-1], floor), NaN staying NaN.

    x [>= rows, >= deep], w [deep + 1, whole(channels)], out [>= rows, >= as w], all of one floating type and contiguous.
    """
    for column in range(0, w.shape[1], LANES):
        for row in range(0, rows, ROWS):
            _tile(x, row, rows, w, column, out, floor)


def _array(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, Any, Any]:
    """Where its numbers are, its columns and its rows."""
    made = context.make_array(kind)(context, builder, value=value)
    rows, columns = cgutils.unpack_tuple(builder, made.shape, 2)
    return made.data, columns, rows


@intrinsic
def _tile(typing: Any, x: Any, row: Any, rows: Any, w: Any, column: Any, out: Any, floor: Any) -> Any:
    """ROWS rows from ``row`` and LANES columns from ``column``; in place of rows beyond the last the last is made once more."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, row, rows, w, column, out, floor = args
        number = context.get_value_type(x_kind.dtype)
        vector = ir.VectorType(number, LANES)
        source, x_wide, _ = _array(context, builder, x_kind, x)
        matrix, wide, height = _array(context, builder, w_kind, w)
        target, out_wide, _ = _array(context, builder, out_kind, out)
        deep = builder.sub(height, LONG(1))
        last = builder.sub(rows, LONG(1))
        places = [builder.add(row, LONG(one)) for one in range(ROWS)]
        places = [builder.select(builder.icmp_signed("<", one, last), one, last) for one in places]
        inputs = [builder.gep(source, [builder.mul(one, x_wide)]) for one in places]
        outputs = [builder.gep(target, [builder.add(builder.mul(one, out_wide), column)]) for one in places]
        name = f"llvm.fmuladd.v{LANES}f{x_kind.dtype.bitwidth}"
        madd = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)

        def weights(depth: Any) -> Any:
            at = builder.gep(matrix, [builder.add(builder.mul(depth, wide), column)])
            return _aligned(builder.load(builder.bitcast(at, vector.as_pointer())))

        def everywhere(value: Any) -> Any:
            empty = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(empty, value, WORD(0))
            return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(WORD, LANES), [0] * LANES))

        shift = weights(deep)
        sums = [cgutils.alloca_once_value(builder, shift) for _ in inputs]
        with cgutils.for_range(builder, deep, intp=LONG) as loop:
            here = weights(loop.index)
            for at, total in zip(inputs, sums, strict=True):
                value = everywhere(builder.load(builder.gep(at, [loop.index])))
                builder.store(builder.call(madd, [value, here, builder.load(total)]), total)
        bottom = everywhere(floor)
        for at, total in zip(outputs, sums, strict=True):
            found = builder.load(total)
            found = builder.select(builder.fcmp_ordered("<", found, bottom), bottom, found)
            _aligned(builder.store(found, builder.bitcast(at, vector.as_pointer())))
        return context.get_dummy_value()

    def _aligned(access: Any) -> Any:
        access.align = x_kind.dtype.bitwidth // 8  # numpy promises no more
        return access

    x_kind, w_kind, out_kind = x, w, out
    return types.void(x, types.int64, types.int64, w, types.int64, out, x.dtype), codegen
