"""Draws whose distribution is given by arrays, by the functions that NumPy has for compiled code.

Each number has its parameters. NumPy looks at all of them before it draws; here each is looked at
when its turn comes, and one that is out of range ends in NumPy's kernel, which says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.machine.code import Code
from oplibrary.machine.elements import FLOAT64, DType
from oplibrary.machine.foreign.functions import declare
from oplibrary.machine.memory_access import linear_offset, load_lanes, store_lanes
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.machine.routines.drawing import WORD, generator_of
from oplibrary.machine.routines.routine import Routine, weighed
from oplibrary.machine.target import host_target
from oplibrary.values.types import Shape, TensorType

NANOSECONDS = 30.0
"""About what a number takes."""
COUNT = np.dtype(np.int64)
MOST_POISSON = float(np.iinfo(COUNT).max - 10 * np.sqrt(np.iinfo(COUNT).max))
"""The greatest rate that NumPy draws with."""
_KEPT_WORDS = 32
"""Of 8 bytes: what NumPy's binomial draws keep from one to the next, 19 of them."""

Types = Sequence[TensorType]
Attrs = Mapping[str, Any]
Draw = Callable[[Code, Register, Sequence[Register]], tuple[Register, Register]]
"""Writes the draw of a number, given a generator and parameters; returns whether these are good."""


def gamma(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of the standard gamma distribution."""
    wide = result.dtype == FLOAT64
    function = "random_standard_gamma" + ("" if wide else "_f")

    def draw(
        code: Code, generator: Register, parameters: Sequence[Register]
    ) -> tuple[Register, Register]:
        (shape,) = parameters
        good = shape.greater_equal(0.0)
        given = code.select(good, shape, 1.0)
        return good, _call(code, function, generator, given)

    return _each("gamma", types, result, function, (result.dtype,), draw)


def poisson(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of the Poisson distribution."""

    def draw(
        code: Code, generator: Register, parameters: Sequence[Register]
    ) -> tuple[Register, Register]:
        (rate,) = parameters
        good = rate.greater_equal(0.0) & rate.less_equal(MOST_POISSON)
        given = code.select(good, rate, 1.0)
        return good, _call(code, "random_poisson", generator, given)

    return _each("poisson", types, result, "random_poisson", (FLOAT64,), draw)


def binomial(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of the binomial distribution."""
    whole = types[1].dtype.kind in "iu"

    def draw(
        code: Code, generator: Register, parameters: Sequence[Register]
    ) -> tuple[Register, Register]:
        n, p, kept = parameters
        good = p.greater_equal(0.0) & p.less_equal(1.0)
        if whole:
            good = good & n.greater_equal(0)
            count = code.select(good, n, 0)
        else:
            below = code.call_intrinsic("floor", n)
            good = good & n.greater_equal(0.0) & n.equals(below) & n.less(2.0**63)
            count = code.cast("fptosi", code.select(good, n, 0.0), "i64")
        chance = code.select(good, p, 0.0)
        return good, _call(code, "random_binomial", generator, chance, count, kept)

    dtypes = (COUNT if whole else FLOAT64, FLOAT64)
    return _each("binomial", types, result, "random_binomial", dtypes, draw, _KEPT_WORDS)


def _call(code: Code, function: str, *given: Register) -> Register:
    element = {"random_standard_gamma": "double", "random_standard_gamma_f": "float"}.get(
        function, "i64"
    )
    listed = ", ".join(f"{each.type} {each.ref}" for each in given)
    return code.effect(f"call {element} @{function}({listed})", element, 1)


def _each(
    name: str,
    types: Types,
    result: TensorType,
    function: str,
    dtypes: tuple[DType, ...],
    draw: Draw,
    kept_words: int = 0,
) -> Routine:
    """Return the routine that draws one number after the other.

    Of `kept_words` it keeps memory from one draw to the next, whose address follows the parameters.
    """
    declare(Module(host_target()), function)  # refuses what is not there
    shape = result.shape
    steps = [_steps(each.shape, shape) for each in types[1:]]
    own = _steps(shape, shape)

    def write(code: Code, target: Register, operands: Sequence[Register]) -> None:
        declare(code.module, function)
        key, *given, status = operands
        generator = generator_of(code, key)
        kept = []
        if kept_words:
            kept.append(code.allocate("i64", kept_words))
            code.store(code.constant(0, "i64"), kept[0])  # nothing yet
        loops = [code.begin_loop(0, n, 1, []) for n in shape]
        where = [loop.index for loop in loops]
        parameters = [
            load_lanes(code, base, dtype, linear_offset(code, 0, each, where), 0, 1)
            for base, dtype, each in zip(given, dtypes, steps, strict=True)
        ]
        good, found = draw(code, generator, [*parameters, *kept])
        store_lanes(code, target, result.dtype, linear_offset(code, 0, own, where), 1, found)
        bad, done = code.new_label(), code.new_label()
        code.branch(good, done, bad)
        mark = code.mark()
        code.begin_block(bad)
        code.store(code.constant(1, "i64"), status)
        code.jump(done)
        code.forget(mark)
        code.begin_block(done)
        for loop in reversed(loops):
            code.end_loop(loop, [])

    key = (name, result, dtypes, tuple([each.shape for each in types]))
    work = NANOSECONDS * weighed(result.size)
    return Routine(key, (WORD, *dtypes), write, 1, work, may_fail=True)


def _steps(shape: Shape, drawn: Shape) -> tuple[int, ...]:
    """Return how many elements of an array of `shape` lie between draws along each axis."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(0 if n == 1 else step)
        step *= n
    return (0,) * (len(drawn) - len(shape)) + tuple(reversed(steps))
