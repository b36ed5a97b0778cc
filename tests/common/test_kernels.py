"""The makes of kernels: what is chosen runs in both modes, and gives them the same bits."""

import importlib.util
import threading

import numpy as np
import pytest
from tests.common.both_makes import CASES, difference

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import REGISTRY
from oplibrary.executors import kernels
from oplibrary.executors.kernels import choice
from oplibrary.messages.errors import ArgumentError, BackendError, IndexingError
from oplibrary.values.types import TensorType

needs_llvm = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("llvmlite", "scipy")),
    reason="machine code needs the extra native",
)


@pytest.fixture
def all_sizes(monkeypatch):
    """Let the smallest operand have machine code."""
    monkeypatch.setattr(kernels, "LARGE", 1)


def large(*shape, seed=0):
    """Return normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@needs_llvm
@pytest.mark.usefixtures("all_sizes")
@pytest.mark.parametrize(("op", "number"), CASES[::23], ids=lambda x: getattr(x, "name", None))
def test_both_modes_give_the_same_bits(op, number):
    """Of each kind of op some; `python -m tests.common.both_makes` takes all."""
    assert difference(op, number, "machine") is None
    assert not [why for why in choice.left.values() if "Error: " in why]


def gradients(x, w):
    """Return a value and its gradients through a small network of compositions."""
    x, w = (dg.tensor(array, requires_grad=True) for array in (x, w))
    y = dg.softmax(dg.layer_norm(dg.gelu(x @ w), (w.shape[1],)), axis=-1)
    loss = dg.sum(dg.tanh(y.mT @ y)) + dg.logsumexp(y)
    loss.backward()
    return [each.detach().numpy() for each in (y, loss, x.grad, w.grad)]


@needs_llvm
def test_machine_code_agrees_with_numpy_and_leaves_it_as_it_was():
    x, w = large(96, 64), large(64, 80, seed=1)
    before = gradients(x, w)
    with dg.set_kernels("machine"):
        assert choice.name == "machine"
        made = choice.made
        machine = gradients(x, w)
        assert choice.made > made
        again = gradients(x, w)
    after = gradients(x, w)
    assert choice.name == "numpy"
    for a, b, c, d in zip(before, after, machine, again, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(c, d)
        np.testing.assert_allclose(c, a, rtol=2e-3, atol=2e-5)


@needs_llvm
def test_a_gradient_rule_is_one_function():
    x = dg.tensor(large(80, 80), requires_grad=True)
    with dg.set_kernels("machine"):
        y = dg.silu(x)
        y.backward(large(80, 80, seed=1))
        made = choice.made
        y = dg.silu(x)
        y.backward(large(80, 80, seed=1))
    assert choice.made == made


@needs_llvm
@pytest.mark.parametrize("laid_out", ["by columns", "slice", "spread"])
def test_operands_of_any_layout(laid_out):
    x = large(90, 90)
    x = {
        "by columns": np.asfortranarray(x),
        "slice": large(180, 90)[::2],
        "spread": np.broadcast_to(x[:, :1], x.shape),
    }[laid_out]
    y = large(90, 90, seed=1)
    for run in (dg.multiply, dg.matmul, lambda x, y: dg.sum(x, axis=0) + y):
        expected = run(dg.asarray(x), dg.asarray(y)).numpy()
        with dg.set_kernels("machine"):
            found = run(dg.from_numpy(x), dg.from_numpy(y)).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@needs_llvm
def test_mistakes_are_told_by_the_same_errors():
    x = dg.tensor(large(80, 80))
    with dg.set_kernels("machine"), pytest.raises(IndexingError):
        dg.take(x, dg.tensor([80]), axis=0)


@needs_llvm
def test_what_is_left_to_numpy_is_reported():
    with dg.set_kernels("machine"):
        result = dg.polygamma(1, dg.tensor(np.full((80, 80), 1.0, np.float32)))
        report = sg.kernels_report()
    np.testing.assert_allclose(result.numpy(), np.pi**2 / 6, rtol=1e-6)
    assert "left to NumPy: polygamma float32[80,80]" in report
    assert "kernels    machine" in report


@needs_llvm
def test_small_operands_stay_with_numpy():
    x = dg.tensor(large(4, 4))
    with dg.set_kernels("machine"):
        made = choice.made
        dg.exp(x)
        assert choice.made == made


@needs_llvm
def test_threads_make_functions_at_once():
    x = dg.tensor(large(71, 71))
    found = [None] * 4

    def run(number):
        found[number] = dg.exp(dg.sin(x)).numpy()

    with dg.set_kernels("machine"):
        threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])


@pytest.mark.parametrize("make", ["fortran", ["machine"], None])
def test_another_make_is_refused(make):
    with pytest.raises(ArgumentError, match="'numpy', 'machine'"):
        dg.set_kernels(make)
    assert choice.name == "numpy"


def test_machine_code_that_cannot_be_made_is_refused(monkeypatch):
    machine_kernels = importlib.import_module("staticgraph.compiler.machine_kernels")
    monkeypatch.setattr(machine_kernels, "default_backend", lambda: "numpy")
    with pytest.raises(BackendError, match="native"):
        dg.set_kernels("machine")
    assert choice.name == "numpy"
    assert all(op.run is op.kernel for op in REGISTRY.values())


@needs_llvm
def test_a_change_in_place_is_the_operation():
    x = np.abs(large(80, 80))
    with dg.set_kernels("machine"):
        expected = (dg.tensor(x) ** 1.5).numpy()
        found = dg.tensor(x)
        found **= 1.5
    np.testing.assert_array_equal(found.numpy(), expected)


@needs_llvm
@pytest.mark.parametrize("name", ["silu", "tanh", "gelu", "sqrt", "softplus", "erf", "softmax"])
def test_one_function_of_a_rule_and_its_ops_one_by_one_give_the_same_bits(name):
    x = dg.tensor(np.abs(large(80, 80)) + 0.1, requires_grad=True)
    g = large(80, 80, seed=1)
    with dg.set_kernels("machine"):
        y = getattr(dg, name)(x, **({"axis": -1} if name == "softmax" else {}))
        (fused,) = dg.grad(y, x, [g], retain_graph=True)
        (by_ops,) = dg.grad(y, x, [g], create_graph=True)
    np.testing.assert_array_equal(fused.numpy(), by_ops.detach().numpy())


@needs_llvm
def test_an_operation_is_the_same_bits_alone_and_shared_by_threads(monkeypatch):
    machine_kernels = importlib.import_module("staticgraph.compiler.machine_kernels")
    x = large(3000, 300)
    found = []
    for least in (0.0, np.inf):
        monkeypatch.setattr(machine_kernels, "SHARING_FROM", least)
        make = machine_kernels.MAKER
        function = make(lambda x: sg.sum(sg.exp(x), axis=0), [TensorType(x.shape, x.dtype)], False)
        found.append(function(x))
    np.testing.assert_array_equal(*found)
