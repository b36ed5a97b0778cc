"""First and second derivatives where a function has a kink, a tie or a pole: PyTorch's conventions.

Where PyTorch gives a number, so do both modes, the same one. Where it gives NaN and we do not, the
first derivative is 0 by convention, and so are the higher ones: see `FLAT`.
"""

import math

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import REGISTRY

torch = pytest.importorskip("torch")

INF = math.inf
SIGNED = [0.0, -0.0, 1.0, -1.0]


def of_one(name, torch_name=None, **options):
    """Return a function that calls the function `name` of a namespace."""

    def call(xp, x):
        if xp is not torch:
            return getattr(xp, name)(x, **options)
        wanted = torch_name or name
        home = next(m for m in (torch, torch.linalg, torch.nn.functional) if hasattr(m, wanted))
        return getattr(home, wanted)(x, **options)

    return call


def norm(order):
    return of_one("vector_norm", ord=order)


KINKS = {
    "abs": (of_one("abs"), SIGNED),
    "angle": (of_one("angle"), SIGNED),
    "fabs": (lambda xp, x: (xp.fabs if hasattr(xp, "fabs") else xp.abs)(x), SIGNED),
    "cbrt": (
        lambda xp, x: xp.cbrt(x) if hasattr(xp, "cbrt") else xp.sign(x) * xp.abs(x) ** (1 / 3),
        [1.0, 8.0, -8.0],
    ),
    "mantissa": (lambda xp, x: xp.frexp(x)[0], [0.5, 1.0, -3.0]),
    "relu": (of_one("relu"), SIGNED),
    "leaky_relu": (of_one("leaky_relu"), SIGNED),
    "elu": (of_one("elu"), SIGNED),
    "elu of another alpha": (of_one("elu", alpha=2.0), [*SIGNED, math.nan]),
    "sign": (of_one("sign"), SIGNED),
    "floor": (of_one("floor"), [0.0, 0.5, 1.0]),
    "ceil": (of_one("ceil"), [0.0, 0.5, 1.0]),
    "trunc": (of_one("trunc"), [0.0, 0.5, 1.0]),
    "round": (of_one("round"), [0.0, 0.5, 1.5]),
    "clip": (lambda xp, x: xp.clip(x, -1.0, 0.5), [-1.0, 0.5, 0.0, 2.0, -2.0]),
    "clip from below": (lambda xp, x: xp.clip(x, 0.0), [*SIGNED, 0.5]),
    "max of ties": (of_one("max", "amax"), [1.0, 1.0, 0.0]),
    "min of ties": (of_one("min", "amin"), [0.0, -0.0, 1.0]),
    "maximum": (lambda xp, x: xp.maximum(x, x * 0 + 1), [1.0, 2.0, 0.0]),
    "minimum": (lambda xp, x: xp.minimum(x, x * 0 + 1), [1.0, 2.0, 0.0]),
    "maximum of itself": (lambda xp, x: xp.maximum(x, x * x), [0.0, 1.0, 0.5]),
    "where": (lambda xp, x: xp.where(x > 0, x, x * x), SIGNED),
    "sort": (lambda xp, x: xp.sort(x).values if xp is torch else xp.sort(x), [1.0, 1.0, 0.0]),
    "remainder": (lambda xp, x: xp.remainder(x, x * 0 + 1), [0.0, 1.0, 0.5]),
    "copysign": (lambda xp, x: xp.copysign(x, x * 0 - 1), SIGNED),
    "sqrt": (of_one("sqrt"), [0.0, 1.0, 4.0]),
    "rsqrt": (of_one("rsqrt"), [0.0, 1.0, 4.0]),
    "reciprocal": (of_one("reciprocal"), [0.0, -0.0, 2.0]),
    "log": (of_one("log"), [0.0, 1.0]),
    "log1p": (of_one("log1p"), [-1.0, 0.0]),
    "acos": (of_one("acos"), [0.0, 1.0, -1.0]),
    "asin": (of_one("asin"), [0.0, 1.0, -1.0]),
    "acosh": (of_one("acosh"), [1.0, 2.0]),
    "atanh": (of_one("atanh"), [0.0, 1.0, -1.0]),
    "hypot": (lambda xp, x: xp.hypot(x, x * 0), [0.0, 1.0, -1.0]),
    "prod with a zero": (of_one("prod"), [0.0, 2.0, 3.0]),
    "prod with zeros": (of_one("prod"), [0.0, 0.0, 3.0]),
    "var of equal numbers": (of_one("var", correction=0), [1.0, 1.0, 1.0]),
    "std of equal numbers": (of_one("std", correction=0), [1.0, 1.0, 1.0]),
    "std": (of_one("std", correction=0), [1.0, 1.0, 2.0]),
    "norm at the origin": (norm(2), [0.0, 0.0]),
    "norm": (norm(2), [0.0, 3.0, 4.0]),
    "norm of order 0.5": (norm(0.5), [0.0, 3.0]),
    "norm of order 1": (norm(1), [0.0, 3.0]),
    "norm of order 1.5": (norm(1.5), [0.0, 3.0]),
    "norm of order 3": (norm(3), [0.0, 3.0]),
    "norm of order 3 at the origin": (norm(3), [0.0, 0.0]),
    "norm of order inf": (norm(INF), [3.0, -3.0, 0.0]),
    "norm of order -inf": (norm(-INF), [3.0, -3.0, 4.0]),
    **{
        f"to the power of {y}": (lambda xp, x, y=y: x**y, [0.0, 1.0, 4.0])
        for y in (0, 1, 2, 3, 0.5, 1.5, 2.5, -1, -0.5)
    },
    "x to the power of x": (lambda xp, x: x**x, [0.0, 1.0, 4.0]),
    "0 to the power of x": (lambda xp, x: 0.0**x, [0.0, 1.0, 4.0]),
    "logaddexp": (lambda xp, x: xp.logaddexp(x, x), [0.0, -INF, INF]),
    "logsumexp": (lambda xp, x: xp.logsumexp(x, 0), [-INF, -INF]),
}

FLAT = {
    "norm at the origin",
    "norm of order 0.5",
    "norm of order 1.5",
    "x to the power of x",
    "0 to the power of x",
    "copysign",
}
"""Where PyTorch's second derivative has a NaN; ours has the 0 that the first one stands for."""


IN_MACHINE_CODE = {"elu", "std of equal numbers", "norm at the origin", "x to the power of x"}


def derivatives(xp, f, n):
    """Return functions that give the first derivative of ``sum(f(x))`` and a weighted second."""
    weights = np.arange(1.0, n + 1)

    def first(x):
        return xp.grad(lambda x: xp.sum(f(xp, x)))(x)

    return first, lambda x: xp.grad(lambda x: xp.sum(first(x) * weights))(x)


def derivatives_of_torch(f, values):
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(f(torch, x).sum(), x, create_graph=True)
    first = g.detach().numpy(force=True)
    if not g.requires_grad:
        return first, np.zeros(len(values))
    weights = torch.arange(1.0, len(values) + 1)
    (h,) = torch.autograd.grad((g * weights).sum(), x, allow_unused=True)
    return first, np.zeros(len(values)) if h is None else h.numpy(force=True)


@pytest.mark.parametrize("name", KINKS)
@np.errstate(all="ignore")
def test_both_modes_keep_pytorchs_conventions(name):
    f, values = KINKS[name]
    wanted = derivatives_of_torch(f, values)
    x = np.array(values)
    found = [each(dg.tensor(x)).numpy() for each in derivatives(dg, f, len(x))]
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12, atol=1e-15)
    unsaid = np.isnan(wanted[1])
    assert (name in FLAT) == bool(np.any(unsaid & ~np.isnan(found[1])))
    if name in FLAT:
        assert not np.any(found[1][unsaid])
        wanted[1][unsaid] = 0
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-12, atol=1e-15)
    first, second = derivatives(sg, f, len(x))
    run = sg.function(lambda x: (first(x), second(x)), backend="numpy")
    assert [each.tobytes() for each in run(x)] == [each.tobytes() for each in found]
    if name not in IN_MACHINE_CODE:
        return
    run = sg.function(lambda x: (first(x), second(x)), backend="native")
    for one, other in zip(run(x), found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


def test_every_op_that_says_where_its_kinks_are_is_tested():
    with_kinks = {op.name for op in REGISTRY.values() if op.kinks}
    assert with_kinks <= {name.partition(" ")[0] for name in KINKS}


BASES, EXPONENTS = (0.0, -0.0, 1.0, 2.0, -2.0), (0.0, 1.0, 2.0, 3.0, 0.5, 2.5, -1.0)


@pytest.mark.parametrize("y", EXPONENTS)
@pytest.mark.parametrize("x", BASES)
@np.errstate(all="ignore")
def test_partial_derivatives_of_a_power(x, y):
    def partials(xp, grad, **options):
        base = xp.tensor([x], dtype=xp.float64, requires_grad=True)
        exponent = xp.tensor([y], dtype=xp.float64, requires_grad=True)
        first = grad(base**exponent, [base, exponent], create_graph=True)
        second = [grad(each, [base, exponent], create_graph=True, **options) for each in first]
        flat = [*first, *second[0], *second[1]]
        return np.array([each.detach().numpy()[0] for each in flat])

    wanted = partials(torch, torch.autograd.grad, allow_unused=True)
    found = partials(dg, dg.grad)
    np.testing.assert_allclose(found[:2], wanted[:2])
    if y == 0 and x:
        # PyTorch has the mixed one as 0 from one side; it is 1 / x from both
        wanted[3] = wanted[4] = 1 / x if x > 0 else math.nan
    elif x == 0 and y >= 0:
        # flat in the exponent, whose derivatives are 0 in every order
        unsaid = np.isnan(wanted) & ~np.isnan(found)
        assert not np.any(found[unsaid])
        wanted[unsaid] = 0
    np.testing.assert_allclose(found, wanted)
