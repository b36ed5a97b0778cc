"""Fourier transforms as machine code: the bits of NumPy's functions."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.machine.foreign import functions

NORMS = ("backward", "ortho", "forward")


def by_both(declare, *arrays):
    found = []
    for backend in ("numpy", "native"):
        with sg.Graph():
            nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
            run = sg.compile(declare(*nodes), nodes, backend=backend)
        found.append(run(*arrays))
    return *found, "left to NumPy" not in run.report()


def every_transform(x):
    made = []
    for norm in NORMS:
        for axis, length in enumerate(x.shape):
            made += [sg.fft.fft(x, axis=axis, norm=norm), sg.fft.ifft(x, axis=axis, norm=norm)]
            if x.dtype.kind != "c":
                made.append(sg.fft.rfft(x, axis=axis, norm=norm))
            for n in (2 * length - 1, max(2 * length - 2, 1)):
                made.append(sg.fft.irfft(x, n=n, axis=axis, norm=norm))
        made += [sg.fft.fftn(x, norm=norm), sg.fft.ifftn(x * 2, norm=norm)]
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "int16"])
def test_transforms_have_numpys_bits(dtype, monkeypatch):
    monkeypatch.setenv("SIDEBYSIDE_CHECKED", "1")
    rng = np.random.default_rng(0)
    for shape in ((7,), (4, 5, 6), (1, 2)):
        x = (rng.normal(size=shape) * 5).astype(dtype)
        if x.dtype.kind == "c":
            x += (1j * rng.normal(size=shape)).astype(dtype)
        numpy, native, whole = by_both(every_transform, x)
        assert whole
        for wanted, found in zip(numpy, native, strict=True):
            assert (wanted.dtype, wanted.shape) == (found.dtype, found.shape)
            assert wanted.tobytes() == found.tobytes()


def test_a_loop_of_transforms_and_its_gradient_stay_machine_code():
    def declare(x, kernel):
        def step(c, _):
            moved = sg.real(sg.fft.ifft(sg.fft.fft(c) * kernel))
            return moved, sg.fft.rfft(moved.T, axis=0)

        last, stacked = sg.scan(step, x, sg.zeros((4, 1)))
        loss = sg.sum(last * last) + sg.sum(sg.real(stacked * sg.conj(stacked)))
        return [last, stacked, *sg.gradients(loss, [x])]

    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 8))
    kernel = np.exp(-0.1 * np.fft.fftfreq(8, 1 / 8) ** 2) + 0j
    numpy, native, whole = by_both(declare, x, kernel)
    assert whole
    for wanted, found in zip(numpy, native, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_half_floats_and_other_ufuncs_are_left_to_numpy(monkeypatch):
    x = np.arange(8.0)
    numpy, native, whole = by_both(lambda x: [sg.fft.fft(sg.cast(x, "float16"))], x)
    assert not whole
    np.testing.assert_array_equal(numpy[0], native[0])
    monkeypatch.setattr(functions, "address_of", lambda name: 0)
    numpy, native, whole = by_both(lambda x: [sg.fft.fft(x + 3)], x)
    assert not whole
    np.testing.assert_array_equal(numpy[0], native[0])
