"""Objects of the interpreter in machine code: calls through a table, and new arrays."""

from __future__ import annotations

from collections.abc import Sequence

from oplibrary.machine import interpreter_api as api
from oplibrary.machine.code import Code
from oplibrary.machine.register import Register
from oplibrary.values.memory import ALIGNMENT

ALIGNED_FROM = 8192
"""Bytes from which a new array begins with a cache line: in the first cache nothing is gained."""
_MAY_BE_WRITTEN, _OWNS_DATA = 0x0400, 0x0004


class ObjectCode:
    """Writes what machine code does with objects.

    Parameters
    ----------
    code : Code
    words : sequence of str
        What each word of the table is called.
    """

    def __init__(self, code: Code, words: Sequence[str]) -> None:
        self.code = code
        self.words = {word: number for number, word in enumerate(words)}
        self.table: Register

    def word(self, name: str) -> Register:
        """Return a word of the table."""
        return self.code.load(self.code.address(self.table, self.words[name], "ptr"), "ptr")

    def call(self, name: str, result: str, *arguments: Register | str) -> Register | None:
        """Write a call of a function of the table; an argument may be spelled out."""
        function = self.word(name)
        listed = ", ".join(a if isinstance(a, str) else f"{a.type} {a.ref}" for a in arguments)
        if result == "void":
            self.code.statement(f"call void {function.ref}({listed})")
            return None
        return self.code.effect(f"call {result} {function.ref}({listed})", result, 1)

    def object_call(self, name: str, *arguments: Register | str) -> Register:
        """Write a call that returns an object."""
        found = self.call(name, "ptr", *arguments)
        assert found is not None
        return found

    def field(self, of: Register, offset: int, element: str = "ptr") -> Register:
        """Return what is at an offset of an object."""
        return self.code.load(self.code.address(of, offset, "i8"), element)

    def new_array(
        self, dtype: Register, ndim: int, dimensions: str, nbytes: int | None
    ) -> Register:
        """Write the making of an array; null where there is no memory.

        Parameters
        ----------
        dtype : Register
        ndim : int
        dimensions : str
            Where the lengths are, as an argument.
        nbytes : int or None
            Of the elements, if that is known.
        """
        size = 0 if nbytes is None or nbytes < ALIGNED_FROM else nbytes
        data = self._aligned(size) if size else None
        self.call("Py_IncRef", "void", dtype)
        made = self.object_call(
            "PyArray_NewFromDescr",
            self.word("PyArray_Type"),
            dtype,
            f"i32 {ndim}",
            dimensions,
            "ptr null",
            "ptr null" if data is None else data,
            "i32 0",
            "ptr null",
        )
        if data is not None:
            self._own(made, data, size)
        return made

    def _aligned(self, nbytes: int) -> Register:
        """Return new memory; null where the C library has none to give, and NumPy allocates it."""
        code = self.code
        kept = code.allocate("ptr", 1)
        code.store(code.effect("inttoptr i64 0 to ptr", "ptr", 1), kept)
        usable, on = code.new_label(), code.new_label()
        code.branch(self.word("aligned_alloc").is_null(), on, usable)
        mark = code.mark()
        code.begin_block(usable)
        whole = -(-nbytes // ALIGNMENT) * ALIGNMENT
        code.store(self.object_call("aligned_alloc", f"i64 {ALIGNMENT}", f"i64 {whole}"), kept)
        code.jump(on)
        code.forget(mark)
        code.begin_block(on)
        return code.load(kept, "ptr")

    def _own(self, made: Register, data: Register, nbytes: int) -> None:
        """Write that an array owns memory that was allocated for it, as those that NumPy makes."""
        code = self.code
        mine, made_it, failed, on = [code.new_label() for _ in range(4)]
        code.branch(data.is_null(), on, mine)
        mark = code.mark()
        code.begin_block(mine)
        code.branch(made.is_null(), failed, made_it)
        code.begin_block(failed)
        self.call("free", "void", data)
        code.jump(on)
        code.forget(mark)
        code.begin_block(made_it)
        flags = code.address(made, api.FLAGS, "i8")
        code.store(code.load(flags, "i32") | (_MAY_BE_WRITTEN | _OWNS_DATA), flags)
        handler = self.word("memory handler")
        self.call("Py_IncRef", "void", handler)
        code.store(handler, code.address(made, api.MEMORY_HANDLER, "i8"))
        # as NumPy does, so that what measures memory sees it
        address = code.cast("ptrtoint", data, "i64")
        self.call("PyTraceMalloc_Track", "i32", f"i32 {api.TRACED}", address, f"i64 {nbytes}")
        code.jump(on)
        code.forget(mark)
        code.begin_block(on)
