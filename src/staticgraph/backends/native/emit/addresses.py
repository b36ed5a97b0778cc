"""BaseAddresses: the addresses that a kernel is given, so that its code does not depend on them."""

from __future__ import annotations

from oplibrary.machine.code import Code
from oplibrary.machine.register import Register
from staticgraph.backends.native.definitions.definition import Definition

Base = tuple[str, Definition | None, int]
"""Memory that a kernel uses: ``"value"`` or ``"partial"`` with what is there, or ``"status"``; and
the element that its address is of."""


class BaseAddresses:
    """The addresses that a kernel is given, in the order in which it first asks for them.

    Parameters
    ----------
    code : Code
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self.order: list[Base] = []

    def address(self, kind: str, definition: Definition | None = None, start: int = 0) -> Register:
        """Write the reading of an address."""
        base = (kind, definition, start)
        if base not in self.order:
            self.order.append(base)
        given = self.code.parameter("%bases", "ptr")
        return self.code.load(self.code.address(given, self.order.index(base), "ptr"), "ptr")
