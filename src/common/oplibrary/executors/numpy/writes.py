"""NumPy's functions that write into their array: ``np.put``, ``np.copyto`` and their kin."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.registry import REGISTRY
from oplibrary.executors.numpy.adapters import flat, ours
from oplibrary.executors.numpy.protocols import unsupported
from oplibrary.executors.numpy.values import fitting, is_value, put_into
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.numerical.operands import as_array, as_dtype, require_known
from oplibrary.ops.gather import index_along
from oplibrary.ops.indexing import set_item
from oplibrary.ops.numbers import number_array
from oplibrary.values.dtypes import REAL_FLOATING, promoted
from oplibrary.values.types import normalize_axis, number_kind


def _target(function: str, x: Any) -> Any:
    if not is_value(x):
        raise unsupported(f"numpy.{function} into a plain array")
    if function != "copyto":
        require_known(f"numpy.{function}", *x.shape)
    return x


def _cycled(values: Any, places: Any) -> Any:
    """Return the values at places that go round them."""
    line = flat(as_array(values))
    count = line.shape[0]
    return REGISTRY["take"](line, places % count, axis=0) if count != 1 else line


def _overwrite(x: Any, line: Any) -> None:
    x.copy_(ours("reshape")(line, tuple(x.shape)))


def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Overwrite the elements at places of the one line of an array."""
    x, places = _target("put", a), flat(as_array(ind))
    if places.dtype.kind in REAL_FLOATING and not places.shape[0]:
        return
    if mode == "wrap":
        places = ours("remainder")(places, x.size)
    elif mode == "clip":
        places = ours("clip")(places, 0, x.size - 1)
    values = as_dtype(_cycled(v, np.arange(places.shape[0])), x.dtype)
    _overwrite(x, set_item(flat(x), places, values))


def place(arr: Any, mask: Any, vals: Any) -> None:
    """Overwrite the elements where a mask is true with values in turn."""
    x, truth = _target("place", arr), flat(as_array(mask))
    if truth.shape[0] != x.size:
        raise ShapeError(
            f"numpy.place: a mask of {truth.shape[0]} elements for {x.size}",
            cause="each element has a truth value",
            fix="give the mask the shape of the array",
        )
    truth = truth if truth.dtype == np.bool_ else ours("not_equal")(truth, 0)
    turn = ours("cumsum")(as_dtype(truth, np.dtype(np.int64)), axis=0) - 1
    line = flat(as_array(vals))
    if not line.shape[0]:
        raise ArgumentError(
            "numpy.place: no values", cause="there is nothing to put", fix="pass one or more"
        )
    chosen = REGISTRY["take"](line, ours("remainder")(turn, line.shape[0]), axis=0)
    _overwrite(x, ours("where")(truth, as_dtype(chosen, x.dtype), flat(x)))


def putmask(a: Any, mask: Any, values: Any) -> None:
    """Overwrite the elements where a mask is true with the values at their places."""
    x, truth = _target("putmask", a), flat(as_array(mask))
    if truth.shape[0] != x.size:
        raise ShapeError(
            f"numpy.putmask: a mask of {truth.shape[0]} elements for {x.size}",
            cause="each element has a truth value",
            fix="give the mask the shape of the array",
        )
    chosen = fitting(_cycled(values, np.arange(x.size)), x.dtype, "numpy.putmask")
    truth = truth if truth.dtype == np.bool_ else ours("not_equal")(truth, 0)
    _overwrite(x, ours("where")(truth, chosen, flat(x)))


def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """Overwrite an array with another, where a mask is true."""
    source = as_array(src)
    kind = number_kind(src)
    if kind is not None:
        source = number_array(src, promoted(dst.dtype, kind()))
    put_into(_target("copyto", dst), source, "numpy.copyto", casting, where)


def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Overwrite the elements whose indices are all the same."""
    x = _target("fill_diagonal", a)
    ndim = len(x.shape)
    if ndim < 2 or (ndim > 2 and len(set(x.shape)) > 1):
        raise ShapeError(
            f"numpy.fill_diagonal of an array of shape {tuple(x.shape)}",
            cause="the diagonal goes through a matrix, or axes of one length",
            fix="reshape it to a matrix first",
        )
    sample = np.zeros(tuple(x.shape), bool)
    np.fill_diagonal(sample, True, wrap=wrap)
    places = np.flatnonzero(sample)
    values = as_dtype(_cycled(val, np.arange(places.size)), x.dtype)
    _overwrite(x, set_item(flat(x), places, values))


def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    """Overwrite one element an index along an axis."""
    x = _target("put_along_axis", arr)
    if axis is None:
        _overwrite(x, set_item(flat(x), as_array(indices), as_dtype(as_array(values), x.dtype)))
        return
    at = normalize_axis(axis, len(x.shape))
    key = index_along(tuple(x.shape), as_array(indices), at)
    x.copy_(set_item(x, key, as_dtype(as_array(values), x.dtype)))
