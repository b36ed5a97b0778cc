"""What a routine is, and the loops that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from oplibrary.core.types import TensorType
from oplibrary.machine.code import Code
from oplibrary.machine.elements import DType
from oplibrary.machine.register import Register

Write = Callable[[Code, Register, Sequence[Register]], None]


@dataclass(frozen=True, slots=True)
class Routine:
    """Machine code for an op, on arrays that lie in memory in row-major order.

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
    if full:
        loop = code.begin_loop(0, full, lanes, [])
        body(loop.index, lanes)
        code.end_loop(loop, [])
    if full < count:
        loop = code.begin_loop(full, count, 1, [])
        body(loop.index, 1)
        code.end_loop(loop, [])
