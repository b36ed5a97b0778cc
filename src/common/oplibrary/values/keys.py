"""Keys that tell values apart exactly, where Python's own equality does not."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_pack_float = struct.Struct("=d").pack
_pack_complex = struct.Struct("=dd").pack


def exact_key(value: Any) -> Any:
    """Return what equals the key of another value only where both are of one type and one content.

    0, 0.0, -0.0 and False are told apart, NaN equals itself, and so it is inside containers, slices
    and mappings. The key can be hashed where everything in `value` can, or is a container that is
    taken apart.

    Examples
    --------
    >>> exact_key((0.0, 1)) == exact_key((-0.0, 1))
    False
    >>> exact_key({"axis": 1}) == exact_key({"axis": True})
    False
    >>> exact_key(float("nan")) == exact_key(float("nan"))
    True
    """
    kind = type(value)
    if kind is int or kind is str or value is None:
        return value
    if kind is float:
        return kind, _pack_float(value)
    if kind is bool:
        return kind, value
    if kind is tuple:
        return kind, *[exact_key(each) for each in value]
    if kind is dict or isinstance(value, Mapping):
        return kind, *[(exact_key(name), exact_key(each)) for name, each in value.items()]
    if kind is slice or kind is range:
        return kind, exact_key(value.start), exact_key(value.stop), exact_key(value.step)
    if isinstance(value, (tuple, list)):
        return kind, *map(exact_key, value)
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(exact_key, value))
    if isinstance(value, np.generic):  # np.float64 is a Python float, too
        return kind, value.dtype.str, value.tobytes()
    if isinstance(value, complex):
        return kind, _pack_complex(value.real, value.imag)
    return kind, _pack_float(value) if isinstance(value, float) else value
