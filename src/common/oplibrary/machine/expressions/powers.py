"""Powers: which of them are roots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oplibrary.core.expression import CONSTANT, OPERAND, Expression

POWER_OF_ONE_NUMBER = "power of one number"
"""The operator of powers whose exponent is one number for all elements; no text can spell it."""


def with_roots(
    expression: Expression, numbers: frozenset[int], known: Mapping[int, int]
) -> Expression:
    """Return `expression` with powers that are roots where their exponent is 0.5.

    NumPy takes the root where one exponent serves all elements, and the C library's power where
    each element has its own: of -0.0 the root is -0.0 and the power 0.0, of -inf the root is NaN
    and the power inf.

    Parameters
    ----------
    expression : Expression
        Without attributes.
    numbers : frozenset of int
        The positions of the operands that are one number for all elements.
    known : mapping of int to int
        The whole numbers that operands are, by their positions: as exponents they are written out.
    """

    def operation(operator: str, operands: Sequence[Expression]) -> Expression:
        if operator == "power" and operands[1].operator in (OPERAND, CONSTANT):
            exponent = operands[1]
            if exponent.operator == OPERAND and exponent.value in known:
                constant = Expression(CONSTANT, value=known[exponent.value])
                return Expression(operator, (operands[0], constant))
            if exponent.operator is CONSTANT or exponent.value in numbers:
                operator = POWER_OF_ONE_NUMBER
        return Expression(operator, tuple(operands))

    def leaf(operator: str) -> Callable[[Any], Expression]:
        return lambda value: Expression(operator, value=value)

    if "power" not in expression.operators():
        return expression
    return expression.fold(leaf(OPERAND), leaf(CONSTANT), operation)
