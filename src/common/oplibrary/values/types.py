"""The type of an array value: its shape and dtype, and the rules that combine them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, AxisError, DTypeError, ShapeError
from oplibrary.values.dtypes import promoted, to_dtype

if TYPE_CHECKING:
    import numpy.typing as npt

Shape = tuple[int, ...]
Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]
DEFAULT_DTYPE = np.dtype(np.float32)
"""The dtype of a Python float that meets no array, as in PyTorch."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Describe an array without holding one.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy.dtype or anything ``numpy.dtype`` accepts

    Examples
    --------
    >>> TensorType((2, 3), "float32")
    float32[2,3]
    """

    shape: Shape
    dtype: np.dtype[Any]

    def __init__(self, shape: Iterable[int], dtype: npt.DTypeLike = DEFAULT_DTYPE) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))
        object.__setattr__(self, "dtype", to_dtype(dtype))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def nbytes(self) -> int:
        """Bytes that a dense array of this type occupies."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(_length_text, self.shape))}]"

    def __reduce__(self) -> Any:
        return type(self), (PICKLED_LENGTHS[0](self.shape), self.dtype)


def _length_text(n: int) -> str:
    return LENGTH_TEXTS[0](n)


LENGTH_TEXTS: list[Callable[[int], str]] = [str]
"""How a length is shown; an executor with lengths that are not known yet enters its own first."""


def is_known(n: int) -> bool:
    """Tell whether a length is a number, and not one that only a run will know."""
    return _length_text(n) == str(int(n))


PICKLED_LENGTHS: list[Callable[[Shape], tuple[Any, ...]]] = [tuple]
"""What stands for lengths in a pickle; an executor whose lengths mean something in one process
only enters its own first."""


_new = object.__new__
_set_shape = vars(TensorType)["shape"].__set__
_set_dtype = vars(TensorType)["dtype"].__set__


def type_of_array(array: Array) -> TensorType:
    """Return the type of an ndarray; its shape and dtype need no conversion, so this is quick."""
    result = _new(TensorType)
    _set_shape(result, array.shape)
    _set_dtype(result, array.dtype)
    return result


def type_of(value: Any) -> TensorType:
    """Return the type of an array, a Python scalar, or anything with shape and dtype.

    A Python scalar has the type it takes when it meets no array: bool, int64, float32 or complex64.
    """
    if isinstance(value, TensorType):
        return value
    if isinstance(value, np.generic):  # np.float64 is a Python float, too
        return TensorType((), value.dtype)
    if isinstance(value, bool):
        return TensorType((), np.bool_)
    if isinstance(value, int):
        return TensorType((), np.int64)
    if isinstance(value, float):
        return TensorType((), DEFAULT_DTYPE)
    if isinstance(value, complex):
        return TensorType((), np.complex64)
    return TensorType(value.shape, value.dtype)


def is_scalar(value: Any) -> bool:
    """Tell whether `value` is a weakly typed Python scalar (NEP 50)."""
    return type(value) in (float, int, bool, complex)


def is_int(value: Any) -> bool:
    """Tell whether `value` is a whole number, of Python's or NumPy's, and no truth value."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def plain_number(value: Any) -> Any:
    """Return a number of a subclass of Python's, such as an IntEnum, as the number that it is.

    Anything else is returned as it is.
    """
    if is_scalar(value) or isinstance(value, np.generic):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return complex(value) if isinstance(value, complex) else value


NUMBERS: dict[type, Callable[[Any], type | None]] = {}
"""For a value type, what tells as which Python number a value acts, or None; executors enter it."""


def number_kind(value: Any) -> type | None:
    """Return the type of a Python number, or of the one that `value` acts as; None for an array.

    What asks for Python numbers among the operands of a composition asks here, since a loop's
    counter is one in the dynamic executor and a value of the graph in the static one.
    """
    kind = type(value)
    if kind in (float, int, bool, complex):
        return kind
    acts = NUMBERS.get(kind)
    return None if acts is None else acts(value)


def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the shape that `shapes` broadcast to.

    Raises
    ------
    ShapeError
        If two lengths of one axis differ and neither is 1.
    """
    ndim = max(map(len, shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        for axis, n in enumerate(shape, ndim - len(shape)):
            if n != 1 and n != result[axis]:
                if result[axis] != 1:
                    listing = " and ".join(str(s) for s in shapes)
                    raise ShapeError(
                        f"shapes {listing} do not broadcast together",
                        cause=f"aligned from the right, axis {axis - ndim} has lengths "
                        f"{result[axis]} and {n}; they must be equal, or one of them 1",
                        fix="reshape, transpose or expand_dims one operand so that axes line up",
                    )
                result[axis] = n
    return tuple(result)


def resolve_scalar(value: Any, dtypes: Sequence[np.dtype[Any]]) -> Array:
    """Turn a weakly typed Python scalar into the 0-d array it acts as beside `dtypes` (NEP 50)."""
    if not dtypes:
        return np.asarray(value, dtype=type_of(value).dtype)
    return np.asarray(value, dtype=promoted(*dtypes, value))


def fit_scalar(value: Any, dtypes: Sequence[np.dtype[Any]]) -> Array:
    """Return what `resolve_scalar` does.

    Raises
    ------
    DTypeError
        If a Python int does not fit the dtype beside it.
    """
    try:
        return resolve_scalar(value, dtypes)
    except OverflowError as error:
        raise DTypeError(
            str(error),
            cause="a Python int takes the dtype of the array beside it, and does not fit",
            fix="convert the array to a wider dtype with astype first",
        ) from None


def normalize_axis(axis: int, ndim: int, name: str = "axis") -> int:
    """Return `axis` counted from the left.

    Raises
    ------
    AxisError
        If there is no such axis.
    """
    if not isinstance(axis, (int, np.integer)) or isinstance(axis, bool):
        raise ArgumentError(
            f"{name} must be an int, not {type(axis).__name__} {axis!r}",
            cause=f"{name} names one axis of an array",
            fix=f"pass an int, for example {name}=0",
        )
    if not -ndim <= axis < ndim:
        raise AxisError(
            f"{name} {axis} is out of range for {ndim} axes",
            cause=f"an array of {ndim} axes has axes {-ndim} to {ndim - 1}"
            if ndim
            else "a scalar has no axes",
            fix="choose one of those axes, or add one with expand_dims",
        )
    return int(axis) % ndim


def normalize_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Return `axis` as a sorted tuple counted from the left; None means every axis.

    Raises
    ------
    AxisError
        If an axis does not exist.
    ShapeError
        If one is named twice.
    """
    if axis is None:
        return tuple(range(ndim))
    listed = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(sorted(normalize_axis(a, ndim) for a in listed))
    if len(set(axes)) != len(axes):
        raise ShapeError(
            f"axis {axis} names an axis twice",
            cause="counted from the left the axes are " + ", ".join(map(str, axes)),
            fix="name each axis once",
        )
    return axes
