"""Questions about dtypes, under the names of the array API standard."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.ops.arguments import operand_type
from oplibrary.values.dtypes import FLOAT16, castable, is_bfloat16, promoted, to_dtype
from oplibrary.values.types import number_kind


def _dtype(value: Any) -> np.dtype[Any]:
    # a dtype has a shape, too, that of the elements, and so has NumPy's class of its scalars
    is_array = hasattr(value, "shape") and not isinstance(value, (np.dtype, type))
    given = value.dtype if is_array else value
    try:
        return to_dtype(given)
    except TypeError:
        raise DTypeError(
            f"{value!r} is no dtype",
            cause="a dtype, or an array that has one, is asked for",
            fix='pass for example "float32" or x.dtype',
        ) from None


def _dtype_or_number(value: Any, kind: type | None) -> Any:
    if kind is None:
        return _dtype(value)
    return value if kind is type(value) else kind()


@public
def result_type(*values: Any) -> np.dtype[Any]:
    """Return the dtype that an operation on these arrays, numbers or dtypes has.

    Examples
    --------
    >>> result_type("int8", "float32"), result_type("float32", 2.0)
    (dtype('float32'), dtype('float32'))
    """
    if not values:
        raise ArgumentError(
            "result_type of nothing",
            cause="promotion needs a dtype to begin with",
            fix="pass an array, a number or a dtype",
        )
    kinds = [number_kind(value) for value in values]
    if None not in kinds:
        return promoted(*(operand_type("result_type", value).dtype for value in values))
    return promoted(*map(_dtype_or_number, values, kinds))


@public
def can_cast(source: Any, to: Any) -> bool:
    """Tell whether an array or a dtype converts to another without losing anything.

    Examples
    --------
    >>> can_cast("int32", "float64"), can_cast("float64", "float32")
    (True, False)
    """
    return castable(_dtype(source), to_dtype(to))


@public
def isdtype(dtype: Any, kind: Any) -> bool:
    """Tell whether a dtype is of a kind, such as ``"real floating"``, or another dtype.

    Examples
    --------
    >>> isdtype("float32", "real floating"), isdtype("int8", ("bool", "integral"))
    (True, True)
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    found = _dtype(dtype)
    try:
        if is_bfloat16(found):  # NumPy knows no kind of it
            named = [each for each in kinds if isinstance(each, str)]
            return any(np.isdtype(FLOAT16, each) for each in named) or any(
                found == each for each in kinds if not isinstance(each, str)
            )
        return bool(np.isdtype(found, kinds))
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"isdtype: {error}",
            cause="the kinds are those of the array API standard",
            fix='pass for example "numeric", "real floating", "integral", "bool" or a dtype',
        ) from None


class FloatLimits(NamedTuple):
    """The limits of a floating-point dtype, as Python's numbers.

    Attributes
    ----------
    bits : int
        Bits of one number; of one part of a complex one.
    eps : float
        The distance from 1 to the next larger number.
    max, min : float
        The greatest number and the least, which is negative.
    smallest_normal : float
        The least positive number of full precision.
    dtype : dtype
        That of the real numbers.
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype[Any]

    @property
    def tiny(self) -> float:
        """The smallest normal number, as NumPy and PyTorch call it."""
        return self.smallest_normal


class IntegerLimits(NamedTuple):
    """The limits of an integer dtype: its bits, the greatest and the least number."""

    bits: int
    max: int
    min: int
    dtype: np.dtype[Any]


@public
def finfo(dtype: Any) -> FloatLimits:
    """Return the limits of a floating-point dtype, or of an array's.

    Examples
    --------
    >>> finfo("float32").eps
    1.1920928955078125e-07
    """
    of = _limits(np.finfo, dtype)
    eps, greatest, least, normal = map(float, (of.eps, of.max, of.min, of.smallest_normal))
    return FloatLimits(int(of.bits), eps, greatest, least, normal, np.dtype(of.dtype))


@public
def iinfo(dtype: Any) -> IntegerLimits:
    """Return the limits of an integer dtype, or of an array's.

    Examples
    --------
    >>> iinfo("int8").max
    127
    """
    of = _limits(np.iinfo, dtype)
    return IntegerLimits(of.bits, of.max, of.min, np.dtype(of.dtype))


def _limits(question: Any, dtype: Any) -> Any:
    found = _dtype(dtype)
    try:
        if question is np.finfo and is_bfloat16(found):
            import ml_dtypes

            return ml_dtypes.finfo(found)  # type: ignore[no-untyped-call]
        return question(found)
    except ValueError as error:
        raise DTypeError(
            f"{question.__name__}: {error}",
            cause=f"{_dtype(dtype)} is of another kind",
            fix="use finfo for floating-point dtypes and iinfo for integers",
        ) from None
