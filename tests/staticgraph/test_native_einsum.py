"""Einsums of any number of operands, products of integers and halves, masks that are assigned."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import dyngraph as dg
import staticgraph as sg
from oplibrary.ops.selection import advanced_set

LENGTHS = {"i": 3, "j": 4, "k": 5, "l": 2, "a": 6, "b": 9}
SUBSCRIPTS = """ij,jk->ik ij,jk->ki ii-> ii->i iij,j->i iijj->ij ij->ji ijk->ki ij-> i,i->
i,j,k->kji ij,jk,kl->il ij,jk,kl,la->ia ij,ij->i ij,kj->ik bij,bjk->bki ij,j,i-> i,j
ijk,j->i ij,kl->i ii,ij->j ab,b,ab->a iij,jk,kk->i ij,k-> abi,abj->ij iii->i aib,aib,b->i
,i->i ,->""".split()


def run_both(declare, *arrays):
    """Return the outputs by machine code and by NumPy, and whether nothing was left to NumPy."""
    with sg.Graph():
        nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        outputs = declare(*nodes)
    runs = [sg.compile(outputs, nodes, backend=backend) for backend in ("native", "interpret")]
    return *[run(*arrays) for run in runs], "left to NumPy" not in runs[0].report()


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "uint8"])
def test_einsums_and_their_gradients(dtype):
    rng = np.random.default_rng(0)
    groups = [text.partition("->")[0].split(",") for text in SUBSCRIPTS]
    shapes = [[tuple(LENGTHS[c] for c in group) for group in each] for each in groups]
    draw = None if "float" in dtype else rng.integers
    arrays = [
        np.asarray(draw(0, 200, shape) if draw else rng.normal(size=shape)).astype(dtype)
        for each in shapes
        for shape in each
    ]

    def declare(*nodes):
        left, found = list(nodes), []
        for text, each in zip(SUBSCRIPTS, shapes, strict=True):
            operands, left = left[: len(each)], left[len(each) :]
            found.append(sg.einsum(text, *operands))
            if dtype == "float64":
                total = sg.sum(found[-1] * found[-1])
                found += sg.gradients(total, operands, unused="zero")
        return found

    found, wanted, whole = run_both(declare, *arrays)
    assert whole
    margin = {"float64": 1e-11, "float16": 5e-3}.get(dtype, 0)
    for one, other in zip(found, wanted, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(one, other, rtol=margin, atol=margin * 10)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "float16"])
@pytest.mark.parametrize("columns", [1, 7, 8, 33])
def test_products_of_matrices_wrap_around_as_numpys(dtype, columns):
    rng = np.random.default_rng(1)
    x, y = (rng.integers(-100, 100, s).astype(dtype) for s in ((5, 19), (19, columns)))

    def declare(x, y):
        return [x @ y, y.T @ x.T, x[:, ::2] @ y[::2], x @ y[:, 0], sg.matmul(x[None], y)]

    found, wanted, whole = run_both(declare, x, y)
    assert whole
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_a_mask_is_assigned_one_value_by_a_choice():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 4, 5)).astype("float32")
    masks = [rng.random(shape) < 0.5 for shape in ((3,), (3, 4), (4, 5), (3, 4, 5), (5,))]
    cases = [
        (0, (), 0),
        (0, (4, 5), 0),
        (0, (1, 1, 5), 0),
        (1, (5,), 0),
        (2, (3, 1), 1),
        (3, (1,), 0),
        (4, (3, 4, 1), 2),
    ]

    def declare(x, *masks):
        made = []
        for number, shape, axis in cases:
            value = np.arange(np.prod(shape, dtype=int)).reshape(shape)
            made.append(advanced_set(x, value, masks[number], axes=(axis,), position=axis))
        y = x * 2
        y[masks[3]] = 7
        return [*made, *sg.gradients(sg.sum(y * y), [x])]

    found, wanted, whole = run_both(declare, x, *masks)
    assert whole
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_a_mask_that_is_assigned_a_value_for_each_element_is_left():
    x, mask = np.zeros((3, 4)), np.array([True, False, True])

    def declare(x, mask):
        return [advanced_set(x, np.ones((2, 4)), mask, axes=(0,), position=0)]

    (found,), (wanted,), whole = run_both(declare, x, mask)
    assert not whole
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("va,uv->a", [(3, 4), (0, 3)]),
        ("va,uv,wv->aw", [(3, 4), (0, 3), (2, 3)]),
        ("ij,jk,kl->il", [(2, 3), (3, 0), (0, 2)]),
        ("ij,ij,k->", [(0, 3), (0, 3), (2,)]),
        ("vvu->v", [(3, 3, 0)]),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float16", "complex64"])
def test_sums_without_terms_are_0_beside_what_is_not_finite(subscripts, shapes, dtype):
    arrays = [np.full(shape, np.nan, dtype) for shape in shapes]
    wanted = np.einsum(subscripts, *arrays)
    assert not wanted.any()
    found, other, _ = run_both(lambda *nodes: sg.einsum(subscripts, *nodes), *arrays)
    for result in (found, other, dg.einsum(subscripts, *map(dg.asarray, arrays)).numpy()):
        np.testing.assert_array_equal(result, wanted, strict=True)
