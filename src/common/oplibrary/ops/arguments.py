"""Checks of the arguments that many ops take: ints, shapes, and operands of compositions."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from oplibrary.messages.errors import (
    ArgumentError,
    DTypeError,
    OutOfMemoryError,
    SideBySideError,
    SymbolicValueError,
)
from oplibrary.values.dtypes import is_bfloat16
from oplibrary.values.types import Shape, TensorType, is_known, number_kind, type_of

Axis = int | tuple[int, ...] | None


def normalize_ints(value: Any, name: str) -> tuple[int, ...]:
    """Return `value`, an int or a sequence of ints, as a tuple.

    Raises
    ------
    ArgumentError
        If it is neither.
    """
    try:
        if hasattr(value, "__index__") and getattr(value, "ndim", 0) == 0:
            return (_whole(value),)
        if isinstance(value, (Set, Mapping)):
            raise TypeError("it has no order")
        return tuple(map(_whole, value))
    except SideBySideError:  # a static value says better itself why it is no number
        raise
    except TypeError:
        raise ArgumentError(
            f"{name} must be an int or a tuple of ints, not {value!r}",
            cause=f"{name} counts or names axes, so it is made of whole numbers",
            fix="convert first, for example with int() or //, and pass "
            + (f"{name}=(2, 3)" if name.isidentifier() else "ints, such as (2, 3)"),
        ) from None


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("a truth value counts nothing")
    return operator.index(value)


def require_int(value: Any, name: str) -> int:
    """Return `value`, which must be an int already.

    Raises
    ------
    ArgumentError
        If it is not. An array of one number is refused too: attributes are constants.
    """
    if isinstance(value, (int, np.integer)):
        return int(value)
    if hasattr(value, "__index__"):
        operator.index(value)  # a static value says better itself why it is no number
    raise ArgumentError(
        f"{name} must be an int, not {value!r}",
        cause="it counts or names positions, and is a constant of the operation",
        fix="convert it with int()",
    )


MOST_STEPS = 1 << 20
"""What a number that counts ops or arrays, which are made one by one, may be at most."""


def require_steps(value: Any, name: str) -> int:
    """Return `value`, an int that says how many ops or arrays are made.

    Raises
    ------
    ArgumentError
        If it is no int.
    SymbolicValueError
        If it is a length that only a run will know.
    OutOfMemoryError
        If there would be more than `MOST_STEPS`.
    """
    count = require_int(value, name)
    if not is_known(count):
        raise SymbolicValueError(
            f"{name} is not known yet",
            cause="each is an array of its own, and one program is declared for all lengths",
            fix="go along the axis with scan or map, or write the number",
        )
    if count > MOST_STEPS:
        raise OutOfMemoryError(
            f"{name} is {count}",
            cause=f"each is an array of its own, of which {MOST_STEPS} can be made at most",
        )
    return count


def is_real_number(value: Any) -> bool:
    """Tell whether `value` is a real number, of Python's or of any dtype."""
    if isinstance(value, (int, float, np.integer, np.floating)):
        return True
    return isinstance(value, np.generic) and is_bfloat16(value.dtype)


def require_number(value: Any, name: str) -> None:
    """Refuse `value` where it is no real number.

    Raises
    ------
    ArgumentError
    """
    if not is_real_number(value):
        raise ArgumentError(
            f"{name} must be a number, not {value!r}",
            cause="it is a constant of the operation",
            fix=f"pass a float, such as {name}=0.5",
        )


def is_flag(value: Any) -> bool:
    """Tell whether `value` is a truth value: a bool, or a whole number that NumPy takes for one."""
    return isinstance(value, (int, np.integer, np.bool_)) and abs(int(value)) < 2**31


def require_flag(value: Any, name: str) -> bool:
    """Return `value`, which must be a truth value.

    Raises
    ------
    ArgumentError
        If it is not. An array of one truth value is refused too: attributes are constants.
    """
    if is_flag(value):
        return bool(value)
    raise ArgumentError(
        f"{name} must be a bool, not {value!r}",
        cause="it chooses what is computed, and is a constant of the operation",
        fix=f"pass {name}=True, or leave it out",
    )


def require_device(device: Any) -> None:
    """Refuse a `device` other than the memory of the processor; None stands for it.

    Raises
    ------
    ArgumentError
    """
    if device is not None and not (isinstance(device, str) and device == "cpu"):
        raise ArgumentError(
            f"there is no device {device!r}",
            cause="arrays live in the memory of the processor",
            fix='pass device="cpu", or leave it out',
        )


def normalize_shape(shape: Any, name: str = "shape") -> Shape:
    """Return `shape`, an int or a sequence of ints, as a tuple of lengths.

    Raises
    ------
    ArgumentError
        If it is neither, or a length is negative.
    """
    lengths = normalize_ints(shape, name)
    if any(n < 0 for n in lengths):
        raise ArgumentError(
            f"{name} {lengths} has a negative length",
            cause="an axis has zero elements or more",
            fix="check the arithmetic that made it; only reshape accepts -1",
        )
    return lengths


def operand_type(function: str, x: Any) -> TensorType:
    """Return the type of `x`, an operand of the composition `function`.

    A number has the type that it takes when it meets no array.

    Raises
    ------
    DTypeError
        If `x` is not an array.
    """
    kind = number_kind(x)
    try:
        return type_of(x if kind is None else kind())
    except (AttributeError, TypeError):
        raise DTypeError(
            f"{function}: the operand is a {type(x).__name__}, not an array",
            cause="operands are arrays or Python numbers",
            fix="convert it first, for example with asarray",
        ) from None
