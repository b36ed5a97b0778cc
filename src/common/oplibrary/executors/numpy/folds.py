"""Methods of universal functions that fold an axis: ``reduce``, ``accumulate``, ``reduceat``."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from oplibrary.core.registry import REGISTRY
from oplibrary.core.rules import reduced_shape
from oplibrary.executors.numpy.protocols import counterpart, unsupported
from oplibrary.executors.numpy.values import as_operand, converted, is_value, numbers
from oplibrary.messages.errors import ShapeError
from oplibrary.values.dtypes import to_dtype
from oplibrary.values.types import is_int, normalize_axes, normalize_axis

_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}
_RUNNING = {"add": "cumulative_sum", "multiply": "cumulative_prod"}
_ORDERED = frozenset({"subtract", "true_divide", "divide", "floor_divide", "power", "remainder"})
"""Functions of which a reduction over several axes would depend on their order."""
_NOT_FOLDED = (np.arctan2, np.power, np.ldexp)
"""Functions of which NumPy's own folds leave out elements, or mix kinds of operands."""
_EXACT = frozenset(
    """
    maximum minimum fmax fmin logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor
    gcd lcm
    """.split()
)
"""Functions that give the same bits in whatever way the operands are grouped."""


NOT_GIVEN: Any = np._NoValue
"""NumPy's own default of `initial`, of which None is another value."""


def loop_dtypes(ufunc: np.ufunc, x: Any, dtype: Any, out_dtype: Any = None) -> tuple[Any, Any]:
    """Return the dtype of the running result of a fold, and that of what it takes in.

    What it is written to counts as an operand, where no `dtype` is given: ``np.sum(x, out=out)``
    adds up in the dtype that both share.
    """
    if ufunc in _NOT_FOLDED:
        raise unsupported(f"a fold with numpy.{ufunc.__name__}")
    if dtype is None and out_dtype is None and ufunc in (np.add, np.multiply):
        dtype = ufunc.reduce(np.zeros(1, x.dtype)).dtype  # small whole numbers are added in int64
    given: dict[str, Any] = {"casting": "unsafe", "reduction": True}
    if dtype is not None:
        out_dtype, given["signature"] = None, (to_dtype(dtype), None, None)
    try:
        result, taken, _ = ufunc.resolve_dtypes((out_dtype, x.dtype, None), **given)
    except TypeError as error:
        raise unsupported(f"numpy.{ufunc.__name__}.reduce of {x.dtype} ({error})") from None
    return result, taken


def reduce(
    ufunc: np.ufunc,
    x: Any,
    axis: Any = 0,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = NOT_GIVEN,
    where: Any = True,
    out_dtype: Any = None,
) -> Any:
    """Fold the elements along axes with `ufunc`; the body of ``ufunc.reduce``.

    Parameters
    ----------
    ufunc : numpy.ufunc
    x : array
    axis : int, tuple of int or None
    dtype : dtype, optional
        In which to compute, and of the result.
    keepdims : bool
    initial : number or None, optional
        What each fold starts from, in place of the identity of `ufunc`; None stands for nothing.
    where : bool array or True
        Which elements take part.
    out_dtype : dtype, optional
        Of what the result is written to.

    Raises
    ------
    OverflowError, TypeError, ValueError
        If `initial` is no number of the dtype, as in NumPy.
    SymbolicArrayError
        If elements are left out and there is nothing to start from.
    ShapeError
        If there are no elements and nothing to start from.
    """
    x = as_operand(x)
    shown = f"numpy.{ufunc.__name__}.reduce"
    # NumPy takes these of a number, which has no axis
    of_number = not x.shape and is_int(axis) and axis in (0, -1)
    axes = () if of_number else normalize_axes(axis, len(x.shape))
    result_dtype, taken = loop_dtypes(ufunc, x, dtype, out_dtype)
    name = _REDUCTIONS.get(ufunc.__name__)
    if name not in ("all", "any"):  # these take numbers as truth values
        x = converted(x, taken)
    first = None if initial is NOT_GIVEN or initial is None else _number(initial, result_dtype)
    start = _identity(ufunc, result_dtype) if initial is NOT_GIVEN else first
    if start is None and where is not True:
        raise unsupported(f"{shown}: argument 'where' without 'initial'")
    if not prod(x.shape[each] for each in axes):
        return _started(x, axes, keepdims, start, shown)
    if name is None:
        found = _folded(ufunc, x, axes, first, where, start, shown)
        found = found.reshape(reduced_shape(tuple(x.shape), axes, keepdims))
        return converted(found, result_dtype)
    if where is not True:
        filler = _identity(ufunc, x.dtype)
        x = REGISTRY["where"](as_operand(where), x, start if filler is None else filler)
    found = REGISTRY[name](x, axis=axes, keepdims=keepdims)
    if first is not None:
        found = counterpart(ufunc)(first, converted(found, result_dtype))
    return converted(found, result_dtype)


def _identity(ufunc: np.ufunc, dtype: np.dtype[Any]) -> Any:
    if ufunc.identity is None:
        return None
    return np.asarray(ufunc.identity).astype(dtype)  # -1 is all bits of an unsigned number


def _number(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return `value` as NumPy takes an initial one: what does not fit is refused."""
    number = np.empty((), dtype)
    value = numbers(value) if is_value(value) else value
    number[()] = value.item() if isinstance(value, np.generic) else value
    return number


def _started(x: Any, axes: Any, keepdims: bool, start: Any, shown: str) -> Any:
    """Return the fold of no elements."""
    if start is None:
        raise ShapeError(
            f"{shown} of no elements",
            cause="the function has no value where there is nothing to fold",
            fix="pass initial=",
        )
    empty = REGISTRY["count_nonzero"](x, axis=axes, keepdims=keepdims)
    return REGISTRY["full_like"](empty, start.item(), dtype=start.dtype)


def _folded(
    ufunc: np.ufunc, x: Any, axes: Any, first: Any, where: Any, start: Any, shown: str
) -> Any:
    """Return the fold in row-major order, one element after the other."""
    if len(axes) > 1 and ufunc.__name__ in _ORDERED:
        raise unsupported(f"{shown} over several axes")
    function, shape = counterpart(ufunc), tuple(x.shape)
    line = _in_front(x, axes)
    if where is True:
        if first is None and len(line) == 1:  # the function of one element, as that of gcd, is seen
            first = start
        found = line[0] if first is None else function(first, line[0])
        for part in line[1:]:
            found = function(found, part)
        return found
    found = start
    mask = REGISTRY["broadcast_to"](as_operand(where), shape=shape)
    for taken, part in zip(_in_front(mask, axes), line, strict=True):
        found = REGISTRY["where"](taken, function(found, part), found)
    return found


def _in_front(x: Any, axes: Any) -> list[Any]:
    """Return what stands at each position of the axes, taken as one."""
    rest = [axis for axis in range(len(x.shape)) if axis not in axes]
    moved = REGISTRY["permute_dims"](x, axes=(*axes, *rest))
    shape = tuple(moved.shape)
    count = prod(shape[: len(axes)])
    flat = moved.reshape((count, *shape[len(axes) :]))
    return [REGISTRY["index_axis"](flat, index=i, axis=0) for i in range(count)]


def accumulate(
    ufunc: np.ufunc, x: Any, axis: int = 0, dtype: Any = None, out_dtype: Any = None
) -> Any:
    """Return all that a fold along an axis comes by; the body of ``ufunc.accumulate``."""
    x = as_operand(x)
    at = normalize_axis(axis, len(x.shape))
    result_dtype, taken = loop_dtypes(ufunc, x, dtype, out_dtype)
    x = converted(x, taken)
    if ufunc.__name__ in _RUNNING:
        return converted(REGISTRY[_RUNNING[ufunc.__name__]](x, axis=at), result_dtype)
    function, length = counterpart(ufunc), x.shape[at]
    cut = REGISTRY["slice_axis"]
    if ufunc.__name__ in _EXACT:
        # recursive doubling: each position covers `reach` positions so far
        reach = 1
        while reach < length:
            joined = function(
                cut(x, start=0, stop=length - reach, axis=at),
                cut(x, start=reach, stop=length, axis=at),
            )
            x = REGISTRY["concat"](cut(x, start=0, stop=reach, axis=at), joined, axis=at)
            reach *= 2
        return converted(x, result_dtype)
    if not length:
        return converted(x, result_dtype)
    found = [cut(x, start=0, stop=1, axis=at)]
    for i in range(1, length):
        found.append(function(found[-1], cut(x, start=i, stop=i + 1, axis=at)))
    return converted(REGISTRY["concat"](*found, axis=at), result_dtype)


def reduceat(
    ufunc: np.ufunc,
    x: Any,
    indices: Any,
    axis: int = 0,
    dtype: Any = None,
    out_dtype: Any = None,
) -> Any:
    """Fold each part of an axis that begins at one of the indices and ends at the next."""
    x, places = as_operand(x), [int(i) for i in numbers(indices)]
    at = normalize_axis(axis, len(x.shape))
    length = x.shape[at]
    for place in places:
        if not 0 <= place < length:
            raise ShapeError(
                f"numpy.{ufunc.__name__}.reduceat: index {place} of an axis of length {length}",
                cause="a part begins at an element",
                fix=f"choose indices from 0 to {length - 1}",
            )
    result_dtype, _ = loop_dtypes(ufunc, x, dtype, out_dtype)
    if not places:
        return converted(REGISTRY["slice_axis"](x, start=0, stop=0, axis=at), result_dtype)
    found = []
    for start, stop in zip(places, [*places[1:], length], strict=True):
        part = REGISTRY["slice_axis"](x, start=start, stop=max(stop, start + 1), axis=at)
        # nothing stands before the first element of a part
        found.append(reduce(ufunc, part, at, dtype, True, initial=None, out_dtype=out_dtype))
    return REGISTRY["concat"](*found, axis=at)
