"""Fourier transforms: NumPy's values, PyTorch's gradients, in both modes."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.errors import ArgumentError, AxisError, DTypeError, ShapeError, SideBySideError

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(3, 5, 4))
COMPLEX = REAL + 1j * RNG.normal(size=REAL.shape)
ALONG_ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
ALONG_SOME = ["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"]
OF_REAL = {"rfft", "rfftn", "rfft2", "ihfft"}
NORMS = ["backward", "ortho", "forward"]

ONE = [{}, {"axis": 0}, {"n": 3}, {"n": 7, "axis": 1}, {"n": 1}, {"n": 8, "axis": -2}]
SOME = [{}, {"axes": (0, 2)}, {"s": (4, 3), "axes": (1, 0)}, {"s": (2, 6), "axes": (-2, -1)}]
CALLS = [
    *[(name, given) for name in ALONG_ONE for given in ONE],
    *[(name, given) for name in ALONG_SOME for given in SOME],
]


def operand(name, dtype="float64"):
    x = REAL if name in OF_REAL else COMPLEX
    return x.astype(dtype if name in OF_REAL else np.result_type(dtype, np.complex64))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("name", "given"), CALLS)
def test_values_are_numpys(name, given, norm):
    for dtype in ("float32", "float64"):
        x = operand(name, dtype)
        wanted = getattr(np.fft, name)(x, **given, norm=norm)
        found = getattr(dg.fft, name)(dg.tensor(x), **given, norm=norm).numpy()
        np.testing.assert_array_equal(found, wanted, strict=True)
    run = sg.function(lambda x: getattr(sg.fft, name)(x, **given, norm=norm), backend="numpy")
    np.testing.assert_array_equal(run(x), found, strict=True)
    by_numpy = getattr(np.fft, name)(dg.tensor(x), **given, norm=norm)
    np.testing.assert_array_equal(by_numpy.numpy(), wanted)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "float16", "float32", "complex64"])
def test_dtypes_are_numpys(dtype):
    x = np.array([0, 1, 1, 0]).astype(dtype)
    for name in ("fft", "ifft", "irfft"):
        found, wanted = getattr(dg.fft, name)(dg.tensor(x)), getattr(np.fft, name)(x)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-3)


def number(xp, y):
    weights = np.random.default_rng(1).normal(size=(2, *y.shape))
    total = xp.sum(xp.real(y) * weights[0])
    return total + xp.sum(xp.imag(y) * weights[1]) if y.dtype.kind == "c" else total


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("name", "given"), CALLS)
def test_gradients_are_pytorchs(name, given, norm):
    torch = pytest.importorskip("torch")
    x = operand(name)
    theirs = {{"axis": "dim", "axes": "dim"}.get(key, key): value for key, value in given.items()}
    there = torch.tensor(x, requires_grad=True)
    y = getattr(torch.fft, name)(there, **theirs, norm=norm)
    weights = [torch.tensor(w) for w in np.random.default_rng(1).normal(size=(2, *y.shape))]
    total = (y.real * weights[0]).sum()
    if y.is_complex():
        total = total + (y.imag * weights[1]).sum()
    (wanted,) = torch.autograd.grad(total, there)
    here = dg.tensor(x, requires_grad=True)
    (found,) = dg.grad(number(dg, getattr(dg.fft, name)(here, **given, norm=norm)), [here])
    np.testing.assert_allclose(found.numpy(), wanted.resolve_conj().numpy(), atol=1e-12)
    run = sg.function(
        sg.grad(lambda x: number(sg, getattr(sg.fft, name)(x, **given, norm=norm))),
        backend="numpy",
    )
    np.testing.assert_array_equal(run(x), found.numpy())


@pytest.mark.parametrize("name", [*ALONG_ONE, *ALONG_SOME])
def test_second_gradients(name):
    x = dg.tensor(operand(name)[:2, :2], requires_grad=True)

    def square(x):
        y = getattr(dg.fft, name)(x)
        return dg.sum(dg.abs(y * y) ** 2)

    assert dg.gradcheck(square, x)
    assert dg.gradgradcheck(square, x, atol=1e-3)


def test_a_real_operand_of_a_complex_transform_has_a_real_gradient():
    x = dg.tensor(REAL, requires_grad=True)
    (g,) = dg.grad(number(dg, dg.fft.fft(x)), [x])
    assert g.dtype == np.float64
    assert dg.gradcheck(lambda x: number(dg, dg.fft.ifft2(x)), x)


@pytest.mark.parametrize("n", [1, 2, 5, 6])
@pytest.mark.parametrize("d", [1.0, 0.1])
def test_frequencies_and_shifts(n, d):
    np.testing.assert_allclose(dg.fft.fftfreq(n, d, dtype="float64").numpy(), np.fft.fftfreq(n, d))
    np.testing.assert_allclose(
        dg.fft.rfftfreq(n, d).numpy(), np.fft.rfftfreq(n, d).astype("float32")
    )
    for axes in (None, 0, (0, 1)):
        x = RNG.normal(size=(n, 3))
        for name in ("fftshift", "ifftshift"):
            found = getattr(dg.fft, name)(dg.tensor(x), axes=axes).numpy()
            np.testing.assert_array_equal(found, getattr(np.fft, name)(x, axes=axes))
            np.testing.assert_array_equal(
                sg.function(lambda x: getattr(sg.fft, name)(x, axes=axes))(x),  # noqa: B023
                found,
            )
    with sg.Graph():
        assert sg.fft.fftfreq(n).shape == (n,)


WRONG = [
    (lambda fft, x: fft.fft(x, n=0), ArgumentError),
    (lambda fft, x: fft.fft(x, n=2.5), ArgumentError),
    (lambda fft, x: fft.fft(x, axis=3), AxisError),
    (lambda fft, x: fft.rfft(x, norm="half"), ArgumentError),
    (lambda fft, x: fft.rfft(x * 1j), DTypeError),
    (lambda fft, x: fft.fftn(x, s=(2, 2), axes=(0,)), ArgumentError),
    (lambda fft, x: fft.fftn(x, s=(2,) * 5), ShapeError),
    (lambda fft, x: fft.fftn(x, axes=(0, 0)), ShapeError),
    (lambda fft, x: fft.irfft(x[:, :, :1]), ArgumentError),
    (lambda fft, x: fft.rfftn(x, axes=()), ArgumentError),
    (lambda fft, x: fft.fftfreq(0), ArgumentError),
    (lambda fft, x: fft.fftfreq(3, d="a"), ArgumentError),
    (lambda fft, x: fft.fft(x[:, :, :0]), ArgumentError),
]


@pytest.mark.parametrize(("call", "error"), WRONG)
def test_mistakes_are_the_same_in_both_modes(call, error):
    with pytest.raises(error) as dynamic:
        call(dg.fft, dg.tensor(REAL))
    with sg.Graph(), pytest.raises(SideBySideError) as static:
        call(sg.fft, sg.placeholder("x", REAL.shape, "float64"))
    assert static.value.id == dynamic.value.id


def test_no_arrays_give_no_arrays():
    x = np.ones((0, 4))
    for name in ("fft", "rfft", "ifft"):
        found = getattr(dg.fft, name)(dg.tensor(x)).numpy()
        np.testing.assert_array_equal(found, getattr(np.fft, name)(x), strict=True)
