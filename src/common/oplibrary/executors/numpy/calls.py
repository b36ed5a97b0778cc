"""What NumPy's functions are called here, where they need more than other names."""

from __future__ import annotations

import inspect
import math
import sys
from typing import Any

import numpy as np

from oplibrary.executors.numpy.adapters import Call, averaged_in, flat, ours, summed_in
from oplibrary.executors.numpy.folds import NOT_GIVEN
from oplibrary.executors.numpy.protocols import require_choice, unsupported
from oplibrary.executors.numpy.values import put_into
from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.numerical.arrangement import cut
from oplibrary.numerical.counting import distinct
from oplibrary.numerical.operands import as_array, as_dtype, dtype_of_all, require_known
from oplibrary.ops.arguments import normalize_ints, require_int
from oplibrary.values.dtypes import FLOATING, REAL_FLOATING, castable, to_dtype
from oplibrary.values.types import normalize_axis, number_kind


def transpose(a: Any, axes: Any = None) -> Any:
    """Return the array with its axes in the order given, or reversed."""
    order = tuple(range(a.ndim))[::-1] if axes is None else tuple(axes)
    return ours("permute_dims")(a, axes=order)


def take(a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    """Return the elements at `indices`, of one line where there is no axis."""
    if isinstance(indices, (int, list, tuple)):
        indices = np.asarray(indices)
    if axis is None:
        a, axis = flat(a), 0
    if mode != "raise":
        length = a.shape[axis]
        if mode not in ("clip", "wrap"):
            raise ValueError(f"mode must be 'raise', 'wrap' or 'clip', not {mode!r}")
        clipped = mode == "clip"
        indices = (
            ours("clip")(indices, 0, length - 1) if clipped else ours("remainder")(indices, length)
        )
    return ours("take")(a, indices, axis=axis)


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Return equal parts, or parts cut at places."""
    return cut(ary, indices_or_sections, axis, equal=True)


def two_last(x: Any, axis1: int, axis2: int) -> Any:
    """Return `x` with two axes at its end."""
    first, second = (normalize_axis(axis, len(x.shape)) for axis in (axis1, axis2))
    return ours("moveaxis")(x, (first, second), (-2, -1))


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the diagonals in the plane of two axes."""
    return ours("diagonal")(two_last(a, axis1, axis2), offset=offset)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    """Return the sums of the diagonals in the plane of two axes."""
    _, summed = summed_in("sum", axis="axis")
    return summed(diagonal(a, offset, axis1, axis2), dtype, axis=-1)


def trace_of_last(x: Any, offset: int = 0, dtype: Any = None) -> Any:
    """Return the sums of the diagonals of matrices."""
    return trace(x, offset, -2, -1, dtype)


def clip(
    a: Any, a_min: Any = NOT_GIVEN, a_max: Any = NOT_GIVEN, min: Any = None, max: Any = None
) -> Any:
    """Return the elements within bounds, by either name of these."""
    low, high = a_min, a_max
    if low is NOT_GIVEN and high is NOT_GIVEN:
        low, high = min, max
    elif low is NOT_GIVEN or high is NOT_GIVEN:
        raise TypeError("a_min and a_max are given together, and one may be None")
    elif min is not None or max is not None:
        raise ValueError("the bounds are a_min and a_max, or min and max")
    if number_kind(a) is not None:  # an array to NumPy, of the dtype that it has with the bounds
        a = as_array(a)
        a = as_dtype(a, dtype_of_all([x for x in (a, low, high) if x is not None]))
    return ours("clip")(a, low, high)


def stack(arrays: Any, axis: int = 0, dtype: Any = None) -> Any:
    """Join arrays along a new axis; a number is one."""
    return ours("stack")(_converted("stack", [as_array(x) for x in arrays], dtype), axis=axis)


def concatenate(arrays: Any, axis: Any = 0, dtype: Any = None) -> Any:
    """Join arrays along an axis, where None flattens first."""
    return ours("concat")(_converted("concatenate", arrays, dtype), axis=axis)


def _converted(name: str, arrays: Any, dtype: Any) -> Any:
    """Return arrays as `dtype`, each for itself, as its own rule of casting lets it."""
    if dtype is None:
        return arrays
    found, wanted = [as_array(x) for x in arrays], to_dtype(dtype)
    for each in found:
        if not castable(each.dtype, wanted, "same_kind"):
            raise DTypeError(
                f"{name}: {each.dtype} as {wanted}",
                cause="NumPy joins numbers as others of their kind, or of one that holds them",
                fix="convert the array with astype first",
            )
    return [as_dtype(x, wanted) for x in found]


def where(condition: Any, x: Any = NOT_GIVEN, y: Any = NOT_GIVEN) -> Any:
    """Return elements of one array or the other, or where the condition is true."""
    if x is NOT_GIVEN and y is NOT_GIVEN:
        return ours("nonzero")(condition)
    if x is NOT_GIVEN or y is NOT_GIVEN:
        raise ValueError("either both or neither of x and y are given")
    condition = as_array(condition)
    if condition.dtype != np.bool_:
        condition = ours("not_equal")(condition, 0)
    if not any(hasattr(each, "shape") and number_kind(each) is None for each in (x, y)):
        x, y = as_array(x), as_array(y)
    return ours("where")(condition, x, y)


def pad(array: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = 0) -> Any:
    """Return the array with margins."""
    if isinstance(pad_width, dict) or np.ndim(constant_values):
        raise unsupported("numpy.pad with widths or values that are not the same for each axis")
    return ours("pad")(array, pad_width, value=constant_values, mode=mode)


def einsum(*operands: Any, optimize: Any = False) -> Any:
    """Return the sums of products that the subscripts say."""
    if not isinstance(operands[0], str):
        raise unsupported("numpy.einsum with subscripts that are lists")
    return ours("einsum")(*operands)


def outer(a: Any, b: Any) -> Any:
    """Return all products of an element of each."""
    return ours("outer")(flat(as_array(a)), flat(as_array(b)))


def dot(a: Any, b: Any) -> Any:
    """Return the product, of numbers, too."""
    return ours("dot")(as_array(a), as_array(b))


def meshgrid(*xi: Any, sparse: bool = False, indexing: str = "xy") -> Any:
    """Return the coordinates of a grid, or with `sparse` what broadcasts to them."""
    if not sparse:
        return ours("meshgrid")(*xi, indexing=indexing)
    lines = [flat(as_array(x)) for x in xi]
    order = [*range(len(lines))]
    if indexing == "xy" and len(lines) > 1:
        order[:2] = 1, 0
    elif indexing not in ("xy", "ij"):
        raise ValueError(f"indexing must be 'xy' or 'ij', not {indexing!r}")
    shapes = [[1] * len(lines) for _ in lines]
    for shape, axis in zip(shapes, order, strict=True):
        shape[axis] = -1
    return tuple([x.reshape(tuple(shape)) for x, shape in zip(lines, shapes, strict=True)])


def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """Return the cross products of vectors that lie along axes of their own."""
    if axis is not None:
        axisa = axisb = axisc = axis
    first, second = (ours("moveaxis")(as_array(x), at, -1) for x, at in ((a, axisa), (b, axisb)))
    return ours("moveaxis")(ours("cross")(first, second), -1, axisc)


def broadcast_arrays(*args: Any) -> Any:
    """Return the arrays in one shape."""
    return ours("broadcast_arrays")(*args)


def result_type(*arrays_and_dtypes: Any) -> Any:
    """Return the dtype that the operands share."""
    return ours("result_type")(*arrays_and_dtypes)


def size(a: Any, axis: Any = None) -> Any:
    """Return the number of elements, or of those along an axis."""
    return a.size if axis is None else a.shape[normalize_axis(axis, len(a.shape))]


def reversed_reshape(a: Any, shape: Any) -> Any:
    """Return the elements in another shape, the first index changing quickest in both."""
    lengths = normalize_ints(shape, "shape")
    return transpose(ours("reshape")(transpose(a), lengths[::-1]))


def reshape(a: Any, shape: Any, order: str = "C") -> Any:
    """Return the elements in another shape, in row-major or column-major order."""
    if order == "F":
        return reversed_reshape(a, shape)
    if order != "C":
        raise unsupported(f"numpy.reshape: argument 'order', {order!r},")
    return ours("reshape")(a, shape)


def ravel(a: Any, order: str = "C") -> Any:
    """Return the elements in one line, in row-major or column-major order."""
    if order not in ("C", "F"):
        raise unsupported(f"numpy.ravel: argument 'order', {order!r},")
    return ours("ravel")(transpose(a) if order == "F" else a)


def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    equal_nan: bool = True,
) -> Any:
    """Return the distinct elements in order, with where they stand and how often."""
    if not (return_index or return_inverse or return_counts):
        return distinct(ar) if equal_nan else ours("unique_values")(ar)
    found = ours("unique_all")(ar)
    if equal_nan and found.values.dtype.kind in FLOATING and (found.values != found.values).any():
        raise unsupported("numpy.unique of NaN with more than the values")
    flags = (True, return_index, return_inverse, return_counts)
    return tuple(part for part, wanted in zip(found, flags, strict=True) if wanted)


def angle(z: Any, deg: bool = False) -> Any:
    """Return the angles of complex numbers, in radians or degrees."""
    z = as_array(z)
    kind = np.angle(np.ones(1, z.dtype)).dtype
    found = as_dtype(ours("angle")(as_dtype(z, np.float64) if z.dtype.kind in "biu" else z), kind)
    return found * (180.0 / math.pi) if deg else found


def i0(x: Any) -> Any:
    """Return the modified Bessel function of order 0; of whole numbers, as float64."""
    x = as_array(x)
    if x.dtype.kind == "c":
        return ours("i0")(x)  # which refuses it
    return ours("i0")(x if x.dtype.kind in REAL_FLOATING else as_dtype(x, np.float64))


_MOST_PLACES = sys.float_info.max_10_exp


def rounded(a: Any, decimals: int = 0) -> Any:
    """Return the numbers rounded to decimals, as NumPy does: scaled, rounded, scaled back."""
    places = require_int(decimals, "decimals")
    if not -(2**31) <= places < 2**31:
        raise ArgumentError(
            f"round: decimals is {places}",
            cause="NumPy counts decimals in 32 bits",
            fix="choose a number of decimals that the numbers have",
        )
    if not places:
        return ours("round")(a)
    if abs(places) > _MOST_PLACES and a.dtype.kind in FLOATING:
        # the scale is infinite, in NumPy, too, and what is scaled back is no number
        return a * np.asarray(math.nan, a.dtype)
    if a.dtype.kind not in FLOATING:
        if places < 0 or a.dtype == np.bool_:
            raise unsupported(f"numpy.round of {a.dtype} to {places} decimals")
        return a
    if a.dtype.kind == "c":  # NumPy rounds each part alone; here a product would mix them
        ours("assert_")(
            ours("isfinite")(a), "round: a complex number with a part that is not finite"
        )
    scale = 10.0 ** abs(places)
    if places > 0:
        return as_dtype(ours("round")(a * scale) / scale, a.dtype)
    return as_dtype(ours("round")(a / scale) * scale, a.dtype)


def nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """Return the array with numbers in place of NaN and infinities, or put them into it."""
    found = ours("nan_to_num")(x, nan=nan, posinf=posinf, neginf=neginf)
    return found if copy else put_into(x, found, "numpy.nan_to_num")


def isin(element: Any, test_elements: Any, invert: bool = False, kind: Any = None) -> Any:
    """Tell of each element whether it is among others; `kind` says how, and chooses no value."""
    require_choice("numpy.isin", "kind", kind)
    if kind == "table":
        element, test_elements = as_array(element), as_array(test_elements)
        for each in (element, test_elements):
            if each.dtype.kind not in "biu":
                raise DTypeError(
                    f"isin: kind is 'table' for {each.dtype}",
                    cause="NumPy looks up whole numbers and truth values in a table, and no others",
                    fix="leave kind out: it says how NumPy computes, and never which value",
                )
    return ours("isin")(element, test_elements, invert=bool(invert))


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Return differences of neighbours, with elements before and behind them."""
    ends = []
    for end in (prepend, append):
        if end is not None:
            end = as_array(end)
            if not len(end.shape):
                shape = list(a.shape)
                shape[normalize_axis(axis, len(shape))] = 1
                end = ours("broadcast_to")(end, tuple(shape))
        ends.append(end)
    if n == 0:
        return a
    parts = [x for x in (ends[0], a, ends[1]) if x is not None]
    a = ours("concat")(parts, axis=axis) if len(parts) > 1 else a
    return ours("diff")(a, axis=axis, n=n)


def mean(a: Any, where: Any = None, **given: Any) -> Any:
    """Return the mean, of the elements that take part."""
    if where is None:
        return _MEAN(a=a, **given)
    if given.get("dtype") is not None:
        raise unsupported("numpy.mean: argument 'where' with 'dtype'")
    dtype = np.mean(np.ones(1, a.dtype)).dtype
    where = ours("broadcast_to")(as_array(where), tuple(a.shape))
    kept = ours("where")(where, as_dtype(a, dtype), np.asarray(0, dtype))
    shape = {name: value for name, value in given.items() if name != "dtype"}
    counts = ours("count_nonzero")(where, **shape)
    return ours("sum")(kept, **shape) / as_dtype(counts, np.empty(0, dtype).real.dtype)


_TAKEN, _MEAN = averaged_in("mean", axis="axis", keepdims="keepdims")
MEAN = (_TAKEN | {"where"}, mean)
"""The arguments of the mean that are taken, and its call."""


# functions that call functions --------------------------------------------------------------------


def apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """Return what `func1d` gives for each line along an axis, which its results take the place of.

    The lines are taken one after the other, in a graph, too.
    """
    x = as_array(arr)
    at = normalize_axis(axis, len(x.shape))
    rest = tuple(n for i, n in enumerate(x.shape) if i != at)
    lines = ours("reshape")(ours("moveaxis")(x, at, -1), (math.prod(rest), x.shape[at]))
    if not lines.shape[0]:
        raise unsupported("numpy.apply_along_axis of no lines")
    results = [as_array(func1d(lines[i], *args, **kwargs)) for i in range(lines.shape[0])]
    shape = tuple(results[0].shape)
    found = ours("reshape")(ours("stack")(results), (*rest, *shape))
    places = tuple(range(len(rest), len(rest) + len(shape)))
    return ours("moveaxis")(found, places, tuple(range(at, at + len(shape)))) if shape else found


def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    """Return what `func` gives along one axis after the other."""
    x = as_array(a)
    ndim = len(x.shape)
    for axis in normalize_ints(axes, "axes"):
        at = normalize_axis(axis, ndim)
        found = func(x, at)
        x = found if len(found.shape) == ndim else ours("expand_dims")(found, axis=at)
    return x


# of shapes and dtypes alone -----------------------------------------------------------------------


def _sample(x: Any) -> Any:
    require_known("a NumPy function of shapes", *getattr(x, "shape", ()))
    return np.broadcast_to(np.empty((), x.dtype), tuple(x.shape)) if hasattr(x, "shape") else x


def on_samples(function: Call) -> tuple[frozenset[str], Call]:
    """Return a call of NumPy's own function of arrays without their elements."""
    taken = frozenset(inspect.signature(function).parameters)

    def call(*operands: Any, **given: Any) -> Any:
        shown = {name: _sample(value) for name, value in given.items()}
        return function(*map(_sample, operands), **shown)

    return taken, call
