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

PLAIN_NUMBERS = "biufc"
"""Kinds of NumPy's own numbers and booleans: all that elements may be but bfloat16."""
_BFLOAT16 = "E"

bfloat16_met = [False]
"""Whether elements of bfloat16 have come in: until then nothing looks for them in a hot path.

Loading ml_dtypes says nothing: JAX does that, too. What makes a value of an array, or of a dtype
that a user names, asks `is_bfloat16`, which notes it here.
"""


def is_bfloat16(dtype: DType) -> bool:
    """Tell whether a dtype is bfloat16."""
    if dtype.char == _BFLOAT16:
        bfloat16_met[0] = True
        return True
    return False


def is_half(dtype: DType) -> bool:
    """Tell whether a dtype is float16 or bfloat16."""
    return dtype.char in HALF


def is_numeric(dtype: DType) -> bool:
    """Tell whether a dtype is one that elements may have: numbers and booleans."""
    return dtype.kind in PLAIN_NUMBERS or is_bfloat16(dtype)


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
    if isinstance(value, np.dtype):
        return value
    if hasattr(value, "dtype") and not isinstance(value, type):
        raise TypeError("an array is not a dtype")  # NumPy would take that of some
    try:
        found: DType = np.dtype(value)
    except TypeError:
        if isinstance(value, str) and value == "bfloat16":
            found = bfloat16()
        else:
            raise
    if found.kind == "V":
        is_bfloat16(found)  # notes it
    return found


def promoted(*values: Any) -> DType:
    """Return what ``numpy.result_type`` says of arrays, dtypes and Python's numbers.

    Beside other dtypes bfloat16 acts as float16 does; the two make float32, as in PyTorch and JAX.

    Examples
    --------
    >>> half, brain = to_dtype("float16"), to_dtype("bfloat16")
    >>> promoted(brain, 2.0), promoted(brain, half), promoted(brain, np.dtype("int32"))
    (dtype(bfloat16), dtype('float32'), dtype('float64'))
    """
    for value in values:
        if getattr(getattr(value, "dtype", value), "char", "") == _BFLOAT16:
            break
    else:
        return np.result_type(*values)
    # a class of scalars is a dtype, too, and has a ``dtype`` that is not one
    dtypes = [
        np.dtype(value) if isinstance(value, type) else getattr(value, "dtype", value)
        for value in values
    ]
    plain = [each for each in dtypes if getattr(each, "char", "") != _BFLOAT16]
    half = any(isinstance(each, np.dtype) and each == FLOAT16 for each in plain)
    result = np.result_type(FLOAT32 if half else FLOAT16, *plain)
    return bfloat16() if result == FLOAT16 else result


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
