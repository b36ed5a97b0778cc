"""What the array API standard asks of a namespace besides operations."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError


@pytest.mark.parametrize("xp", [dg, sg])
def test_questions_about_dtypes(xp):
    assert xp.result_type("int8", "uint8") == np.int16
    assert xp.result_type("float32", 2.0) == np.float32
    assert xp.result_type(2.0) == np.float32
    assert xp.can_cast("int32", "float64")
    assert not xp.can_cast("float64", "int32")
    assert xp.isdtype("float32", ("integral", "real floating"))
    assert not xp.isdtype("int8", "bool")
    assert xp.finfo("float32").max == np.finfo(np.float32).max
    assert xp.iinfo("uint8").max == 255
    for wrong in (lambda: xp.result_type("x"), lambda: xp.finfo("int8"), lambda: xp.iinfo("f4")):
        with pytest.raises(DTypeError):
            wrong()
    for wrong in (lambda: xp.isdtype("int8", "whole"), lambda: xp.result_type()):
        with pytest.raises(ArgumentError):
            wrong()


def test_dtypes_of_tensors():
    x = dg.tensor([1, 2], dtype="int8")
    assert dg.result_type(x, 1.5) == np.float64
    assert dg.can_cast(x, "int16")
    assert dg.iinfo(x).max == 127


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("lengths", [(3,), (3, 2), (2, 3, 4), (2, 0)])
def test_meshgrid_is_numpys(indexing, lengths):
    arrays = [np.arange(n) * 1.5 for n in lengths]
    wanted = np.meshgrid(*arrays, indexing=indexing)
    found = dg.meshgrid(*map(dg.tensor, arrays), indexing=indexing)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_diff_is_numpys(axis, n):
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(
        dg.diff(dg.tensor(x), axis=axis, n=n).numpy(), np.diff(x, n, axis)
    )


def test_gradients_flow():
    x = dg.tensor(np.array([1.0, 2.0, 4.0]), requires_grad=True)
    y = dg.tensor(np.array([[3.0], [5.0]]), requires_grad=True)
    assert dg.gradcheck(lambda x: dg.diff(x * x), x)
    assert dg.gradcheck(lambda x, y: dg.meshgrid(x, y[:, 0])[1] * x, (x, y))
    assert dg.gradcheck(lambda x, y: dg.broadcast_arrays(x, y), (x, y))


def test_a_graph_declares_them():
    def f(xp, x, y):
        a, b = xp.meshgrid(x, y)
        c, d = xp.broadcast_arrays(a, xp.diff(x)[0])
        return a * b + c * d

    x, y = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0])
    run = sg.function(lambda x, y: f(sg, x, y))
    np.testing.assert_array_equal(run(x, y), f(dg, dg.tensor(x), dg.tensor(y)).numpy())


def test_mistakes():
    with pytest.raises(ShapeError, match="array 1"):
        dg.meshgrid(np.ones(2), np.ones((2, 2)))
    with pytest.raises(ArgumentError, match="indexing"):
        dg.meshgrid(np.ones(2), indexing="yx")
    with pytest.raises(ArgumentError, match="n is -1"):
        dg.diff(np.ones(2), n=-1)
    with pytest.raises(ShapeError, match="broadcast"):
        dg.broadcast_arrays(np.ones(2), np.ones(3))


def test_arrays_of_other_libraries_share_memory():
    torch = pytest.importorskip("torch")
    theirs = torch.ones(3)
    ours = dg.from_dlpack(theirs)
    theirs[0] = 5
    assert ours.tolist() == [5.0, 1.0, 1.0]
    assert torch.from_dlpack(ours * 2).tolist() == [10.0, 2.0, 2.0]
    with pytest.raises(ArgumentError, match="DLPack"):
        dg.from_dlpack([1.0])
