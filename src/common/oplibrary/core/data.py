"""Arrays out of data: numbers, nested sequences of them, arrays of any library."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from oplibrary.core.dtypes import is_numeric
from oplibrary.core.tree import refuse_depth
from oplibrary.core.types import DEFAULT_DTYPE, Array
from oplibrary.messages.errors import ArgumentError, DTypeError, SideBySideError, out_of_memory


def to_numbers(data: Any, dtype: npt.DTypeLike | None, becomes: str) -> Array:
    """Return `data` as an array of numbers or booleans.

    Parameters
    ----------
    data : array_like
    dtype : dtype, optional
    becomes : str
        What it is to be, for an error: ``"tensor"``.

    Raises
    ------
    DTypeError
        If it is not made of them, not rectangular, or has elements that are masked.
    """
    hidden = masked_elements(data)
    if hidden:
        raise DTypeError(
            f"no {becomes} can be made of this {type(data).__name__}: "
            f"{hidden} of its elements are masked",
            cause="a mask has no counterpart here, and what is under it would count",
            fix="pass x.filled(value), and the mask as an array of its own",
        )
    try:
        array = np.asarray(data, dtype=dtype)
    except SideBySideError:  # a value of an executor says best itself that it is no array
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise DTypeError(
            f"no {becomes} can be made of this {type(data).__name__}: {error}",
            cause="the data must be numbers in a rectangular arrangement",
            fix="pad the rows to one length, or convert the elements to numbers",
        ) from None
    except MemoryError as error:
        raise out_of_memory(error, becomes) from None
    if not is_numeric(array.dtype):
        raise DTypeError(
            f"no {becomes} can be made of a {type(data).__name__} of dtype {array.dtype}",
            cause="elements must be numbers or booleans",
            fix="encode the data as numbers first",
        )
    return array


def copy_of(array: Array, what: str, dtype: npt.DTypeLike | None = None) -> Array:
    """Return a row-major copy of an array.

    Raises
    ------
    OutOfMemoryError
        Naming `what`, if there is no memory for it.
    """
    try:
        return np.array(array, dtype, order="C")
    except MemoryError as error:
        raise out_of_memory(error, what) from None


def array_from_dlpack(source: Any, device: str | None, copy: bool | None) -> Array:
    """Return an array that shares memory with one of another library, or is a copy of it.

    Parameters
    ----------
    source : object with ``__dlpack__``
    device : str, optional
        ``"cpu"``, the only one.
    copy : bool, optional
        Whether the data is copied; by default only where it has to be.

    Raises
    ------
    ArgumentError
        If the array cannot be shared, because it lies elsewhere or has no ``__dlpack__``.
    """
    try:
        if device is None and copy is None:  # what every exporter knows
            return np.from_dlpack(source)
        return np.from_dlpack(source, device=device, copy=copy)  # type: ignore[arg-type]
    except SideBySideError:  # a value of an executor says best itself that it is no array
        raise
    except (AttributeError, TypeError, BufferError, RuntimeError, ValueError) as error:
        raise ArgumentError(
            f"from_dlpack: {error}",
            cause="an array in this computer's memory that speaks DLPack is asked for",
            fix="copy it to the CPU and detach it first, or use tensor(...)",
        ) from None


def masked_elements(data: Any) -> int:
    """Return how many elements of an array, or of nested sequences of arrays, are masked."""
    masked = sys.modules.get("numpy.ma")
    if masked is None:
        return 0
    try:
        return _masked_in(data, masked)
    except RecursionError:
        refuse_depth(data)
        raise


def _masked_in(data: Any, masked: Any) -> int:
    if isinstance(data, (list, tuple)):
        # looking at each kind of element once costs a long list of numbers nothing
        kinds = (list, tuple, masked.MaskedArray)
        if not any(issubclass(kind, kinds) for kind in set(map(type, data))):
            return 0
        return sum([_masked_in(each, masked) for each in data])
    if not isinstance(data, masked.MaskedArray):
        return 0
    return int(np.count_nonzero(masked.getmaskarray(data)))


def has_dtype(data: Any) -> bool:
    """Tell whether data has a dtype of its own: it is an array, or nested sequences of arrays."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return hasattr(data, "dtype")


def narrow_dtype(array: Array) -> np.dtype[Any]:
    """Return the dtype of what Python's numbers make: half the width of NumPy's for floats."""
    if array.dtype == np.float64:
        return DEFAULT_DTYPE
    if array.dtype == np.complex128:
        return np.dtype(np.complex64)
    return array.dtype
