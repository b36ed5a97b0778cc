"""Sorting, by the functions with which NumPy sorts the elements of a dtype: as quick, in its order.

Where a row lies together it is sorted in its place, else in memory besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from oplibrary.machine.code import Code
from oplibrary.machine.elements import convert, element_of, stored_element
from oplibrary.machine.foreign.functions import declare, sort
from oplibrary.machine.memory_access import Index, linear_offset, load_lanes, store_lanes
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.machine.routines.routine import Routine, each_of, in_lanes, weighed
from oplibrary.machine.target import host_target
from oplibrary.values.dtypes import FLOAT32, is_bfloat16
from oplibrary.values.types import TensorType, normalize_axis

INDEX = np.dtype(np.int64)
NANOSECONDS = 1.0
"""About what an element takes, for each doubling of the length of a row."""


def values(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine that orders the elements along an axis, NaN being the greatest."""
    return _order("values", types[0], result, attrs)


def indices(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine that finds the indices which order the elements along an axis."""
    return _order("indices", types[0], result, attrs)


def _order(what: str, x: TensorType, result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    axis, descending = normalize_axis(attrs["axis"], len(x.shape)), attrs["descending"]
    # what NumPy has for bfloat16 does not know where NaN belongs
    dtype = FLOAT32 if is_bfloat16(x.dtype) else x.dtype
    element_of(dtype)
    function = sort(what, dtype)
    declare(Module(host_target()), function)  # refuses what is not there
    outer, length, inner = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
    numbers = what == "indices"
    item = INDEX if numbers else dtype
    # equal elements keep their order: indices of descending ones are found and read backwards
    backwards = descending and numbers

    # a row that lies together, in order already in the memory of the result
    direct = inner == 1 and not descending and dtype == x.dtype
    lanes = host_target().lanes(max(dtype.itemsize, 4)) if direct else 1

    def write(code: Code, target: Register, operands: Sequence[Register]) -> None:
        declare(code.module, function)
        source, memory, status = operands
        found = apart = memory  # indices first, for which the memory is aligned
        if numbers:
            apart = code.address(memory, length, "i64")

        def number_all(found: Register) -> None:
            each_of(
                code,
                length,
                lambda at: store_lanes(code, found, INDEX, at, 1, _register(code, at)),
            )

        def order(keys: Register, found: Register) -> None:
            """Write the call that puts `keys` in order, or the numbers of their places."""
            given = [keys, found] if numbers else [keys]
            listed = ", ".join(f"ptr {each.ref}" for each in given)
            call = f"call i32 @{function}({listed}, i64 {code.whole(length)}, ptr null)"
            failed = code.effect(call, "i32", 1).differs(0)
            code.store(code.select(failed, 1, code.load(status, "i64")), status)

        def order_together(row: Index) -> None:
            start = linear_offset(code, 0, (length,), (row,))
            keys = code.address(source, start, stored_element(dtype))
            into = code.address(target, start, stored_element(item))

            def copy(at: Index, width: int) -> None:
                value = load_lanes(code, keys, dtype, at, 1, width)
                store_lanes(code, into, dtype, at, 1, value)

            if numbers:
                number_all(into)
                order(keys, into)
            else:
                in_lanes(code, length, lanes, copy)
                order(into, into)

        def order_apart(row: Index, at: Index) -> None:
            start = linear_offset(code, 0, (length * inner, 1), (row, at))

            def turned(position: Index) -> Index:
                return code.constant(length - 1, "i64") - position

            def place(position: Index) -> Index:
                return linear_offset(code, 0, (1, inner), (start, position))

            def read(position: Index) -> None:
                taken = place(turned(position) if backwards else position)
                value = load_lanes(code, source, dtype, taken, 1, 1)
                store_lanes(code, apart, dtype, position, 1, value)

            def write_one(position: Index) -> None:
                taken = turned(position) if descending else position
                value = load_lanes(code, found, item, taken, 1, 1)
                if backwards:
                    value = code.constant(length - 1, "i64") - value
                value = convert(code, value, item, result.dtype)
                store_lanes(code, target, result.dtype, place(position), 1, value)

            each_of(code, length, read)
            if numbers:
                number_all(found)
            order(apart, found)
            each_of(code, length, write_one)

        if direct:
            each_of(code, outer, order_together)
            return
        each_of(code, outer, lambda row: each_of(code, inner, lambda at: order_apart(row, at)))

    key = (what, x.dtype, outer, length, inner, descending)
    scratch = length * (dtype.itemsize + (8 if numbers else 0))
    scratch = -(-scratch // 8) * 8
    work = NANOSECONDS * weighed(x.size) * (2 + (weighed(length) - 1).bit_length())
    return Routine(key, (dtype,), write, lanes, work, scratch, may_fail=True)


def _register(code: Code, index: Index) -> Register:
    return index if isinstance(index, Register) else code.constant(index, "i64")
