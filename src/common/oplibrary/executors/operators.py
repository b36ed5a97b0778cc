"""The infix operators and array methods that Tensor and Node share.

Every method calls the op of the same meaning; which executor runs it follows from the operands.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from oplibrary.core.registry import REGISTRY, lookup
from oplibrary.executors.einops_backend import offer
from oplibrary.late.method import install
from oplibrary.late.modules import load
from oplibrary.messages.errors import ArgumentError, DTypeError, InPlaceError, SideBySideError
from oplibrary.ops.arguments import normalize_ints, require_device, require_steps
from oplibrary.values.dtypes import castable, to_dtype

API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")
"""The versions of the array API standard that the namespaces keep to."""

BINARY_OPERATORS = {
    "__add__": "add",
    "__sub__": "subtract",
    "__mul__": "multiply",
    "__truediv__": "divide",
    "__floordiv__": "floor_divide",
    "__mod__": "remainder",
    "__matmul__": "matmul",
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "__xor__": "bitwise_xor",
    "__lshift__": "bitwise_left_shift",
    "__rshift__": "bitwise_right_shift",
    "__eq__": "equal",
    "__ne__": "not_equal",
    "__lt__": "less",
    "__le__": "less_equal",
    "__gt__": "greater",
    "__ge__": "greater_equal",
}
"""Python's infix operators; those that are not comparisons have a reflected form too."""

COMPARISONS = frozenset({"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"})

UNARY_OPERATORS = {"__neg__": "negative", "__abs__": "abs", "__invert__": "bitwise_invert"}

POWERS = {(int, 2): "square", (float, 0.5): "sqrt"}
"""The commonest powers have kernels of their own, exact and cheaper.

Of -0.0 and -inf NumPy's power of a number is the root, that of an array is not.
"""

NUMBER_OPERATORS = (
    *(name for name in BINARY_OPERATORS if name != "__matmul__"),
    *(f"__r{name[2:]}" for name in BINARY_OPERATORS if name not in {*COMPARISONS, "__matmul__"}),
    *UNARY_OPERATORS,
    "__pos__",
    "__pow__",
    "__rpow__",
    "conjugate",
)
"""The methods that Python's numbers have, too, and that give a number."""

UNARY_METHODS = (
    "abs acos acosh asin asinh atan atanh ceil cos cosh erf exp expm1 floor log log1p log2 log10 "
    "neg reciprocal relu round rsqrt sigmoid sign silu sin sinh softplus sqrt square tan tanh trunc"
).split()
"""Elementwise functions of one operand that are also methods, as in PyTorch."""

METHODS = (
    "add all amax amin angle any argmax argmin argsort atan2 broadcast_to clamp clip conj "
    "count_nonzero cross cumprod cumsum diag diff div divide dot "
    "eq expand_dims flatten flip floor_divide fmod gelu ge greater greater_equal gt isfinite isinf "
    "isnan le less less_equal log_softmax logical_and logical_not logical_or logical_xor logsumexp "
    "lt matmul max maximum mean min minimum moveaxis mul multiply ne negative nonzero not_equal "
    "outer prod remainder repeat roll softmax squeeze std sub subtract sum swapaxes take "
    "take_along_axis tile topk tril triu true_divide unbind unsqueeze var"
).split()
"""Other functions that are also methods; the array is the first operand."""

WRITTEN_METHODS = frozenset({"round"})
"""Those of them that take more than the functions do, and are written below."""

NUMPY_METHODS = "argpartition choose diagonal put ravel searchsorted trace".split()
"""Methods of ndarrays with NumPy's parameters: they run as NumPy's functions of these names do."""

LATE_METHODS = "allclose inner isclose kron nan_to_num nanmean nansum vdot".split()
"""Methods whose functions are loaded when one is first called."""


def _function(name: str) -> Any:
    function = lookup(name)
    assert function is not None, name
    return function


def _require_castable(given: Any, dtype: Any, casting: Any) -> None:
    try:
        allowed = castable(given, to_dtype(dtype), casting)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"astype({dtype!r}, casting={casting!r}): {error}",
            cause="NumPy's kinds of conversions are no, equiv, safe, same_kind and unsafe",
            fix="leave casting out, or name one of these",
        ) from None
    if not allowed:
        raise DTypeError(
            f"astype: casting={casting!r} does not allow {given} to {to_dtype(dtype)}",
            cause="numbers could be lost",
            fix="leave casting out to convert nevertheless",
        )


if TYPE_CHECKING:
    # a generated stub alone: what `_install` below puts into the class
    from oplibrary.executors.array_methods import ArrayMethods
else:
    ArrayMethods = object


class ArrayOperators(ArrayMethods):
    """Give a value type the operators and methods of an array."""

    __slots__ = ()
    # NumPy defers to our reflected operators instead of looping over elements
    __array_priority__ = 1000

    shape: Any
    dtype: Any
    conj: Any
    fill_: Any
    __getitem__: Any

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    # the methods with operators' names are installed below the class, from the tables above

    def __pow__(self, exponent: Any) -> Any:
        kind = type(exponent)
        if kind is int or kind is float:
            own = POWERS.get((kind, exponent))
            if own is not None:
                return REGISTRY[own](self)
        return REGISTRY["pow"](self, exponent)

    def __rpow__(self, base: Any) -> Any:
        return REGISTRY["pow"](base, self)

    def pow(self, exponent: Any) -> Any:
        """Return self to the power of `exponent`."""
        return self**exponent

    def __pos__(self) -> Any:
        return self

    def __round__(self, ndigits: Any = None) -> Any:
        return self.round(0 if ndigits is None else ndigits)

    def __iter__(self) -> Any:
        if not self.shape:
            raise DTypeError(
                "iteration over a 0-d array",
                cause="it has no axis to go along",
                fix="use the value itself, or x.reshape(1)",
            )
        if 0 in self.shape[1:]:  # of rows that take no memory there may be any number
            require_steps(self.shape[0], "the number of rows")
        return (self[i] for i in range(self.shape[0]))

    def dim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    def numel(self) -> int:
        """Return the number of elements."""
        return self.size

    def element_size(self) -> int:
        """Return the bytes of one element."""
        return self.itemsize

    def to(self, dtype: Any) -> Any:
        """Return the array as `dtype`; itself if it has that dtype, or for ``"cpu"``."""
        if isinstance(dtype, str) and dtype == "cpu":
            return self
        try:
            wanted = None if dtype is None else to_dtype(dtype)
        except TypeError:
            wanted = None
        if wanted is None:
            raise DTypeError(
                f"to({dtype!r}) is neither a dtype nor a place",
                cause='elements live on "cpu" only, and dtypes are NumPy\'s',
                fix='write x.to("float32"), or leave the device out',
            )
        return self if wanted == self.dtype else self.astype(wanted)

    def cpu(self) -> Any:
        """Return the array itself: it is on the CPU."""
        return self

    @property
    def nbytes(self) -> int:
        """Number of bytes that the elements take."""
        return self.size * int(self.dtype.itemsize)

    @property
    def itemsize(self) -> int:
        """Number of bytes that one element takes."""
        return int(self.dtype.itemsize)

    @property
    def T(self) -> Any:
        """The array with its axes reversed."""
        return REGISTRY["permute_dims"](self, axes=tuple(range(self.ndim))[::-1])

    @property
    def mT(self) -> Any:
        """The array with its last two axes exchanged."""
        return REGISTRY["matrix_transpose"](self)

    @property
    def real(self) -> Any:
        """The real part, a copy that refuses to be written to; of real numbers, the array itself.

        NumPy's is a view, through which `x` changes: here ``x[...] = real + 1j * x.imag``.
        """
        return self._part(REGISTRY["real"](self)) if self.dtype.kind == "c" else self

    @real.setter
    def real(self, value: Any) -> None:
        raise _writes_to_part("real", "x[...] = value + 1j * x.imag")

    @property
    def imag(self) -> Any:
        """The imaginary part, a copy that refuses to be written to; of real numbers, zeros."""
        return self._part(REGISTRY["imag"](self))

    @imag.setter
    def imag(self, value: Any) -> None:
        raise _writes_to_part("imag", "x[...] = x.real + 1j * value")

    def _memory(self) -> Any:
        """Return the ndarray that holds the elements, or None where there is none yet."""
        return None

    def _part(self, copy: Any) -> Any:
        """Return `copy`, of a part of the elements, as one that refuses to be written to."""
        raise NotImplementedError

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
        """Return the same elements in another shape; one length may be -1."""
        target = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        if not isinstance(target, tuple):
            target = normalize_ints(target, "shape")
        if order != "C":
            given: Any = {"order": order} if copy is None else {"order": order, "copy": copy}
            return np.reshape(self, target, **given)  # type: ignore[call-overload]
        if copy is None:
            return REGISTRY["reshape"](self, shape=target)
        return REGISTRY["reshape"](self, shape=target, copy=copy)

    view = reshape

    def permute(self, *axes: Any) -> Any:
        """Return the array with its axes in the order given."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        if not isinstance(order, tuple):
            order = normalize_ints(order, "axes")
        return REGISTRY["permute_dims"](self, axes=order)

    def transpose(self, *axes: Any) -> Any:
        """Return the array with two axes exchanged, with all in the order given, or reversed.

        Two numbers exchange those axes, as in PyTorch; a tuple, or more numbers, is the order of
        all axes, as in NumPy; nothing reverses them.
        """
        if not axes:
            return self.T
        if len(axes) == 2:
            return _function("transpose")(self, *axes)
        return self.permute(*axes)

    def t(self) -> Any:
        """Return the transpose of a matrix."""
        return self.T

    def astype(
        self,
        dtype: Any,
        *,
        copy: bool = True,
        device: str | None = None,
        casting: str = "unsafe",
    ) -> Any:
        """Return the array converted to `dtype`; see the function of that name.

        `casting` says as in NumPy which conversions are allowed, and is not checked by default.
        """
        if casting != "unsafe":
            _require_castable(self.dtype, dtype, casting)
        if copy and device is None:
            return REGISTRY["cast"](self, dtype=dtype)
        return _function("astype")(self, dtype, copy=copy, device=device)

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    @property
    def device(self) -> str:
        """Where the elements live; always ``"cpu"``."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: Any = None) -> Any:
        """Return the array itself: it is where arrays live.

        Raises
        ------
        ArgumentError
            If `device` is not ``"cpu"``.
        """
        require_device(device)
        return self

    def copy(self, order: str = "C") -> Any:
        """Return a copy, through which gradients flow; elements lie in row-major order."""
        if order != "C":
            raise ArgumentError(
                f"copy with order={order!r}",
                cause="a copy lies in row-major order here; no function gives another value for it",
                fix="write x.copy()",
            )
        return _function("clone")(self)

    def fill(self, value: Any) -> None:
        """Overwrite every element with `value`."""
        self.fill_(value)

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        """Return what stands along an axis, or in one line, where a vector of conditions is true.

        Raises
        ------
        DataDependentShapeError
            If the condition is a static value.
        """
        return _function("compress")(condition, self, axis)

    def round(self, decimals: int = 0) -> Any:
        """Return the numbers rounded to decimals, halves to the even number."""
        numpy: Any = np  # which finds our function
        return numpy.round(self, decimals) if decimals else REGISTRY["round"](self)

    def conjugate(self) -> Any:
        """Return the complex conjugates, of real numbers the array itself."""
        return self.conj()

    def float(self) -> Any:
        """Return the array as float32."""
        return self.astype("float32")

    def double(self) -> Any:
        """Return the array as float64."""
        return self.astype("float64")

    def long(self) -> Any:
        """Return the array as int64."""
        return self.astype("int64")

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        import sys

        if api_version not in (None, *API_VERSIONS):
            raise ArgumentError(
                f"there is no version {api_version!r} of the array API standard here",
                cause="known are " + ", ".join(API_VERSIONS),
                fix=f'pass api_version="{API_VERSIONS[-1]}", or leave it out',
            )
        return sys.modules[type(self).__module__.partition(".")[0]]


def _writes_to_part(part: str, fix: str) -> InPlaceError:
    return InPlaceError(
        f"x.{part} = value",
        cause=f"x.{part} is a copy: the array would not change",
        fix=f"overwrite the whole number: {fix}",
    )


def _method(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return _function(name)(self, *args, **kwargs)
        except SideBySideError as error:
            if not isinstance(error, ArgumentError):
                raise
            offered = getattr(self.__array_namespace__(), name, None)
            if offered is None:
                raise
        except TypeError:
            offered = getattr(self.__array_namespace__(), name, None)
            if offered is None:
                raise
        # which knows NumPy's arguments, too, and says what is wrong with others
        return offered(self, *args, **kwargs)

    method.__name__ = name
    method.__qualname__ = f"ArrayOperators.{name}"
    method.__doc__ = f"Apply ``{name}`` to this array; see the function of that name."
    method.__wrapped__ = _function(name)  # type: ignore[attr-defined]
    return method


def _numpy_method(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(np, name)(self, *args, **kwargs)

    method.__name__ = name
    method.__qualname__ = f"ArrayOperators.{name}"
    method.__doc__ = f"Apply ``numpy.{name}`` to this array; see the function of that name."
    return method


def _late_method(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.__array_namespace__(), name)(self, *args, **kwargs)

    method.__name__ = name
    method.__qualname__ = f"ArrayOperators.{name}"
    method.__doc__ = f"Apply ``{name}`` to this array; see the function of that name."
    return method


def _reflected(name: str) -> Any:
    def method(self: Any, other: Any) -> Any:
        return REGISTRY[name](other, self)

    return method


def _install() -> None:
    for dunder, name in {**BINARY_OPERATORS, **UNARY_OPERATORS}.items():
        install(ArrayOperators, dunder, partial(_method, name))
    for dunder, name in BINARY_OPERATORS.items():
        if dunder not in COMPARISONS:
            install(ArrayOperators, f"__r{dunder[2:]}", partial(_reflected, name))
    for name in (*UNARY_METHODS, *METHODS):
        if name not in WRITTEN_METHODS:
            install(ArrayOperators, name, partial(_method, name))
    for name in NUMPY_METHODS:
        install(ArrayOperators, name, partial(_numpy_method, name))
    for name in LATE_METHODS:
        install(ArrayOperators, name, partial(_late_method, name))
    install(ArrayOperators, "__getitem__", partial(load, "oplibrary.ops.indexing:getitem"))
    # equality is elementwise, identity is what dictionaries need
    ArrayOperators.__hash__ = object.__hash__  # type: ignore[method-assign]


_install()
offer(ArrayOperators)
