"""Draws whose distribution is given by an array: gamma, Poisson, binomial and multinomial.

They are NumPy's, from the start of the key's stream. The gradient of a gamma draw is that of the
number at its quantile (Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", 2018);
whole numbers have none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import register
from oplibrary.messages.errors import ArgumentError, DTypeError, NotDifferentiableError, ShapeError
from oplibrary.ops.arguments import normalize_shape
from oplibrary.ops.random import check_key, generator_at
from oplibrary.values.dtypes import REAL_NUMBERS, promoted
from oplibrary.values.types import Array, Shape, TensorType, broadcast_shapes

_KEY = np.array([7, 11], np.uint64)


def drawn_shape(name: str, shape: Any, *parameters: Shape) -> Shape:
    """Return the shape of draws: `shape`, or where it is None that of the parameters.

    Raises
    ------
    ShapeError
        If the parameters do not broadcast to `shape`.
    """
    batch = broadcast_shapes(*parameters)
    if shape is None:
        return batch
    drawn = normalize_shape(shape)
    last = drawn[len(drawn) - len(batch) :]
    if len(batch) > len(drawn) or any(n not in (1, m) for n, m in zip(batch, last)):
        raise ShapeError(
            f"{name}: parameters of shape {batch} for draws of shape {drawn}",
            cause="each draw has its parameters, so these broadcast to the shape of the draws",
            fix="leave out shape, or let it end in the shape of the parameters",
        )
    return drawn


def _require_all(name: str, what: str, good: Any) -> None:
    """Refuse parameters of which one is no parameter, NaN included."""
    if not np.all(good):
        raise ArgumentError(
            f"{name}: a parameter is out of range",
            cause=what,
            fix="check it, for example with clip, before it is passed",
        )


# gamma --------------------------------------------------------------------------------------------


def _gamma_kernel(key: Array, concentration: Array, *, shape: Any) -> Array:
    drawn = _gamma_infer(_type(key), _type(concentration), shape=shape)
    _require_all("gamma", "the concentration is not negative", concentration >= 0)
    rows = np.broadcast_to(concentration, drawn.shape)
    dtype: Any = drawn.dtype
    # of one concentration NumPy returns a Python float
    return np.asarray(generator_at(key).standard_gamma(rows, dtype=dtype), dtype)


def _type(x: Any) -> TensorType:
    return TensorType(x.shape, x.dtype)


def _gamma_infer(key: TensorType, concentration: TensorType, *, shape: Any) -> TensorType:
    check_key("gamma", key)
    dtype = _gamma_dtype(concentration.dtype)
    return TensorType(drawn_shape("gamma", shape, concentration.shape), dtype)


def _gamma_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of draws, which is float64 for whole concentrations."""
    if dtype.kind in "iu":
        return np.dtype(np.float64)
    if dtype not in (np.float32, np.float64):
        raise DTypeError(
            f"gamma: the concentration is {dtype}",
            cause="the numbers are drawn as float32 or float64",
            fix="convert the concentration with astype, and the draws back",
        )
    return dtype


_STEP = 1e-3
"""Of the differences below, beside the scale on which the distribution changes."""


def _slope_kernel(concentration: Array, draw: Array) -> Array:
    """Return how a gamma draw moves with its concentration, by differences of fourth order.

    The draw z with the quantile F(a, z) fixed has dz/da = -(dF/da) / p(z). Of F and 1 - F the
    smaller one is taken, which is known to its last digits.
    """
    from scipy.special import gammainc, gammaincc, gammaln

    dtype = _gamma_dtype(promoted(concentration.dtype, draw.dtype))
    a, z = np.broadcast_arrays(concentration.astype(np.float64), draw.astype(np.float64))
    with np.errstate(all="ignore"):
        step = _STEP * np.minimum(a, np.sqrt(a))
        lower = gammainc(a, z) < 0.5

        def tail(at: Array) -> Any:
            return np.where(lower, gammainc(at, z), -gammaincc(at, z))

        near, far = tail(a + step) - tail(a - step), tail(a + 2 * step) - tail(a - 2 * step)
        density = np.exp((a - 1) * np.log(z) - z - gammaln(a))
        slope = -(8 * near - far) / (12 * step) / density
    # so near 0 that F is z**a, and all of it is lost
    result: Array = np.where(z > 0, slope, 0.0).astype(dtype)
    return result


def _refuse(*_: Any, **__: Any) -> Any:
    raise NotDifferentiableError(
        "the second derivative of a gamma draw by its concentration",
        cause="its first is computed by differences, as a number",
        fix="take first derivatives only, or stop_gradient the concentration",
    )


gamma_slope: Op = register(
    Op(
        name="gamma_slope",
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_slope_kernel,
        infer=lambda a, z: TensorType(
            broadcast_shapes(a.shape, z.shape), _gamma_dtype(promoted(a.dtype, z.dtype))
        ),
        vjp=(lambda _g, _out, _a, _z: _refuse(), lambda _g, _out, _a, _z: _refuse()),
        operand_names=("concentration", "draw"),
        public=False,
        examples=(example(np.array([1, 3]), np.array([[2], [5]])),),
        doc="Return the derivative of a gamma draw by its concentration.",
    )
)

standard_gamma: Op = register(
    Op(
        name="standard_gamma",
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_gamma_kernel,
        routine="oplibrary.machine.routines.drawing_by_parameters:gamma",
        infer=_gamma_infer,
        vjp=(
            None,
            lambda g, out, _key, concentration, *, shape: g * gamma_slope(concentration, out),
        ),
        attrs={"shape": ...},
        operand_names=("key", "concentration"),
        public=False,
        # of whole numbers: differences of draws are no derivative, since draws may be rejected
        examples=(
            example(_KEY, np.array([1, 3]), shape=(4, 2)),
            example(_KEY, np.array(2), shape=()),
            example(_KEY, np.ones(0, np.int64), shape=(2, 0)),
        ),
        doc="Return draws of the gamma distribution of scale 1.",
    )
)


# whole numbers ------------------------------------------------------------------------------------


def _counts(
    name: str,
    arity: int,
    draw: Callable[..., Any],
    what: str,
    examples: tuple[Any, ...],
    doc: str,
    event: int = 0,
    routine: str | None = None,
) -> Op:
    """Register draws of whole numbers; the last `event` axes of the last parameter are of one."""

    def infer(key: TensorType, *parameters: TensorType, shape: Any) -> TensorType:
        check_key(name, key)
        for each in parameters:
            if each.dtype.kind not in REAL_NUMBERS:
                raise DTypeError(
                    f"{name}: a parameter is {each.dtype}",
                    cause="parameters are real numbers",
                    fix="convert it with astype",
                )
        last = parameters[-1].shape
        if len(last) < event:
            raise ShapeError(
                f"{name}: probabilities of shape {last}",
                cause="there is one for each category, along the last axis",
                fix="give them an axis",
            )
        cut = len(last) - event
        shapes = [*[each.shape for each in parameters[:-1]], last[:cut]]
        return TensorType((*drawn_shape(name, shape, *shapes), *last[cut:]), np.int64)

    def kernel(key: Array, *parameters: Array, shape: Any) -> Array:
        types = [TensorType(each.shape, each.dtype) for each in (key, *parameters)]
        result = infer(*types, shape=shape).shape
        drawn = result[: len(result) - event]
        try:
            found = draw(generator_at(key), drawn, *parameters)
        except ValueError:
            _require_all(name, what, False)
        return np.asarray(found, np.int64)

    return register(
        Op(
            name=name,
            kind=Kind.OPAQUE,
            arity=arity,
            kernel=kernel,
            routine=routine,
            infer=infer,
            attrs={"shape": ...},
            operand_names=("key", "n", "p")[:1] + (("rate",) if arity == 2 else ("n", "p")),
            public=False,
            examples=examples,
            doc=doc,
        )
    )


poisson_counts = _counts(
    "poisson_counts",
    2,
    lambda generator, shape, rate: generator.poisson(rate, shape),
    "the rate is from 0 to about 9.2e18",
    (example(_KEY, np.array([0.5, 3.0]), shape=(4, 2)),),
    "Return draws of the Poisson distribution, int64.",
    routine="oplibrary.machine.routines.drawing_by_parameters:poisson",
)


def _binomial(generator: np.random.Generator, shape: Shape, n: Array, p: Array) -> Any:
    _require_all("binomial", "n counts, from 0", (n >= 0) & (n == np.floor(n)))
    return generator.binomial(n.astype(np.int64), p, shape)


binomial_counts = _counts(
    "binomial_counts",
    3,
    _binomial,
    "p is a probability, from 0 to 1",
    (example(_KEY, np.array([5, 9]), np.array([0.5, 0.2]), shape=(4, 2)),),
    "Return draws of the binomial distribution, int64.",
    routine="oplibrary.machine.routines.drawing_by_parameters:binomial",
)


def _multinomial(generator: np.random.Generator, shape: Shape, n: Array, p: Array) -> Any:
    p = p.astype(np.float64)
    total = p.sum(axis=-1, keepdims=True)
    good = np.isfinite(total) & (total > 0) & np.all(p >= 0, axis=-1, keepdims=True)
    _require_all("multinomial", "probabilities are not negative, and not all 0", good)
    _require_all("multinomial", "n counts, from 0", (n >= 0) & (n == np.floor(n)))
    n = np.broadcast_to(n, shape).astype(np.int64)
    return generator.multinomial(n, np.broadcast_to(p / total, (*shape, p.shape[-1])))


multinomial_counts = _counts(
    "multinomial_counts",
    3,
    _multinomial,
    "probabilities are not negative, and not all 0",
    (example(_KEY, np.array(5), np.array([[0.5, 0.2, 0.3]]), shape=(2, 1)),),
    "Return how often each category is drawn in n draws, int64.",
    event=1,
)
