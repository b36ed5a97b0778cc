"""What NumPy's functions are called here: each argument by NumPy's name, and ours for it.

A call is bound by NumPy's own signature, so positions mean what they mean in NumPy. An argument
that stands nowhere in the table is refused by its name, unless it is NumPy's default.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from oplibrary.executors.numpy import calls, ranges, writes
from oplibrary.executors.numpy.adapters import (
    Call,
    accumulated,
    averaged_in,
    cumulative,
    folded,
    ordered,
    renamed,
    summed_in,
    written,
)
from oplibrary.executors.numpy.folds import loop_dtypes
from oplibrary.executors.numpy.linalg import (
    complex_eig,
    complex_eigvals,
    complex_roots,
    qr_or_triangle,
    read_eigh,
    read_eigvalsh,
    real_poly,
    solved_by_least_squares,
    svd_or_values,
)
from oplibrary.executors.numpy.protocols import (
    require_choice,
    require_one_of,
    unsupported,
    unusable,
)
from oplibrary.executors.numpy.values import as_operand, is_value, put_into
from oplibrary.messages.errors import ShapeError, SideBySideError
from oplibrary.numerical import composition_of

# the table ----------------------------------------------------------------------------------------

_REDUCED = {"axis": "axis", "keepdims": "keepdims"}
_DISPERSED = {**_REDUCED, "correction": "correction"}

_FUNCTIONS: dict[str, tuple[frozenset[str], Call]] = {
    **{
        f"numpy.{name}": renamed(name, "a", **_REDUCED)
        for name in ("argmax", "argmin", "count_nonzero")
    },
    "numpy.all": folded("all", np.logical_and, **_REDUCED),
    "numpy.any": folded("any", np.logical_or, **_REDUCED),
    "numpy.max": folded("max", np.maximum, **_REDUCED),
    "numpy.min": folded("min", np.minimum, **_REDUCED),
    "numpy.amax": folded("max", np.maximum, **_REDUCED),
    "numpy.amin": folded("min", np.minimum, **_REDUCED),
    "numpy.sum": summed_in("sum", np.add, **_REDUCED),
    "numpy.prod": summed_in("prod", np.multiply, **_REDUCED),
    "numpy.cumsum": accumulated("cumsum"),
    "numpy.cumprod": accumulated("cumprod"),
    "numpy.cumulative_sum": cumulative("cumsum"),
    "numpy.cumulative_prod": cumulative("cumprod"),
    "numpy.mean": calls.MEAN,
    "numpy.var": averaged_in("var", **_DISPERSED),
    "numpy.std": averaged_in("std", **_DISPERSED),
    "numpy.sort": ordered("sort"),
    "numpy.argsort": ordered("argsort"),
    "numpy.argwhere": renamed("argwhere", "a"),
    "numpy.around": written(calls.rounded),
    "numpy.round": written(calls.rounded),
    "numpy.astype": renamed("astype", "x", "dtype"),
    "numpy.broadcast_arrays": written(calls.broadcast_arrays),
    "numpy.broadcast_to": renamed("broadcast_to", "array", "shape"),
    "numpy.can_cast": renamed("can_cast", "from_", "to"),
    "numpy.clip": written(calls.clip),
    "numpy.concatenate": written(calls.concatenate),
    "numpy.copy": renamed("clone", "a"),
    "numpy.diag": renamed("diag", "v", offset="k"),
    "numpy.diagonal": written(calls.diagonal),
    "numpy.diff": written(calls.diff),
    "numpy.dot": written(calls.dot),
    "numpy.einsum": written(calls.einsum),
    "numpy.empty_like": renamed("empty_like", "prototype", dtype="dtype"),
    "numpy.expand_dims": renamed("expand_dims", "a", axis="axis"),
    "numpy.flip": renamed("flip", "m", axis="axis"),
    "numpy.full_like": renamed("full_like", "a", "fill_value", dtype="dtype"),
    "numpy.imag": (frozenset({"val"}), lambda val: val.imag),
    "numpy.matrix_transpose": renamed("matrix_transpose", "x"),
    "numpy.meshgrid": written(calls.meshgrid),
    "numpy.moveaxis": renamed("moveaxis", "a", "source", "destination"),
    "numpy.ndim": (frozenset({"a"}), lambda a: a.ndim),
    "numpy.nonzero": renamed("nonzero", "a"),
    "numpy.ones_like": renamed("ones_like", "a", dtype="dtype"),
    "numpy.outer": written(calls.outer),
    "numpy.pad": written(calls.pad),
    "numpy.real": (frozenset({"val"}), lambda val: val.real),
    "numpy.repeat": renamed("repeat", "a", "repeats", axis="axis"),
    "numpy.reshape": written(calls.reshape),
    "numpy.result_type": written(calls.result_type),
    "numpy.roll": renamed("roll", "a", "shift", axis="axis"),
    "numpy.roots": written(complex_roots),
    "numpy.searchsorted": renamed("searchsorted", "a", "v", side="side", sorter="sorter"),
    "numpy.shape": (frozenset({"a"}), lambda a: a.shape),
    "numpy.size": written(calls.size),
    "numpy.split": written(calls.split),
    "numpy.squeeze": renamed("squeeze", "a", axis="axis"),
    "numpy.stack": written(calls.stack),
    "numpy.swapaxes": renamed("swapaxes", "a", "axis1", "axis2"),
    "numpy.take": written(calls.take),
    "numpy.take_along_axis": renamed("take_along_axis", "arr", "indices", axis="axis"),
    "numpy.tensordot": renamed("tensordot", "a", "b", axes="axes"),
    "numpy.tile": renamed("tile", "A", "reps"),
    "numpy.trace": written(calls.trace),
    "numpy.transpose": written(calls.transpose),
    "numpy.tril": renamed("tril", "m", k="k"),
    "numpy.triu": renamed("triu", "m", k="k"),
    "numpy.unique": written(calls.unique),
    "numpy.unique_all": renamed("unique_all", "x"),
    "numpy.unique_counts": renamed("unique_counts", "x"),
    "numpy.unique_inverse": renamed("unique_inverse", "x"),
    "numpy.unique_values": renamed("unique_values", "x"),
    "numpy.unstack": renamed("unstack", "x", axis="axis"),
    "numpy.where": written(calls.where),
    "numpy.zeros_like": renamed("zeros_like", "a", dtype="dtype"),
    "numpy.angle": written(calls.angle),
    "numpy.apply_along_axis": written(calls.apply_along_axis),
    "numpy.apply_over_axes": written(calls.apply_over_axes),
    "numpy.copyto": written(writes.copyto),
    "numpy.fill_diagonal": written(writes.fill_diagonal),
    "numpy.i0": written(calls.i0),
    "numpy.isin": written(calls.isin),
    "numpy.geomspace": written(ranges.geomspace),
    "numpy.linspace": written(ranges.linspace),
    "numpy.logspace": written(ranges.logspace),
    "numpy.nan_to_num": written(calls.nan_to_num),
    "numpy.place": written(writes.place),
    "numpy.poly": written(real_poly),
    "numpy.put": written(writes.put),
    "numpy.put_along_axis": written(writes.put_along_axis),
    "numpy.putmask": written(writes.putmask),
    "numpy.ravel": written(calls.ravel),
    **{
        f"numpy.{name}": calls.on_samples(getattr(np, name))
        for name in ("common_type", "diag_indices_from", "tril_indices_from", "triu_indices_from")
    },
    "numpy.einsum_path": calls.on_samples(np.einsum_path),
    "numpy.cross": written(calls.cross),
    **{
        f"numpy.linalg.{name}": renamed(f"linalg.{name}", "a") for name in ("det", "inv", "slogdet")
    },
    "numpy.linalg.eig": written(complex_eig),
    "numpy.linalg.eigvals": written(complex_eigvals),
    "numpy.linalg.cholesky": renamed("linalg.cholesky", "a", upper="upper"),
    "numpy.linalg.cond": renamed("linalg.cond", "x", p="p"),
    "numpy.linalg.cross": renamed("cross", "x1", "x2", axis="axis"),
    "numpy.linalg.eigh": written(read_eigh),
    "numpy.linalg.eigvalsh": written(read_eigvalsh),
    "numpy.linalg.lstsq": written(solved_by_least_squares),
    "numpy.linalg.matrix_norm": renamed("linalg.matrix_norm", "x", keepdims="keepdims", ord="ord"),
    "numpy.linalg.matrix_power": renamed("linalg.matrix_power", "a", "n"),
    "numpy.linalg.matrix_rank": renamed("linalg.matrix_rank", "A", rtol="rtol"),
    "numpy.linalg.multi_dot": renamed("linalg.multi_dot", "arrays"),
    "numpy.linalg.norm": renamed("linalg.norm", "x", ord="ord", axis="axis", keepdims="keepdims"),
    "numpy.linalg.pinv": renamed("linalg.pinv", "a", rtol="rtol"),
    "numpy.linalg.qr": written(qr_or_triangle),
    "numpy.linalg.solve": renamed("linalg.solve", "a", "b"),
    "numpy.linalg.svd": written(svd_or_values),
    "numpy.linalg.svdvals": renamed("linalg.svdvals", "x"),
    "numpy.linalg.tensorinv": renamed("linalg.tensorinv", "a", ind="ind"),
    "numpy.linalg.tensorsolve": renamed("linalg.tensorsolve", "a", "b", axes="axes"),
    **{
        f"numpy.fft.{name}": renamed(f"fft.{name}", "a", n="n", axis="axis", norm="norm")
        for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    },
    **{
        f"numpy.fft.{name}": renamed(f"fft.{name}", "a", s="s", axes="axes", norm="norm")
        for name in ("fft2", "ifft2", "fftn", "ifftn", "rfft2", "irfft2", "rfftn", "irfftn")
    },
    "numpy.fft.fftshift": renamed("fft.fftshift", "x", axes="axes"),
    "numpy.fft.ifftshift": renamed("fft.ifftshift", "x", axes="axes"),
    "numpy.linalg.diagonal": renamed("diagonal", "x", offset="offset"),
    "numpy.linalg.matmul": renamed("matmul", "x1", "x2"),
    "numpy.linalg.matrix_transpose": renamed("matrix_transpose", "x"),
    "numpy.linalg.outer": renamed("outer", "x1", "x2"),
    "numpy.linalg.tensordot": renamed("tensordot", "x1", "x2", axes="axes"),
    "numpy.linalg.trace": written(calls.trace_of_last),
    "numpy.linalg.vecdot": renamed("vecdot", "x1", "x2", axis="axis"),
    "numpy.linalg.vector_norm": renamed("vector_norm", "x", **_REDUCED, ord="ord"),
}
"""By module and name: which arguments of NumPy's are taken, and what is called with them."""

_FOLDS: Mapping[str, np.ufunc] = {
    **dict.fromkeys([f"numpy.{name}" for name in "sum nansum trace".split()], np.add),
    **dict.fromkeys([f"numpy.{name}" for name in "prod nanprod".split()], np.multiply),
    **{
        f"numpy.{before}{name}": ufunc
        for name, ufunc in {"sum": np.add, "prod": np.multiply}.items()
        for before in ("cum", "nancum", "cumulative_")
    },
    "numpy.max": np.maximum,
    "numpy.amax": np.maximum,
    "numpy.min": np.minimum,
    "numpy.amin": np.minimum,
}
"""Functions that compute in the dtype that their result and what it is written to share."""

_OUT_OF_ITS_DTYPE = frozenset(
    """
    numpy.mean numpy.var numpy.std numpy.nanmean numpy.nanvar numpy.nanstd numpy.round numpy.around
    numpy.median numpy.nanmedian numpy.percentile numpy.nanpercentile numpy.quantile
    numpy.nanquantile numpy.ptp numpy.einsum
    """.split()
)
"""Functions that do some steps in the dtype of what they write to, and others not."""

_LAYOUT = frozenset({"subok", "device"})
_WITHOUT_EFFECT: Mapping[str, frozenset[str]] = {
    "numpy.astype": frozenset({"copy"}),
    "numpy.copy": frozenset({"order"}),
    "numpy.reshape": frozenset({"copy"}),
    **{
        f"numpy.{name}": frozenset({"overwrite_input"})
        for name in (
            "median",
            "nanmedian",
            "percentile",
            "nanpercentile",
            "quantile",
            "nanquantile",
        )
    },
    "numpy.isin": frozenset({"assume_unique"}),
    "numpy.meshgrid": frozenset({"copy"}),
    "numpy.partition": frozenset({"kind"}),
    "numpy.argpartition": frozenset({"kind"}),
    "numpy.sort": frozenset({"kind", "stable"}),
    "numpy.argsort": frozenset({"kind", "stable"}),
    **{f"numpy.{name}_like": frozenset({"order"}) for name in ("empty", "full", "ones", "zeros")},
}
"""Arguments that say how NumPy computes or stores a value, and never which value it is."""

_ONE_OF: Mapping[str, tuple[str, str]] = {
    "numpy.sort": ("kind", "stable"),
    "numpy.argsort": ("kind", "stable"),
}
"""Arguments without effect of which NumPy takes one."""

_NONE_IS_GIVEN = frozenset({"numpy.where"})
"""Functions in which the default, written out, is another call than without it."""


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
def _pair(a: Any, b: Any, /) -> None: ...
def _bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> None: ...
def _lexsort(keys: Any, axis: Any = -1) -> None: ...
def _unravel_index(indices: Any, shape: Any, order: Any = "C") -> None: ...
def _ravel_multi_index(
    multi_index: Any, dims: Any, mode: Any = "raise", order: Any = "C"
) -> None: ...
def _copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None: ...
def _putmask(a: Any, /, mask: Any, values: Any) -> None: ...


WRITTEN_IN_C: Mapping[str, Call] = {
    "can_cast": _can_cast,
    "concatenate": _concatenate,
    "dot": _dot_in_c,
    "empty_like": _empty_like,
    "result_type": calls.result_type,
    "where": _where_in_c,
    "inner": _pair,
    "vdot": _pair,
    "bincount": _bincount,
    "lexsort": _lexsort,
    "unravel_index": _unravel_index,
    "ravel_multi_index": _ravel_multi_index,
    "copyto": _copyto,
    "putmask": _putmask,
}
"""Functions with the signatures that NumPy tells from 2.4 on, and that are the same before."""


@cache
def signature_of(function: Any) -> inspect.Signature | None:
    """Return the signature of one of NumPy's functions, or None where it does not tell it."""
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


def counterpart_of(name: str) -> tuple[frozenset[str], Call] | None:
    """Return which arguments are taken of NumPy's function called `name`, and what is called."""
    found = _FUNCTIONS.get(name)
    if found is None and name.startswith("numpy."):
        function = composition_of(name.removeprefix("numpy."))
        return None if function is None else written(function)
    return found


def _written_to(out: Any, result: Any, name: str) -> Any:
    target = out[0] if isinstance(out, tuple) else out
    if getattr(target, "shape", None) != result.shape and is_value(target):
        raise ShapeError(
            f"{name}: a result of shape {tuple(result.shape)} does not fit into {target.shape}",
            cause="the argument out has the shape of the result",
            fix="leave it out, or pass one of that shape",
        )
    return put_into(target, result, name, "same_kind")


def call_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run our function of the same meaning; the body of ``__array_function__``.

    Raises
    ------
    SymbolicArrayError
        If there is none, or an argument has no counterpart.
    """
    name = f"{function.__module__}.{function.__name__}"
    found, signature = counterpart_of(name), signature_of(function)
    if found is None or signature is None:
        raise unsupported(name)
    taken, call = found
    ignored = _LAYOUT | _WITHOUT_EFFECT.get(name, frozenset())
    operands: tuple[Any, ...] = ()
    given: dict[str, Any] = {}
    bound = signature.bind(*args, **kwargs).arguments
    for argument, value in bound.items():
        parameter = signature.parameters[argument]
        if parameter.kind is parameter.VAR_POSITIONAL:
            # what stands before it goes by position, too
            operands = (*given.values(), *value)
            given = {}
        elif parameter.kind is parameter.VAR_KEYWORD:
            given.update(value)
        elif argument in ignored:
            require_choice(name, argument, value)
        elif not (
            (name not in _NONE_IS_GIVEN and _is_default(value, parameter.default))
            or (argument == "where" and value is True)
        ):
            given[argument] = value
    if name in _ONE_OF:
        require_one_of(name, _ONE_OF[name], bound)
    out = None if "out" in taken else given.pop("out", None)
    for argument in given:
        if argument not in taken:
            raise unsupported(f"{name}: argument {argument!r}")
    into = (
        None if out is None else getattr(out[0] if isinstance(out, tuple) else out, "dtype", None)
    )
    first = next(iter(given.values()), None)
    try:
        if into is not None and name in _FOLDS and "dtype" not in given:
            given["dtype"] = loop_dtypes(_FOLDS[name], as_operand(first), None, into)[0]
        result = call(*operands, **given)
        if into is not None and name in _OUT_OF_ITS_DTYPE and into != result.dtype:
            raise unsupported(f"{name}: argument 'out' of another dtype than the result")
        return result if out is None else _written_to(out, result, name)
    except SideBySideError:
        raise
    except (TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        raise unusable(name, error) from error
