"""Module: the functions that are compiled together, with what they call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from oplibrary.machine.code import Code
from oplibrary.machine.register import Register, type_text
from oplibrary.machine.target import Target


class Module:
    """Collect functions of LLVM IR.

    Parameters
    ----------
    target : Target
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._declared: dict[str, str] = {}
        self._globals: dict[str, str] = {}
        self._functions: list[str] = []
        self._mathematics: dict[tuple[str, str, int], str] = {}
        self._names: Counter[str] = Counter()

    def new_name(self, kind: str) -> str:
        """Return a name for a function that is not in use."""
        self._names[kind] += 1
        return f"{kind}_{self._names[kind] - 1}"

    def declare(self, symbol: str, result: str, parameters: Sequence[str]) -> None:
        """Declare a function that is defined elsewhere, such as an intrinsic."""
        if symbol not in self._declared:
            self._declared[symbol] = f"declare {result} @{symbol}({', '.join(parameters)})"

    def add_global(self, symbol: str, definition: str) -> bool:
        """Add a constant table; tell whether it is new."""
        new = symbol not in self._globals
        self._globals[symbol] = f"@{symbol} = {definition}"
        return new

    def add_function(
        self,
        symbol: str,
        code: Code,
        result: str,
        parameters: Sequence[str],
        linkage: str = "",
        convention: str = "",
        attributes: str = "",
    ) -> None:
        """Add a function whose body has been written."""
        head = " ".join(filter(None, ("define", linkage, convention, result)))
        body = "\n".join((*code.allocations, *code.lines))
        self._functions.append(
            f"{head} @{symbol}({', '.join(parameters)}) {attributes} #0 {{\nentry:\n{body}\n}}"
        )

    def mathematics(self, name: str, element: str, lanes: int) -> str:
        """Return the symbol of a function of mathematics, writing it when it is first needed."""
        from oplibrary.machine.mathematics import FUNCTIONS

        key = (name, element, lanes)
        symbol = self._mathematics.get(key)
        if symbol is None:
            symbol = self._mathematics[key] = f"{name}_{element}_{lanes}"
            function = FUNCTIONS[name]
            code = Code(self, lanes)
            operands = [code.parameter(f"%x{i}", element, lanes) for i in range(function.arity)]
            result = function.write(code, *operands)
            code.statement(f"ret {result.type} {result.ref}")
            # a call costs nothing beside the work, and one copy is built however often it is used
            self.add_function(
                symbol,
                code,
                result.type,
                [f"{x.type} {x.ref}" for x in operands],
                "internal",
                "fastcc",
                "noinline",
            )
        return symbol

    def call(self, code: Code, name: str, *operands: Register) -> Register:
        """Write the call of a function of mathematics."""
        x = operands[0]
        symbol = self.mathematics(name, x.element, x.lanes)
        listed = ", ".join(f"{o.type} {o.ref}" for o in operands)
        result = type_text(x.element, x.lanes)
        return code.pure(f"call fastcc {result} @{symbol}({listed})", x.element, x.lanes)

    def __str__(self) -> str:
        parts = [
            f'target triple = "{self.target.triple}"',
            *self._globals.values(),
            *self._declared.values(),
            *self._functions,
            f"attributes #0 = {{ {self.target.attributes} }}",
        ]
        return "\n".join(parts) + "\n"
