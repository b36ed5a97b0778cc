"""Dtypes of elements: NumPy's numbers, and bfloat16, which NumPy learns from ml_dtypes.

NumPy counts bfloat16 among the dtypes of kind ``"V"`` and promotes it in ways of its own. What asks
for the kind of a dtype asks with the sets below, and what promotes calls `promoted`, so that both
half floats behave alike. The first use of bfloat16 loads ml_dtypes, and nothing before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

DType = np.dtype[Any]

REAL_FLOATING = "fV"
"""Kinds of real floating-point dtypes. No dtype of kind ``"V"`` but bfloat16 becomes elements."""
FLOATING = "fVc"
"""Kinds of the dtypes that gradients have."""
REAL = "biufV"
"""Kinds of real numbers and booleans."""
REAL_NUMBERS = "iufV"
"""The same without booleans."""
BREADTH = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}
"""Kinds by rank: numbers of one are numbers of those of a higher rank, too."""
HALF = "eE"
"""The characters of float16 and bfloat16, which are summed and multiplied in float32."""

FLOAT16, FLOAT32 = np.dtype(np.float16), np.dtype(np.float32)

_NUMBERS = "biufc"
_BFLOAT16 = "E"


def is_bfloat16(dtype: DType) -> bool:
    """Tell whether a dtype is bfloat16."""
    return dtype.char in _BFLOAT16


def is_half(dtype: DType) -> bool:
    """Tell whether a dtype is float16 or bfloat16."""
    return dtype.char in HALF


def is_numeric(dtype: DType) -> bool:
    """Tell whether a dtype is one that elements may have: numbers and booleans."""
    return dtype.kind in _NUMBERS or is_bfloat16(dtype)


def bfloat16() -> DType:
    """Return the dtype bfloat16."""
    import ml_dtypes

    found: DType = np.dtype(ml_dtypes.bfloat16)
    return found


def to_dtype(value: Any) -> DType:
    """Return what ``numpy.dtype(value)`` is, where ``"bfloat16"`` is known from the beginning.

    Raises
    ------
    TypeError
        If it names no dtype.

    Examples
    --------
    >>> to_dtype("bfloat16"), to_dtype(np.float32)
    (dtype(bfloat16), dtype('float32'))
    """
    try:
        found: DType = np.dtype(value)
        return found
    except TypeError:
        if isinstance(value, str) and value == "bfloat16":
            return bfloat16()
        raise


def promoted(*values: Any) -> DType:
    """Return what ``numpy.result_type`` says of arrays, dtypes and Python's numbers.

    Beside other dtypes bfloat16 acts as float16 does; the two make float32, as in PyTorch and JAX.

    Examples
    --------
    >>> half, brain = to_dtype("float16"), to_dtype("bfloat16")
    >>> promoted(brain, 2.0), promoted(brain, half), promoted(brain, np.dtype("int32"))
    (dtype(bfloat16), dtype('float32'), dtype('float64'))
    """
    brain, half, plain = None, False, []
    for value in values:
        if isinstance(value, type):  # a class of NumPy's scalars is a dtype, too
            value = np.dtype(value)
        dtype = value if isinstance(value, np.dtype) else getattr(value, "dtype", None)
        if dtype is None:
            plain.append(value)
        elif is_bfloat16(dtype):
            brain = dtype
        else:
            half = half or dtype == FLOAT16
            plain.append(dtype)
    if brain is None:
        return np.result_type(*values)
    result = np.result_type(FLOAT32 if half else FLOAT16, *plain)
    return brain if result == FLOAT16 else result


def castable(source: DType, target: DType, casting: Any = "safe") -> bool:
    """Tell whether ``numpy.can_cast`` allows it; bfloat16 has the place of float16."""
    if not (is_bfloat16(source) or is_bfloat16(target)):
        return bool(np.can_cast(source, target, casting))
    if source == target or casting == "unsafe":
        return True
    if {source, target} <= {FLOAT16, bfloat16()}:
        return bool(casting == "same_kind")
    plain = [FLOAT16 if is_bfloat16(each) else each for each in (source, target)]
    return bool(np.can_cast(plain[0], plain[1], casting))


def promoted_by(ufunc: np.ufunc, *dtypes: DType) -> DType:
    """Return the dtype of a universal function's result, as ``ufunc.resolve_dtypes`` says it.

    Raises
    ------
    TypeError
        If it is not defined for these dtypes.
    """
    if not any(map(is_bfloat16, dtypes)):
        return ufunc.resolve_dtypes((*dtypes, None))[-1]
    stand_in = FLOAT32 if FLOAT16 in dtypes else FLOAT16
    plain = [stand_in if is_bfloat16(each) else each for each in dtypes]
    result = ufunc.resolve_dtypes((*plain, None))[-1]
    return bfloat16() if result == FLOAT16 else result
