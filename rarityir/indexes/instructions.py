"""Processor instructions that compiled loops do not find by themselves, in the words of LLVM, which knows every processor's."""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped] # comes with numba
from numba.extending import intrinsic

WIDTH = 16  # scores compared at once


@intrinsic
def reach(context: Any, scores: Any, at: Any, least: Any) -> Any:
    """Returns a number whose bit i says whether `scores[at + i]` is at least `least`, for i below WIDTH; unchecked."""

    def build(target: Any, builder: Any, signature: Any, given: Any) -> Any:
        floats, places = ir.VectorType(ir.FloatType(), WIDTH), ir.VectorType(ir.IntType(32), WIDTH)
        address = builder.bitcast(_address(target, builder, signature, given), floats.as_pointer())
        one = builder.insert_element(ir.Constant(floats, ir.Undefined), given[2], ir.Constant(ir.IntType(32), 0))
        alike = builder.shuffle_vector(one, one, ir.Constant(places, [0] * WIDTH))
        found = builder.fcmp_ordered(">=", builder.load(address, align=4), alike)
        return builder.zext(builder.bitcast(found, ir.IntType(WIDTH)), ir.IntType(64))

    return numba.types.int64(scores, numba.types.int64, numba.types.float32), build


@intrinsic
def lowest(context: Any, bits: Any) -> Any:
    """Returns the number of the lowest bit that is set."""

    def build(target: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.cttz(given[0], ir.Constant(ir.IntType(1), 1))

    return numba.types.int64(numba.types.int64), build


@intrinsic
def prefetch(context: Any, array: Any, at: Any) -> Any:
    """Asks for the cache line of `array[at]`, which need not be there."""

    def build(target: Any, builder: Any, signature: Any, given: Any) -> Any:
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        address = builder.bitcast(_address(target, builder, signature, given), pointer)
        builder.call(ask, [address, number(0), number(3), number(1)])  # to read, soon, data
        return target.get_dummy_value()

    return numba.types.none(array, numba.types.int64), build


def _address(target: Any, builder: Any, signature: Any, given: Any) -> Any:
    """The address of an array's element."""
    array = target.make_array(signature.args[0])(target, builder, given[0])
    return builder.gep(array.data, [given[1]])
