"""The table of special functions that are written out for float32."""

from __future__ import annotations

from collections.abc import Callable

from oplibrary.machine.code import Code
from oplibrary.machine.register import Register

Write = Callable[[Code, Register], Register]

IN_SINGLE: dict[str, Write] = {}
"""Functions of numbers in float, by their names in scalar expressions."""


def in_double(name: str) -> Callable[[Write], Write]:
    """Enter a function of doubles that is as good as one of floats."""

    def enter(write: Write) -> Write:
        def rounded(code: Code, x: Register) -> Register:
            return code.cast("fptrunc", write(code, code.cast("fpext", x, "double")), x.element)

        IN_SINGLE[name] = rounded
        return write

    return enter
