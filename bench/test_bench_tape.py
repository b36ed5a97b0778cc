"""The tape by itself: single operations, a chain of them, and backward alone."""

import numpy as np
import pytest

import dyngraph as dg
from bench.programs import small_ops

SIZES = (1, 1_000, 100_000)
OPS = {
    "add": (np.add, dg.add, 2),
    "multiply": (np.multiply, dg.multiply, 2),
    "tanh": (np.tanh, dg.tanh, 1),
    "sum": (np.sum, dg.sum, 1),
}


@pytest.mark.parametrize("executor", ["numpy", "untaped", "taped"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", OPS)
def test_op(benchmark, name, size, executor):
    plain, recorded, arity = OPS[name]
    operands = [np.full(size, 0.5, np.float32) for _ in range(arity)]
    op = plain
    if executor != "numpy":
        op = recorded
        operands = [dg.tensor(x, requires_grad=executor == "taped") for x in operands]
    benchmark.group = f"{name} {size:,}"
    benchmark.extra_info["executor"] = executor
    benchmark(op, *operands)


@pytest.mark.parametrize("count", [20, 200, 2_000])
def test_chain(benchmark, count):
    x, w = dg.tensor([0.5], requires_grad=True), dg.tensor([1.5], requires_grad=True)

    def step():
        small_ops(dg, x, w, count).backward()
        x.grad = w.grad = None

    benchmark.group = "chain, forward and backward"
    benchmark.extra_info["operations"] = count
    benchmark(step)


@pytest.mark.parametrize("count", [200, 20_000])
def test_backward_alone(benchmark, count):
    def forward():
        x, w = dg.tensor([0.5], requires_grad=True), dg.tensor([1.5], requires_grad=True)
        return (small_ops(dg, x, w, count),), {}

    benchmark.group = f"backward through {count:,} ops"
    benchmark.extra_info["operations"] = count
    benchmark.pedantic(lambda y: y.backward(), setup=forward, rounds=20, warmup_rounds=2)
