"""Both namespaces answer the array API standard's questions."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg


@pytest.mark.parametrize("xp", [dg, sg])
def test_namespace_info(xp):
    info = xp.__array_namespace_info__()
    assert info.capabilities()["data-dependent shapes"] is (xp is dg)
    assert info.devices() == (info.default_device(),) == ("cpu",)
    assert info.dtypes(kind="real floating") == {
        "float32": np.dtype("float32"),
        "float64": np.dtype("float64"),
    }
    assert set(info.dtypes(kind=("bool", "integral"))) == {"bool"} | {
        f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
    }
    assert len(info.dtypes()) == 13


def test_the_namespace_of_a_tensor_is_its_module():
    assert dg.tensor([1.0]).__array_namespace__() is dg
    with sg.Graph():
        assert sg.placeholder("x", (1,)).__array_namespace__() is sg


@pytest.mark.parametrize("xp", [dg, sg])
def test_the_compositions_are_in_both_namespaces(xp):
    for name in ("softmax", "cross_entropy", "layer_norm", "conv2d", "scan", "einsum", "uniform"):
        assert callable(getattr(xp, name))
        assert name in xp.__all__


@pytest.mark.parametrize("xp", [dg, sg])
@pytest.mark.parametrize("below", ["", "linalg", "fft", "special"])
def test_every_name_that_is_listed_is_there(xp, below):
    namespace = getattr(xp, below) if below else xp
    assert [name for name in dir(namespace) if not hasattr(namespace, name)] == []
