"""What NumPy's functions are called here: each argument by NumPy's name, and ours for it.

A call is bound by NumPy's own signature, so positions mean what they mean in NumPy. An argument
that stands nowhere in the table is refused by its name, unless it is NumPy's default.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np

from oplibrary.core.data import to_numbers
from oplibrary.core.op import lookup
from oplibrary.core.types import normalize_axis
from oplibrary.executors.numpy.linalg import (
    complex_eig,
    complex_eigvals,
    qr_or_triangle,
    read_eigh,
    read_eigvalsh,
    solved_by_least_squares,
    svd_or_values,
)
from oplibrary.executors.numpy.protocols import unsupported, unusable
from oplibrary.messages.errors import SideBySideError
from oplibrary.ops.arguments import normalize_ints

Call = Callable[..., Any]


def ours(name: str) -> Call:
    """Return our function called `name`."""
    function = lookup(name)
    assert function is not None, name
    return function


def _call(name: str, *operands: str, **named: str) -> tuple[frozenset[str], Call]:
    """Return the arguments of NumPy's that are taken, and a call of our function `name` with them.

    Parameters
    ----------
    name : str
        Of our function.
    *operands : str
        NumPy's names of what we take by position.
    **named : str
        NumPy's name of each of our other parameters.
    """

    def call(**given: Any) -> Any:
        keywords = {mine: given[theirs] for mine, theirs in named.items() if theirs in given}
        return ours(name)(*[given[each] for each in operands], **keywords)

    return frozenset({*operands, *named.values()}), call


def _written(function: Any) -> tuple[frozenset[str], Call]:
    """Return the arguments that `function` takes, and itself: it has NumPy's parameters."""
    code = function.__code__  # quicker than a signature
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]), function


def _summed(name: str, **named: str) -> tuple[frozenset[str], Call]:
    """Return `_call` of a reduction that can be told in which dtype to add up."""
    taken, call = _call(name, "a", **named)

    def summed(a: Any, dtype: Any = None, **given: Any) -> Any:
        if dtype is None:
            return call(a=a, **given)
        result = call(a=ours("astype")(a, dtype), **given)
        return result if result.dtype == np.dtype(dtype) else ours("astype")(result, dtype)

    return taken | {"dtype"}, summed


def _averaged(name: str, **named: str) -> tuple[frozenset[str], Call]:
    """Return `_summed` where the dtype must be one of fractions, as NumPy rounds others apart."""
    taken, call = _summed(name, **named)

    def averaged(a: Any, dtype: Any = None, ddof: Any = None, **given: Any) -> Any:
        kind = "" if dtype is None else np.dtype(dtype).kind
        if kind and kind != "c" and (kind != "f" or a.dtype.kind == "c"):
            raise unsupported(f"numpy.{name} with dtype={np.dtype(dtype)}")
        if ddof is not None:
            given["correction"] = ddof
        return call(a=a, dtype=dtype, **given)

    return taken | ({"ddof"} if "correction" in named else frozenset()), averaged


def _flat(x: Any) -> Any:
    return ours("reshape")(x, (-1,))


def _along(name: str) -> tuple[frozenset[str], Call]:
    """Return a call that orders along an axis, where None flattens first."""

    def call(a: Any, axis: Any = -1) -> Any:
        return ours(name)(_flat(a), axis=0) if axis is None else ours(name)(a, axis=axis)

    return _written(call)


# functions that need more than names --------------------------------------------------------------


def _transpose(a: Any, axes: Any = None) -> Any:
    order = tuple(range(a.ndim))[::-1] if axes is None else tuple(axes)
    return ours("permute_dims")(a, axes=order)


def _take(a: Any, indices: Any, axis: Any = None) -> Any:
    if isinstance(indices, (int, list, tuple)):
        indices = np.asarray(indices)
    return ours("take")(_flat(a), indices, axis=0) if axis is None else _take_at(a, indices, axis)


def _take_at(a: Any, indices: Any, axis: Any) -> Any:
    return ours("take")(a, indices, axis=axis)


def _pieces(x: Any, starts: list[int], stops: list[int], axis: int) -> list[Any]:
    before = (slice(None),) * axis
    return [x[(*before, slice(a, b))] for a, b in zip(starts, stops, strict=True)]


def _cut(x: Any, where: Any, axis: int, equal: bool) -> list[Any]:
    """Return the parts of `x`: as many as an int says, or cut at the places of a sequence."""
    position = normalize_axis(axis, len(x.shape))
    length = x.shape[position]
    places = normalize_ints(where, "indices_or_sections")
    if np.ndim(where):
        return _pieces(x, [0, *places], [*places, length], position)
    (count,) = places
    if equal or count < 1:  # the latter is refused there
        return list(ours("split")(x, count, axis=position))
    sizes = [length // count + (number < length % count) for number in range(count)]
    stops = list(accumulate(sizes))
    return _pieces(x, [0, *stops[:-1]], stops, position)


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    return _cut(ary, indices_or_sections, axis, True)


def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    return _cut(ary, indices_or_sections, axis, False)


def _two_last(x: Any, axis1: int, axis2: int) -> Any:
    first, second = (normalize_axis(axis, len(x.shape)) for axis in (axis1, axis2))
    return ours("moveaxis")(x, (first, second), (-2, -1))


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return ours("diagonal")(_two_last(a, axis1, axis2), offset=offset)


def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    _, summed = _summed("sum", axis="axis")
    return summed(_diagonal(a, offset, axis1, axis2), dtype, axis=-1)


def _trace_of_last(x: Any, offset: int = 0, dtype: Any = None) -> Any:
    return _trace(x, offset, -2, -1, dtype)


def _accumulated(name: str) -> tuple[frozenset[str], Call]:
    _, summed = _summed(name, axis="axis")

    def call(a: Any, axis: Any = None, dtype: Any = None) -> Any:
        return summed(_flat(a), dtype, axis=0) if axis is None else summed(a, dtype, axis=axis)

    return _written(call)


def _cumulative(name: str) -> tuple[frozenset[str], Call]:
    def call(x: Any, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Any:
        if axis is None and len(x.shape) != 1:
            raise unsupported(f"numpy.{name} of several axes without axis=")
        _, summed = _summed(name, axis="axis", include_initial="include_initial")
        return summed(x, dtype, axis=axis, include_initial=include_initial)

    return _written(call)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    return ours("clip")(a, low, high)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return ours("nonzero")(condition)
    condition = _array(condition)
    if condition.dtype != np.bool_:
        condition = ours("not_equal")(condition, 0)
    if not (hasattr(x, "shape") or hasattr(y, "shape")):
        x, y = _array(x), _array(y)
    return ours("where")(condition, x, y)


def _pad(array: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = 0) -> Any:
    if isinstance(pad_width, dict) or np.ndim(constant_values):
        raise unsupported("numpy.pad with widths or values that are not the same for each axis")
    return ours("pad")(array, pad_width, value=constant_values, mode=mode)


def _einsum(*operands: Any, optimize: Any = False) -> Any:
    if not isinstance(operands[0], str):
        raise unsupported("numpy.einsum with subscripts that are lists")
    return ours("einsum")(*operands)


def _array(x: Any) -> Any:
    """Return an operand that may be a number or a list; NumPy gives those a dtype of their own."""
    return x if hasattr(x, "shape") else to_numbers(x, None, "operand")


def _outer(a: Any, b: Any) -> Any:
    return ours("outer")(_flat(_array(a)), _flat(_array(b)))


def _dot(a: Any, b: Any) -> Any:
    return ours("dot")(_array(a), _array(b))


def _unique(ar: Any, equal_nan: bool = True) -> Any:
    values = ours("unique_values")(ar)
    if not equal_nan or values.dtype.kind != "f":
        return values
    surplus = int(ours("sum")(ours("isnan")(values))) - 1  # NaN stands last, and counts once
    return values[: values.shape[0] - surplus] if surplus > 0 else values


def _meshgrid(*xi: Any, indexing: str = "xy") -> Any:
    return ours("meshgrid")(*xi, indexing=indexing)


def _broadcast_arrays(*args: Any) -> Any:
    return ours("broadcast_arrays")(*args)


def _result_type(*arrays_and_dtypes: Any) -> Any:
    return ours("result_type")(*arrays_and_dtypes)


def _size(a: Any, axis: Any = None) -> Any:
    return a.size if axis is None else a.shape[normalize_axis(axis, len(a.shape))]


def _reshape(a: Any, shape: Any) -> Any:
    return ours("reshape")(a, shape)


def _at_least(count: int) -> tuple[frozenset[str], Call]:
    def call(x: Any) -> Any:
        return x if len(x.shape) >= count else ours("reshape")(x, _lengthened(x.shape, count))

    return _written(call)


def _lengthened(shape: Any, count: int) -> tuple[int, ...]:
    return (*(1,) * (count - len(shape)), *shape)


def _stacked(tup: Any, least: int, axis: int) -> Any:
    _, at_least = _at_least(least)
    return ours("concat")([at_least(each) for each in tup], axis=axis)


def _vstack(tup: Any) -> Any:
    return _stacked(tup, 2, 0)


def _hstack(tup: Any) -> Any:
    return _stacked(tup, 1, 0 if all(len(each.shape) < 2 for each in tup) else 1)


# the table ----------------------------------------------------------------------------------------

_REDUCED = {"axis": "axis", "keepdims": "keepdims"}
_DISPERSED = {**_REDUCED, "correction": "correction"}

_FUNCTIONS: dict[str, tuple[frozenset[str], Call]] = {
    **{
        f"numpy.{name}": _call(name, "a", **_REDUCED)
        for name in ("all", "any", "argmax", "argmin", "count_nonzero", "max", "min")
    },
    "numpy.amax": _call("max", "a", **_REDUCED),
    "numpy.amin": _call("min", "a", **_REDUCED),
    "numpy.sum": _summed("sum", **_REDUCED),
    "numpy.prod": _summed("prod", **_REDUCED),
    "numpy.cumsum": _accumulated("cumsum"),
    "numpy.cumprod": _accumulated("cumprod"),
    "numpy.cumulative_sum": _cumulative("cumsum"),
    "numpy.cumulative_prod": _cumulative("cumprod"),
    "numpy.mean": _averaged("mean", **_REDUCED),
    "numpy.var": _averaged("var", **_DISPERSED),
    "numpy.std": _averaged("std", **_DISPERSED),
    "numpy.sort": _along("sort"),
    "numpy.argsort": _along("argsort"),
    "numpy.argwhere": _call("argwhere", "a"),
    "numpy.array_split": _written(_array_split),
    "numpy.around": _call("round", "a"),
    "numpy.round": _call("round", "a"),
    "numpy.astype": _call("astype", "x", "dtype"),
    "numpy.atleast_1d": _at_least(1),
    "numpy.broadcast_arrays": _written(_broadcast_arrays),
    "numpy.broadcast_to": _call("broadcast_to", "array", "shape"),
    "numpy.can_cast": _call("can_cast", "from_", "to"),
    "numpy.clip": _written(_clip),
    "numpy.concatenate": _call("concat", "arrays", axis="axis"),
    "numpy.copy": _call("clone", "a"),
    "numpy.diag": _call("diag", "v", offset="k"),
    "numpy.diagonal": _written(_diagonal),
    "numpy.diff": _call("diff", "a", n="n", axis="axis"),
    "numpy.dot": _written(_dot),
    "numpy.einsum": _written(_einsum),
    "numpy.empty_like": _call("empty_like", "prototype", dtype="dtype"),
    "numpy.expand_dims": _call("expand_dims", "a", axis="axis"),
    "numpy.flip": _call("flip", "m", axis="axis"),
    "numpy.full_like": _call("full_like", "a", "fill_value", dtype="dtype"),
    "numpy.hstack": _written(_hstack),
    "numpy.imag": _call("imag", "val"),
    "numpy.matrix_transpose": _call("matrix_transpose", "x"),
    "numpy.meshgrid": _written(_meshgrid),
    "numpy.moveaxis": _call("moveaxis", "a", "source", "destination"),
    "numpy.ndim": (frozenset({"a"}), lambda a: a.ndim),
    "numpy.nonzero": _call("nonzero", "a"),
    "numpy.ones_like": _call("ones_like", "a", dtype="dtype"),
    "numpy.outer": _written(_outer),
    "numpy.pad": _written(_pad),
    "numpy.ravel": (frozenset({"a"}), lambda a: _flat(a)),
    "numpy.real": _call("real", "val"),
    "numpy.repeat": _call("repeat", "a", "repeats", axis="axis"),
    "numpy.reshape": _written(_reshape),
    "numpy.result_type": _written(_result_type),
    "numpy.roll": _call("roll", "a", "shift", axis="axis"),
    "numpy.searchsorted": _call("searchsorted", "a", "v", side="side", sorter="sorter"),
    "numpy.shape": (frozenset({"a"}), lambda a: a.shape),
    "numpy.size": _written(_size),
    "numpy.split": _written(_split),
    "numpy.squeeze": _call("squeeze", "a", axis="axis"),
    "numpy.stack": _call("stack", "arrays", axis="axis"),
    "numpy.swapaxes": _call("swapaxes", "a", "axis1", "axis2"),
    "numpy.take": _written(_take),
    "numpy.take_along_axis": _call("take_along_axis", "arr", "indices", axis="axis"),
    "numpy.tensordot": _call("tensordot", "a", "b", axes="axes"),
    "numpy.tile": _call("tile", "A", "reps"),
    "numpy.trace": _written(_trace),
    "numpy.transpose": _written(_transpose),
    "numpy.tril": _call("tril", "m", k="k"),
    "numpy.triu": _call("triu", "m", k="k"),
    "numpy.unique": _written(_unique),
    "numpy.unique_all": _call("unique_all", "x"),
    "numpy.unique_counts": _call("unique_counts", "x"),
    "numpy.unique_inverse": _call("unique_inverse", "x"),
    "numpy.unique_values": _call("unique_values", "x"),
    "numpy.unstack": _call("unstack", "x", axis="axis"),
    "numpy.vstack": _written(_vstack),
    "numpy.where": _written(_where),
    "numpy.zeros_like": _call("zeros_like", "a", dtype="dtype"),
    "numpy.cross": _call("cross", "a", "b", axis="axis"),
    **{f"numpy.linalg.{name}": _call(f"linalg.{name}", "a") for name in ("det", "inv", "slogdet")},
    "numpy.linalg.eig": _written(complex_eig),
    "numpy.linalg.eigvals": _written(complex_eigvals),
    "numpy.linalg.cholesky": _call("linalg.cholesky", "a", upper="upper"),
    "numpy.linalg.cond": _call("linalg.cond", "x", p="p"),
    "numpy.linalg.cross": _call("cross", "x1", "x2", axis="axis"),
    "numpy.linalg.eigh": _written(read_eigh),
    "numpy.linalg.eigvalsh": _written(read_eigvalsh),
    "numpy.linalg.lstsq": _written(solved_by_least_squares),
    "numpy.linalg.matrix_norm": _call("linalg.matrix_norm", "x", keepdims="keepdims", ord="ord"),
    "numpy.linalg.matrix_power": _call("linalg.matrix_power", "a", "n"),
    "numpy.linalg.matrix_rank": _call("linalg.matrix_rank", "A", rtol="rtol"),
    "numpy.linalg.multi_dot": _call("linalg.multi_dot", "arrays"),
    "numpy.linalg.norm": _call("linalg.norm", "x", ord="ord", axis="axis", keepdims="keepdims"),
    "numpy.linalg.pinv": _call("linalg.pinv", "a", rtol="rtol"),
    "numpy.linalg.qr": _written(qr_or_triangle),
    "numpy.linalg.solve": _call("linalg.solve", "a", "b"),
    "numpy.linalg.svd": _written(svd_or_values),
    "numpy.linalg.svdvals": _call("linalg.svdvals", "x"),
    "numpy.linalg.tensorinv": _call("linalg.tensorinv", "a", ind="ind"),
    "numpy.linalg.tensorsolve": _call("linalg.tensorsolve", "a", "b", axes="axes"),
    **{
        f"numpy.fft.{name}": _call(f"fft.{name}", "a", n="n", axis="axis", norm="norm")
        for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    },
    **{
        f"numpy.fft.{name}": _call(f"fft.{name}", "a", s="s", axes="axes", norm="norm")
        for name in ("fft2", "ifft2", "fftn", "ifftn", "rfft2", "irfft2", "rfftn", "irfftn")
    },
    "numpy.fft.fftshift": _call("fft.fftshift", "x", axes="axes"),
    "numpy.fft.ifftshift": _call("fft.ifftshift", "x", axes="axes"),
    "numpy.linalg.diagonal": _call("diagonal", "x", offset="offset"),
    "numpy.linalg.matmul": _call("matmul", "x1", "x2"),
    "numpy.linalg.matrix_transpose": _call("matrix_transpose", "x"),
    "numpy.linalg.outer": _call("outer", "x1", "x2"),
    "numpy.linalg.tensordot": _call("tensordot", "x1", "x2", axes="axes"),
    "numpy.linalg.trace": _written(_trace_of_last),
    "numpy.linalg.vecdot": _call("vecdot", "x1", "x2", axis="axis"),
    "numpy.linalg.vector_norm": _call("vector_norm", "x", **_REDUCED, ord="ord"),
}
"""By module and name: which arguments of NumPy's are taken, and what is called with them."""

_LAYOUT = frozenset({"subok", "device"})
_WITHOUT_EFFECT: Mapping[str, frozenset[str]] = {
    "numpy.astype": frozenset({"copy"}),
    "numpy.copy": frozenset({"order"}),
    "numpy.reshape": frozenset({"copy"}),
    "numpy.sort": frozenset({"kind", "stable"}),
    "numpy.argsort": frozenset({"kind", "stable"}),
    **{f"numpy.{name}_like": frozenset({"order"}) for name in ("empty", "full", "ones", "zeros")},
}
"""Arguments that say how NumPy computes or stores a value, and never which value it is."""


def _can_cast(from_: Any, to: Any, casting: Any = "safe") -> None: ...
def _concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind"
) -> None: ...
def _dot_in_c(a: Any, b: Any, out: Any = None) -> None: ...
def _empty_like(
    prototype: Any,
    /,
    dtype: Any = None,
    order: Any = "K",
    subok: Any = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> None: ...
def _where_in_c(condition: Any, x: Any = None, y: Any = None, /) -> None: ...


WRITTEN_IN_C: Mapping[str, Call] = {
    "can_cast": _can_cast,
    "concatenate": _concatenate,
    "dot": _dot_in_c,
    "empty_like": _empty_like,
    "result_type": _result_type,
    "where": _where_in_c,
}
"""Functions with the signatures that NumPy tells from 2.4 on, and that are the same before."""


@cache
def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # those written in C have none before NumPy 2.4
        written = WRITTEN_IN_C.get(function.__name__)
        return None if written is None else inspect.signature(written)


def _is_default(value: Any, default: Any) -> bool:
    plain = (bool, int, float, str)
    return value is default or (
        type(value) is type(default) and isinstance(value, plain) and value == default
    )


def call_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run our function of the same meaning; the body of ``__array_function__``.

    Raises
    ------
    SymbolicArrayError
        If there is none, or an argument has no counterpart.
    """
    name = f"{function.__module__}.{function.__name__}"
    found, signature = _FUNCTIONS.get(name), _signature(function)
    if found is None or signature is None:
        raise unsupported(name)
    taken, call = found
    ignored = _LAYOUT | _WITHOUT_EFFECT.get(name, frozenset())
    operands: tuple[Any, ...] = ()
    given: dict[str, Any] = {}
    for argument, value in signature.bind(*args, **kwargs).arguments.items():
        parameter = signature.parameters[argument]
        if parameter.kind is parameter.VAR_POSITIONAL:
            operands = value
        elif parameter.kind is parameter.VAR_KEYWORD:
            given.update(value)
        elif not (
            argument in ignored
            or _is_default(value, parameter.default)
            or (argument == "where" and value is True)
        ):
            given[argument] = value
    for argument in given:
        if argument not in taken:
            raise unsupported(f"{name}: argument {argument!r}")
    try:
        return call(*operands, **given)
    except SideBySideError:
        raise
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise unusable(name, error) from error
