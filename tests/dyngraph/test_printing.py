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


def agrees(array):
    torch = pytest.importorskip("torch")
    ours, theirs = repr(dg.tensor(array)), repr(torch.tensor(array)).replace("torch.", "")
    # "torch." may push a dtype onto a line of its own
    assert ours.replace("\n       dtype", " dtype") == theirs.replace("\n       dtype", " dtype")


SHAPES = [(), (1,), (5,), (17,), (40,), (2, 3), (1, 1, 4), (2, 2, 2)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("kind", ["plain", "whole", "spread", "nan", "inf", "zeros"])
def test_random_floats_print_as_in_torch(dtype, kind):
    rng = np.random.default_rng(len(kind))
    for _ in range(12):
        for shape in SHAPES:
            x = rng.normal(size=shape) * 10.0 ** rng.integers(-8, 9)
            if dtype.startswith("complex"):
                x = x + 1j * rng.normal(size=shape)
            if kind == "whole":
                x = np.round(x)
            elif kind == "spread":
                x = x * 10.0 ** rng.integers(-4, 5, shape)
            elif kind != "plain":
                fill = {"nan": np.nan, "inf": -np.inf, "zeros": 0}[kind]
                x = np.where(rng.random(shape) < 0.4, fill, x)
            agrees(np.asarray(x, dtype))


@pytest.mark.parametrize("dtype", "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64".split())
def test_random_integers_print_as_in_torch(dtype):
    rng = np.random.default_rng(0)
    for shape in [*SHAPES, (0,), (0, 3), (2, 0)]:
        for largest in (1, 100, 10**9):
            numbers = rng.integers(0 if dtype[0] == "u" else -largest, largest + 1, shape)
            agrees(np.asarray(numbers % 2 == 0 if dtype == "bool" else numbers).astype(dtype))


@pytest.mark.parametrize(
    "shape",
    [(1000,), (1001,), (100, 100), (3, 500), (500, 3), (1001, 1), (2, 3, 400), (50, 2, 2, 6)],
)
def test_large_tensors_print_as_in_torch(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    for array in (x, x * 100, np.round(x * 1e5), x > 0, np.round(x * 100).astype("int64")):
        agrees(array)


@pytest.mark.parametrize(
    "make",
    [
        lambda xp: xp.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True),
        lambda xp: xp.tensor([1.5] * 30, requires_grad=True) * 2,
        lambda xp: (xp.tensor([1.5], requires_grad=True) * 2).sum(),
        lambda xp: xp.exp(xp.tensor([1.0, 2.0], requires_grad=True)),
        lambda xp: xp.tensor([123456.789] * 9, requires_grad=True),
        lambda xp: xp.zeros((0, 3), requires_grad=True),
        lambda xp: xp.tensor([], dtype=xp.int64),
    ],
)
def test_suffixes_are_those_of_torch(make):
    torch = pytest.importorskip("torch")
    assert repr(make(dg)) == repr(make(torch)).replace("torch.", "")


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
