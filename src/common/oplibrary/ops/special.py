"""Special functions of real numbers, by SciPy's kernels, which are loaded when one is first called.

Derivatives are those of Abramowitz and Stegun, Handbook of Mathematical Functions (1964), chapters
6, 7 and 9. Where a function has several conventions, it is PyTorch's.
"""

from __future__ import annotations

from functools import lru_cache
from math import pi, sqrt
from typing import Any

import numpy as np

from oplibrary.core.batching import elementwise
from oplibrary.core.op import Kind, Op, Rule, example
from oplibrary.core.registry import public_in, register
from oplibrary.core.rules import UNARY_EXAMPLES
from oplibrary.messages.errors import ArgumentError
from oplibrary.ops.arguments import operand_type, require_int, require_steps
from oplibrary.ops.comparison import equal, less_equal, logical_and
from oplibrary.ops.elementwise import cast, sign, where
from oplibrary.ops.exponential import exp, log, log1p, sigmoid
from oplibrary.ops.kernels import float_dtype, float_infer
from oplibrary.ops.numbers import array_of
from oplibrary.tangents.families import symmetric
from oplibrary.values.dtypes import promoted
from oplibrary.values.types import Array, TensorType, broadcast_shapes

EVERYWHERE = ("", "special")
"""The namespaces of what PyTorch, too, has in its main one."""


@lru_cache(64)
def _ufunc(name: str) -> Any:
    import scipy.special

    return getattr(scipy.special, name)


def _run(name: str, kernel: str, out: Array | None, *operands: Array) -> Any:
    """Return what SciPy's ufunc makes of `operands`, in the dtype of the op `name`."""
    dtype = float_dtype(name, promoted(*operands))
    result = _ufunc(kernel)(*[np.asarray(x).astype(dtype, copy=False) for x in operands])
    if out is None:
        return np.asarray(result, dtype)  # SciPy computes float16 in float32
    np.copyto(out, result, casting="same_kind")
    return out


def _special(
    name: str,
    kernel: str,
    vjp: Rule,
    doc: str,
    *,
    alias: tuple[str, ...] = (),
    namespaces: tuple[str, ...] = ("special",),
    domain: tuple[float, float] = (-2.0, 2.0),
    expr: str = "",
) -> Op:
    """Register a function of one real number that SciPy computes."""
    return register(
        Op(
            name=name,
            kind=Kind.ELEMENTWISE,
            arity=1,
            kernel=lambda x, out=None: _run(name, kernel, out, x),
            infer=float_infer(name),
            vjp=(vjp,),
            expr=expr or f"{name}({{0}})",
            alias=alias,
            namespaces=namespaces,
            takes_out=True,
            domain=domain,
            examples=UNARY_EXAMPLES,
            doc=doc,
        )
    )


# the normal distribution --------------------------------------------------------------------------

erfc: Op = _special(
    "erfc",
    "erfc",
    lambda g, _out, x: g * exp(-(x * x)) * (-2 / sqrt(pi)),
    "Return 1 - erf(x), which stays exact where erf(x) is nearly 1.",
    namespaces=EVERYWHERE,
)

erfinv: Op = _special(
    "erfinv",
    "erfinv",
    lambda g, out, _x: g * exp(out * out) * (sqrt(pi) / 2),
    "Return the inverse of erf; infinite at -1 and 1, NaN beyond.",
    namespaces=EVERYWHERE,
    domain=(-0.9, 0.9),
)

ndtr: Op = _special(
    "ndtr",
    "ndtr",
    lambda g, _out, x: g * exp(x * x * -0.5) * (1 / sqrt(2 * pi)),
    "Return the probability that a standard normal number is below x.",
)

ndtri: Op = _special(
    "ndtri",
    "ndtri",
    lambda g, out, _x: g * exp(out * out * 0.5) * sqrt(2 * pi),
    "Return the number below which a standard normal number is with probability x.",
    domain=(0.1, 0.9),
)

log_ndtr: Op = _special(
    "log_ndtr",
    "log_ndtr",
    lambda g, out, x: g * exp(x * x * -0.5 - out) * (1 / sqrt(2 * pi)),
    "Return the logarithm of ndtr(x), which stays exact far below 0.",
)


# the gamma function -------------------------------------------------------------------------------

lgamma: Op = _special(
    "lgamma",
    "gammaln",
    lambda g, _out, x: g * digamma(x),
    "Return the logarithm of the absolute value of the gamma function.",
    alias=("gammaln",),
    namespaces=EVERYWHERE,
    domain=(0.5, 4.0),
)

digamma: Op = _special(
    "digamma",
    "psi",
    lambda g, _out, x: g * polygamma(1, x),
    "Return the derivative of lgamma(x).",
    alias=("psi",),
    namespaces=EVERYWHERE,
    domain=(0.5, 4.0),
)


def _polygamma(x: Array, out: Array | None = None, *, n: int) -> Any:
    dtype = float_dtype("polygamma", x.dtype)
    result = np.asarray(_ufunc("polygamma")(n, x.astype(dtype, copy=False)), dtype)
    if out is None:
        return result
    np.copyto(out, result)
    return out


_POLYGAMMA: Op = register(
    Op(
        name="polygamma",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_polygamma,
        infer=lambda x, *, n: TensorType(x.shape, float_dtype("polygamma", x.dtype)),
        vjp=(lambda g, _out, x, *, n: g * polygamma(n + 1, x),),
        jvp=symmetric,
        attrs={"n": ...},
        namespaces=EVERYWHERE,
        takes_out=True,
        domain=(0.5, 4.0),
        examples=(example((3, 4), n=1), example((), n=2), example((0,), n=0)),
        batch=elementwise,
        doc="Return the n-th derivative of digamma(x).",
    )
)


@public_in(*EVERYWHERE)
def polygamma(n: int, x: Any) -> Any:
    """Return the `n`-th derivative of ``digamma(x)``.

    Parameters
    ----------
    n : int
        0 or more.
    x : array

    Raises
    ------
    ArgumentError
        If `n` is negative.

    Examples
    --------
    >>> float(np.round(polygamma(1, np.array(1.0)), 6))
    1.644934
    """
    if require_int(n, "n") < 0:
        raise ArgumentError(
            f"polygamma: n is {n}",
            cause="it counts derivatives",
            fix="pass 0 or more",
        )
    return _POLYGAMMA(x, n=int(n))


@public_in("special")
def betaln(a: Any, b: Any) -> Any:
    """Return the logarithm of the absolute value of the beta function.

    Parameters
    ----------
    a, b : array

    Examples
    --------
    >>> float(np.round(betaln(np.array(2.0), np.array(3.0)), 6))
    -2.484907
    """
    total = a + b
    kind = operand_type("betaln", total).dtype  # a number takes the dtype of the array beside it
    a, b = (cast(array_of(x), dtype=kind) for x in (a, b))
    return lgamma(a) + lgamma(b) - lgamma(total)


@public_in("", "special")
def mvlgamma(x: Any, p: int) -> Any:
    """Return the logarithm of the multivariate gamma function of dimension `p`.

    Parameters
    ----------
    x : array
        Above (p - 1) / 2.
    p : int
        1 or more.

    Raises
    ------
    ArgumentError
        If `p` is below 1.

    Examples
    --------
    >>> float(np.round(mvlgamma(np.array(2.0), 2), 6))
    0.451583
    """
    if require_steps(p, "p") < 1:
        raise ArgumentError(
            f"mvlgamma: p is {p}", cause="it is a number of dimensions", fix="pass 1 or more"
        )
    total = lgamma(x)
    for k in range(1, p):
        total = total + lgamma(x - k / 2)
    return total + p * (p - 1) / 4 * float(np.log(pi))


# Bessel functions ---------------------------------------------------------------------------------

i0: Op = _special(
    "i0",
    "i0",
    lambda g, _out, x: g * i1(x),
    "Return the modified Bessel function of the first kind and order 0.",
    namespaces=EVERYWHERE,
)


def _i1_over_x(value: Any, x: Any) -> Any:
    """Return ``value / x``, where `value` is i1 of `x` or scaled; 0.5 at 0."""
    zero = equal(x, 0)
    return where(zero, 0.5, value / where(zero, 1, x))


i1: Op = _special(
    "i1",
    "i1",
    lambda g, out, x: g * (i0(x) - _i1_over_x(out, x)),
    "Return the modified Bessel function of the first kind and order 1.",
)

i0e: Op = _special(
    "i0e",
    "i0e",
    lambda g, out, x: g * (i1e(x) - sign(x) * out),
    "Return exp(-abs(x)) * i0(x), which does not overflow.",
)

i1e: Op = _special(
    "i1e",
    "i1e",
    lambda g, out, x: g * (i0e(x) - sign(x) * out - _i1_over_x(out, x)),
    "Return exp(-abs(x)) * i1(x), which does not overflow.",
)


# entropies ----------------------------------------------------------------------------------------


def _times_log(name: str, logarithm: str, doc: str, rules: tuple[Rule, Rule]) -> Op:
    """Register ``x * f(y)`` that is 0 where `x` is 0 and `y` is a number."""

    def infer(x: TensorType, y: TensorType) -> TensorType:
        dtype = float_dtype(name, promoted(x.dtype, y.dtype))
        return TensorType(broadcast_shapes(x.shape, y.shape), dtype)

    return register(
        Op(
            name=name,
            kind=Kind.ELEMENTWISE,
            arity=2,
            kernel=lambda x, y, out=None: _run(name, name, out, x, y),
            infer=infer,
            vjp=rules,
            expr=f"0 if {{0}} == 0 and {{1}} == {{1}} else {{0}} * {logarithm}({{1}})",
            namespaces=EVERYWHERE if name == "xlogy" else ("special",),
            takes_out=True,
            domain=(0.1, 2.0),
            examples=(
                example((3, 4), (3, 4)),
                example((3, 4), (4,)),
                example((), (2, 3)),
                example((0, 3), (1,)),
            ),
            doc=doc,
        )
    )


xlogy: Op = _times_log(
    "xlogy",
    "log",
    "Return x * log(y), and 0 where x is 0, unless y is NaN.",
    (
        lambda g, _out, x, y: where(logical_and(equal(x, 0), less_equal(y, 0)), 0, xlogy(g, y)),
        lambda g, _out, x, y: g * x / y,
    ),
)

xlog1py: Op = _times_log(
    "xlog1py",
    "log1p",
    "Return x * log1p(y), and 0 where x is 0, unless y is NaN.",
    (
        lambda g, _out, x, y: where(logical_and(equal(x, 0), less_equal(y, -1)), 0, xlog1py(g, y)),
        lambda g, _out, x, y: g * x / (y + 1),
    ),
)

entr: Op = _special(
    "entr",
    "entr",
    lambda g, _out, x: g * (-1 - log(x)),
    "Return -x * log(x); 0 at 0, and -inf below.",
    domain=(0.1, 2.0),
    expr="-{0} * log({0}) if {0} > 0 else 0 if {0} == 0 else -inf if {0} < 0 else {0}",
)


@public_in(*EVERYWHERE)
def logit(x: Any) -> Any:
    """Return ``log(x / (1 - x))``, the inverse of `sigmoid`.

    Parameters
    ----------
    x : array
        Probabilities; infinite at 0 and 1, NaN beyond.

    Examples
    --------
    >>> logit(np.array([0.5])).tolist()
    [0.0]
    """
    dtype = float_dtype("logit", operand_type("logit", x).dtype)
    x = x if x.dtype == dtype else cast(x, dtype=dtype)
    return log(x) - log1p(-x)


@public_in("special")
def expit(x: Any) -> Any:
    """Return ``1 / (1 + exp(-x))``; another name of `sigmoid`.

    Parameters
    ----------
    x : array

    Examples
    --------
    >>> float(expit(np.array(0.0)))
    0.5
    """
    return sigmoid(x)
