"""Operands of NumPy's functions: arrays, numbers, and lists of either."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.core.registry import public
from oplibrary.core.rules import reduced_shape
from oplibrary.messages.call_errors import explain_call
from oplibrary.messages.errors import DataDependentShapeError, SideBySideError, SymbolicValueError
from oplibrary.ops.arguments import require_flag
from oplibrary.ops.elementwise import cast
from oplibrary.ops.movement import permute_dims, reshape
from oplibrary.ops.nested import holds_values, stack_nested
from oplibrary.ops.numbers import number_array
from oplibrary.values.data import to_numbers
from oplibrary.values.dtypes import promoted, to_dtype
from oplibrary.values.types import Shape, is_known, normalize_axes, normalize_axis, number_kind


def offered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enter `function` into the main namespaces, with what Python raises inside as errors of ours.

    The functions here check what is likely to be wrong; anything else is of a kind that they
    cannot use. What is True or False by default must be a truth value.
    """
    flags = _flags(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for place, name in flags:
            if name in kwargs:
                require_flag(kwargs[name], name)
            elif place < len(args):
                require_flag(args[place], name)
        try:
            return function(*args, **kwargs)
        except SideBySideError:
            raise
        except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
            raise explain_call(function.__name__, function, error) from error

    return public(call)


def _flags(function: Any) -> list[tuple[int, str]]:
    """Return place and name of the parameters that are True or False by default."""
    function = inspect.unwrap(function)
    names = function.__code__.co_varnames  # quicker than a signature, when the library is imported
    defaults = function.__defaults__ or ()
    first = function.__code__.co_argcount - len(defaults)
    found = [
        (place, names[place]) for place, x in enumerate(defaults, first) if isinstance(x, bool)
    ]
    named = (function.__kwdefaults__ or {}).items()
    return found + [(len(names), name) for name, default in named if isinstance(default, bool)]


def as_array(x: Any) -> Any:
    """Return an operand that may be a number or a list; those have the dtype that NumPy gives."""
    if number_kind(x) is not None:
        return number_array(x)
    if hasattr(x, "shape"):
        return x
    return stack_nested(x) if holds_values(x) else to_numbers(x, None, "operand")


def together(*operands: Any) -> list[Any]:
    """Return operands as arrays, in which Python numbers take the dtype of what they meet."""
    if all(number_kind(x) is not None for x in operands):
        return [as_array(x) for x in operands]
    found = [as_array(x) if number_kind(x) is None else x for x in operands]
    dtype = dtype_of_all(found)
    return [x if number_kind(x) is None else number_array(x, dtype) for x in found]


def dtype_of_all(operands: Iterable[Any]) -> np.dtype[Any]:
    """Return the dtype that arrays and numbers have together."""
    return promoted(*map(_dtype_or_number, operands))


def _dtype_or_number(x: Any) -> Any:
    kind = number_kind(x)
    if kind is None:
        return np.empty(0, x.dtype)
    return x if kind is type(x) else kind()


def as_dtype(x: Any, dtype: Any) -> Any:
    """Return `x` as `dtype`: itself where it has it."""
    return x if x.dtype == dtype else cast(x, dtype=to_dtype(dtype))


def dtype_in_numpy(function: Callable[..., Any], *operands: Any) -> np.dtype[Any]:
    """Return the dtype of what `function`, one of NumPy's, gives for arrays like the operands."""
    with np.errstate(all="ignore"):
        samples = [_sample(x) for x in operands]
        return np.asarray(function(*samples)).dtype


def _sample(x: Any) -> Any:
    if not hasattr(x, "dtype"):
        return x
    kind = number_kind(x)
    return np.ones(2, x.dtype) if kind is None else kind(1)


def known(x: Any) -> Any:
    """Return `x` as plain numbers, or None where it is a value of an executor."""
    return None if holds_values(x) else np.asarray(x)


def at_hand(x: Any) -> Any:
    """Return `x` as plain numbers, those of a dynamic value, too, or None where there are none."""
    return x._memory() if is_value(x) else known(x)


def is_value(x: Any) -> bool:
    """Tell whether `x` is a value of an executor, such as a tensor."""
    return type(x) in EXECUTORS


def shape_from_values(function: str, what: str, fix: str) -> DataDependentShapeError:
    """Return the error of a result whose shape the values of a graph would choose."""
    return DataDependentShapeError(f"{function}: {what} depends on the data", fix=fix)


def require_known(function: str, *lengths: Any) -> None:
    """Refuse a length that each run chooses, where positions are worked out beforehand.

    Raises
    ------
    SymbolicValueError
    """
    for n in lengths:
        if type(n) is not int or not is_known(n):
            raise SymbolicValueError(
                f"{function}: a length of the array, {n}, is not known yet",
                cause="which elements are read or written is worked out when the graph is declared",
                fix="declare the array with fixed lengths, or let sg.function trace each length",
            )


def flat(x: Any) -> Any:
    """Return the elements of an array in one line, in row-major order."""
    x = as_array(x)
    return x if len(x.shape) == 1 else reshape(x, shape=(-1,))


def along(x: Any, axis: int, index: slice | int | None) -> Any:
    """Return ``x[..., index, ...]`` with `index` at `axis`."""
    return x[(*(slice(None),) * normalize_axis(axis, len(x.shape)), index)]


def in_line(x: Any, axis: Any) -> tuple[Any, Shape]:
    """Return `x` with the axes that are reduced as one at the end, and the shape of ``keepdims``.

    Parameters
    ----------
    x : array
    axis : int, tuple of int or None
        None stands for all.
    """
    shape = tuple(x.shape)
    axes = normalize_axes(axis, len(shape))
    kept = [each for each in range(len(shape)) if each not in axes]
    if shape and axes != (len(shape) - 1,):
        order = (*kept, *sorted(axes))
        if order != tuple(range(len(shape))):
            x = permute_dims(x, axes=order)
    if len(axes) != 1:
        length = 1
        for each in axes:
            length *= shape[each]
        x = reshape(x, shape=(*(shape[each] for each in kept), length))
    return x, reduced_shape(shape, axis, True)


def keeping(result: Any, shape: Shape, keepdims: Any) -> Any:
    """Return the result of a reduction, of `shape` where its axes are kept."""
    return reshape(result, shape=shape) if keepdims else result
