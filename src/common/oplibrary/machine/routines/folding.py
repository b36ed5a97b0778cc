"""Elements folded into places that indices name, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from oplibrary.core.expression import parse_expression
from oplibrary.machine.code import Code
from oplibrary.machine.elements import (
    Unsupported,
    convert,
    highest,
    lowest,
    number,
    wide_dtype,
)
from oplibrary.machine.expressions.writing import check_expression, write_expression
from oplibrary.machine.memory_access import (
    Index,
    linear_offset,
    load_lanes,
    selected_offset,
    store_lanes,
)
from oplibrary.machine.register import Register
from oplibrary.machine.routines.routine import Routine, each_of, in_lanes, weighed
from oplibrary.machine.routines.searching import INDEX
from oplibrary.machine.target import host_target
from oplibrary.values.types import TensorType, normalize_axis

NANOSECONDS = 3.0
"""About what an element takes."""
_FOLDS = {
    "max": (parse_expression("max({0}, {1})"), lowest),
    "min": (parse_expression("min({0}, {1})"), highest),
    "prod": (parse_expression("{0} * {1}"), lambda _: 1),
}


def extremes_and_products(
    types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]
) -> Routine:
    """Return the routine of what is folded into a copy of the first operand.

    Halves are folded in float32, in memory besides, and rounded once.
    """
    x, indices, updates = types
    axis = normalize_axis(attrs["axis"], len(x.shape))
    around = [(*each.shape[:axis], *each.shape[axis + 1 :]) for each in types]
    if indices.shape != updates.shape or around[0] != around[1]:
        raise Unsupported("indices for some of the elements")
    expression, neutral = _FOLDS[attrs["reduction"]]
    dtype = wide_dtype(result.dtype)
    reason = check_expression(expression, (dtype, dtype), dtype)
    if reason:
        raise Unsupported(reason)
    outer, inner = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    length, count, begins = x.shape[axis], indices.shape[axis], not attrs["include_self"]
    lanes = host_target().lanes(max(dtype.itemsize, 4))

    def write(code: Code, target: Register, operands: Sequence[Register]) -> None:
        source, places, values, *more = operands
        folded, status = (more[0] if dtype != result.dtype else target), more[-1]

        def copy(given: Register, taken: Register, one: TensorType, other: TensorType) -> None:
            def some(at: Index, width: int) -> None:
                value = load_lanes(code, given, one.dtype, at, 1, width)
                value = convert(code, value, one.dtype, other.dtype)
                store_lanes(code, taken, other.dtype, at, 1, value)

            in_lanes(code, x.size, lanes, some)

        def each_place(body: Any) -> None:
            """Write ``body(at, place)`` for each update, and where in the result it goes."""

            def one(row: Index, k: Index, column: Index) -> None:
                at = linear_offset(code, 0, (count * inner, inner, 1), (row, k, column))
                index = load_lanes(code, places, INDEX, at, 1, 1)
                chosen = selected_offset(code, [(index, (length, inner))], lambda _: status)
                start = linear_offset(code, 0, (length * inner, 1), (row, column))
                body(at, chosen + start)

            each_of(
                code,
                outer,
                lambda row: each_of(
                    code, count, lambda k: each_of(code, inner, lambda j: one(row, k, j))
                ),
            )

        def begin(_: Index, place: Register) -> None:
            store_lanes(code, folded, dtype, place, 1, number(code, neutral(dtype), dtype))

        def fold(at: Index, place: Register) -> None:
            given = [
                (load_lanes(code, folded, dtype, place, 1, 1), dtype),
                (load_lanes(code, values, dtype, at, 1, 1), dtype),
            ]
            value = write_expression(code, expression, given, dtype)
            store_lanes(code, folded, dtype, place, 1, value)

        wide = TensorType(x.shape, dtype)
        copy(source, folded, wide, wide)
        if begins:
            each_place(begin)
        each_place(fold)
        if dtype != result.dtype:
            copy(folded, target, wide, result)

    return Routine(
        ("folding", attrs["reduction"], begins, dtype, result.dtype, outer, length, count, inner),
        (dtype, INDEX, dtype),
        write,
        lanes,
        NANOSECONDS * weighed(updates.size) * (1 + begins) + weighed(x.size) / lanes,
        scratch=dtype.itemsize * x.size if dtype != result.dtype else 0,
        may_fail=True,
    )
