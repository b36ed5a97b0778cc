"""Elements around the axes: constant ones, or those of the array again."""

from __future__ import annotations

from typing import Any

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import operand_type
from oplibrary.ops.creation import require_number
from oplibrary.ops.joining import concat
from oplibrary.ops.movement import broadcast_to
from oplibrary.ops.slicing import flip, normalize_widths, pad_op, slice_axis

_EDGE, _REFLECT, _SYMMETRIC, _WRAP = "edge", "reflect", "symmetric", "wrap"
_MODES = {mode: mode for mode in (_EDGE, _REFLECT, _SYMMETRIC, _WRAP)}
_MODES |= {"replicate": _EDGE, "circular": _WRAP}  # PyTorch's names


@public
def pad(x: Any, pad_width: Any, value: complex = 0, mode: str = "constant") -> Any:
    """Put elements around the axes.

    Parameters
    ----------
    x : array
    pad_width : sequence of (int, int), (int, int) or int
        How many elements go before and after: one pair an axis, one pair for all axes, or one
        number for all ends.
    value : number
        What constant elements are; it must fit into the dtype of `x`.
    mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What the new elements are: `value`; the element at that end; the elements mirrored at the
        end, without it or with it; or those of the other end. PyTorch's ``"replicate"`` is
        ``"edge"``, its ``"circular"`` is ``"wrap"``.

    Raises
    ------
    ShapeError
        If the number of pairs is not the number of axes, or an axis has too few elements to mirror
        or to repeat.
    ArgumentError
        If a width is negative or not an int, the value would change to fit the dtype, or the mode
        is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> pad(np.array([1.0, 2.0]), (1, 2), value=9.0)
    array([9., 1., 2., 9., 9.])
    >>> pad(np.array([1.0, 2.0, 3.0]), 2, mode="reflect")
    array([3., 2., 1., 2., 3., 2., 1.])
    """
    given = operand_type("pad", x)
    widths = normalize_widths(pad_width, given.ndim)
    if mode == "constant":
        require_number(value, given.dtype)
        return pad_op(x, pad_width=widths, value=value)
    known = _MODES.get(mode) if isinstance(mode, str) else None
    if known is None:
        raise ArgumentError(
            f"pad: mode is {mode!r}",
            cause="the new elements are constant, or taken from the array",
            fix=f"pass one of 'constant', {', '.join(map(repr, _MODES))}",
        )
    for axis, (before, after) in enumerate(widths):
        if before or after:
            x = _extended(x, axis, before, after, known)
    return x


def _extended(x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    """Return `x` with elements of its own before and after those along `axis`."""
    n = x.shape[axis]
    apart = 1 if mode == _REFLECT else 0  # the element at the end itself is not repeated
    least = 1 if mode == _EDGE else max(before, after) + apart
    if n < least:
        raise ShapeError(
            f"pad: axis {axis} of length {n} is padded by {before} and {after} in mode {mode!r}",
            cause=f"that takes {least} elements of the axis",
            fix="pad less, pad several times, or use another mode",
        )
    if mode == _WRAP:
        first, last = _part(x, axis, n - before, n), _part(x, axis, 0, after)
    elif mode == _EDGE:
        first = _repeated(_part(x, axis, 0, 1), axis, before)
        last = _repeated(_part(x, axis, n - 1, n), axis, after)
    else:
        first = flip(_part(x, axis, apart, apart + before), axis=axis)
        last = flip(_part(x, axis, n - apart - after, n - apart), axis=axis)
    return concat([first, x, last], axis=axis)


def _part(x: Any, axis: int, start: int, stop: int) -> Any:
    return slice_axis(x, start=start, stop=stop, axis=axis)


def _repeated(x: Any, axis: int, times: int) -> Any:
    return broadcast_to(x, shape=(*x.shape[:axis], times, *x.shape[axis + 1 :]))
