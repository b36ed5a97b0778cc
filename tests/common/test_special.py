"""Special functions: SciPy's values, PyTorch's gradients, in both modes."""

import numpy as np
import pytest
import scipy.special

import dyngraph as dg
import staticgraph as sg
from oplibrary.errors import ArgumentError, DTypeError

SCIPYS = {
    "erfc": "erfc",
    "erfinv": "erfinv",
    "ndtr": "ndtr",
    "ndtri": "ndtri",
    "log_ndtr": "log_ndtr",
    "lgamma": "gammaln",
    "digamma": "psi",
    "i0": "i0",
    "i1": "i1",
    "i0e": "i0e",
    "i1e": "i1e",
    "entr": "entr",
    "expit": "expit",
    "logit": "logit",
}
SPECIAL = [-np.inf, -30.0, -2.0, -0.0, 0.0, 0.5, 1.0, 3.0, 200.0, np.inf, np.nan]


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value", "ignore:overflow")
@pytest.mark.parametrize("name", SCIPYS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "bool"])
def test_values_are_scipys(name, dtype):
    x = np.array(SPECIAL if dtype.startswith("float") else [0, 1, 1], dtype)
    found = getattr(dg.special, name)(dg.tensor(x)).numpy()
    assert found.dtype == np.exp(x).dtype
    wide = np.float64 if found.dtype == np.float64 else np.float32
    wanted = getattr(scipy.special, SCIPYS[name])(x.astype(wide))
    tolerance = {"f2": 1e-3, "f4": 2e-6, "f8": 1e-14}[found.dtype.str[1:]]
    np.testing.assert_allclose(found, wanted.astype(found.dtype), rtol=tolerance)
    run = sg.function(lambda x: getattr(sg.special, name)(x), backend="numpy")
    np.testing.assert_array_equal(run(x), found, strict=True)


@pytest.mark.parametrize("name", SCIPYS)
def test_gradients_are_pythorchs_twice(name):
    torch = pytest.importorskip("torch")
    x = np.array([0.05, 0.3, 0.5, 0.7, 0.95])
    theirs = getattr(torch.special, {"lgamma": "gammaln"}.get(name, name))
    there = torch.tensor(x, requires_grad=True)
    (first,) = torch.autograd.grad(theirs(there).sum(), there, create_graph=True)
    (second,) = torch.autograd.grad((first * first).sum(), there)
    here = dg.tensor(x, requires_grad=True)
    (mine,) = dg.grad(dg.sum(getattr(dg.special, name)(here)), [here], create_graph=True)
    (again,) = dg.grad(dg.sum(mine * mine), [here])
    np.testing.assert_allclose(mine.detach().numpy(), first.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(again.numpy(), second.detach().numpy(), rtol=1e-7)

    def slope(x):
        return sg.grad(lambda x: sg.sum(getattr(sg.special, name)(x)))(x)

    run = sg.function(sg.grad(lambda x: sg.sum(slope(x) * slope(x))), backend="numpy")
    np.testing.assert_allclose(run(x), again.numpy(), rtol=1e-12)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_polygamma(n):
    x = np.array([0.3, 1.0, 4.5])
    found = dg.polygamma(n, dg.tensor(x))
    np.testing.assert_allclose(found.numpy(), scipy.special.polygamma(n, x), rtol=1e-14)
    assert dg.gradcheck(lambda x: dg.polygamma(n, x), dg.tensor(x, requires_grad=True))
    for wrong in (-1, 0.5):
        with pytest.raises(ArgumentError):
            dg.polygamma(wrong, dg.tensor(x))


def test_the_multivariate_gamma_and_the_beta_function():
    x, y = np.array([2.0, 3.5, 9.0]), np.array([0.5, 1.5, 4.0])
    for p in (1, 2, 4):
        found = dg.mvlgamma(dg.tensor(x), p).numpy()
        np.testing.assert_allclose(found, scipy.special.multigammaln(x, p), rtol=1e-13)
    found = dg.special.betaln(dg.tensor(x), dg.tensor(y)).numpy()
    np.testing.assert_allclose(found, scipy.special.betaln(x, y), rtol=1e-12)
    with pytest.raises(ArgumentError):
        dg.mvlgamma(dg.tensor(x), 0)


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("name", ["xlogy", "xlog1py"])
def test_products_with_logarithms(name):
    values = np.array([-1.0, 0.0, 0.5, 2.0, np.inf, np.nan])
    x, y = (each.ravel() for each in np.meshgrid(values, values))
    found = getattr(dg.special, name)(dg.tensor(x), dg.tensor(y)).numpy()
    np.testing.assert_array_equal(found, getattr(scipy.special, name)(x, y))
    run = sg.function(lambda x, y: getattr(sg.special, name)(x, y), backend="numpy")
    np.testing.assert_array_equal(run(x, y), found)


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("name", ["xlogy", "xlog1py"])
def test_gradients_of_products_with_logarithms_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    values = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 2.0])
    x, y = (each.ravel() for each in np.meshgrid(values, values))
    there = [torch.tensor(each, requires_grad=True) for each in (x, y)]
    wanted = torch.autograd.grad(getattr(torch.special, name)(*there).sum(), there)
    here = [dg.tensor(each, requires_grad=True) for each in (x, y)]
    found = dg.grad(dg.sum(getattr(dg.special, name)(*here)), here)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)


@pytest.mark.parametrize("xp", [dg, sg])
def test_complex_numbers_are_refused(xp):
    with sg.Graph():
        for name in ("erfc", "lgamma", "i0"):
            with pytest.raises(DTypeError, match="real numbers"):
                getattr(xp, name)(np.array([1j]))


def test_the_kernels_are_loaded_when_one_is_called():
    import subprocess
    import sys

    program = (
        "import sys, dyngraph as dg\n"
        "assert not any(name.startswith('scipy') for name in sys.modules)\n"
        "print(dg.erfc(dg.zeros(1)).item(), 'scipy.special' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "1.0 True\n", done.stderr
