"""Dropout."""

from __future__ import annotations

from typing import Any

from oplibrary.core.op import public
from oplibrary.messages.errors import ArgumentError
from oplibrary.ops.arguments import operand_type, require_number
from oplibrary.ops.elementwise import cast, multiply
from oplibrary.ops.random import bernoulli


@public
def dropout(x: Any, p: float, key: Any, training: bool = True) -> Any:
    """Set each element to zero with probability `p`, and scale the others to keep the mean.

    Parameters
    ----------
    x : array
        Of floating-point numbers.
    p : float
        Probability that an element is dropped, 0 to 1.
    key : array
        Key of the draws; the same key drops the same elements. Pass it as an input where each run
        of a compiled program must draw anew.
    training : bool
        If false, return `x` as it is.

    Raises
    ------
    ArgumentError
        If `p` is not a probability.
    """
    require_number(p, "p")
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(
            f"dropout: p is {p}",
            cause="p is the probability that an element is dropped",
            fix="pass a number from 0 to 1",
        )
    if not training or p == 0.0:
        return x
    if p == 1.0:
        return multiply(x, 0.0)
    x_type = operand_type("dropout", x)
    kept = cast(bernoulli(key, 1.0 - p, x_type.shape), dtype=x_type.dtype)
    return multiply(x, multiply(kept, 1.0 / (1.0 - p)))
