"""Tensors print as PyTorch prints them."""

import numpy as np
import pytest

import dyngraph as dg


@pytest.mark.parametrize(
    "data",
    [
        [5.0],
        3.0,
        [1.5, 2.0],
        [0.1, -20.25, 3.0],
        [1e-6, 1.0],
        [1e10, 1.0],
        [[1.0, 2.0], [3.0, -4.0]],
        [1, 20, -3],
        [True, False],
        [float("nan"), 1.0, float("inf")],
        [float("nan"), 1.5],
        [],
        [[[1.0], [2.0]], [[3.0], [4.5]]],
        [123456.0, 0.5],
        list(range(30)),
    ],
)
def test_values_print_as_in_torch(data):
    torch = pytest.importorskip("torch")
    assert repr(dg.tensor(data)) == repr(torch.tensor(data))


def test_graphs_and_dtypes_are_shown():
    w = dg.tensor([1.0], requires_grad=True)
    assert repr(w) == "tensor([1.], requires_grad=True)"
    assert repr(w * 6) == "tensor([6.], grad_fn=<MulBackward0>)"
    assert repr(dg.tensor([1.0], dtype="float64")) == "tensor([1.], dtype=float64)"
    assert repr(dg.tensor(np.zeros((0, 3), "float32"))) == "tensor([], size=(0, 3))"


def test_large_tensors_are_shortened():
    text = repr(dg.tensor(np.zeros((200, 200), "float32")))
    assert "..." in text
    assert len(text) < 1000


def test_format_of_a_scalar():
    assert f"{dg.tensor(2.5):.2f}" == "2.50"
    assert f"{dg.tensor([2.5])}" == "tensor([2.5000])"
