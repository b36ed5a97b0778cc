"""Arrays made from a shape: plain functions, and ops that read only the type of an array."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from oplibrary.core.batching import unchanged
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import CREATION, register
from oplibrary.messages.errors import ArgumentError, DTypeError, OutOfMemoryError, SideBySideError
from oplibrary.ops.arguments import normalize_shape, require_device, require_flag, require_int
from oplibrary.ops.options import DEVICE
from oplibrary.values.dtypes import BREADTH, REAL_FLOATING, REAL_NUMBERS, is_numeric, to_dtype
from oplibrary.values.types import DEFAULT_DTYPE, Array, Shape, TensorType, type_of

if TYPE_CHECKING:
    import numpy.typing as npt


def _creation(function: Callable[..., Array]) -> Callable[..., Array]:
    CREATION[function.__name__] = function
    return function


def resolve_dtype(dtype: npt.DTypeLike | None, default: npt.DTypeLike = DEFAULT_DTYPE) -> Any:
    """Return `dtype` as a `numpy.dtype`, or `default` where it is None.

    Raises
    ------
    DTypeError
        If it names none, or one that is neither bool nor a number.
    """
    if isinstance(dtype, (int, np.integer)) and not isinstance(dtype, bool):
        raise DTypeError(
            f"the dtype is the number {dtype!r}",
            cause="the lengths of all axes are one argument, and the dtype follows them",
            fix="write the lengths as one tuple, such as zeros((2, 3))",
        )
    try:
        found = to_dtype(default if dtype is None else dtype)
    except TypeError:
        found = np.dtype(object)
    if not is_numeric(found):
        raise DTypeError(
            f"{dtype!r} is not a dtype",
            cause="a dtype is a name such as 'float32', or one of NumPy's number types",
            fix="use float32, float64, int64 or bool",
        )
    return found


_BREADTH_OF = {bool: 0, int: 1, float: 2, complex: 3}


def require_number(value: Any, dtype: np.dtype[Any], name: str = "value") -> None:
    """Refuse a `value` that is not one number, or that would change when converted to `dtype`.

    Raises
    ------
    ArgumentError
    """
    if not isinstance(value, (bool, int, float, complex, np.number, np.bool_)):
        raise ArgumentError(
            f"{name} must be a number, not {type(value).__name__} {value!r}",
            cause="one constant stands for every element",
            fix="pass a Python number: item() takes the one out of an array",
        )
    number = value.item() if isinstance(value, np.generic) else value
    happens = ""
    if number not in (0, 1) and _BREADTH_OF.get(type(number), 2) > BREADTH[dtype.kind]:
        happens = "be another number"
    else:
        try:
            with np.errstate(over="raise"):
                dtype.type(number)
        except (OverflowError, FloatingPointError):
            happens = "overflow"
    if happens:
        raise ArgumentError(
            f"{name} {value!r} does not fit into {dtype}",
            cause=f"as {dtype} it would {happens}",
            fix="choose a dtype that holds it",
        )


def _too_large(shape: Shape, dtype: np.dtype[Any], error: Exception) -> SideBySideError:
    """Return what to raise in place of NumPy's `error` about an array that it could not make."""
    nbytes = math.prod([n for n in shape if n]) * dtype.itemsize  # NumPy counts so, too
    if nbytes < 2**20:
        return ArgumentError(
            f"no array of shape {shape} and dtype {dtype} can be made: {error}",
            cause="NumPy refused it",
        )
    return OutOfMemoryError(
        f"an array of shape {shape} and dtype {dtype} takes {nbytes // 2**20 / 1024:,.1f} GiB",
        cause="that is more memory than can be had here",
    )


def _allocate(make: Callable[[], Array], shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return ``make()``, an array of `shape` and `dtype`.

    Raises
    ------
    OutOfMemoryError
        If there is not enough memory for it.
    """
    try:
        return make()
    except (MemoryError, ValueError, OverflowError) as error:
        raise _too_large(shape, dtype, error) from None


# from a shape -------------------------------------------------------------------------------------


@_creation
def zeros(
    shape: int | Sequence[int],
    dtype: npt.DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Array:
    """Return an array of zeros.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : dtype, optional
        float32 by default.
    device : str, optional
        ``"cpu"``, the only one.

    Raises
    ------
    OutOfMemoryError
        If it does not fit in memory.

    Examples
    --------
    >>> zeros((2, 3)).dtype
    dtype('float32')
    """
    require_device(device)
    lengths, kind = normalize_shape(shape), resolve_dtype(dtype)
    return _allocate(lambda: np.zeros(lengths, kind), lengths, kind)


@_creation
def ones(
    shape: int | Sequence[int],
    dtype: npt.DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Array:
    """Return an array of ones; see `zeros`."""
    require_device(device)
    lengths, kind = normalize_shape(shape), resolve_dtype(dtype)
    return _allocate(lambda: np.ones(lengths, kind), lengths, kind)


@_creation
def empty(
    shape: int | Sequence[int],
    dtype: npt.DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Array:
    """Return an array whose elements are whatever the memory held; see `zeros`."""
    require_device(device)
    lengths, kind = normalize_shape(shape), resolve_dtype(dtype)
    return _allocate(lambda: np.empty(lengths, kind), lengths, kind)


@_creation
def full(
    shape: int | Sequence[int],
    fill_value: complex,
    dtype: npt.DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Array:
    """Return an array in which every element is `fill_value`.

    Parameters
    ----------
    shape : int or tuple of int
    fill_value : number
    dtype : dtype, optional
        By default that of `fill_value`: bool, int64, float32 or complex64 for a Python number.
    device : str, optional
        ``"cpu"``, the only one.

    Raises
    ------
    ArgumentError
        If `fill_value` is not a number or does not fit into `dtype`.
    OutOfMemoryError
        If it does not fit in memory.

    Examples
    --------
    >>> full(2, 7)
    array([7, 7])
    """
    require_device(device)
    lengths = normalize_shape(shape)
    kind = resolve_dtype(dtype, _default_dtype(fill_value))
    require_number(fill_value, kind, "fill_value")
    return _allocate(lambda: np.full(lengths, fill_value, kind), lengths, kind)


def _default_dtype(value: Any) -> np.dtype[Any]:
    """Return the dtype that `value` has where no other is asked for."""
    if isinstance(value, np.generic):  # np.float64 is a float too, but has a dtype of its own
        return value.dtype
    try:
        return type_of(value).dtype
    except (AttributeError, TypeError):
        return DEFAULT_DTYPE


@_creation
def eye(
    rows: int,
    columns: int | None = None,
    k: int = 0,
    dtype: npt.DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Array:
    """Return a matrix with ones on the `k`-th diagonal and zeros elsewhere.

    Parameters
    ----------
    rows : int
    columns : int, optional
        As many as rows by default.
    k : int
        Columns to the right of the main diagonal.
    dtype : dtype, optional
        float32 by default.
    device : str, optional
        ``"cpu"``, the only one.

    Raises
    ------
    OutOfMemoryError
        If it does not fit in memory.

    Examples
    --------
    >>> eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    require_device(device)
    n = require_int(rows, "rows")
    shape = normalize_shape((n, n if columns is None else require_int(columns, "columns")))
    offset, kind = require_int(k, "k"), resolve_dtype(dtype)
    return _allocate(lambda: np.eye(shape[0], shape[1], offset, kind), shape, kind)


# from a range -------------------------------------------------------------------------------------


def _bound(value: Any, name: str) -> float:
    """Return `value`, which must be a finite real number, as an int or a float."""
    if isinstance(value, (int, np.integer)) and -(2**63) <= value <= 2**64:
        return int(value)
    if isinstance(value, (float, np.floating)) and math.isfinite(value):
        return float(value)
    if hasattr(value, "__index__") and not isinstance(value, (int, np.ndarray)):
        operator.index(value)  # a static value says better itself why it is no number
    raise ArgumentError(
        f"{name} must be a finite real number of 64 bits, not {value!r}",
        cause="the length of the array follows from it",
        fix="pass a Python number: item() takes the one out of an array",
    )


def _check_whole(dtype: np.dtype[Any], **numbers: float) -> None:
    """Refuse `numbers` of a range of integers that are not whole or do not fit into `dtype`."""
    for name, value in numbers.items():
        if value != int(value):
            raise ArgumentError(
                f"arange: {name} {value} is not a whole number, but the dtype is {dtype}",
                cause="rounding each number would not keep them equally far apart",
                fix="choose a floating-point dtype",
            )
        if name != "step":
            require_number(int(value), dtype, f"arange: {name}")


@_creation
def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: npt.DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Array:
    """Return the numbers from `start` up to `stop`, which is left out, `step` apart.

    Parameters
    ----------
    start, stop, step : number
        With `stop` left out, `start` is the stop and the numbers start from 0.
    dtype : dtype, optional
        By default int64 if all three are whole numbers, else float32.
    device : str, optional
        ``"cpu"``, the only one.

    Raises
    ------
    ArgumentError
        If a bound is not a finite number or the step is 0.
    OutOfMemoryError
        If it does not fit in memory.

    Examples
    --------
    >>> arange(3)
    array([0, 1, 2])
    """
    require_device(device)
    if stop is None:
        start, stop = 0, start
    start, stop, step = _bound(start, "start"), _bound(stop, "stop"), _bound(step, "step")
    if step == 0:
        raise ArgumentError(
            "arange: step is 0",
            cause="the numbers would never reach the stop",
            fix="use full for equal numbers",
        )
    whole = all(isinstance(n, int) for n in (start, stop, step))
    kind = resolve_dtype(dtype, np.int64 if whole else DEFAULT_DTYPE)
    if kind.kind not in REAL_NUMBERS:
        raise DTypeError(
            f"arange is not defined for {kind}", cause="it counts", fix="use int64 or float32"
        )
    # by floor division, which is exact for whole numbers of any size
    count = max(0, int(-((start - stop) // step)))
    if kind.kind not in REAL_FLOATING:
        _check_whole(kind, start=start, step=step, last=start + max(count - 1, 0) * step)
        bounds = (int(start), math.ceil(stop), int(step))
        return _allocate(lambda: np.arange(*bounds, dtype=kind), (count,), kind)
    # counted in float64 and rounded once: in float32 the errors of the steps would add up
    return _allocate(
        lambda: np.arange(start, stop, step, dtype=np.float64).astype(kind, copy=False),
        (count,),
        kind,
    )


@_creation
def linspace(
    start: float,
    stop: float,
    num: int,
    dtype: npt.DTypeLike | None = None,
    endpoint: bool = True,
    *,
    device: str | None = None,
) -> Array:
    """Return `num` numbers at equal distances from `start` to `stop`.

    Parameters
    ----------
    start, stop : number
    num : int
    dtype : dtype, optional
        float32 by default.
    endpoint : bool
        Whether `stop` is the last number, or the one after it.
    device : str, optional
        ``"cpu"``, the only one.

    Raises
    ------
    ArgumentError
        If a bound is not a finite number or `num` is negative.
    OutOfMemoryError
        If it does not fit in memory.

    Examples
    --------
    >>> linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    require_device(device)
    start, stop = _bound(start, "start"), _bound(stop, "stop")
    spread = require_flag(endpoint, "endpoint")
    shape = normalize_shape((require_int(num, "num"),), "num")
    kind = resolve_dtype(dtype)
    return _allocate(
        lambda: np.linspace(start, stop, shape[0], endpoint=spread, dtype=kind), shape, kind
    )


# like another array -------------------------------------------------------------------------------


require_number_once = lru_cache(1024, typed=True)(require_number)
"""`require_number`, which costs little where the same number comes again."""


def _fill(
    x: Array, out: Array | None, value: Any, dtype: npt.DTypeLike | None, fits: bool = False
) -> Array:
    if out is not None:
        out.fill(value)
        return out
    kind = x.dtype if dtype is None else resolve_dtype(dtype)
    if not fits:
        require_number_once(value, kind)
    try:
        if type(value) is int and value == 0:
            # zero pages come from the system without being written
            return np.zeros(x.shape, kind)
        out = np.empty(x.shape, kind)
    except MemoryError as error:
        raise _too_large(x.shape, kind, error) from None
    out.fill(value)
    return out


def _full_like_infer(
    x: TensorType, *, fill_value: Any = 0, dtype: npt.DTypeLike | None = None
) -> TensorType:
    kind = resolve_dtype(dtype, x.dtype)
    require_number(fill_value, kind, "fill_value")
    return TensorType(x.shape, kind)


def _like(name: str, value: int, alias: tuple[str, ...], doc: str) -> Op:
    """Register an op that fills the shape of its operand with a fixed `value`."""
    return register(
        Op(
            name=name,
            kind=Kind.CREATION,
            arity=1,
            kernel=lambda x, out=None, *, dtype=None: _fill(x, out, value, dtype, fits=True),
            infer=_full_like_infer,
            attrs={"dtype": None},
            options=DEVICE,
            alias=alias,
            takes_out=True,
            examples=(
                example((3, 4)),
                example((3, 4), dtype="float32"),
                example((0, 2), dtype="int64"),
                example(()),
            ),
            batch=unchanged,
            doc=doc,
        )
    )


zeros_like = _like(
    "zeros_like", 0, ("empty_like",), "Return zeros of the shape and, by default, dtype of x."
)
ones_like = _like("ones_like", 1, (), "Return ones of the shape and, by default, dtype of x.")

full_like = register(
    Op(
        name="full_like",
        kind=Kind.CREATION,
        arity=1,
        kernel=lambda x, out=None, *, fill_value, dtype=None: _fill(x, out, fill_value, dtype),
        infer=_full_like_infer,
        attrs={"fill_value": ..., "dtype": None},
        options=DEVICE,
        takes_out=True,
        examples=(
            example((3, 4), fill_value=2),
            example((3, 4), fill_value=-0.0),
            example((2,), fill_value=2.5, dtype="float64"),
            example((), fill_value=True, dtype="bool"),
        ),
        batch=unchanged,
        doc="Return the shape of x filled with `fill_value`, by default in the dtype of x.",
    )
)
