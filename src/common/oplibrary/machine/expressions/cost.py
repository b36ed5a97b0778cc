"""About how long an expression takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from oplibrary.core.expression import BINARY, Expression
from oplibrary.machine.expressions.powers import POWER_OF_ONE_NUMBER
from oplibrary.machine.foreign.special import SPECIAL

_COSTS = {
    **dict.fromkeys(("cast", "real", "imag", "complex", "conj", "positive"), 0),
    **dict.fromkeys(("logical_and", "logical_or"), 0),
    **dict.fromkeys(("abs", "min", "floor", "ceil", "trunc", "round"), 1),
    **dict.fromkeys(("negative", "bitwise_invert", "logical_not", "where"), 1),
    **dict.fromkeys(BINARY, 1),
    **dict.fromkeys(("divide", "floor_divide", "remainder", "sqrt"), 4),
    "max": 2,
    **dict.fromkeys(("signbit", "copysign"), 1),
    **dict.fromkeys(("nextafter", "spacing", "mantissa", "exponent", "bitwise_count"), 6),
    **dict.fromkeys(("gcd", "lcm"), 200),
    **dict.fromkeys(SPECIAL, 100),
    "power": 25,
    POWER_OF_ONE_NUMBER: 30,
}


@lru_cache(maxsize=4096)
def expression_cost(expression: Expression) -> int:
    """Return the time that an expression takes for one element, in additions, roughly."""

    def cost(operator: str, operands: Sequence[int]) -> int:
        return _COSTS.get(operator, 12) + sum(operands)

    return expression.fold(lambda _: 0, lambda _: 0, cost)
