"""Linear algebra in both modes: NumPy's values, PyTorch's gradients, matrices that are refused."""

import numpy as np
import pytest
import scipy.linalg

import dyngraph as dg
import staticgraph as sg
from oplibrary.errors import (
    ArgumentError,
    DTypeError,
    LinAlgError,
    MatrixShapeError,
    NotDifferentiableError,
    ShapeError,
)

RNG = np.random.default_rng(5)
ANY = RNG.normal(size=(2, 3, 3)) + 2 * np.eye(3)
TALL, WIDE = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 3, 4))
DEFINITE = ANY @ ANY.swapaxes(-1, -2) + np.eye(3)
RIGHT, VECTOR = RNG.normal(size=(3, 2)), RNG.normal(size=3)
ORDERS = ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


def hermitian(xp, x):
    return (x + xp.matrix_transpose(x)) * 0.5


# name: what is called, its operands; results are those of NumPy up to signs of vectors, which the
# calls take away
CALLS = {
    "inv": (lambda xp, x: xp.linalg.inv(x), [ANY]),
    "det": (lambda xp, x: xp.linalg.det(x), [ANY]),
    "slogdet": (lambda xp, x: xp.linalg.slogdet(x).logabsdet, [ANY]),
    "solve": (lambda xp, a, b: xp.linalg.solve(a, b), [ANY, RIGHT]),
    "solve a vector": (lambda xp, a, b: xp.linalg.solve(a, b), [ANY[0], VECTOR]),
    "cholesky": (lambda xp, x: xp.linalg.cholesky(hermitian(xp, x)), [DEFINITE]),
    "cholesky upper": (lambda xp, x: xp.linalg.cholesky(hermitian(xp, x), upper=True), [DEFINITE]),
    "eigvalsh": (lambda xp, x: xp.linalg.eigvalsh(hermitian(xp, x)), [DEFINITE]),
    "eigh": (lambda xp, x: xp.linalg.eigh(hermitian(xp, x)).eigenvectors ** 2, [DEFINITE]),
    "svdvals": (lambda xp, x: xp.linalg.svdvals(x), [TALL]),
    "svd": (lambda xp, x: xp.linalg.svd(x, full_matrices=False).U ** 2, [TALL]),
    "svd wide": (lambda xp, x: xp.linalg.svd(x, full_matrices=False).Vh ** 2, [WIDE]),
    "qr": (lambda xp, x: xp.linalg.qr(x).Q ** 2, [TALL]),
    "qr wide": (lambda xp, x: xp.linalg.qr(x).R ** 2, [WIDE]),
    "pinv": (lambda xp, x: xp.linalg.pinv(x), [TALL]),
    "pinv wide": (lambda xp, x: xp.linalg.pinv(x), [WIDE]),
    "matrix_power": (lambda xp, x: xp.linalg.matrix_power(x, 5), [ANY]),
    "matrix_power negative": (lambda xp, x: xp.linalg.matrix_power(x, -3), [ANY]),
    "cross": (lambda xp, x, y: xp.linalg.cross(x, y), [ANY, VECTOR]),
    "cond": (lambda xp, x: xp.linalg.cond(x), [ANY]),
}


@pytest.mark.parametrize("name", CALLS)
def test_values_are_numpys(name):
    call, arrays = CALLS[name]
    if name.startswith(("svd", "pinv")):
        np.testing.assert_allclose(
            call(dg, *map(dg.tensor, arrays)).numpy(), call(np, *arrays), rtol=1e-9
        )
    found = call(dg, *map(dg.tensor, arrays)).numpy()
    np.testing.assert_allclose(found, call(np, *arrays), rtol=1e-9, atol=1e-12)
    for backend in ("interpret", "numpy", "native"):
        run = sg.function(lambda *xs: call(sg, *xs), backend=backend)
        same = np.testing.assert_array_equal if backend != "native" else np.testing.assert_allclose
        same(run(*arrays), found)


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_those_of_differences_twice(name):
    call, arrays = CALLS[name]
    tensors = [dg.tensor(x, requires_grad=True) for x in arrays]
    assert dg.gradcheck(lambda *xs: call(dg, *xs), tensors)
    small = [dg.tensor(x[:1] if x.ndim == 3 else x, requires_grad=True) for x in arrays]
    assert dg.gradgradcheck(lambda *xs: call(dg, *xs), small, atol=1e-4)


@pytest.mark.parametrize("name", CALLS)
def test_gradients_have_the_same_bits_in_both_modes(name):
    call, arrays = CALLS[name]
    places = tuple(range(len(arrays)))
    _, found = dg.value_and_grad(lambda *xs: dg.sum(call(dg, *xs)), places)(*map(dg.tensor, arrays))
    run = sg.function(sg.value_and_grad(lambda *xs: sg.sum(call(sg, *xs)), places), backend="numpy")
    for one, other in zip(run(*arrays)[1], found, strict=True):
        np.testing.assert_array_equal(one, other.numpy())


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "solve", "eigvalsh", "svdvals", "pinv"])
def test_gradients_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    call, arrays = CALLS[name]

    class Theirs:
        linalg = torch.linalg
        matrix_transpose = staticmethod(lambda x: x.mT)

    there = [torch.tensor(x, requires_grad=True) for x in arrays]
    wanted = torch.autograd.grad(call(Theirs, *there).sum(), there)
    here = [dg.tensor(x, requires_grad=True) for x in arrays]
    found = dg.grad(dg.sum(call(dg, *here)), here)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("keepdims", [False, True])
def test_norms(order, keepdims):
    x = dg.tensor(WIDE, requires_grad=True)
    wanted = np.linalg.norm(WIDE, order, (-2, -1), keepdims)
    found = dg.linalg.matrix_norm(x, ord=order, keepdims=keepdims)
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12)
    assert dg.gradcheck(lambda x: dg.linalg.matrix_norm(x, ord=order), x)
    np.testing.assert_allclose(
        dg.linalg.norm(x, order, (0, 2)).detach().numpy(), np.linalg.norm(WIDE, order, (0, 2))
    )


def test_gradients_of_determinants_of_singular_matrices():
    torch = pytest.importorskip("torch")
    for rank in (2, 1, 0):
        x = RNG.normal(size=(3, rank)) @ RNG.normal(size=(rank, 3))
        there = torch.tensor(x, requires_grad=True)
        (wanted,) = torch.autograd.grad(torch.linalg.det(there), there)
        here = dg.tensor(x, requires_grad=True)
        (found,) = dg.grad(dg.linalg.det(here), [here])
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-12)


def test_decompositions_multiply_to_the_matrix():
    for x in (TALL, WIDE, ANY, np.zeros((0, 3)), np.ones((1, 1))):
        u, s, vh = (each.numpy() for each in dg.linalg.svd(dg.tensor(x), full_matrices=False))
        np.testing.assert_allclose((u * s[..., None, :]) @ vh, x, atol=1e-12)
        for mode in ("reduced", "complete"):
            q, r = (each.numpy() for each in dg.linalg.qr(dg.tensor(x), mode=mode))
            np.testing.assert_allclose(q @ r, x, atol=1e-12)
            assert (q.shape, r.shape) == tuple(each.shape for each in np.linalg.qr(x, mode))
        full = dg.linalg.svd(dg.tensor(x))
        assert [each.shape for each in full] == [each.shape for each in np.linalg.svd(x)]
    values, vectors = (each.numpy() for each in dg.linalg.eigh(dg.tensor(DEFINITE)))
    np.testing.assert_allclose(DEFINITE @ vectors, vectors * values[..., None, :], atol=1e-12)
    values, vectors = (each.numpy() for each in dg.linalg.eig(dg.tensor(ANY)))
    np.testing.assert_allclose(ANY @ vectors, vectors * values[..., None, :], atol=1e-12)
    assert dg.linalg.eigvals(dg.tensor(ANY)).dtype == np.complex128


def test_columns_that_nothing_determines_have_no_gradient():
    x = dg.tensor(TALL[0], requires_grad=True)
    u = dg.linalg.svd(x).U
    with pytest.raises(NotDifferentiableError, match="complete an orthogonal basis"):
        dg.sum(u).backward()


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [0, "T", 2])
@pytest.mark.parametrize("unit_diagonal", [False, True])
@pytest.mark.parametrize("n", [3, 40])
def test_triangular_systems(lower, trans, unit_diagonal, n):
    a = RNG.normal(size=(n, n)) / n + 2 * np.eye(n)
    b = RNG.normal(size=(n, 2))
    options = {"trans": trans, "lower": lower, "unit_diagonal": unit_diagonal}
    found = dg.linalg.solve_triangular(dg.tensor(a), dg.tensor(b), **options)
    wanted = scipy.linalg.solve_triangular(a, b, **options)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-9, atol=1e-12)
    if n == 3:
        tensors = [dg.tensor(each, requires_grad=True) for each in (a, b)]
        assert dg.gradcheck(lambda a, b: dg.linalg.solve_triangular(a, b, **options), tensors)


def test_least_squares():
    for a in (TALL, WIDE):
        for b in (RNG.normal(size=(a.shape[-2], 2)), RNG.normal(size=a.shape[-2])):
            tensors = [dg.tensor(each, requires_grad=True) for each in (a[0], b)]
            found, wanted = dg.linalg.lstsq(*tensors), np.linalg.lstsq(a[0], b)
            np.testing.assert_allclose(found.solution.detach().numpy(), wanted[0], rtol=1e-9)
            np.testing.assert_allclose(found.residuals.detach().numpy(), wanted[1], rtol=1e-9)
            assert found.rank.item() == wanted[2]
            np.testing.assert_allclose(found.singular_values.detach().numpy(), wanted[3])
            assert dg.gradcheck(lambda a, b: dg.linalg.lstsq(a, b).solution, tensors)


@pytest.mark.parametrize("columns", [1, 2])
def test_residuals_of_a_matrix_that_has_not_full_rank(columns):
    a = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    b = RNG.normal(size=(3, columns))
    for found in (
        dg.linalg.lstsq(dg.tensor(a), dg.tensor(b)),
        np.linalg.lstsq(dg.tensor(a), dg.tensor(b)),
    ):
        for mine, theirs in zip(found, np.linalg.lstsq(a, b), strict=True):
            assert mine.shape == np.shape(theirs)
            np.testing.assert_allclose(mine.numpy(), theirs, atol=1e-12)
    for backend in ("numpy", "native"):
        solution = sg.function(lambda a, b: sg.linalg.lstsq(a, b).solution, backend=backend)
        np.testing.assert_allclose(solution(a, b), np.linalg.lstsq(a, b)[0])
        residuals = sg.function(lambda a, b: sg.linalg.lstsq(a, b).residuals, backend=backend)
        full = a + np.eye(3)[:, :2]
        np.testing.assert_allclose(residuals(full, b), np.linalg.lstsq(full, b)[1])
        with pytest.raises(dg.errors.LinAlgError, match="the residuals for a matrix of rank 1"):
            residuals(a, b)


@pytest.mark.parametrize("triangle", ["L", "U"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_eigenvectors_have_the_signs_of_lapack(dtype, triangle):
    x = RNG.normal(size=(2, 4, 4)).astype(dtype)
    x = x + 1j * RNG.normal(size=x.shape) if dtype[0] == "c" else x
    wanted = np.linalg.eigh(x, triangle)
    upper = triangle == "U"
    for found in (np.linalg.eigh(dg.tensor(x), triangle), dg.linalg.eigh(dg.tensor(x), upper)):
        for mine, theirs in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs)
    values = np.linalg.eigvalsh(dg.tensor(x), triangle)
    np.testing.assert_array_equal(values.numpy(), np.linalg.eigvalsh(x, triangle))
    static = sg.function(lambda x: np.linalg.eigh(x, triangle), backend="numpy")(x)
    np.testing.assert_array_equal(static[1], wanted.eigenvectors)
    torch = pytest.importorskip("torch")
    leaf = torch.tensor(x, requires_grad=True)
    (torch.linalg.eigvalsh(leaf, UPLO=triangle) ** 2).sum().backward()
    slope = dg.grad(lambda x: dg.sum(dg.linalg.eigvalsh(x, upper) ** 2))(dg.tensor(x))
    np.testing.assert_allclose(slope.numpy(), leaf.grad.numpy(), rtol=1e-8, atol=1e-10)


def test_ranks_products_and_functions():
    x = np.stack([np.outer(VECTOR, VECTOR), ANY[0]])
    assert dg.linalg.matrix_rank(dg.tensor(x)).tolist() == [1, 3]
    assert dg.linalg.matrix_rank(dg.tensor(x), rtol=10.0).tolist() == [0, 0]
    factors = [RNG.normal(size=shape) for shape in ((3, 50), (50, 2), (2, 7), (7,))]
    found = dg.linalg.multi_dot([dg.tensor(each) for each in factors])
    np.testing.assert_allclose(found.numpy(), np.linalg.multi_dot(factors), rtol=1e-10)
    small = dg.tensor(ANY / 3, requires_grad=True)
    np.testing.assert_allclose(
        dg.linalg.expm(small).detach().numpy(), scipy.linalg.expm(ANY / 3), rtol=1e-12
    )
    assert dg.gradcheck(dg.linalg.expm, small)
    assert dg.gradcheck(dg.linalg.expm, dg.tensor(ANY[:1, None] / 3, requires_grad=True))
    a = RNG.normal(size=(2, 3, 6))
    np.testing.assert_allclose(
        dg.linalg.tensorsolve(dg.tensor(a), dg.tensor(a[..., 0])).numpy(),
        np.linalg.tensorsolve(a, a[..., 0]),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        dg.linalg.tensorinv(dg.tensor(a)).numpy(), np.linalg.tensorinv(a, 2), rtol=1e-9
    )


@pytest.mark.parametrize("dtype", ["float32", "complex64", "complex128", "int64"])
def test_dtypes_are_numpys(dtype):
    x = np.array([[2, 1], [1, 3]]).astype(dtype)
    for name in ("inv", "det", "cholesky", "eigvalsh", "svdvals", "pinv", "qr", "eigh"):
        found = getattr(dg.linalg, name)(dg.tensor(x))
        wanted = getattr(np.linalg, name)(x)
        pairs = zip(found, wanted) if name in ("qr", "eigh") else [(found, wanted)]
        for one, other in pairs:
            assert one.dtype == other.dtype, name
            np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=1e-6)
    with pytest.raises(DTypeError, match="LAPACK"):
        dg.linalg.inv(dg.tensor(np.eye(2, dtype="float16")))


def in_dynamic(call):
    return lambda *arrays: call(dg, *map(dg.tensor, arrays))


def in_static(call):
    return lambda *arrays: sg.function(lambda *xs: call(sg, *xs), backend="native")(*arrays)


REFUSED = [
    (lambda xp, x: xp.linalg.inv(x), np.ones((2, 2)), LinAlgError, "singular"),
    (lambda xp, x: xp.linalg.solve(x, x), np.zeros((3, 3)), LinAlgError, "singular"),
    (lambda xp, x: xp.linalg.cholesky(x), -np.eye(2), LinAlgError, "positive definite"),
    (
        lambda xp, x: xp.linalg.inv(x),
        np.stack([np.eye(2), np.ones((2, 2))]),
        LinAlgError,
        "matrix 1",
    ),
    (lambda xp, x: xp.linalg.svd(x), np.full((2, 2), np.nan), LinAlgError, "converge"),
    (lambda xp, x: xp.linalg.solve_triangular(x, x), np.zeros((2, 2)), LinAlgError, "diagonal"),
    (lambda xp, x: xp.linalg.inv(x), np.ones((2, 3)), MatrixShapeError, "square"),
    (lambda xp, x: xp.linalg.det(x), np.ones(3), MatrixShapeError, "fewer than two axes"),
    (lambda xp, x: xp.linalg.svd(x), np.ones(3), MatrixShapeError, "fewer than two axes"),
    (lambda xp, x: xp.linalg.matrix_norm(x), np.ones(3), MatrixShapeError, "fewer than two"),
    (lambda xp, x: xp.linalg.solve(x, x[:1]), np.eye(2), ShapeError, "right sides"),
    (lambda xp, x: xp.linalg.cross(x, x), np.ones((2, 2)), ShapeError, "has length 2"),
    (lambda xp, x: xp.linalg.matrix_norm(x, ord=3), np.eye(2), ArgumentError, "ord is 3"),
    (lambda xp, x: xp.linalg.matrix_power(x, 0.5), np.eye(2), ArgumentError, "n must be"),
    (lambda xp, x: xp.linalg.qr(x, mode="raw"), np.eye(2), ArgumentError, "mode"),
]


@pytest.mark.parametrize("mode", [in_dynamic, in_static])
@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_what_has_no_answer_is_refused(mode, case):
    call, x, error, words = REFUSED[case]
    with pytest.raises(error, match=words) as caught:
        mode(call)(x)
    assert type(caught.value) is error
    if error in (LinAlgError, MatrixShapeError):
        assert isinstance(caught.value, np.linalg.LinAlgError)


def test_a_vector_is_no_matrix_of_right_sides():
    x = RNG.normal(size=(3, 2, 2)) + 2 * np.eye(2)
    found = dg.linalg.solve(dg.tensor(x), dg.tensor(VECTOR[:2]))
    np.testing.assert_allclose(found.numpy(), np.linalg.solve(x, VECTOR[:2]))


# by NumPy's names ---------------------------------------------------------------------------------

BY_NUMPY = {
    "inv": lambda x: np.linalg.inv(x),
    "det": lambda x: np.linalg.det(x),
    "slogdet": lambda x: np.linalg.slogdet(x)[1],
    "solve": lambda x: np.linalg.solve(x, x[:, :1]),
    "cholesky": lambda x: np.linalg.cholesky(x @ x.T, upper=True),
    "cond": lambda x: np.linalg.cond(x, 1),
    "cross": lambda x: np.cross(x, x[0]) + np.linalg.cross(x[1], x),
    "eigh": lambda x: np.linalg.eigh(x @ x.T, UPLO="U")[0],
    "eigvalsh": lambda x: np.linalg.eigvalsh(x @ x.T, "L"),
    "lstsq": lambda x: np.linalg.lstsq(x[:, :2], x[:, 2])[0],
    "matrix_norm": lambda x: np.linalg.matrix_norm(x, ord=1, keepdims=True),
    "matrix_power": lambda x: np.linalg.matrix_power(x, 3),
    "matrix_rank": lambda x: np.linalg.matrix_rank(x),
    "multi_dot": lambda x: np.linalg.multi_dot([x, x, x[0]]),
    "norm": lambda x: np.linalg.norm(x) + np.linalg.norm(x, axis=1) + np.linalg.norm(x, "nuc"),
    "pinv": lambda x: np.linalg.pinv(x[:2]),
    "qr": lambda x: np.linalg.qr(x)[1] ** 2 + np.linalg.qr(x, "r"),
    "svd": lambda x: np.linalg.svd(x, compute_uv=False) + np.linalg.svd(x, False)[1],
    "svdvals": lambda x: np.linalg.svdvals(x),
    "tensorinv": lambda x: np.linalg.tensorinv(x, ind=1),
    "tensorsolve": lambda x: np.linalg.tensorsolve(x, x[0]),
}


@pytest.mark.parametrize("name", BY_NUMPY)
def test_numpys_functions_run_ours(name):
    call, x = BY_NUMPY[name], ANY[0]
    found = call(dg.tensor(x))
    assert type(found) is dg.Tensor
    np.testing.assert_allclose(found.numpy(), call(x), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(sg.function(call, backend="numpy")(x), found.numpy())
    if found.dtype.kind == "f":
        assert dg.gradcheck(call, dg.tensor(x, requires_grad=True))


def test_what_numpy_takes_and_we_do_not_is_refused_by_name():
    x = dg.tensor(ANY[0])
    for call in (
        lambda: np.linalg.pinv(x, hermitian=True),
        lambda: np.linalg.lstsq(x, x, rcond=-1),
        lambda: np.linalg.matrix_rank(x, tol=1.0),
        lambda: np.linalg.eigh(x, UPLO="X"),
        lambda: np.linalg.qr(x, mode="raw"),
        lambda: np.linalg.eig(x),
        lambda: np.linalg.eigvals(x),
    ):
        with pytest.raises((TypeError, ValueError)):
            call()
    z = ANY[0].astype("complex128")
    np.testing.assert_allclose(np.linalg.eigvals(dg.tensor(z)).numpy(), np.linalg.eigvals(z))
    vectors = np.linalg.eig(dg.tensor(z)).eigenvectors
    np.testing.assert_allclose(vectors.numpy(), np.linalg.eig(z).eigenvectors)


# complex matrices --------------------------------------------------------------------------------

Z = RNG.normal(size=(4, 3)) + 1j * RNG.normal(size=(4, 3))
SQUARE = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3)) + 2 * np.eye(3)
WEIGHT = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3))


def with_adjoint(x):
    return (x + x.mT.conj()) * 0.5


WITHOUT_PHASES = {
    "det": (lambda xp, x: xp.linalg.det(x), SQUARE),
    "slogdet": (lambda xp, x: xp.linalg.slogdet(x)[0] * 2 + xp.linalg.slogdet(x)[1], SQUARE),
    "inv": (lambda xp, x: xp.linalg.inv(x), SQUARE),
    "cholesky": (lambda xp, x: xp.linalg.cholesky(x @ x.mT.conj()), SQUARE),
    "eigh": (lambda xp, x: abs(xp.linalg.eigh(with_adjoint(x))[1]) ** 2, SQUARE),
    "eigvalsh": (lambda xp, x: xp.linalg.eigvalsh(with_adjoint(x)), SQUARE),
    "eig": (lambda xp, x: abs(xp.linalg.eig(x)[1]) ** 2, SQUARE),
    "eigvals": (lambda xp, x: xp.linalg.eigvals(x), SQUARE),
    "svd": (lambda xp, x: abs(xp.linalg.svd(x, full_matrices=False)[0]) ** 2, Z),
    "svd of both": (
        lambda xp, x: (lambda u, s, vh: (u * (s * s)) @ vh)(*xp.linalg.svd(x, full_matrices=False)),
        Z,
    ),
    "svdvals": (lambda xp, x: xp.linalg.svdvals(x), Z),
    "qr": (lambda xp, x: abs(xp.linalg.qr(x)[0]) ** 2, Z),
    "pinv": (lambda xp, x: xp.linalg.pinv(x), Z),
    "lstsq": (lambda xp, x: xp.linalg.solve(x.mT.conj() @ x, x.mT.conj()), Z),
}


def as_number(xp, x):
    """Return a real number in which every part counts otherwise."""
    weights = np.random.default_rng(3).normal(size=(2, *x.shape))
    return xp.sum(xp.real(x) * weights[0]) + (
        xp.sum(xp.imag(x) * weights[1]) if x.dtype in (np.complex128, "torch") else 0
    )


@pytest.mark.parametrize("name", WITHOUT_PHASES)
def test_gradients_of_complex_matrices_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    call, z = WITHOUT_PHASES[name]
    there = torch.tensor(z, requires_grad=True)
    theirs = call(torch, there)
    weights = np.random.default_rng(3).normal(size=(2, *theirs.shape))
    number = (theirs.real * torch.tensor(weights[0])).sum()
    if theirs.is_complex():
        number = number + (theirs.imag * torch.tensor(weights[1])).sum()
    (wanted,) = torch.autograd.grad(number, there)
    here = dg.tensor(z, requires_grad=True)
    (found,) = dg.grad(as_number(dg, call(dg, here)), [here])
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-8, atol=1e-9)
    run = sg.function(sg.grad(lambda x: as_number(sg, call(sg, x))), backend="numpy")
    np.testing.assert_array_equal(run(z), found.numpy())


@pytest.mark.parametrize("name", WITHOUT_PHASES)
def test_second_gradients_of_complex_matrices_are_those_of_differences(name):
    call, z = WITHOUT_PHASES[name]
    assert dg.gradgradcheck(
        lambda x: as_number(dg, call(dg, x)), dg.tensor(z, requires_grad=True), atol=1e-4
    )
