"""StepRows: what a loop keeps of each of its steps, where nobody knows how many there will be."""

from __future__ import annotations

from collections.abc import Sequence

from oplibrary.machine.code import Code
from oplibrary.machine.register import Register
from staticgraph.backends.native.definitions.definition import Definition
from staticgraph.program.memory import aligned

FIRST_ROWS = 16
"""For how many steps there is memory first; where they are more, for twice as many as needed."""


class StepRows:
    """Memory that grows by a row for each step: what it begins with, and what is kept of it.

    Parameters
    ----------
    code : Code
    kept : sequence of Definition
    """

    def __init__(self, code: Code, kept: Sequence[Definition]) -> None:
        self.code = code
        self.offsets: list[int] = []
        nbytes = 0
        for each in kept:
            self.offsets.append(nbytes)
            nbytes += aligned(each.nbytes)
        self.nbytes = nbytes
        code.module.declare("realloc", "ptr", ["ptr", "i64"])
        code.module.declare("free", "void", ["ptr"])
        self._memory = code.allocate("ptr", 1)
        self._count = code.allocate("i64", 1)
        code.store(Register(code, "null", "ptr", 1), self._memory)
        code.store(code.constant(0, "i64"), self._count)

    def at(self, row: Register) -> list[Register]:
        """Return the addresses of what is in a row."""
        start = self.code.address(self.code.load(self._memory, "ptr"), row * self.nbytes, "i8")
        return [self.code.address(start, offset, "i8") for offset in self.offsets]

    def require(self, count: Register) -> Register:
        """Write: let there be that many rows; return whether there is no memory for them."""
        code = self.code
        memory = code.load(self._memory, "ptr")
        before, more, on = code.block, code.new_label(), code.new_label()
        code.branch(count.greater(code.load(self._count, "i64")), more, on)
        code.begin_block(more)
        mark = code.mark()
        rows = code.larger(count + count, FIRST_ROWS)
        nbytes = rows * self.nbytes
        grown = code.effect(f"call ptr @realloc(ptr {memory.ref}, i64 {nbytes.ref})", "ptr", 1)
        got = code.new_label()
        code.branch(grown.equals(Register(code, "null", "ptr", 1)), on, got)
        code.begin_block(got)
        code.store(grown, self._memory)
        code.store(rows, self._count)
        code.jump(on)
        code.forget(mark)
        code.begin_block(on)
        return code.merge(
            [
                (code.constant(False, "i1"), before),
                (code.constant(True, "i1"), more),
                (code.constant(False, "i1"), got),
            ]
        )

    def free(self) -> None:
        """Write: give the memory back."""
        memory = self.code.load(self._memory, "ptr")
        self.code.statement(f"call void @free(ptr {memory.ref})")
