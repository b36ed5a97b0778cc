"""Dropout, of elements or of whole channels, and its form for self-normalising networks."""

from __future__ import annotations

from math import sqrt
from typing import Any

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import operand_type, require_flag, require_number
from oplibrary.ops.elementwise import add, cast, multiply, where
from oplibrary.ops.random import bernoulli
from oplibrary.values.types import Shape


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
    _require_probability("dropout", p)
    if not require_flag(training, "training") or p == 0.0:
        return x
    return _dropped(x, p, key, operand_type("dropout", x).shape)


def _require_probability(name: str, p: Any) -> None:
    require_number(p, "p")
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(
            f"{name}: p is {p}",
            cause="p is the probability that an element is dropped",
            fix="pass a number from 0 to 1",
        )


def _dropped(x: Any, p: float, key: Any, shape: Shape) -> Any:
    """Return `x` with what a draw of `shape` drops set to zero."""
    if p == 1.0:
        return multiply(x, 0.0)
    kept = cast(bernoulli(key, 1.0 - p, shape), dtype=operand_type("dropout", x).dtype)
    return multiply(x, multiply(kept, 1.0 / (1.0 - p)))


def _of_channels(name: str, axes: int, x: Any, p: float, key: Any, training: bool) -> Any:
    _require_probability(name, p)
    given = operand_type(name, x)
    if given.ndim not in (axes + 1, axes + 2):
        raise ShapeError(
            f"{name}: x of shape {given.shape}",
            cause=f"channels have {axes} axes behind them, and the examples may stand in front",
            fix="reshape it to (n, c, ...)",
        )
    if not require_flag(training, "training") or p == 0.0:
        return x
    channels = given.ndim - axes
    return _dropped(x, p, key, (*given.shape[:channels], *(1,) * axes))


@public
def dropout1d(x: Any, p: float, key: Any, training: bool = True) -> Any:
    """Set each channel of ``(n, c, w)`` or ``(c, w)`` to zero with probability `p`; see `dropout`.

    Raises
    ------
    ShapeError
        If `x` has another number of axes.
    ArgumentError
        If `p` is not a probability.
    """
    return _of_channels("dropout1d", 1, x, p, key, training)


@public
def dropout2d(x: Any, p: float, key: Any, training: bool = True) -> Any:
    """Set each channel of ``(n, c, h, w)`` or ``(c, h, w)`` to zero with probability `p`.

    See `dropout1d`.
    """
    return _of_channels("dropout2d", 2, x, p, key, training)


@public
def dropout3d(x: Any, p: float, key: Any, training: bool = True) -> Any:
    """Set each channel of ``(n, c, d, h, w)`` or ``(c, d, h, w)`` to zero with probability `p`.

    See `dropout1d`.
    """
    return _of_channels("dropout3d", 3, x, p, key, training)


_ALPHA = -1.7580993408473766
"""What selu goes to at -inf."""


@public
def alpha_dropout(x: Any, p: float, key: Any, training: bool = True) -> Any:
    """Set each element to what `selu` goes to at -inf with probability `p`.

    The result is scaled and shifted so that mean 0 and variance 1 are kept. The arguments are those
    of `dropout`; with ``p=1`` everything is 0.

    Raises
    ------
    ArgumentError
        If `p` is not a probability.

    Notes
    -----
    Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks" (2017).
    """
    _require_probability("alpha_dropout", p)
    if not require_flag(training, "training") or p == 0.0:
        return x
    if p == 1.0:
        return multiply(x, 0.0)
    given = operand_type("alpha_dropout", x)
    scale = 1.0 / sqrt((1.0 - p) * (1.0 + p * _ALPHA**2))
    kept = bernoulli(key, 1.0 - p, given.shape)
    return add(multiply(where(kept, x, _ALPHA), scale), -scale * p * _ALPHA)
