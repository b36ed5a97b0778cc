"""Sorting, by merging: rows twice as long in each pass, equal elements in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from oplibrary.core.types import TensorType, normalize_axis
from oplibrary.machine.code import Code
from oplibrary.machine.elements import Unsupported
from oplibrary.machine.memory_access import Index, linear_offset, load_lanes, store_lanes
from oplibrary.machine.register import Register
from oplibrary.machine.routines.routine import Routine, each_of
from oplibrary.machine.routines.searching import INDEX, goes_before, require_order

Key = Callable[[Register], Register]

NANOSECONDS = 4.0
"""About what an element takes in a pass."""
LONGEST = 1 << 12
"""Longer rows are sorted sooner by NumPy, which uses vectors; not so where indices are wanted."""


def values(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine that orders the elements along an axis, NaN being the greatest."""
    axis = normalize_axis(attrs["axis"], len(result.shape))
    if result.shape[axis] > LONGEST:
        raise Unsupported(f"rows of more than {LONGEST:,} elements")
    return _order("sort", types[0], axis, attrs["descending"], False)


def indices(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine that finds the indices which order the elements along an axis."""
    axis = normalize_axis(attrs["axis"], len(result.shape))
    return _order("argsort", types[0], axis, attrs["descending"], True)


def _order(name: str, x: TensorType, axis: int, descending: bool, indices: bool) -> Routine:
    dtype, shape = x.dtype, x.shape
    require_order(dtype)
    outer, length, inner = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    item = INDEX if indices else dtype
    passes = (length - 1).bit_length()

    def write(code: Code, target: Register, operands: Sequence[Register]) -> None:
        source, first = operands
        second = code.address(first, length * item.itemsize, "i8")

        def goes_first(x: Register, y: Register) -> Register:
            return goes_before(code, *((y, x) if descending else (x, y)), dtype)

        def order_row(row: Index, at: Index) -> None:
            start = linear_offset(code, 0, (length * inner, 1), (row, at))

            def key(chosen: Register) -> Register:
                """Return the element that an item stands for."""
                return load(source, chosen) if indices else chosen

            def load(base: Register, position: Index) -> Register:
                offset = linear_offset(code, 0, (1, inner), (start, position))
                return load_lanes(code, base, dtype, offset, 1, 1)

            def begin(position: Index) -> None:
                filled = position if indices else load(source, position)
                if isinstance(filled, int):
                    filled = code.constant(filled, "i64")
                store_lanes(code, first, item, position, 1, filled)

            each_of(code, length, begin)
            ordered = first
            if passes:
                loop = code.begin_loop(0, passes, 1, [first, second])
                merge_all(key, loop.index, *loop.carried)
                ordered = code.end_loop(loop, loop.carried[::-1])[0]

            def finish(position: Index) -> None:
                found = load_lanes(code, ordered, item, position, 1, 1)
                offset = linear_offset(code, 0, (1, inner), (start, position))
                store_lanes(code, target, item, offset, 1, found)

            each_of(code, length, finish)

        def merge_all(key: Key, number: Register, given: Register, taken: Register) -> None:
            """Merge neighbouring stretches, each ordered, of 2 to the power `number` elements."""
            stretch = code.constant(1, "i64") << number
            last = code.constant(length - 1, "i64").shift_right_unsigned(number + 1)
            pairs = code.begin_loop(0, last + 1, 1, [])
            start = pairs.index << (number + 1)
            middle = code.smaller(start + stretch, length)
            stop = code.smaller(middle + stretch, length)
            merged = code.begin_loop(start, stop, 1, [start, middle])
            left, right = merged.carried
            x = load_lanes(code, given, item, code.smaller(left, length - 1), 1, 1)
            y = load_lanes(code, given, item, code.smaller(right, length - 1), 1, 1)
            sooner = goes_first(key(y), key(x))
            later = right.less(stop) & (left.greater_equal(middle) | sooner)
            store_lanes(code, taken, item, merged.index, 1, code.select(later, y, x))
            step = code.cast("zext", later, "i64")
            code.end_loop(merged, [left + 1 - step, right + step])
            code.end_loop(pairs, [])

        each_of(code, outer, lambda row: each_of(code, inner, lambda at: order_row(row, at)))

    key = (name, dtype, outer, length, inner, descending)
    work = NANOSECONDS * x.size * (2 + passes)
    scratch = 2 * length * item.itemsize
    return Routine(key, (dtype,), write, 1, work, scratch)
