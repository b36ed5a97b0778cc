"""Arrays out of data: numbers, nested sequences of them, arrays of any library."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, DTypeError, SideBySideError, out_of_memory
from oplibrary.values.dtypes import PLAIN_NUMBERS, is_bfloat16, is_numeric, to_dtype
from oplibrary.values.tree import refuse_depth
from oplibrary.values.types import DEFAULT_DTYPE, Array

if TYPE_CHECKING:
    import numpy.typing as npt


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
    if dtype is not None:
        dtype = _known_dtype(dtype)
    try:
        array = np.asarray(_readable(data), dtype=dtype)
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
    if array.dtype.kind not in PLAIN_NUMBERS and not is_numeric(array.dtype):
        raise DTypeError(
            f"no {becomes} can be made of a {type(data).__name__} of dtype {array.dtype}",
            cause="elements must be numbers or booleans",
            fix="encode the data as numbers first",
        )
    return array


def require_numbers(values: Iterable[Any]) -> None:
    """Refuse arrays among `values` whose elements are no numbers, such as texts and dates.

    Raises
    ------
    DTypeError
    """
    for x in values:
        if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind not in PLAIN_NUMBERS:
            to_numbers(x, None, "operand")


def _known_dtype(dtype: npt.DTypeLike) -> npt.DTypeLike:
    try:
        return to_dtype(dtype)
    except TypeError:  # refused below, with the data
        return dtype


def _readable(data: Any) -> Any:
    """Return `data` itself, or an array of an array of another library that NumPy cannot read."""
    if isinstance(data, (np.ndarray, list, tuple)) or not hasattr(data, "__dlpack__"):
        return data
    return array_from_dlpack(data, None, None) if _has_bfloat16(data) else data


def _has_bfloat16(data: Any) -> bool:
    return "bfloat16" in str(getattr(data, "dtype", ""))


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
        if _has_bfloat16(source):
            return _bfloat16_from_dlpack(source, device, copy)
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


# DLPack of bfloat16, which NumPy does not know: the code of the dtype is exchanged ---------------

_UNSIGNED, _BRAIN = 1, 4
"""The codes of whole numbers without a sign and of bfloat16, in DLPack's ``DLDataType``."""
_CODE_AT = {b"dltensor": 20, b"dltensor_versioned": 52}
"""Where the code stands behind what a capsule of each name points to (``dlpack.h``)."""


def to_dlpack(array: Array, **asked: Any) -> Any:
    """Return ``array.__dlpack__(**asked)``, for bfloat16, too."""
    if not is_bfloat16(array.dtype):
        return array.__dlpack__(**asked)
    capsule = array.view(np.uint16).__dlpack__(**asked)
    _exchange_code(capsule, _BRAIN)
    return capsule


def _bfloat16_from_dlpack(source: Any, device: str | None, copy: bool | None) -> Array:
    if isinstance(source, np.ndarray):
        return source.copy() if copy else source
    asked = {} if copy is None else {"copy": copy}
    array = np.from_dlpack(_Capsule(source.__dlpack__(**asked), source), device=device)  # type: ignore[arg-type]
    return array.view(to_dtype("bfloat16"))


class _Capsule:
    """Hand a capsule of bfloat16 to NumPy as one of uint16."""

    def __init__(self, capsule: Any, source: Any) -> None:
        _exchange_code(capsule, _UNSIGNED)
        self._capsule, self._source = capsule, source

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> Any:
        return self._source.__dlpack_device__()


def _exchange_code(capsule: Any, code: int) -> None:
    """Write another code of 16-bit elements into a capsule."""
    import ctypes

    pointer, is_named = ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_IsValid
    pointer.restype = ctypes.c_void_p
    pointer.argtypes = is_named.argtypes = (ctypes.py_object, ctypes.c_char_p)
    for name, offset in _CODE_AT.items():
        if is_named(capsule, name):
            dtype = (ctypes.c_uint8 * 2).from_address(pointer(capsule, name) + offset)
            if dtype[0] in (_UNSIGNED, _BRAIN) and dtype[1] == 16:
                dtype[0] = code
                return
    raise BufferError("the capsule is not one of 16-bit elements")


def masked_elements(data: Any) -> int:
    """Return how many elements of an array, or of nested sequences of arrays, are masked."""
    masked = vars(np).get("ma")  # once it is imported, whoever puts sys.modules back to what it was
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
