"""The table of functions of mathematics that are written as vector code."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from oplibrary.machine.code import Code
from oplibrary.machine.register import Register, type_text

Write = Callable[..., Register]


class Function(NamedTuple):
    """A function of mathematics.

    Attributes
    ----------
    write : callable
        ``write(code, *operands)`` writes its instructions for float or double operands of any
        number of lanes, and returns the result.
    arity : int
    """

    write: Write
    arity: int


FUNCTIONS: dict[str, Function] = {}
"""Every function by the name it has in scalar expressions."""


def function(name: str, arity: int = 1) -> Callable[[Write], Write]:
    """Enter a function under `name`."""

    def enter(write: Write) -> Write:
        FUNCTIONS[name] = Function(write, arity)
        return write

    return enter


def call(code: Code, name: str, *operands: Register) -> Register:
    """Write the call of a function, and the function itself when it is first needed."""
    x = operands[0]
    listed = ", ".join(f"{o.type} {o.ref}" for o in operands)
    symbol = _symbol(code, name, x.element, x.lanes)
    result = type_text(x.element, x.lanes)
    return code.pure(f"call fastcc {result} @{symbol}({listed})", x.element, x.lanes)


def _symbol(caller: Code, name: str, element: str, lanes: int) -> str:
    """Return what a function is called in the caller's module, which has one copy of it."""
    written = caller.module.mathematics
    key = (name, element, lanes)
    symbol = written.get(key)
    if symbol is None:
        symbol = written[key] = f"{name}_{element}_{lanes}"
        function = FUNCTIONS[name]
        code = Code(caller.module, lanes)
        operands = [code.parameter(f"%x{i}", element, lanes) for i in range(function.arity)]
        result = function.write(code, *operands)
        code.statement(f"ret {result.type} {result.ref}")
        # a call costs nothing beside the work, and one copy is built however often it is used
        caller.module.add_function(
            symbol,
            code,
            result.type,
            [f"{x.type} {x.ref}" for x in operands],
            "internal",
            "fastcc",
            "noinline",
        )
    return symbol
