"""Distances from one point to a whole leaf, or to the boxes of a whole node, as one vector operation of the processor.

Numba leaves loops this short scalar, so the few operations that all time goes into are written for LLVM directly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pcloud.neighbors.reference import TURN

LEAF = 32  # points of a leaf
FAN = 8  # children of a node
BLOCK = 64  # points of a block where all are compared
FLOAT, WORD, LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)


def compiled(*, lean: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: compiled by numba at its first call, free of Python's lock, and kept on disk where that can be written.

    lean: for functions that make no array and give none back. They don't count who holds the arrays that they are given, which
    for many arrays takes longer than the work of a short function, and much longer where several threads count at once.
    """
    given = {"nogil": True, "error_model": "numpy", **({"_nrt": False} if lean else {}), **options}

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            made = numba.njit(cache=True, **given)(function)
        except RuntimeError:  # neither the installation nor the user has a folder for it
            return numba.njit(**given)(function)
        file = made._cache._cache_file
        file._source_stamp = (file._source_stamp, _written(Path(function.__code__.co_filename).parent))
        return made

    return decorate


@lru_cache
def _written(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of the sources in a folder and this one: numba looks at a function's own file alone, and would keep a
    function made with what another file had in it before."""
    files = [file for place in sorted({folder, Path(__file__).parent}) for file in sorted(place.glob("*.py"))]
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)


@intrinsic
def leaf_mask(typing: Any, blocks: Any, leaf: Any, query: Any, azimuth: Any, bound: Any, out: Any) -> Any:
    """Squared distances of ``query`` [dim] to the points of a leaf; returns a bit for each that is not above ``bound``.

    blocks [leaves, dim, LEAF] float32; azimuth: the axis that wraps, or -1; bound: int32, the bits of a float32, which for
    numbers not below zero order as the floats do (and NaN above all of them); out [LEAF] float32 receives the distances.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        blocks, leaf, query, azimuth, bound, out = args
        total = _to_points(context, builder, sig, blocks, leaf, query, azimuth, LEAF)
        return _mask(context, builder, total, bound, sig.args[5], out, LEAF)

    return types.int64(blocks, types.int64, query, types.int64, types.int32, out), codegen


@intrinsic
def node_mask(typing: Any, low: Any, high: Any, node: Any, query: Any, azimuth: Any, bound: Any, out: Any) -> Any:
    """As :func:`leaf_mask`, to the nearest corners of a node's boxes ``low``, ``high`` [nodes, dim, FAN]: never above the
    computed distance to any point inside, because rounding keeps order and the arithmetic is the same.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        low, high, node, query, azimuth, bound, out = args
        edges: list[Any] = []

        def step(axis: Any, x: Any, block: Any) -> Any:
            at = _splat(builder, x, FAN)
            below = builder.fsub(_load(context, builder, sig.args[0], low, block, FAN), at)
            above = builder.fsub(at, _load(context, builder, sig.args[1], high, block, FAN))
            edges[:] = [below, above]
            return _pick(builder, ">", _pick(builder, ">", below, above), _all(0.0, FAN))

        def turned(straight: Any) -> Any:
            far = _pick(builder, ">", *(_magnitude(builder, edge, FAN) for edge in edges))
            return _pick(builder, "<", straight, builder.fsub(_all(TURN, FAN), far))

        total = _sum_of_squares(context, builder, sig.args[3], query, node, azimuth, FAN, step, turned)
        return _mask(context, builder, total, bound, sig.args[6], out, FAN)

    return types.int64(low, high, types.int64, query, types.int64, types.int32, out), codegen


@intrinsic
def leaf_ranks(typing: Any, bits: Any, mask: Any, out: Any) -> Any:
    """The place that each lane of ``bits`` [LEAF] int32 has among those in the mask, the lower lane first of equals.

    out [LEAF] int32; lanes outside of the mask get any number. Every lane against every other: no branch to guess.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits, mask, out = args
        words = ir.VectorType(WORD, LEAF)
        inside = builder.bitcast(builder.trunc(mask, ir.IntType(LEAF)), ir.VectorType(ir.IntType(1), LEAF))
        loaded = builder.load(_pointer(context, builder, sig.args[0], bits, ir.Constant(LONG, 0), words))
        loaded.align = 4
        values = builder.select(inside, loaded, ir.Constant(words, [0x7FFFFFFF] * LEAF))
        ranks = ir.Constant(words, [0] * LEAF)
        for lane in range(LEAF):
            one = builder.shuffle_vector(values, values, ir.Constant(words, [lane] * LEAF))
            later = ir.Constant(words, [int(other > lane) for other in range(LEAF)])
            ranks = builder.sub(ranks, builder.sext(builder.icmp_signed("<", one, builder.add(values, later)), words))
        builder.store(ranks, _pointer(context, builder, sig.args[2], out, ir.Constant(LONG, 0), words)).align = 4
        return context.get_dummy_value()

    return types.void(bits, types.int64, out), codegen


@intrinsic
def block_distances(typing: Any, blocks: Any, block: Any, query: Any, azimuth: Any, out: Any) -> Any:
    """Squared distances of ``query`` [dim] to the points of a block, into out [BLOCK] float32; blocks [blocks, dim, BLOCK]."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        blocks, block, query, azimuth, out = args
        total = _to_points(context, builder, sig, blocks, block, query, azimuth, BLOCK)
        vector = ir.VectorType(FLOAT, BLOCK)
        builder.store(total, _pointer(context, builder, sig.args[4], out, ir.Constant(LONG, 0), vector)).align = 4
        return context.get_dummy_value()

    return types.void(blocks, types.int64, query, types.int64, out), codegen


@intrinsic
def block_nearest(typing: Any, bits: Any, own: Any, bound: Any, first: Any, k: Any, out: Any) -> Any:
    """The ``k`` lowest of bits [BLOCK] int32 that are not above ``bound``, in order, the lower lane first of equals: into
    out [>= k] int64 as bits above rows, the first lane's row being ``first``; returns how many. Never the lane ``own``.

    One after another by the minimum of all lanes, with no branch that the data decides but the last.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits, own, bound, first, k, out = args
        words = ir.VectorType(WORD, BLOCK)
        lanes, gone = ir.Constant(words, list(range(BLOCK))), ir.Constant(words, [0x7FFFFFFF] * BLOCK)
        name = f"llvm.vector.reduce.smin.v{BLOCK}i32"
        least = cgutils.get_or_insert_function(builder.module, ir.FunctionType(WORD, [words]), name)
        target = context.make_array(sig.args[5])(context, builder, value=out).data

        def without(values: Any, lane: Any) -> Any:
            here = builder.icmp_signed("==", lanes, _splat(builder, builder.trunc(lane, WORD), BLOCK))
            return builder.select(here, gone, values)

        loaded = builder.load(_pointer(context, builder, sig.args[0], bits, ir.Constant(LONG, 0), words))
        loaded.align = 4
        values = cgutils.alloca_once_value(builder, without(loaded, own))
        found = cgutils.alloca_once_value(builder, ir.Constant(LONG, 0))
        with cgutils.for_range(builder, k, intp=LONG) as loop:
            now = builder.load(values)
            lowest_bits = builder.call(least, [now])
            with builder.if_then(builder.icmp_signed(">", lowest_bits, bound)):
                loop.do_break()
            same = builder.bitcast(builder.icmp_signed("==", now, _splat(builder, lowest_bits, BLOCK)), ir.IntType(BLOCK))
            lane = builder.cttz(same, ir.Constant(ir.IntType(1), 1))
            key = builder.or_(builder.shl(builder.zext(lowest_bits, LONG), ir.Constant(LONG, 32)), builder.add(first, lane))
            builder.store(key, builder.gep(target, [loop.index]))
            builder.store(without(now, lane), values)
            builder.store(builder.add(loop.index, ir.Constant(LONG, 1)), found)
        return builder.load(found)

    return types.int64(bits, types.int64, types.int32, types.int64, types.int64, out), codegen


@intrinsic
def size(typing: Any, mask: Any) -> Any:
    """How many bits of a mask are set."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.int64), codegen


@intrinsic
def lowest(typing: Any, mask: Any) -> Any:
    """The place of the lowest bit set in a mask that is not zero."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


def _to_points(context: Any, builder: Any, sig: Any, blocks: Any, block: Any, query: Any, azimuth: Any, lanes: int) -> Any:
    """Squared distances of ``query`` to the points of a block of ``lanes``; blocks and query are the first and third argument."""

    def step(axis: Any, x: Any, at: Any) -> Any:
        return builder.fsub(_load(context, builder, sig.args[0], blocks, at, lanes), _splat(builder, x, lanes))

    def turned(straight: Any) -> Any:
        near = _magnitude(builder, straight, lanes)
        return _pick(builder, "<", near, builder.fsub(_all(TURN, lanes), near))

    return _sum_of_squares(context, builder, sig.args[2], query, block, azimuth, lanes, step, turned)


def _sum_of_squares(
    context: Any, builder: Any, kind: Any, query: Any, block: Any, azimuth: Any, lanes: int, step: Any, turned: Any
) -> Any:
    """Sum over the axes, in their order, of step^2, where ``turned(step)`` stands in for the axis that wraps."""
    coordinates = context.make_array(kind)(context, builder, value=query)
    dim = cgutils.unpack_tuple(builder, coordinates.shape, 1)[0]
    total = cgutils.alloca_once_value(builder, _all(0.0, lanes))
    kept = cgutils.alloca_once_value(builder, _all(0.0, lanes))
    width = ir.Constant(LONG, lanes)
    first = builder.mul(builder.mul(block, dim), width)
    with cgutils.for_range(builder, dim, intp=LONG) as loop:
        x = builder.load(builder.gep(coordinates.data, [loop.index]))
        straight = step(loop.index, x, builder.add(first, builder.mul(loop.index, width)))
        builder.store(straight, kept)
        with builder.if_then(builder.icmp_signed("==", loop.index, azimuth)):
            builder.store(turned(straight), kept)
        taken = builder.load(kept)
        builder.store(builder.fadd(builder.load(total), builder.fmul(taken, taken)), total)
    return builder.load(total)


def _mask(context: Any, builder: Any, total: Any, bound: Any, kind: Any, out: Any, lanes: int) -> Any:
    """Store ``total`` and return the bits of its lanes that are not above ``bound``."""
    pointer = _pointer(context, builder, kind, out, ir.Constant(LONG, 0), ir.VectorType(FLOAT, lanes))
    builder.store(total, pointer).align = 4
    bits = builder.bitcast(total, ir.VectorType(WORD, lanes))
    near = builder.icmp_signed("<=", bits, _splat(builder, bound, lanes))
    return builder.zext(builder.bitcast(near, ir.IntType(lanes)), LONG)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, start: Any, vector: Any) -> Any:
    data = context.make_array(kind)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [start]), vector.as_pointer())


def _load(context: Any, builder: Any, kind: Any, array: Any, start: Any, lanes: int) -> Any:
    loaded = builder.load(_pointer(context, builder, kind, array, start, ir.VectorType(FLOAT, lanes)))
    loaded.align = 4  # numpy promises no more
    return loaded


def _splat(builder: Any, scalar: Any, lanes: int) -> Any:
    """The scalar in every lane."""
    empty = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    one = builder.insert_element(empty, scalar, ir.Constant(WORD, 0))
    return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(WORD, lanes), [0] * lanes))


def _all(value: float, lanes: int) -> Any:
    return ir.Constant(ir.VectorType(FLOAT, lanes), [value] * lanes)


def _magnitude(builder: Any, a: Any, lanes: int) -> Any:
    words = ir.VectorType(WORD, lanes)
    bits = builder.and_(builder.bitcast(a, words), ir.Constant(words, [0x7FFFFFFF] * lanes))
    return builder.bitcast(bits, a.type)


def _pick(builder: Any, order: str, a: Any, b: Any) -> Any:
    """The smaller ("<") or larger (">") lane by lane."""
    return builder.select(builder.fcmp_ordered(order, a, b), a, b)
