"""Complex numbers as machine code: moved whole, computed with as pairs."""

import warnings

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import SideBySideError
from oplibrary.ops.scan import linear_recurrence

DTYPES = ("complex64", "complex128")
PARTS = [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 100.0, -100.0, 720.0, -750.0]


def numbers(dtype):
    """Return complex numbers of all pairs of special parts, near the ends of the range, too."""
    info = np.finfo(dtype)
    parts = np.array([*PARTS, info.max, info.max * 0.8, info.tiny], info.dtype)
    found = np.empty(len(parts) ** 2 + 50, dtype)
    rng = np.random.default_rng(0)
    found.real[:-50], found.imag[:-50] = np.repeat(parts, len(parts)), np.tile(parts, len(parts))
    found.real[-50:], found.imag[-50:] = rng.normal(size=(2, 50))
    return found, rng.permutation(found)


def run_both(declare, *arrays):
    """Return the outputs by machine code and by NumPy, and whether nothing was left to NumPy."""
    with sg.Graph():
        nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        outputs = declare(*nodes)
    runs = [sg.compile(outputs, nodes, backend=backend) for backend in ("native", "interpret")]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [run(*arrays) for run in runs]
    return *found, "left to NumPy" not in runs[0].report()


def assert_alike(found, wanted, units=8):
    """Compare special parts exactly, signs of zeros included, others beside the whole number.

    `units` in the last place of this is what they may be off.
    """
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    if wanted.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, wanted)
        return
    with np.errstate(all="ignore"):
        size = np.abs(wanted).astype(np.float64)
    size[~np.isfinite(size)] = 0
    margin = units * np.finfo(wanted.dtype).eps
    for one, other in ((found.real, wanted.real), (found.imag, wanted.imag)):
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        with np.errstate(all="ignore"):
            off = np.abs(one.astype(np.float64) - other)
        same = (one == other) | np.isnan(other)
        assert (same | (off <= margin * np.maximum(size, np.abs(other)))).all()
        zero = (one == 0) & (other == 0)
        np.testing.assert_array_equal(np.signbit(one)[zero], np.signbit(other)[zero])


MADE = {
    *"add subtract multiply divide negative square reciprocal positive conj real imag abs".split(),
    *"angle exp equal not_equal logical_and logical_or logical_xor logical_not where".split(),
    *"isnan isinf isfinite sqrt rsqrt log log2 log10 log1p exp2 expm1".split(),
    *"sin cos tan sinh cosh tanh".split(),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_elementwise_ops_are_numpys_for_special_numbers_too(dtype):
    x, y = numbers(dtype)
    made = set()
    for op in REGISTRY.values():
        if op.kind is not Kind.ELEMENTWISE or op.attrs or op.name == "pow":  # below
            continue
        arrays = [x.real > 0, x, y] if op.name == "where" else [x, y, x][: op.arity]
        try:
            (found,), (wanted,), whole = run_both(lambda *xs, o=op: [o(*xs)], *arrays)
        except SideBySideError:  # it is not defined for complex numbers
            continue
        if whole:
            made.add(op.name)
            assert_alike(found, wanted)
    assert made >= MADE


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_are_near_where_their_parts_cancel(dtype):
    rng = np.random.default_rng(0)
    near = 10.0 ** rng.integers(-17, 1, 3000)
    turns, apart = rng.uniform(-np.pi, np.pi, 3000), rng.normal(size=(3, 3000)) * near
    x = [np.exp(1j * turns) * (1 + apart[0]), 1 + apart[1] + 1j * apart[2], apart[1] + 1j * turns]
    x = np.concatenate([*x, *(each * 30 for each in x)]).astype(dtype)
    functions = [sg.sqrt, sg.log, sg.log1p, sg.expm1, sg.sinh, sg.cosh, sg.tanh, sg.sin, sg.tan]
    found, wanted, whole = run_both(lambda x: [each(x) for each in functions], x)
    assert whole
    for one, other in zip(found, wanted, strict=True):
        assert_alike(one, other)


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_are_products_or_exponentials_as_numpys(dtype):
    x = numbers(dtype)[0]
    rng = np.random.default_rng(0)
    some = (rng.normal(size=40) + 1j * rng.normal(size=40)).astype(dtype)
    exponents = np.array([*range(-4, 6), 20, 0.5, -1.5, 2j, 1 - 1j, np.inf, np.nan], dtype)
    x, y = (each.ravel() for each in np.meshgrid(np.concatenate([x[::2], some]), exponents))
    found, wanted, whole = run_both(lambda x, y: [x**y], x, y)
    assert whole
    finite = np.isfinite(wanted[0])  # beyond, the angle is what rounding makes of it
    assert_alike(found[0][finite], wanted[0][finite], 1500)  # of y log x, up to 1,420
    np.testing.assert_array_equal(np.isnan(found[0]), np.isnan(wanted[0]))
    whole_exponents = [2, 3, 5, -1, -3, 0, 1]
    found, wanted, whole = run_both(lambda x: [x**n for n in whole_exponents], x)
    assert whole
    for one, other in zip(found, wanted, strict=True):
        assert_alike(one, other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1, 2, 7, 33])
def test_everything_that_moves_or_adds_elements(dtype, length):
    rng = np.random.default_rng(length)
    x, y = (rng.normal(size=(2, 3, length)) + 1j * rng.normal(size=(2, 3, length))).astype(dtype)
    at = rng.integers(0, 3, 5)

    def declare(x, y, at):
        return [
            x.T * y.T,
            sg.flip(x) - y[:, ::-1],
            sg.concat([x, y * 2, sg.zeros_like(x)], axis=1),
            sg.pad(x, ((1, 0), (2, 1))),
            sg.take(x, at, axis=0),
            sg.sum(x * y, axis=0),
            sg.sum(x),
            sg.mean(x, axis=1),
            sg.cumulative_sum(x, axis=0, include_initial=True),
            sg.cumulative_prod(x, axis=1),
            linear_recurrence(x, y, axis=0),
            sg.real(x) * y,
            sg.cast(sg.real(x), dtype) + 1j,
            sg.all(x, axis=0),
            sg.cast(x, "complex64"),
            *sg.gradients(sg.sum(sg.real(sg.take(x, at, axis=0) * sg.exp(y[:1]))), [x, y]),
        ]

    found, wanted, whole = run_both(declare, x, y, at)
    assert whole
    for one, other in zip(found, wanted, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5 if dtype == "complex64" else 1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_matrices_are_four_of_parts(dtype):
    rng = np.random.default_rng(0)

    def drawn(*shape):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)

    arrays = [drawn(3, 4), drawn(2, 4, 5), drawn(5, 2), drawn(4), drawn(20, 33), drawn(33, 30)]

    def declare(a, b, c, v, x, y):
        return [
            a @ b,
            v @ v,
            a @ sg.real(b),
            x @ y,
            sg.einsum("ij,bjk,kl->bli", a, b, c),
            *sg.gradients(sg.sum(sg.real((a @ b) * sg.conj(a @ b))), [a, b]),
        ]

    found, wanted, whole = run_both(declare, *arrays)
    assert whole
    for one, other in zip(found, wanted, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-4 if dtype == "complex64" else 1e-11)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_checked_runs_and_threads_give_the_same_sums(monkeypatch, threads):
    monkeypatch.setenv("SIDEBYSIDE_CHECKED", "1")
    monkeypatch.setenv("SIDEBYSIDE_THREADS", str(threads))
    rng = np.random.default_rng(0)
    x = (rng.normal(size=300_001) + 1j * rng.normal(size=300_001)).astype("complex64")
    (total, product), (wanted, other), whole = run_both(lambda x: [sg.sum(x), x * sg.conj(x)], x)
    assert whole
    np.testing.assert_allclose(total, wanted, rtol=1e-5)
    np.testing.assert_array_equal(product, other)


def test_numbers_that_begin_at_half_of_themselves():
    """NumPy aligns complex numbers as their parts, to which no vector may be aligned better."""
    for dtype, part in (("complex64", "float32"), ("complex128", "float64")):
        x = np.arange(67, dtype=part)[1:].view(dtype)
        assert x.flags.aligned
        (found,), (wanted,), _ = run_both(lambda x: [x * x[::-1]], x)
        np.testing.assert_array_equal(found, wanted)


def test_loops_carry_complex_numbers():
    def step(z, c):
        z = z * z + c
        return z, abs(z)

    z = np.zeros(5, "complex64")
    c = (np.linspace(-0.5, 0.3, 15) + 0.2j).astype("complex64").reshape(3, 5)
    found, wanted, whole = run_both(lambda z, c: [*sg.scan(step, z, c)], z, c)
    assert whole
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_dyngraph_runs_them_by_machine_code():
    x = (np.linspace(-1, 1, 5000) + 0.5j).astype("complex64")
    with dg.set_kernels("machine"):
        found = dg.exp(dg.asarray(x) * 2).numpy()
    np.testing.assert_allclose(found, np.exp(x * np.float32(2)), rtol=1e-5)


def test_parts_of_constants_that_are_one_number():
    def declare(x):
        c = sg.constant(np.full((2, 3), 2 - 3j))
        made = [each + x for each in (c, sg.real(c), sg.imag(c), sg.abs(c), sg.conj(c))]
        return [*made, sg.sum(c * x), x ** (0.5 - 1j)]

    found, wanted, whole = run_both(declare, np.arange(1, 7.0).reshape(2, 3) + 0j)
    assert whole
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)
