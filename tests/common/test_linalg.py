"""Contractions against NumPy and torch: values, gradients, error texts."""

import numpy as np
import pytest
import torch

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import REGISTRY
from oplibrary.executors.autodiff import pull_back
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.einsum import einsum
from oplibrary.ops.linalg import dot, linear, matmul, outer, tensordot, vecdot
from oplibrary.values.types import TensorType, type_of

EINSUM = REGISTRY["einsum"]


def draw(*shape, dtype="float64", seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def gradients(op, g, *operands, **attrs):
    out = op.kernel(*operands, **attrs)
    return [
        pull_back(op, position, g, out, operands, attrs, type_of(x))
        for position, x in enumerate(operands)
    ]


def torch_gradients(function, g, *operands):
    leaves = [torch.tensor(x, requires_grad=True) for x in operands]
    return torch.autograd.grad(function(*leaves), leaves, torch.tensor(g))


MATMUL_SHAPES = [
    ((4,), (4,)),
    ((3, 4), (4,)),
    ((4,), (4, 2)),
    ((3, 4), (4, 2)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((6, 1, 4), (4, 5)),
    ((0, 4), (4, 2)),
    ((3, 0), (0, 2)),
    ((2, 3, 0), (0, 2)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("left", "right"), MATMUL_SHAPES)
def test_matmul_and_its_gradients_are_those_of_torch(left, right, dtype):
    x, y = draw(*left, dtype=dtype), draw(*right, dtype=dtype, seed=1)
    expected = torch.matmul(torch.tensor(x), torch.tensor(y)).numpy()
    result = matmul(x, y)
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    assert matmul.infer(type_of(x), type_of(y)) == TensorType(expected.shape, dtype)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    g = draw(*expected.shape, dtype=dtype, seed=2)
    theirs = torch_gradients(torch.matmul, g, x, y)
    for mine, other in zip(gradients(matmul, g, x, y), theirs, strict=True):
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, other.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("left", "right"), [((5, 7), (7, 3)), ((4, 5, 7), (7, 3))])
def test_matmul_has_the_same_bits_in_any_output(left, right):
    x, y = draw(*left, dtype="float32"), draw(*right, dtype="float32")
    result = matmul.kernel(x, y)
    contiguous = np.empty(result.shape, "float32")
    strided = np.empty((*result.shape, 2), "float32")[..., 0]
    assert matmul.kernel(x, y, contiguous) is contiguous
    assert matmul.kernel(x, y, strided) is strided
    assert np.array_equal(contiguous, result)
    assert np.array_equal(strided, result)


def test_matmul_of_views():
    x, y = draw(7, 5, 4).transpose(1, 2, 0), draw(3, 7).T
    np.testing.assert_allclose(matmul(x, y), np.matmul(x, y))


def test_matmul_of_integers_and_mixed_dtypes():
    x, y = np.arange(6).reshape(2, 3), np.arange(3.0, dtype="float32")
    assert matmul(x, x.T).dtype == np.int64
    assert matmul(x, y).dtype == matmul.infer(type_of(x), type_of(y)).dtype == np.float64


@pytest.mark.parametrize(
    ("x", "y", "text", "fix"),
    [
        ((4, 3), (4, 2), "matmul: (4, 3) @ (4, 2): inner lengths 3 and 4 differ", "transpose x"),
        ((4, 3), (2, 3), "(4, 3) @ (2, 3): inner lengths 3 and 2 differ", "transpose y"),
        ((3,), (4,), "(3,) @ (4,): inner lengths 3 and 4 differ", "the same length"),
        ((), (4,), "() @ (4,): a scalar has no axis to sum over", "multiply"),
        ((2, 3, 4), (5, 4, 2), "shapes (2,) and (5,) do not broadcast", "reshape"),
    ],
)
def test_matmul_says_what_does_not_fit(x, y, text, fix):
    with pytest.raises(ShapeError) as error:
        matmul(draw(*x), draw(*y))
    assert text in str(error.value)
    assert fix in error.value.fix
    assert "in test_linalg" not in str(error.value)


def test_matmul_of_strings_is_refused():
    with pytest.raises(DTypeError, match="not defined for"):
        matmul(np.array([["a"]]), np.array([["b"]]))


# einsum -------------------------------------------------------------------------------------------

EINSUMS = [
    ("ij,jk->ik", (3, 4), (4, 2)),
    ("ij,jk", (3, 4), (4, 2)),
    ("ji,jk->ki", (4, 3), (4, 2)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bij,bkj->kbi", (2, 3, 4), (2, 5, 4)),
    ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("ij,j,i->", (3, 4), (4,), (3,)),
    ("ij,jk,kl->il", (3, 4), (4, 5), (5, 2)),
    ("ij,jk,kl,lm->im", (3, 4), (4, 5), (5, 2), (2, 3)),
    ("i,i->i", (4,), (4,)),
    ("i,i->", (4,), (4,)),
    ("i,j->ij", (3,), (4,)),
    ("i,j->ji", (3,), (4,)),
    ("ij->ji", (3, 4)),
    ("ij->j", (3, 4)),
    ("ij->", (3, 4)),
    ("ij", (3, 4)),
    ("ba", (3, 4)),
    ("ii->", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij,j->i", (3, 3, 2), (2,)),
    ("iii->i", (3, 3, 3)),
    ("ij,kl->k", (3, 4), (2, 5)),
    ("ii,ij->j", (3, 3), (3, 4)),
    ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (6, 4, 5)),
    ("...j,jk", (5, 3, 4), (4, 2)),
    ("i...->...", (3, 4, 2)),
    (" i j , j k -> i k ", (3, 4), (4, 2)),
    ("ij,jk->ik", (3, 0), (0, 2)),
    (",i->i", (), (3,)),
]


@pytest.mark.parametrize("case", EINSUMS, ids=[f"{c[0]}-{len(c)}" for c in EINSUMS])
def test_einsum_and_its_gradients_are_those_of_torch(case):
    subscripts, *shapes = case
    operands = [draw(*shape, seed=i) for i, shape in enumerate(shapes)]
    expected = np.einsum(subscripts, *operands)
    result = einsum(subscripts, *operands)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)
    inferred = EINSUM.infer(*map(type_of, operands), subscripts=subscripts)
    assert inferred == TensorType(expected.shape, "float64")
    g = draw(*expected.shape, seed=9)
    theirs = torch_gradients(lambda *xs: torch.einsum(subscripts, *xs), g, *operands)
    mine = gradients(EINSUM, g, *operands, subscripts=subscripts)
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-12, atol=1e-12)


def test_einsum_broadcasts_axes_of_length_one():
    x, y = draw(3, 1), draw(3, 4)
    np.testing.assert_allclose(einsum("ij,ij->i", x, y), (x * y).sum(1))
    g = draw(3)
    first, second = gradients(EINSUM, g, x, y, subscripts="ij,ij->i")
    np.testing.assert_allclose(first, g[:, None] * y.sum(1, keepdims=True))
    np.testing.assert_allclose(second, g[:, None] * x * np.ones((3, 4)))


@pytest.mark.parametrize("subscripts", ["ij->ij", "ij->ji", "ii->i"])
def test_einsum_of_one_operand_never_shares_its_memory(subscripts):
    x = draw(3, 3)
    assert not np.shares_memory(einsum(subscripts, x), x)


def test_einsum_keeps_the_dtype():
    x = draw(3, 4, dtype="float32")
    assert einsum("ij->i", x).dtype == np.float32
    assert einsum("ij,jk->ik", x, draw(4, 2)).dtype == np.float64
    small = np.ones((3, 4), np.int8)
    assert einsum("ij->i", small).dtype == np.int8


@pytest.mark.parametrize(
    ("subscripts", "shapes", "kind", "text"),
    [
        ("ij,jk->ik", [(3, 4)], ArgumentError, "2 operands described, 1 passed"),
        ("ij,jk->ik", [(3, 4), (5, 2)], ShapeError, "label 'j' has lengths 4 and 5"),
        ("ijk,jk->ik", [(3, 4), (4, 2)], ArgumentError, "operand 0 has 2 axes"),
        ("i->i", [(3, 4)], ArgumentError, "operand 0 has 2 axes"),
        ("ij->ik", [(3, 4)], ArgumentError, "label 'k' of the result is in no operand"),
        ("ij->ii", [(3, 4)], ArgumentError, "label 'i' of the result appears twice"),
        ("i1->i", [(3, 4)], ArgumentError, "unexpected '1'"),
        ("i..j->i", [(3, 4)], ArgumentError, "unexpected '.'"),
    ],
)
def test_einsum_says_what_is_wrong(subscripts, shapes, kind, text):
    with pytest.raises(kind) as error:
        einsum(subscripts, *(draw(*shape) for shape in shapes))
    assert text in str(error.value)
    assert subscripts in error.value.what
    with pytest.raises(kind):
        EINSUM.infer(*(TensorType(shape) for shape in shapes), subscripts=subscripts)


def test_einsum_wants_the_subscripts_first():
    with pytest.raises(ArgumentError, match="the subscripts are a ndarray, not a str"):
        einsum(draw(3, 3), "ii")


# products made of them ----------------------------------------------------------------------------


def test_products():
    x, y, m = draw(4), draw(4, seed=1), draw(4, 3)
    np.testing.assert_allclose(outer(x, m[:, 0]), np.outer(x, m[:, 0]))
    np.testing.assert_allclose(vecdot(x, y), x @ y)
    np.testing.assert_allclose(vecdot(m, m, axis=0), (m * m).sum(0))
    np.testing.assert_allclose(vecdot(m, m[:1]), (m * m[:1]).sum(-1))
    np.testing.assert_allclose(dot(x, y), x @ y)
    np.testing.assert_allclose(dot(m.T, m), m.T @ m)
    np.testing.assert_allclose(dot(np.float64(2), m), 2 * m)
    a, b = draw(2, 3, 4), draw(5, 4, 6)
    np.testing.assert_allclose(dot(a, b), np.dot(a, b))
    np.testing.assert_allclose(dot(a, x), np.dot(a, x))


@pytest.mark.parametrize(
    ("x", "y", "axes"),
    [
        ((2, 3, 4), (3, 4, 5), 2),
        ((2, 3), (4,), 0),
        ((2, 3, 4), (4, 3, 5), ((1, 2), (1, 0))),
        ((2, 3, 4), (5, 2), ((0,), (-1,))),
        ((3, 4), (3, 4), ((0, 1), (0, 1))),
    ],
)
def test_tensordot(x, y, axes):
    x, y = draw(*x), draw(*y)
    np.testing.assert_allclose(tensordot(x, y, axes=axes), np.tensordot(x, y, axes=axes))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: outer(draw(2, 2), draw(2)), "outer: shapes (2, 2) and (2,)"),
        (lambda: vecdot(draw(3), draw(4)), "lengths 3 and 4 along axis -1 differ"),
        (lambda: tensordot(draw(2, 3), draw(2, 3)[:1], 2), "axis 0 of x has length 2"),
        (lambda: tensordot(draw(2), draw(2), 2), "axes=2 with operands of 1 and 1 axes"),
        (lambda: tensordot(draw(2), draw(2), ((0,), ())), "does not pair axes"),
        (lambda: linear(draw(2, 3), draw(3, 4)), "linear: x (2, 3) does not fit weight (3, 4)"),
    ],
)
def test_products_say_what_does_not_fit(call, text):
    with pytest.raises(ShapeError) as error:
        call()
    assert text in str(error.value)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3)])
def test_linear_is_that_of_torch(shape):
    x, w, b = draw(*shape), draw(5, 3), draw(5)
    expected = torch.nn.functional.linear(*map(torch.tensor, (x, w, b)))
    np.testing.assert_allclose(linear(x, w, b), expected.numpy())
    np.testing.assert_allclose(linear(x, w), x @ w.T)


def test_a_constant_lies_as_its_array_does():
    """A product of a transposed array may round otherwise than that of a copy in rows."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        weight, x = rng.normal(size=(16, 4)), rng.normal(size=4)

        def loss(xp, x, weight=weight):
            return xp.sum(xp.tanh(xp.linear(x, weight)) * np.arange(16.0))

        eager = dg.grad(lambda x: loss(dg, x))(dg.tensor(x)).numpy()
        compiled = sg.function(sg.grad(lambda x: loss(sg, x)), backend="numpy")(x)
        np.testing.assert_array_equal(compiled, eager)
    with sg.Graph():
        rows = sg.constant(np.arange(4.0).reshape(2, 2))
        columns = sg.constant(np.arange(4.0).reshape(2, 2).T)
        assert rows is not columns
        assert sg.constant(np.arange(4.0).reshape(2, 2).T.copy()) is not columns
