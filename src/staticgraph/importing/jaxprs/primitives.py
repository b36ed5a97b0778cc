"""JAX's primitives on elements and shapes, its reductions, products and loops."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from oplibrary.values.dtypes import FLOATING, REAL_FLOATING, to_dtype
from staticgraph.importing.jaxprs.table import TABLE

_UNARY = """abs ceil floor cos sin tan tanh exp exp2 expm1 log log1p sqrt rsqrt sign neg:negative
acos acosh asin asinh atan atanh cosh sinh erf erfc erf_inv:erfinv lgamma digamma logistic:sigmoid
is_finite:isfinite cbrt real imag conj square""".split()

_BINARY = """add add_any:add sub:subtract mul:multiply pow max:maximum min:minimum atan2 nextafter
eq:equal ne:not_equal lt:less le:less_equal gt:greater ge:greater_equal rem:fmod
shift_left:bitwise_left_shift shift_right_arithmetic:bitwise_right_shift""".split()

_WHERE = ("accuracy", "sharding", "out_sharding", "out_dtype")


def _unary(name: str) -> Any:
    return lambda xp, x: getattr(xp, name)(x)


def _binary(name: str) -> Any:
    return lambda xp, x, y: getattr(xp, name)(x, y)


for each in _UNARY:
    theirs, _, ours = each.partition(":")
    TABLE.entry(theirs, ignored=("accuracy", "input_dtype"))(_unary(ours or theirs))
for each in _BINARY:
    theirs, _, ours = each.partition(":")
    TABLE.entry(theirs, ignored=_WHERE)(_binary(ours or theirs))


@TABLE.entry("div", ignored=_WHERE)
def _div(xp: Any, x: Any, y: Any) -> Any:
    if x.dtype.kind in FLOATING:
        return xp.divide(x, y)
    down = xp.floor_divide(x, y)  # which rounds down, where JAX rounds towards 0
    inexact = xp.logical_and(down * y != x, xp.logical_xor(x < 0, y < 0))
    return xp.where(inexact, down + 1, down)


@TABLE.entry("lt_to")
def _precedes(xp: Any, x: Any, y: Any) -> Any:
    """Compare in the order that has a place for every number: NaNs at the ends, -0 below 0."""
    less = xp.less(x, y)
    if x.dtype.kind not in REAL_FLOATING:
        return less
    negative_x, negative_y = xp.signbit(x), xp.signbit(y)

    def end(x: Any, negative: Any) -> Any:
        return xp.where(xp.isnan(x), xp.where(negative, -1, 1), 0)

    less = xp.logical_or(less, xp.less(end(x, negative_x), end(y, negative_y)))
    zeros = xp.logical_and(xp.equal(x, 0), xp.equal(y, 0))
    apart = xp.logical_and(negative_x, xp.logical_not(negative_y))
    return xp.logical_or(less, xp.logical_and(zeros, apart))


@TABLE.entry("le_to")
def _precedes_or_equals(xp: Any, x: Any, y: Any) -> Any:
    return xp.logical_not(_precedes(xp, y, x))


@TABLE.entry("eq_to")
def _same_place(xp: Any, x: Any, y: Any) -> Any:
    return xp.logical_not(xp.logical_or(_precedes(xp, x, y), _precedes(xp, y, x)))


def _bits(name: str) -> Any:
    def entry(xp: Any, x: Any, y: Any) -> Any:
        return getattr(xp, f"{'logical' if x.dtype == np.bool_ else 'bitwise'}_{name}")(x, y)

    return entry


for each in ("and", "or", "xor"):
    TABLE.entry(each)(_bits(each))


@TABLE.entry("shift_right_logical")
def _shift_right_logical(xp: Any, x: Any, y: Any) -> Any:
    if x.dtype.kind != "u":
        raise UnsupportedOpError(
            f"whole numbers of {x.dtype} are not supported",
            cause="the library shifts signed numbers with their sign",
            fix="shift unsigned numbers",
        )
    return xp.bitwise_right_shift(x, y)


@TABLE.entry("bessel_i0e")
def _bessel_i0e(xp: Any, x: Any) -> Any:
    return xp.special.i0e(x)


@TABLE.entry("bessel_i1e")
def _bessel_i1e(xp: Any, x: Any) -> Any:
    return xp.special.i1e(x)


@TABLE.entry("polygamma")
def _polygamma(xp: Any, order: Any, x: Any) -> Any:
    known = isinstance(order, np.ndarray | np.generic)
    orders: Any = np.unique(order) if known else ()
    if len(orders) != 1 or orders[0] != int(orders[0]):
        raise UnsupportedOpError(
            "the order is no whole number that is known",
            cause="the library has a function for each order",
            fix="pass a number as the order",
        )
    return xp.special.polygamma(int(orders[0]), x)


@TABLE.entry("not")
def _not(xp: Any, x: Any) -> Any:
    return xp.logical_not(x) if x.dtype == np.bool_ else xp.bitwise_invert(x)


@TABLE.entry("integer_pow")
def _integer_pow(xp: Any, x: Any, y: int) -> Any:
    return xp.square(x) if y == 2 else xp.pow(x, y)


@TABLE.entry("round")
def _round(xp: Any, x: Any, rounding_method: Any) -> Any:
    if int(rounding_method) == 1:
        return xp.round(x)
    return xp.trunc(x + xp.copysign(xp.full_like(x, 0.5), x))


@TABLE.entry("select_n")
def _select_n(xp: Any, which: Any, *cases: Any) -> Any:
    if which.dtype == np.bool_:
        return xp.where(which, cases[1], cases[0])
    found = cases[-1]
    for i in range(len(cases) - 2, -1, -1):
        found = xp.where(xp.equal(which, i), cases[i], found)
    return found


@TABLE.entry("clamp")
def _clamp(xp: Any, low: Any, x: Any, high: Any) -> Any:
    return xp.clip(x, low, high)


@TABLE.entry("convert_element_type", ignored=("weak_type", "sharding"))
def _convert(xp: Any, x: Any, new_dtype: Any) -> Any:
    return xp.astype(xp.asarray(x), np.dtype(new_dtype))


@TABLE.entry("stop_gradient")
def _stop_gradient(xp: Any, x: Any) -> Any:
    return xp.stop_gradient(x)


@TABLE.entry("copy")
def _copy(xp: Any, x: Any) -> Any:
    return x


@TABLE.entry("name", ignored=("name",))
def _named(xp: Any, x: Any) -> Any:
    return x


@TABLE.entry("device_put", ignored=("devices", "srcs", "copy_semantics"))
def _device_put(xp: Any, *xs: Any) -> Any:
    return list(xs)


@TABLE.entry("optimization_barrier")
def _barrier(xp: Any, *xs: Any) -> Any:
    return list(xs)


@TABLE.entry("complex")
def _complex(xp: Any, x: Any, y: Any) -> Any:
    dtype = np.dtype(np.result_type(x.dtype, np.complex64))
    return xp.astype(x, dtype) + xp.astype(y, dtype) * 1j


@TABLE.entry("population_count")
def _population_count(xp: Any, x: Any) -> Any:
    return xp.bitwise_count(x)


_PRECISIONS = {(5, 10): "float16", (8, 7): "bfloat16", (8, 23): "float32", (11, 52): "float64"}
"""Dtypes by the bits of their exponents and of their fractions."""


@TABLE.entry("reduce_precision")
def _reduce_precision(xp: Any, x: Any, exponent_bits: int, mantissa_bits: int) -> Any:
    name = _PRECISIONS.get((exponent_bits, mantissa_bits))
    if name is None:
        raise UnsupportedOpError(
            f"{exponent_bits} bits of exponent and {mantissa_bits} of fraction are not supported",
            cause=f"numbers are rounded to {', '.join(_PRECISIONS.values())}",
            fix="round to one of these",
        )
    dtype = to_dtype(name)
    if dtype.itemsize >= x.dtype.itemsize and dtype.kind == x.dtype.kind:
        return x
    return xp.astype(xp.astype(x, dtype), x.dtype)


# shapes -------------------------------------------------------------------------------------------


@TABLE.entry("broadcast_in_dim", ignored=("sharding",))
def _broadcast_in_dim(xp: Any, x: Any, shape: Any, broadcast_dimensions: Any) -> Any:
    lengths = [1] * len(shape)
    for axis, n in zip(broadcast_dimensions, x.shape, strict=True):
        lengths[axis] = n
    return xp.broadcast_to(xp.reshape(xp.asarray(x), tuple(lengths)), tuple(shape))


@TABLE.entry("reshape", ignored=("sharding",))
def _reshape(xp: Any, x: Any, new_sizes: Any, dimensions: Any = None) -> Any:
    turned = x if dimensions is None else xp.permute_dims(x, tuple(dimensions))
    return xp.reshape(turned, tuple(new_sizes))


@TABLE.entry("transpose")
def _transpose(xp: Any, x: Any, permutation: Any) -> Any:
    return xp.permute_dims(x, tuple(permutation))


@TABLE.entry("squeeze")
def _squeeze(xp: Any, x: Any, dimensions: Any) -> Any:
    return xp.squeeze(x, axis=tuple(dimensions)) if dimensions else x


@TABLE.entry("rev")
def _rev(xp: Any, x: Any, dimensions: Any) -> Any:
    return xp.flip(x, axis=tuple(dimensions))


@TABLE.entry("concatenate")
def _concatenate(xp: Any, *parts: Any, dimension: int) -> Any:
    return xp.concat(list(parts), axis=dimension)


@TABLE.entry("stack")
def _stack(xp: Any, *parts: Any, axis: int) -> Any:
    return xp.stack(list(parts), axis=axis)


@TABLE.entry("unstack")
def _unstack(xp: Any, x: Any, axis: int) -> Any:
    return list(xp.unbind(x, axis=axis))


@TABLE.entry("split")
def _split(xp: Any, x: Any, sizes: Any, axis: int) -> Any:
    ends = np.cumsum(sizes)
    before = (builtins.slice(None),) * axis
    return [
        x[(*before, builtins.slice(int(end - size), int(end)))]
        for end, size in zip(ends, sizes, strict=True)
    ]


@TABLE.entry("slice")
def _slice(xp: Any, x: Any, start_indices: Any, limit_indices: Any, strides: Any) -> Any:
    steps = strides or (1,) * len(start_indices)
    along = zip(start_indices, limit_indices, steps, strict=True)
    return x[tuple([builtins.slice(*each) for each in along])]


@TABLE.entry("pad")
def pad(xp: Any, x: Any, value: Any, padding_config: Any) -> Any:
    """Return an array with a number around it and between its elements, or less of it."""
    if not isinstance(value, np.ndarray | np.generic):
        raise UnsupportedOpError(
            "the padding is computed",
            cause="what is put around an array is known when the graph is declared",
            fix="pad with a number",
        )
    number = value.item()
    for axis, (_, _, between) in enumerate(padding_config):
        x = _spread(xp, x, axis, between, number)
    cuts = [
        builtins.slice(max(-low, 0), n + min(high, 0))
        for (low, high, _), n in zip(padding_config, x.shape, strict=True)
    ]
    if any(low < 0 or high < 0 for low, high, _ in padding_config):
        x = x[tuple(cuts)]
    widths = [(max(low, 0), max(high, 0)) for low, high, _ in padding_config]
    return xp.pad(x, widths, number) if any(map(any, widths)) else x


def _spread(xp: Any, x: Any, axis: int, between: int, number: Any) -> Any:
    """Put `between` elements between those of an axis."""
    if not between:
        return x
    n = x.shape[axis]
    wide = xp.expand_dims(x, axis=axis + 1)
    widths = [(0, 0)] * len(wide.shape)
    widths[axis + 1] = (0, between)
    lengths = [*x.shape]
    lengths[axis] = n * (between + 1)
    found = xp.reshape(xp.pad(wide, widths, number), tuple(lengths))
    return found[(*(builtins.slice(None),) * axis, builtins.slice(0, n * (between + 1) - between))]


@TABLE.entry("tile")
def _tile(xp: Any, x: Any, reps: Any) -> Any:
    return xp.tile(x, tuple(reps))


@TABLE.entry("iota", ignored=("sharding",))
def _iota(xp: Any, dtype: Any, shape: Any, dimension: int) -> Any:
    lengths = [1] * len(shape)
    lengths[dimension] = shape[dimension]
    numbers = xp.arange(shape[dimension], dtype=np.dtype(dtype))
    return xp.broadcast_to(xp.reshape(numbers, tuple(lengths)), tuple(shape))


# reductions ---------------------------------------------------------------------------------------


def _reduction(name: str) -> Any:
    return lambda xp, x, axes: getattr(xp, name)(x, axis=tuple(axes))


for theirs, ours in (
    ("reduce_sum", "sum"),
    ("reduce_max", "max"),
    ("reduce_min", "min"),
    ("reduce_prod", "prod"),
    ("reduce_and", "all"),
    ("reduce_or", "any"),
):
    TABLE.entry(theirs, ignored=("out_sharding",))(_reduction(ours))


def _position(name: str) -> Any:
    return lambda xp, x, axes: getattr(xp, name)(x, axis=axes[0])


for each in ("argmax", "argmin"):
    TABLE.entry(each, ignored=("index_dtype",))(_position(each))


def _running(name: str) -> Any:
    def entry(xp: Any, x: Any, axis: int, reverse: bool) -> Any:
        if not reverse:
            return getattr(xp, name)(x, axis=axis)
        return xp.flip(getattr(xp, name)(xp.flip(x, axis=axis), axis=axis), axis=axis)

    return entry


for theirs, ours in (
    ("cumsum", "sum"),
    ("cumprod", "prod"),
    ("cummax", "max"),
    ("cummin", "min"),
    ("cumlogsumexp", "logsumexp"),
):
    TABLE.entry(theirs)(_running(f"cumulative_{ours}"))


@TABLE.entry("sort", ignored=("is_stable",))
def _sort(xp: Any, *operands: Any, dimension: int, num_keys: int) -> Any:
    """Sort by the last key first: what follows keeps the order of what it finds equal."""
    *first, last = operands[:num_keys]
    order = xp.argsort(last, axis=dimension)
    for key in reversed(first):
        within = xp.argsort(xp.take_along_axis(key, order, axis=dimension), axis=dimension)
        order = xp.take_along_axis(order, within, axis=dimension)
    return [xp.take_along_axis(x, order, axis=dimension) for x in operands]


@TABLE.entry("top_k")
def _top_k(xp: Any, x: Any, k: int, axis: int = -1) -> Any:
    return xp.topk(x, k, axis=axis)


@TABLE.entry(
    "approx_top_k",
    ignored=("recall_target", "reduction_input_size_override"),
    aggregate_to_topk=True,
)
def _approximate_top_k(xp: Any, x: Any, k: int, reduction_dimension: int, is_max_k: bool) -> Any:
    """Return the extremes themselves, as JAX does on a processor."""
    values, places = xp.topk(x if is_max_k else -x, k, axis=reduction_dimension)
    return [values if is_max_k else -values, places]


# products -----------------------------------------------------------------------------------------

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _widened(xp: Any, operands: tuple[Any, ...], preferred: Any) -> list[Any]:
    """Return the operands of a product in the dtype that its sums are made in."""
    if preferred is None:
        return list(operands)
    dtypes = [np.promote_types(x.dtype, preferred) for x in operands]
    return [
        x if x.dtype == dtype else xp.astype(xp.asarray(x), dtype)
        for x, dtype in zip(operands, dtypes, strict=True)
    ]


def _converted(xp: Any, x: Any, preferred: Any) -> Any:
    return x if preferred is None or x.dtype == preferred else xp.astype(x, np.dtype(preferred))


@TABLE.entry("dot_general", ignored=("precision", "out_sharding"))
def _dot_general(
    xp: Any, x: Any, y: Any, dimension_numbers: Any, preferred_element_type: Any = None
) -> Any:
    x, y = _widened(xp, (x, y), preferred_element_type)
    return _converted(xp, _product(xp, x, y, dimension_numbers), preferred_element_type)


def _product(xp: Any, x: Any, y: Any, dimension_numbers: Any) -> Any:
    (x_sums, y_sums), (x_rows, y_rows) = dimension_numbers
    x_rank, y_rank = len(x.shape), len(y.shape)
    plain = not x_rows and tuple(x_sums) == (x_rank - 1,) and tuple(y_sums) == (0,)
    if plain and x_rank and y_rank in (1, 2):
        return xp.matmul(x, y)
    of_x = list(_LETTERS[:x_rank])
    of_y = list(_LETTERS[x_rank : x_rank + y_rank])
    for a, b in zip((*x_rows, *x_sums), (*y_rows, *y_sums), strict=True):
        of_y[b] = of_x[a]
    rows = [of_x[a] for a in x_rows]
    rest_x = [each for a, each in enumerate(of_x) if a not in (*x_rows, *x_sums)]
    rest_y = [each for a, each in enumerate(of_y) if a not in (*y_rows, *y_sums)]
    result = "".join([*rows, *rest_x, *rest_y])
    return xp.einsum(f"{''.join(of_x)},{''.join(of_y)}->{result}", x, y)


@TABLE.entry(
    "conv_general_dilated",
    ignored=("precision", "out_sharding"),
)
def _convolution(
    xp: Any,
    x: Any,
    weight: Any,
    window_strides: Any,
    padding: Any,
    lhs_dilation: Any,
    rhs_dilation: Any,
    dimension_numbers: Any,
    feature_group_count: int,
    batch_group_count: int = 1,
    preferred_element_type: Any = None,
) -> Any:
    x, weight = _widened(xp, (x, weight), preferred_element_type)
    images = xp.permute_dims(x, tuple(dimension_numbers.lhs_spec))
    if batch_group_count > 1:  # each part of the batch has filters of its own: channels in groups
        count, channels, *lengths = images.shape
        apart = xp.reshape(
            images, (batch_group_count, count // batch_group_count, channels, *lengths)
        )
        turned = xp.permute_dims(apart, (1, 0, *range(2, len(apart.shape))))
        images = xp.reshape(turned, (-1, batch_group_count * channels, *lengths))
        feature_group_count = batch_group_count
    filters = xp.permute_dims(weight, tuple(dimension_numbers.rhs_spec))
    config = [(0, 0, 0), (0, 0, 0)]
    config += [(low, high, n - 1) for (low, high), n in zip(padding, lhs_dilation, strict=True)]
    if any(map(any, config)):
        images = pad(xp, images, np.zeros((), images.dtype)[()], config)
    found = getattr(xp, f"conv{len(window_strides)}d")(
        images,
        filters,
        stride=tuple(window_strides),
        dilation=tuple(rhs_dilation),
        groups=feature_group_count,
    )
    turned = xp.permute_dims(found, tuple(np.argsort(dimension_numbers.out_spec).tolist()))
    return _converted(xp, turned, preferred_element_type)
