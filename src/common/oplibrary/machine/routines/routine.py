"""What a routine is, and the loops that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from oplibrary.machine.code import Code
from oplibrary.machine.elements import DType
from oplibrary.machine.register import Register
from oplibrary.values.types import TensorType

Write = Callable[[Code, Register, Sequence[Register]], None]


@dataclass(frozen=True, slots=True)
class Routine:
    """Machine code for an op, on arrays that lie in memory in row-major order.

    Lengths may be numbers that only a run knows: `Code` writes them as it writes others, and what
    is no sum or product of them is computed by the code.

    Attributes
    ----------
    key : tuple
        What the code depends on: routines of equal keys are one function.
    operands : tuple of numpy.dtype
        What the operands are converted to first.
    write : callable
        ``write(code, target, operands)`` writes what fills the memory at the address `target` from
        the operands at their addresses, which do not overlap it.
    lanes : int
        Elements of a vector.
    work : float
        Estimated nanoseconds.
    scratch : int
        Bytes of memory that it uses besides, whose address follows those of the operands.
    may_fail : bool
        Whether it may find that it cannot go on, which NumPy's kernel explains: it then sets the
        word whose address comes last.
    """

    key: tuple[Any, ...]
    operands: tuple[DType, ...]
    write: Write
    lanes: int
    work: float
    scratch: int = 0
    may_fail: bool = False


Make = Callable[[Sequence[TensorType], TensorType, Mapping[str, Any]], Routine]


def find_routine(
    name: str | Make, types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]
) -> Routine:
    """Return the routine of an op whose record names `name`.

    Raises
    ------
    Unsupported
        If there is none for these types.
    """
    if isinstance(name, str):
        module, _, function = name.partition(":")
        name = getattr(import_module(module), function)
    return name(types, result, attrs)  # type: ignore[operator]


def weighed(n: int) -> int:
    """Return a length as an estimate takes it: where only a run knows it, what it is taken for."""
    number: int = getattr(n, "nominal", n)
    return number


def when(code: Code, condition: Register, body: Callable[[], None]) -> None:
    """Write `body` as what is done where a condition holds."""
    yes, done = code.new_label(), code.new_label()
    code.branch(condition, yes, done)
    mark = code.mark()
    code.begin_block(yes)
    body()
    code.jump(done)
    code.forget(mark)
    code.begin_block(done)


def each_from(
    code: Code, start: int, stop: int, step: int, body: Callable[[Register], None]
) -> None:
    """Write `body` for each position from `start` on below `stop`, of which there may be none."""

    def go() -> None:
        loop = code.begin_loop(start, stop, step, [])
        body(loop.index)
        code.end_loop(loop, [])

    if not (isinstance(start, int) and isinstance(stop, int)):
        if start != stop:
            when(code, code.constant(start, "i64").less(code.constant(stop, "i64")), go)
    elif start < stop:
        go()


def each_of(code: Code, count: int, body: Callable[[Register | int], None]) -> None:
    """Write `body` for each of `count` rounds."""
    if count == 1:
        body(0)
        return
    loop = code.begin_loop(0, count, 1, [])
    body(loop.index)
    code.end_loop(loop, [])


def in_lanes(
    code: Code, count: int, lanes: int, body: Callable[[Register | int, int], None]
) -> None:
    """Write ``body(at, width)`` for `count` neighbours, as many at a time as a vector has."""
    full = count // lanes * lanes
    each_from(code, 0, full, lanes, lambda at: body(at, lanes))
    each_from(code, full, count, 1, lambda at: body(at, 1))
