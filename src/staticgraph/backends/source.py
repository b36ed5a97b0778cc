"""Generated Python: its text, the objects that its names stand for, and which line does what."""

from __future__ import annotations

import keyword
import linecache
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from types import CodeType, TracebackType
from typing import Any

import numpy as np

from staticgraph.program.polynomial import is_symbolic, polynomial_of
from staticgraph.program.program import Instruction, Value

_numbers = count(1)
_LITERALS = (int, bool, str, type(None))


def comment(text: str) -> str:
    """Return a comment; the end of a line in `text`, such as in a file's name, does not end it.

    Examples
    --------
    >>> comment("train.py:3")
    '# train.py:3'
    """
    return f"# {' '.join(text.split())}"


class SourceWriter:
    """Collect the lines of a module and what its names stand for.

    Attributes
    ----------
    namespace : dict
        The module's global names: kernels, constants, dtypes.
    instructions : dict of int to Instruction
        Which instruction each line runs.
    lengths : dict of str to str
        The local variable that holds each symbolic length.
    filename : str
        What tracebacks show; unique, and known as this library's own.
    """

    def __init__(self, title: str) -> None:
        self.namespace: dict[str, Any] = {}
        self.instructions: dict[int, Instruction] = {}
        self.filename = f"<staticgraph {title} {next(_numbers)}>"
        self._lines: list[str] = []
        self._depth = 0
        self._taken: set[str] = set()
        self._names: dict[Value, str] = {}
        self._bound: dict[int, str] = {}
        self.lengths: dict[str, str] = {}

    @property
    def text(self) -> str:
        """The whole module."""
        return "\n".join(self._lines) + "\n"

    def line(self, text: str, instruction: Instruction | None = None) -> None:
        """Add a line, which runs `instruction`."""
        self._lines.append("    " * self._depth + text)
        if instruction is not None:
            self.instructions[len(self._lines)] = instruction

    @contextmanager
    def block(self, text: str) -> Iterator[None]:
        """Add a line and indent what follows."""
        self.line(text)
        self._depth += 1
        yield
        self._depth -= 1

    def new_name(self, hint: str) -> str:
        """Return a name that is not taken yet, like `hint`."""
        stem = hint
        if not (hint.isascii() and hint.isidentifier()):
            stem = re.sub(r"\W", "_", hint, flags=re.ASCII) or "value"
            stem = f"_{stem}" if stem[0].isdigit() else stem
        if keyword.iskeyword(stem):
            stem = f"_{stem}"
        name = stem
        for number in count():
            if name not in self._taken:
                break
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name

    def bind(self, thing: Any, hint: str) -> str:
        """Return the global name of `thing`, which is the same object for the same name."""
        name = self._bound.get(id(thing))
        if name is None:
            name = self._bound[id(thing)] = self.new_name(hint)
            self.namespace[name] = thing
        return name

    def name_of(self, value: Value) -> str:
        """Return the name of `value`."""
        name = self._names.get(value)
        if name is None:
            name = self._names[value] = self.new_name(value.name or "value")
        return name

    def literal(self, value: Any) -> str:
        """Return an expression for `value`, an attribute."""
        if isinstance(value, int) and is_symbolic(value):
            return self._length(int(value))
        if type(value) in _LITERALS:
            return repr(value)
        if type(value) is float and np.isfinite(value):
            return repr(value)
        if type(value) is tuple:
            inside = ", ".join(self.literal(each) for each in value)
            return f"({inside},)" if len(value) == 1 else f"({inside})"
        if isinstance(value, np.dtype):
            return self.dtype(value)
        if isinstance(value, (tuple, list, slice)) and is_symbolic(value):
            return self._made_of_lengths(value)
        return self.bind(value, type(value).__name__)

    def _length(self, value: int) -> str:
        """Return an expression for a length, in terms of those of the run."""
        polynomial = polynomial_of(value)
        assert polynomial is not None
        terms = []
        for monomial, factor in polynomial.terms.items():
            names = [
                self.lengths.get(each.name) or self._new_length(each.name) for each in monomial
            ]
            terms.append("*".join([str(factor), *names]))
        return f"({' + '.join(terms)})"

    def _new_length(self, name: str) -> str:
        local = self.lengths[name] = self.new_name(f"length_{name}")
        return local

    def _made_of_lengths(self, value: Any) -> str:
        parts = (value.start, value.stop, value.step) if isinstance(value, slice) else value
        inside = ", ".join(map(self.literal, parts))
        if isinstance(value, list):
            return f"[{inside}]"
        return f"{self.bind(type(value), type(value).__name__)}({inside})"

    def dtype(self, dtype: np.dtype[Any]) -> str:
        """Return the global name of `dtype`."""
        return self.bind(dtype, dtype.name)

    def define(self, name: str) -> Any:
        """Run the module and return the function called `name` that it defines.

        It is taken out of the module: a function that its own globals refer to would be freed by
        the garbage collector only, and so would all arrays behind it.
        """
        exec(_in_file(_compiled(self.text), self.filename), self.namespace)
        return self.namespace.pop(name)

    def show_lines(self, function: Callable[..., Any]) -> None:
        """Let tracebacks show the module's lines as long as `function` lives."""
        lines = self.text.splitlines(keepends=True)
        linecache.cache[self.filename] = (len(self.text), None, lines, self.filename)
        weakref.finalize(function, linecache.cache.pop, self.filename, None).atexit = False


@lru_cache(256)
def _compiled(text: str) -> CodeType:
    """Compile a module; programs that are alike have the same text."""
    return compile(text, "", "exec", dont_inherit=True)


def _in_file(code: CodeType, filename: str) -> CodeType:
    """Return code, and that of the functions in it, as if it stood in a file."""
    constants = tuple(
        [_in_file(each, filename) if type(each) is CodeType else each for each in code.co_consts]
    )
    return code.replace(co_filename=filename, co_consts=constants)


def line_in(filename: str, traceback: TracebackType | None) -> int:
    """Return the line of `filename` that `traceback` passes through, or 0."""
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == filename:
            return traceback.tb_lineno
        traceback = traceback.tb_next
    return 0
