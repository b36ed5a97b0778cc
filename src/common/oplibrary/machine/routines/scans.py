"""Scans: each position along an axis is made of its element and the position before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

from oplibrary.core.expression import Expression, parse_expression
from oplibrary.machine.code import Code
from oplibrary.machine.elements import Unsupported, number
from oplibrary.machine.expressions.writing import check_expression, write_expression
from oplibrary.machine.memory_access import Index, linear_offset, load_lanes, store_lanes
from oplibrary.machine.register import Register
from oplibrary.machine.routines.routine import Routine, each_of, in_lanes, weighed, when
from oplibrary.machine.target import host_target
from oplibrary.values.types import TensorType, normalize_axis

_SUM, _PRODUCT = parse_expression("{0} + {1}"), parse_expression("{0} * {1}")
_MAXIMUM, _MINIMUM = parse_expression("max({0}, {1})"), parse_expression("min({0}, {1})")
_LOGARITHM = parse_expression(
    "{0} + 0.6931471805599453 if {0} == {1} else max({0}, {1}) + log1p(exp(-abs({0} - {1})))"
)
_STEP = parse_expression("{1} + {2} * {0}")
LEAST_LINES = 4
NANOSECONDS = 1.5
"""About what a position takes: nothing of it can begin before the one before is done."""


def sums(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine of running sums."""
    _refuse_halves(result)
    return _running(_SUM, 0, types[0], result, attrs)


def products(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine of running products."""
    _refuse_halves(result)
    return _running(_PRODUCT, 1, types[0], result, attrs)


def maxima(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine of running maxima."""
    return _running(_MAXIMUM, None, types[0], result, attrs)


def minima(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine of running minima."""
    return _running(_MINIMUM, None, types[0], result, attrs)


def logarithms_of_sums(
    types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]
) -> Routine:
    """Return the routine of logarithms of running sums of exponentials.

    A step takes about 20 ns, and several lines take no longer than one.
    """
    axis = attrs["axis"]
    axis = 0 if axis is None else normalize_axis(axis, len(result.shape))
    if result.size < LEAST_LINES * result.shape[axis]:
        raise Unsupported(f"fewer than {LEAST_LINES} lines of logarithms, one after the other")
    return _scan("running", _LOGARITHM, [result.shape], result, axis, 0, None, across=True)


def _refuse_halves(result: TensorType) -> None:
    if result.dtype.itemsize == 2 and result.dtype.kind == "f":
        raise Unsupported("halves are added up in float32, and rounded once")


def _running(
    expression: Expression,
    first: int | None,
    x: TensorType,
    result: TensorType,
    attrs: Mapping[str, Any],
) -> Routine:
    """Return the routine that folds the elements up to each position, `first` before all."""
    axis = attrs["axis"]
    axis = 0 if axis is None else normalize_axis(axis, len(x.shape))
    initial = bool(attrs.get("include_initial"))
    return _scan("running", expression, [x.shape], result, axis, 0, first if initial else None)


def recurrence(
    types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]
) -> Routine:
    """Return the routine of ``y[k] = b[k] + a[k] * y[k - 1]``, of the operands a and b."""
    _refuse_halves(result)
    axis = normalize_axis(attrs["axis"], len(result.shape))
    return _scan("recurrence", _STEP, [each.shape for each in types], result, axis, 1, None)


def _scan(
    name: str,
    expression: Expression,
    shapes: Sequence[tuple[int, ...]],
    result: TensorType,
    axis: int,
    begins: int,
    first: int | None,
    across: bool = False,
) -> Routine:
    """Return a scan.

    Parameters
    ----------
    name : str
    expression : Expression
        Of the position before, and the operands from the last to the first.
    shapes : sequence of tuple of int
        Of the operands.
    result : TensorType
    axis : int
    begins : int
        The operand whose first element the first position is.
    first : int or None
        What stands before all elements.
    across : bool
        Whether a step takes so long that lines are worth gathering which are not neighbours.
    """
    dtype, shape = result.dtype, shapes[0]
    reason = check_expression(expression, (dtype,) * (1 + len(shapes)), dtype)
    if reason:
        raise Unsupported(reason)
    outer, length, inner = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    if not outer * length * inner:
        raise Unsupported("no elements to go through")
    lead = 0 if first is None else 1
    across = across and outer > inner
    lanes = host_target().lanes(max(dtype.itemsize, 4))
    lines = outer if across else inner
    while isinstance(lines, int) and lanes > lines:
        lanes //= 2

    def write(code: Code, target: Register, operands: Sequence[Register]) -> None:
        def go_along(row: Index, at: Index, width: int) -> None:
            """Go along the axis, `width` neighbours together, what is carried in registers."""

            def load(position: Index) -> list[Register]:
                offset = linear_offset(code, 0, (length * inner, inner, 1), (row, position, at))
                step = length * inner if across else 1
                return [load_lanes(code, each, dtype, offset, step, width) for each in operands]

            def store(position: Index, value: Register) -> None:
                steps = ((length + lead) * inner, inner, 1)
                offset = linear_offset(code, 0, steps, (row, position, at))
                store_lanes(code, target, dtype, offset, steps[0] if across else 1, value)

            value = load(0)[begins]
            if first is not None:
                store(0, number(code, first, dtype, width))
            store(lead, value)

            def go_on() -> None:
                loop = code.begin_loop(1, length, 1, [value])
                found = [(x, dtype) for x in reversed(load(loop.index))]
                before = (loop.carried[0], dtype)
                following = write_expression(code, expression, [before, *found], dtype)
                store(loop.index + lead if lead else loop.index, following)
                code.end_loop(loop, [following])

            if not isinstance(length, int):
                when(code, code.constant(1, "i64").less(code.constant(length, "i64")), go_on)
            elif length > 1:
                go_on()

        if across:
            rows = partial(in_lanes, code, outer, lanes)
            each_of(code, inner, lambda at: rows(lambda row, width: go_along(row, at, width)))
            return
        each_of(
            code,
            outer,
            lambda row: in_lanes(code, inner, lanes, lambda at, width: go_along(row, at, width)),
        )

    key = (name, expression, dtype, outer, length, inner, first)
    elements = outer * length * inner
    return Routine(
        key, (dtype,) * len(shapes), write, lanes, NANOSECONDS * weighed(elements) / lanes
    )
