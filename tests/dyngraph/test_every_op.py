"""Every op of the registry in the dynamic mode: gradients of first and second order."""

import numpy as np
import pytest

import dyngraph as dg
from common.op import REGISTRY
from common.samples import draw

CASES = [
    pytest.param(op, number, id=f"{op.name}-{number}")
    for op in REGISTRY.values()
    for number in range(len(op.examples))
    if op.differentiable and not any(np.iscomplexobj(x) for x in op.examples[number].operands)
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
        return op(*xs, **dict(example.attrs))

    return run, tensors


@pytest.mark.parametrize(("op", "number"), CASES)
def test_gradient(op, number):
    run, tensors = prepared(op, number)
    if any(t.requires_grad for t in tensors) and run(*tensors).dtype == np.float64:
        assert dg.gradcheck(run, tensors)


@pytest.mark.parametrize(("op", "number"), CASES)
def test_second_gradient(op, number):
    run, tensors = prepared(op, number)
    if any(t.requires_grad for t in tensors) and run(*tensors).dtype == np.float64:
        assert dg.gradgradcheck(run, tensors, atol=1e-4)
