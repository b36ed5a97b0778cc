"""Linear algebra by LAPACK from machine code: NumPy's bits, and its refusals."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.ops.solving import inverse_or_nan

BATCHES = [((), ()), ((3,), ()), ((), (2,)), ((2, 1), (3,))]


def run_both(declare, *arrays, whole=True):
    """Return the outputs by machine code and by NumPy."""
    with sg.Graph():
        nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        outputs = declare(*nodes)
    runs = [sg.compile(outputs, nodes, backend=backend) for backend in ("native", "interpret")]
    assert ("left to NumPy" not in runs[0].report()) is whole
    return [run(*arrays) for run in runs]


def assert_same_bits(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_systems_inverses_and_factors(monkeypatch, dtype, n):
    monkeypatch.setenv("SIDEBYSIDE_CHECKED", "1")
    rng = np.random.default_rng(n)
    arrays = []
    for matrices, sides in BATCHES:
        a = rng.normal(size=(*matrices, n, n)) + 3 * np.eye(n)
        arrays += [a, rng.normal(size=(*sides, n, 3)), a @ a.swapaxes(-1, -2) + np.eye(n)]

    def declare(*nodes):
        found = []
        for a, b, s in zip(nodes[::3], nodes[1::3], nodes[2::3], strict=True):
            found += [sg.linalg.solve(a, b), sg.linalg.inv(a), inverse_or_nan(a)]
            found += [sg.linalg.cholesky(s, upper=upper) for upper in (False, True)]
            found.append(sg.linalg.solve(a.mT, sg.flip(b, axis=-2)))
            for lower in (False, True):
                for unit in (False, True):
                    found.append(sg.linalg.solve_triangular(a, b, lower=lower, unit_diagonal=unit))
        return [*found, sg.linalg.solve(nodes[0], nodes[1][:, 0])]

    assert_same_bits(*run_both(declare, *[a.astype(dtype) for a in arrays]))


def test_whole_numbers_are_solved_in_double_precision():
    a, b = np.array([[2, 1], [1, 3]]), np.array([[1], [2]], "float32")
    assert_same_bits(*run_both(lambda a, b: [sg.linalg.solve(a, b), sg.linalg.inv(a)], a, b))


def test_gradients():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 3)) + 3 * np.eye(3), rng.normal(size=(3, 2))

    def declare(a, b):
        s = a @ a.mT + sg.asarray(np.eye(3))
        total = sg.sum(sg.linalg.solve(a, b) ** 2) + sg.sum(sg.linalg.cholesky(s) ** 3)
        return sg.gradients(total + sg.sum(sg.linalg.inv(s)), [a, b])

    for one, other in zip(*run_both(declare, a, b), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


REFUSED = {
    "inv": (lambda a: sg.linalg.inv(a), "inv: the matrix is singular"),
    "solve": (lambda a: sg.linalg.solve(a, a), "solve: the matrix is singular"),
    "cholesky": (lambda a: sg.linalg.cholesky(a - 9), "cholesky: the matrix is not positive"),
    "triangular": (lambda a: sg.linalg.solve_triangular(a * 0, a), "on the diagonal is 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_numpy_refuses_is_refused_and_the_next_run_goes_on(name):
    function, message = REFUSED[name]
    with sg.Graph():
        a = sg.placeholder("a", (2, 2, 2), "float64")
        run = sg.compile(function(a), [a], backend="native")
    assert "left to NumPy" not in run.report()
    singular = np.stack([np.eye(2), [[1.0, 2.0], [2.0, 4.0]]])
    with pytest.raises(sg.errors.LinAlgError, match=message):
        run(singular)
    if name in ("inv", "solve"):
        np.testing.assert_array_equal(run(np.stack([np.eye(2)] * 2)), np.stack([np.eye(2)] * 2))


def test_an_inverse_that_is_not_there_is_nan():
    x = np.stack([np.ones((2, 2)), np.eye(2), np.zeros((2, 2))])
    (found,), (wanted,) = run_both(lambda x: [inverse_or_nan(x)], x)
    np.testing.assert_array_equal(found, wanted)


def test_a_filter_that_solves_in_each_step_is_one_loop():
    """Of Kalman's: the state's covariance is solved for at every step."""

    def step(carry, z):
        x, p = carry
        s = p + sg.asarray(np.eye(3))
        gain = sg.linalg.solve(s, p).mT
        return (x + gain @ (z - x), p - gain @ p), x

    rng = np.random.default_rng(0)
    z, p = rng.normal(size=(6, 3)), np.diag([1.0, 2.0, 3.0])

    def declare(z, p):
        (x, p), path = sg.scan(step, (sg.zeros((3,), "float64"), p), z)
        return [x, p, path]

    for one, other in zip(*run_both(declare, z, p), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_complex_systems_are_left():
    x = np.array([[2.0, 1j], [0, 1.0]])
    (found,), (wanted,) = run_both(lambda x: [sg.linalg.inv(x)], x, whole=False)
    np.testing.assert_array_equal(found, wanted)
