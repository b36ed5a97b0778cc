"""Every op of the registry in the dynamic mode: gradients of first and second order."""

import numpy as np
import pytest

import dyngraph as dg
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw
from oplibrary.values.types import type_of


def gives_complex(op, example):
    """Tell whether complex numbers are taken or made, through which no gradient goes."""
    operands = draw(op, example, np.dtype("float64"), np.random.default_rng(0))
    made = op.infer(*map(type_of, operands), **op.bind_attrs((), example.attrs))
    return made.dtype.kind == "c" or any(map(np.iscomplexobj, operands))


CASES = [
    pytest.param(op, number, id=f"{op.name}-{number}")
    for op in REGISTRY.values()
    for number in range(len(op.examples))
    if op.differentiable and not gives_complex(op, op.examples[number])
]


def prepared(op, number):
    example = op.examples[number]
    rng = np.random.default_rng(number)
    operands = draw(op, example, np.dtype("float64"), rng)
    tensors = [
        dg.tensor(x, requires_grad=x.dtype.kind == "f" and op.operand_rule(i) is not None)
        for i, x in enumerate(operands)
    ]

    def run(*xs):
        if op.symmetric:  # a finite difference moves one element of a pair
            xs = ((xs[0] + dg.matrix_transpose(xs[0])) * 0.5, *xs[1:])
        return op(*xs, **dict(example.attrs))

    return run, tensors


def many(tensors):
    """Tell whether there are too many elements to look at each; other examples have few."""
    return sum(t.size for t in tensors) > 256


@pytest.mark.parametrize(("op", "number"), CASES)
def test_gradient(op, number):
    run, tensors = prepared(op, number)
    if any(t.requires_grad for t in tensors) and run(*tensors).dtype == np.float64:
        assert dg.gradcheck(run, tensors, fast_mode=many(tensors))


@pytest.mark.parametrize(("op", "number"), CASES)
def test_second_gradient(op, number):
    run, tensors = prepared(op, number)
    if any(t.requires_grad for t in tensors) and run(*tensors).dtype == np.float64:
        assert dg.gradgradcheck(run, tensors, atol=1e-4, fast_mode=many(tensors))


def spaced(x):
    """Return an array like `x` whose elements lie apart in memory, in another order of axes."""
    room = np.zeros(tuple(2 * n for n in x.shape[::-1]), x.dtype)
    view = room[(slice(None, None, 2), ...) if x.ndim else ()]
    for axis in range(1, x.ndim):
        view = view.swapaxes(0, axis)[::2].swapaxes(0, axis)
    view = view.T if x.ndim else room
    view[...] = x
    return view


def backwards(x):
    """Return an array like `x` that is stored from its end."""
    key = (slice(None, None, -1),) * x.ndim
    return np.array(x[key])[key] if x.ndim else x


def by_columns(x):
    return np.array(x, order="F")


@pytest.mark.parametrize("laid_out", [spaced, backwards, by_columns])
@pytest.mark.parametrize(("op", "number"), CASES)
def test_operands_and_cotangents_of_any_layout(op, number, laid_out):
    run, tensors = prepared(op, number)
    others = [dg.as_tensor(laid_out(x.detach().numpy())) for x in tensors]
    for x, other in zip(tensors, others, strict=True):
        assert np.array_equal(x.detach().numpy(), other.numpy())
        if x.requires_grad:
            other.requires_grad_()
    out, again = run(*tensors), run(*others)
    np.testing.assert_allclose(again.detach().numpy(), out.detach().numpy(), rtol=1e-12)
    if out.requires_grad:
        g = np.random.default_rng(0).normal(size=out.shape)
        wanted = dg.grad(out, [x for x in tensors if x.requires_grad], [g], unused="zero")
        found = dg.grad(again, [x for x in others if x.requires_grad], [laid_out(g)], unused="zero")
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-14)
