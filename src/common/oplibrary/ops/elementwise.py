"""Elementwise arithmetic, extrema, selection, conversion and the parts of complex numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import FUNCTIONS, public, register
from oplibrary.core.rules import UNARY_EXAMPLES, binary, elementwise_infer, resolve_dtype, unary
from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.ops.arguments import operand_type, require_device, require_flag
from oplibrary.ops.comparison import greater_equal, less_equal
from oplibrary.ops.exponential import log
from oplibrary.ops.kernels import float_dtype, in_float32
from oplibrary.tangents.families import Push
from oplibrary.values.dtypes import (
    FLOATING,
    is_bfloat16,
    is_numeric,
    promoted,
    promoted_by,
    to_dtype,
)
from oplibrary.values.types import (
    Array,
    TensorType,
    broadcast_shapes,
    fit_scalar,
    is_known,
    is_scalar,
    number_kind,
    type_of,
)

if TYPE_CHECKING:
    import numpy.typing as npt

# arithmetic ---------------------------------------------------------------------------------------

add = binary(
    "add",
    np.add,
    expr="{0} + {1}",
    vjp=(lambda g, _out, _x, _y: g, lambda g, _out, _x, _y: g),
    commutative=True,
    unit=-0.0,
    doc="Return x + y.",
)
subtract = binary(
    "subtract",
    np.subtract,
    expr="{0} - {1}",
    vjp=(lambda g, _out, _x, _y: g, lambda g, _out, _x, _y: -g),
    alias=("sub",),
    unit=0.0,
    doc="Return x - y.",
)
multiply = binary(
    "multiply",
    np.multiply,
    expr="{0} * {1}",
    vjp=(lambda g, _out, _x, y: g * y, lambda g, _out, x, _y: g * x),
    alias=("mul",),
    commutative=True,
    unit=1.0,
    doc="Return x * y.",
)
divide = binary(
    "divide",
    np.true_divide,
    expr="{0} / {1}",
    vjp=(lambda g, _out, _x, y: g / y, lambda g, out, _x, y: -(g * out / y)),
    alias=("div", "true_divide"),
    unit=1.0,
    domain=(0.5, 2.0),
    doc="Return x / y, as floating-point numbers.",
)
floor_divide = binary(
    "floor_divide",
    np.floor_divide,
    expr="{0} // {1}",
    domain=(0.5, 2.0),
    doc="Return the largest whole number not above x / y.",
)
remainder = binary(
    "remainder",
    np.remainder,
    expr="{0} % {1}",
    vjp=(lambda g, _out, _x, _y: g, lambda g, _out, x, y: -(g * floor_divide(x, y))),
    domain=(0.5, 2.0),
    doc="Return x - y * floor_divide(x, y), which has the sign of y.",
)
negative = unary(
    "negative",
    np.negative,
    expr="-{0}",
    vjp=lambda g, _out, _x: -g,
    alias=("neg",),
    doc="Return -x.",
)
square = unary(
    "square",
    np.square,
    expr="{0} * {0}",
    vjp=lambda g, _out, x: (g + g) * x,
    doc="Return x * x.",
)


def _reciprocal(x: Any, out: Array | None = None) -> Any:
    x = np.asarray(x)
    if x.dtype.kind not in FLOATING:
        x = x.astype(float_dtype("reciprocal", x.dtype))
    return np.reciprocal(x, out)


reciprocal = unary(
    "reciprocal",
    _reciprocal,
    dtypes=np.exp,
    expr="1 / {0}",
    vjp=lambda g, out, _x: -(g * out * out),
    domain=(0.5, 2.0),
    doc="Return 1 / x, as floating-point numbers.",
)


def _pow_vjp_base(g: Any, _out: Any, x: Any, y: Any) -> Any:
    # 0 where y is 0, although x**(y - 1) is infinite at x = 0
    flat = (x == 0) & (y == 0)
    return g * (where(flat, 0.0, y) * where(flat, 1.0, x) ** (y - 1))


def _pow_vjp_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    # 0**y is flat where it is finite; a negative base has real powers at whole exponents only
    if g.dtype.kind == "c":
        base = where(x == 0, 1.0, x)
        return g * (out * log(base if base.dtype == g.dtype else cast(base, dtype=g.dtype)))
    flat = (x == 0) & (y >= 0)
    return g * (out * log(where(flat, 1.0, where(x < 0, math.nan, x))))


def _refuse_negative_power(
    types: tuple[TensorType, TensorType], values: tuple[Array | None, Array | None]
) -> None:
    """Refuse an exponent that is negative among integers, as NumPy does.

    Raises
    ------
    ArgumentError
    """
    exponent = values[1]
    if exponent is None or not all(n and is_known(n) for n in types[0].shape):
        return
    base, power = (each.dtype for each in types)
    if base.kind not in "biu" or power.kind not in "biu" or promoted(base, power).kind == "f":
        return
    if exponent.size and exponent.min() < 0:
        raise ArgumentError(
            f"pow({types[0]!r}, {types[1]!r}): integers to negative integer powers are not allowed",
            cause="the result is no integer",
            fix="convert one of them to floating-point numbers first, with astype",
        )


pow = binary(
    "pow",
    np.power,
    expr="{0} ** {1}",
    refuse=_refuse_negative_power,
    vjp=(_pow_vjp_base, _pow_vjp_exponent),
    alias=("power",),
    domain=(0.2, 2.0),
    doc="Return x to the power of y; y has gradient 0 where x is 0 and y is not negative, and NaN "
    "where x is negative.",
)


def _abs_vjp(g: Any, _out: Any, x: Any) -> Any:
    return g * (conj(sign(x)) if x.dtype.kind == "c" else sign(x))


abs = unary(
    "abs",
    np.absolute,
    expr="abs({0})",
    vjp=_abs_vjp,
    alias=("absolute",),
    kinks=(0.0,),
    doc="Return |x|; the gradient at 0 is 0.",
)

_NEVER = np.zeros((), np.bool_)


def flat(g: Any, _out: Any, _x: Any) -> Any:
    """Return the gradient of a step, which is 0: a rule."""
    return where(_NEVER, g, 0.0)  # g * 0 would let inf and NaN through


def _sign_vjp(g: Any, out_if_complex: Any, x_if_complex: Any) -> Any:
    if g.dtype.kind != "c":
        return flat(g, None, None)
    # a complex number turns its sign only across its own direction; 0 at 0, as for real numbers
    size = abs(x_if_complex)
    turn = imag(g * out_if_complex) * 1j * conj(out_if_complex)
    return where(size == 0, 0.0, turn / where(size == 0, 1.0, size))


def _sign_jvp(push: Push) -> Any:
    (t,) = push.tangents
    if t.dtype.kind != "c":
        return push.pulled(0, t)
    return conj(push.pulled(0, conj(t)))  # its derivatives are symmetric as those of real pairs


sign = unary(
    "sign",
    np.sign,
    expr="1 if {0} > 0 else -1 if {0} < 0 else 0 if {0} == 0 else {0}",
    vjp=_sign_vjp,
    jvp=_sign_jvp,
    kinks=(0.0,),
    doc="Return -1, 0 or 1 as x is negative, zero or positive; x / |x| for complex numbers.",
)

# selection ----------------------------------------------------------------------------------------

MANY = 2048
"""Elements from which on a random condition costs more than further calls."""
BITS: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.int8),
    2: np.dtype(np.int16),
    4: np.dtype(np.int32),
    8: np.dtype(np.int64),
}
"""By the size of an element, the integers that have its bits."""


def _where(condition: Any, x: Any, y: Any, out: Array | None = None) -> Any:
    """Return x where the condition holds and y elsewhere.

    ``numpy.where`` branches on each element: 3.5 ns where the condition is random, as that of a
    relu's gradient is, against 0.5 ns for selecting by bit masks.
    """
    if type(condition) is np.ndarray and condition.size >= MANY and condition.dtype == np.bool_:
        dtype = promoted(x, y)
        bits = BITS.get(dtype.itemsize)
        if bits is not None and dtype.kind != "b":
            return _select_bits(condition, x, y, dtype, bits, out)
    try:
        result = np.where(condition, x, y)
    except TypeError:  # dtypes that NumPy does not promote
        dtype = promoted(x, y)
        result = np.where(condition, np.asarray(x, dtype), np.asarray(y, dtype))
    if out is None:
        return result
    np.copyto(out, result)
    return out


def _select_bits(
    condition: Array, x: Any, y: Any, dtype: np.dtype[Any], bits: np.dtype[Any], out: Array | None
) -> Array:
    x_bits = np.asarray(x, dtype).view(bits)
    y_bits = np.asarray(y, dtype).view(bits)
    mask = condition.astype(bits)
    np.negative(mask, mask)
    target = None if out is None else out.view(bits)
    if y_bits.ndim == 0 and not y_bits:
        selected = np.bitwise_and(mask, x_bits, _reusable(mask, target, x_bits))
    elif x_bits.ndim == 0 and not x_bits:
        np.invert(mask, mask)
        selected = np.bitwise_and(mask, y_bits, _reusable(mask, target, y_bits))
    else:
        # y ^ ((x ^ y) & mask)
        difference = np.asarray(np.bitwise_xor(x_bits, y_bits))
        masked = np.bitwise_and(difference, mask, _reusable(difference, None, mask))
        selected = np.bitwise_xor(masked, y_bits, masked if target is None else target)
    return selected.view(dtype) if out is None else out


def _reusable(buffer: Array, target: Array | None, other: Array) -> Array | None:
    """Return the array to write: `target`, or `buffer` if the result has its shape."""
    if target is not None:
        return target
    return buffer if broadcast_shapes(buffer.shape, other.shape) == buffer.shape else None


def _where_infer(condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
    shape = broadcast_shapes(condition.shape, x.shape, y.shape)
    return TensorType(shape, promoted(x.dtype, y.dtype))


where: Op = register(
    Op(
        name="where",
        kind=Kind.ELEMENTWISE,
        arity=3,
        kernel=_where,
        infer=_where_infer,
        vjp=(
            None,
            lambda g, _out, condition, _x, _y: where(condition, g, 0.0),
            lambda g, _out, condition, _x, _y: where(condition, 0.0, g),
        ),
        expr="{1} if {0} else {2}",
        takes_out=True,
        operand_names=("condition", "x", "y"),
        examples=(
            example(np.array([True, False, True]), (3,), (3,)),
            example(np.array([[True], [False]]), (3,), (2, 3)),
            example(np.arange(3 * 1024).reshape(3, 1024) % 3 == 0, (3, 1024), (1024,)),
        ),
        doc="Return x where the condition holds and y elsewhere.",
    )
)

# extrema ------------------------------------------------------------------------------------------


def _maximum(x: Any, y: Any, out: Array | None = None) -> Any:
    return np.maximum(x, y, out=out)  # by position it is deprecated


def _minimum(x: Any, y: Any, out: Array | None = None) -> Any:
    return np.minimum(x, y, out=out)


maximum = binary(
    "maximum",
    _maximum,
    dtypes=np.maximum,
    expr="max({0}, {1})",
    vjp=(
        lambda g, _out, x, y: where(x == y, g * 0.5, where(x < y, 0.0, g)),
        lambda g, _out, x, y: where(x == y, g * 0.5, where(y < x, 0.0, g)),
    ),
    doc="Return the larger of x and y, or NaN if one is; equal operands share the gradient.",
)
minimum = binary(
    "minimum",
    _minimum,
    dtypes=np.minimum,
    expr="min({0}, {1})",
    vjp=(
        lambda g, _out, x, y: where(x == y, g * 0.5, where(x > y, 0.0, g)),
        lambda g, _out, x, y: where(x == y, g * 0.5, where(y > x, 0.0, g)),
    ),
    doc="Return the smaller of x and y, or NaN if one is; equal operands share the gradient.",
)
fmax = binary(
    "fmax",
    np.fmax,
    expr="{0} if {1} != {1} else {1} if {0} != {0} else max({0}, {1})",
    vjp=(
        lambda g, _out, x, y: where((x >= y) | (y != y), g, 0.0),
        lambda g, _out, x, y: where((x >= y) | (y != y), 0.0, g),
    ),
    doc="Return the larger of x and y, leaving out NaN; of equal operands x has the gradient.",
)
fmin = binary(
    "fmin",
    np.fmin,
    expr="{0} if {1} != {1} else {1} if {0} != {0} else min({0}, {1})",
    vjp=(
        lambda g, _out, x, y: where((x <= y) | (y != y), g, 0.0),
        lambda g, _out, x, y: where((x <= y) | (y != y), 0.0, g),
    ),
    doc="Return the smaller of x and y, leaving out NaN; of equal operands x has the gradient.",
)


def _bound(name: str, value: Any) -> Any:
    """Return a bound of clip as a Python number.

    Raises
    ------
    ArgumentError
        If it is an array.
    """
    if value is None or type(value) in (int, float):
        return value
    if isinstance(value, (np.number, int, float)):
        return value.item() if isinstance(value, np.number) else +value
    raise ArgumentError(
        f"{name} must be a number or None, not {type(value).__name__}",
        cause="a bound is a number or an array of numbers",
        fix="pass a float, an array, or None for no bound",
    )


def _clip(x: Any, out: Array | None = None, *, min: Any = None, max: Any = None) -> Any:
    x = np.asarray(x)
    if x.dtype.kind not in FLOATING:
        # NumPy makes numbers of truth values, of a dtype that the bounds choose; and what it casts
        # by itself it treats another way where it is equal to a bound
        x = x.astype(_clip_infer(type_of(x), min=min, max=max).dtype, copy=False)
    if is_bfloat16(x.dtype):  # beside which Python's numbers are wide for NumPy
        return in_float32(_clip, (x,), out, {"min": min, "max": max})
    return x.clip(_bound("min", min), _bound("max", max), out=out)


def _clip_infer(x: TensorType, *, min: Any = None, max: Any = None) -> TensorType:
    dtype = resolve_dtype("clip", np.positive, (x,))
    low, high = _bound("min", min), _bound("max", max)
    for bound in (low, high):
        if type(bound) is float:
            dtype = promoted(dtype, bound)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        for bound, outside in (
            (low, low is not None and low > limits.max),
            (high, high is not None and high < limits.min),
        ):
            if outside:
                raise ArgumentError(
                    f"the bound {bound} is no {dtype}",
                    cause="every element becomes it, and it does not fit",
                    fix="convert the array to a wider dtype with astype first",
                )
    return TensorType(x.shape, dtype)


_CLIP = register(
    Op(
        name="clip",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_clip,
        infer=_clip_infer,
        # within the bounds, and nowhere else, the result is the operand
        vjp=(lambda g, out, x, *, min, max: where(x == out, g, 0.0),),
        attrs={"min": None, "max": None},
        # of equal zeros NumPy gives the bound where there is one, and the operand between two
        expr="max({0}, {min}) if {max} == None else min({0}, {max}) if {min} == None else "
        "{0} if max({min}, {0}) == min({max}, {0}) else min({max}, max({min}, {0}))",
        takes_out=True,
        kinks=(-1.0, 0.5),
        examples=(
            example((3, 4), min=-1.0, max=0.5),
            example((5,), min=-1),
            example((2, 3), max=0.5),
            example(()),
        ),
        doc="Return x with values below `min` and above `max` replaced by these; None is no bound.",
    )
)

_NUMBERS = (type(None), int, float, np.number, np.bool_)


@public
def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """Return `x` with values below `min` and above `max` replaced by these.

    Parameters
    ----------
    x : array
    min, max : number or array, optional
        Arrays broadcast against `x`, and get the gradient of what they replace; where `x` equals
        a bound it keeps it, as in PyTorch. None is no bound.

    Raises
    ------
    DTypeError
        If a bound is no array or number.
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> clip(np.array([1.0, 5.0]), 2.0, np.array([3.0, 4.0])).tolist()
    [2.0, 4.0]
    """
    if isinstance(min, _NUMBERS) and isinstance(max, _NUMBERS):
        return _CLIP(x, min=min, max=max)
    arrays = []
    for operand in (x, min, max):
        if operand is not None:
            found = operand_type("clip", operand)
            if number_kind(operand) is None:
                arrays.append(found.dtype)
    # a number beside two arrays takes the dtype of both
    if min is not None and max is not None:
        min, max = (fit_scalar(each, arrays) if is_scalar(each) else each for each in (min, max))
    if min is not None:
        x = where(greater_equal(x, min), x, maximum(x, min))
    return x if max is None else where(less_equal(x, max), x, minimum(x, max))


FUNCTIONS["clamp"] = clip

# conversion ---------------------------------------------------------------------------------------


def _cast(x: Any, out: Array | None = None, *, dtype: npt.DTypeLike) -> Any:
    x = np.asarray(x)
    if not isinstance(dtype, (np.dtype, type)):
        dtype = to_dtype(dtype)
    if x.dtype.kind == "c" and to_dtype(dtype).kind not in "cb":
        x = x.real
    if out is None:
        result = x.astype(dtype)
        return result if is_numeric(result.dtype) else _cast_infer(type_of(x), dtype=dtype)
    np.copyto(out, x, casting="unsafe")
    return out


def _cast_infer(x: TensorType, *, dtype: npt.DTypeLike) -> TensorType:
    try:
        result = TensorType(x.shape, dtype)
    except TypeError as error:
        raise DTypeError(
            str(error).rstrip("."),
            cause="a dtype is named, such as float32, or a NumPy dtype",
            fix='write x.astype("float32")',
        ) from None
    if not is_numeric(result.dtype):
        raise DTypeError(
            f"elements cannot be converted to {result.dtype}",
            cause="elements are numbers or booleans",
            fix="convert outside of the library, for example with x.numpy().astype(object)",
        )
    return result


cast: Op = register(
    Op(
        name="cast",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_cast,
        infer=_cast_infer,
        vjp=(lambda g, _out, x_type, *, dtype: cast(g, dtype=x_type.dtype),),
        attrs={"dtype": ...},
        expr="cast({0})",
        takes_out=True,
        examples=(example((3, 4), dtype="float32"), example((), dtype="float64")),
        doc="Return a copy of x converted to `dtype`; complex numbers lose their imaginary part.",
    )
)


@public
def astype(x: Any, dtype: npt.DTypeLike, *, copy: bool = True, device: str | None = None) -> Any:
    """Return `x` converted to `dtype`; complex numbers lose their imaginary part.

    Parameters
    ----------
    x : array
    dtype : dtype
    copy : bool
        Whether the result is a copy where `x` has the dtype already.
    device : str, optional
        ``"cpu"``, the only one.

    Raises
    ------
    DTypeError
        If there is no such dtype, or its elements are no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> astype(np.array([1.5, -2.5]), "int64").tolist()
    [1, -2]
    """
    require_device(device)
    if not require_flag(copy, "copy") and operand_type("astype", x).dtype == dtype:
        return x
    return cast(x, dtype=dtype)


# complex numbers ----------------------------------------------------------------------------------
#
# Cotangents are transposed, not conjugated: the gradient g of y stands for dL = Re(g dy). A rule of
# a holomorphic function is then the same for real and for complex numbers. What users see is the
# conjugate, see `oplibrary.executors.autodiff.conjugated`.

_COMPLEX_EXAMPLES = (*UNARY_EXAMPLES, example(np.array([1 + 2j, -0.5j, 3.0, -1 - 1j])))


def _real(x: Any, out: Array | None = None) -> Any:
    return np.positive(np.asarray(x).real, out)


def _imag(x: Any, out: Array | None = None) -> Any:
    return np.positive(np.asarray(x).imag, out)


def _part_infer(x: TensorType) -> TensorType:
    dtype = resolve_dtype("real and imag", np.positive, (x,))
    return TensorType(x.shape, promoted_by(np.absolute, dtype))


real = register(
    Op(
        name="real",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_real,
        infer=_part_infer,
        vjp=(
            lambda g, _out, x_type: cast(g, dtype=x_type.dtype) if x_type.dtype.kind == "c" else g,
        ),
        expr="real({0})",
        takes_out=True,
        examples=_COMPLEX_EXAMPLES,
        doc="Return a copy of the real part of x.",
    )
)
imag = register(
    Op(
        name="imag",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=_imag,
        infer=_part_infer,
        vjp=(lambda g, out, x_type: g * -1j if x_type.dtype.kind == "c" else flat(g, out, x_type),),
        expr="imag({0})",
        takes_out=True,
        examples=_COMPLEX_EXAMPLES,
        doc="Return a copy of the imaginary part of x, which is 0 for real numbers.",
    )
)
conj: Op = register(
    Op(
        name="conj",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=np.conjugate,
        infer=elementwise_infer("conj", np.conjugate),
        vjp=(lambda g, _out, _x: conj(g) if g.dtype.kind == "c" else g,),
        expr="conj({0})",
        takes_out=True,
        examples=_COMPLEX_EXAMPLES,
        doc="Return the complex conjugate of x.",
    )
)
