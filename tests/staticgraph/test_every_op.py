"""Every op of the library, declared: its type, value, first and second gradients are dyngraph's."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw


def is_complex(example):
    return any(isinstance(x, np.ndarray) and x.dtype.kind == "c" for x in example.operands)


EXAMPLES = [
    pytest.param(op, example, id=f"{op.name}-{number}")
    for op in REGISTRY.values()
    if op.kind is not Kind.CONTROL
    for number, example in enumerate(op.examples)
    if not is_complex(example)
]


def results_of(xp, op, attrs, values, wanted, differentiate):
    """Return the result of `op`, its gradients, and theirs."""
    out = op(*values, **attrs)
    if not wanted:
        return [out]
    xs = [values[i] for i in wanted]
    weight = np.random.default_rng(1).normal(size=out.shape).astype(out.dtype)
    first = differentiate(xp.sum(out * out * weight), xs)
    second = differentiate(sum(xp.sum(g * g) for g in first), xs)
    return [out, *first, *second]


def dynamic_gradients(y, xs):
    if not y.requires_grad:
        return [dg.zeros(x.shape, x.dtype) for x in xs]
    return dg.grad(y, xs, create_graph=True, unused="zero")


def static_gradients(y, xs):
    return sg.gradients(y, xs, unused="zero")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_declared_is_recorded(op, example, dtype):
    arrays = draw(op, example, dtype, np.random.default_rng(0))
    wanted = [i for i, a in enumerate(arrays) if a.dtype.kind == "f" and op.operand_rule(i)]
    with np.errstate(all="ignore"):
        if op(*map(dg.tensor, arrays), **example.attrs).dtype.kind != "f":
            wanted = []
        tensors = [dg.tensor(a, requires_grad=i in wanted) for i, a in enumerate(arrays)]
        expected = results_of(dg, op, example.attrs, tensors, wanted, dynamic_gradients)
        with sg.Graph():
            nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
            declared = results_of(sg, op, example.attrs, nodes, wanted, static_gradients)
        results = sg.compile(declared, inputs=nodes, backend="interpret", passes=())(*arrays)
    for node, result, tensor in zip(declared, results, expected, strict=True):
        assert (node.shape, node.dtype) == (result.shape, result.dtype)
        np.testing.assert_array_equal(result, tensor.detach().numpy(), strict=True)
