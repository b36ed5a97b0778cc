"""Indexing, gathering and scattering against NumPy and torch."""

import itertools

import numpy as np
import pytest
import torch

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import REGISTRY
from oplibrary.executors.autodiff import pull_back
from oplibrary.messages.errors import (
    ArgumentError,
    DataDependentShapeError,
    DTypeError,
    IndexingError,
    ShapeError,
)
from oplibrary.ops.gather import embedding, one_hot, take, take_along_axis
from oplibrary.ops.indexing import Slice, basic_index, getitem, set_item
from oplibrary.ops.scatter import scatter_add
from oplibrary.ops.selection import advanced_index
from oplibrary.values.types import TensorType, type_of


class Key:
    """Make a key as square brackets do."""

    def __getitem__(self, key):
        return key


K = Key()
MASK = np.random.default_rng(3).random((4, 5)) < 0.5
ROWS, COLUMNS = np.array([[0], [-1], [2]]), np.array([1, 3, 1, 0])

BASIC = [
    K[0],
    K[-1],
    K[np.int64(1)],
    K[np.array(1)],
    K[1:3],
    K[::-1],
    K[3:1],
    K[-2:, ::2],
    K[..., 0],
    K[0, ..., 0],
    K[None],
    K[:, None, 1],
    K[..., None],
    K[1, 2, 3],
    K[()],
    K[...],
    K[10:20],
    K[5::-2, 1:-1],
]
ADVANCED = [
    K[COLUMNS],
    K[[0, 2]],
    K[[True, False, True, False]],
    K[[]],
    K[ROWS],
    K[:, COLUMNS],
    K[..., COLUMNS],
    K[ROWS, COLUMNS],
    K[:, ROWS, COLUMNS],
    K[ROWS, :, COLUMNS],
    K[0, :, COLUMNS],
    K[0, COLUMNS],
    K[COLUMNS, 0],
    K[COLUMNS, None, 0],
    K[:, 1, COLUMNS],
    K[1:3, COLUMNS, ::2],
    K[None, COLUMNS, 1:],
    K[COLUMNS, None],
    K[[0, 1], [1, 2], [2, 3]],
    K[MASK],
    K[MASK, 0],
    K[:, MASK[0]],
    K[..., np.ones(6, bool)],
    K[MASK[:, 0], 1:3],
    K[MASK[:, 0], :, [1]],
    K[np.array(2), COLUMNS],
    K[0, [1, 2], None, :3],
]


def array(dtype="float64"):
    return np.arange(120, dtype=dtype).reshape(4, 5, 6)


def described(key):
    return str(key).replace("\n", "")[:50]


@pytest.mark.parametrize("key", BASIC, ids=described)
def test_basic_keys_give_views_as_in_numpy(key):
    x = array()
    result = getitem(x, key)
    assert isinstance(result, np.ndarray)
    np.testing.assert_array_equal(result, x[key])
    assert result.size == 0 or np.shares_memory(result, x)


@pytest.mark.parametrize("key", ADVANCED, ids=described)
def test_keys_with_arrays_select_as_in_numpy(key):
    x = array()
    np.testing.assert_array_equal(getitem(x, key), x[key])


@pytest.mark.parametrize("key", BASIC + ADVANCED, ids=described)
def test_the_gradient_puts_back_and_adds(key):
    x = dg.tensor(array(), requires_grad=True)
    y = x[key]
    g = np.random.default_rng(0).normal(size=y.shape)
    y.backward(dg.tensor(g))
    expected = np.zeros(x.shape)
    np.add.at(expected, key, g)
    np.testing.assert_allclose(x.grad.numpy(), expected)


@pytest.mark.parametrize("key", BASIC + ADVANCED, ids=described)
def test_infer_knows_the_shape(key):
    x, calls = array("float32"), []
    original = {op: op.run for op in (basic_index, take, advanced_index)}
    for op, kernel in original.items():
        object.__setattr__(op, "run", _recorder(calls, op, kernel))
    try:
        result = getitem(x, key)
    finally:
        for op, kernel in original.items():
            object.__setattr__(op, "run", kernel)
    assert calls
    for op, types, attrs, made in calls:
        assert op.infer(*types, **attrs) == made
        hash(tuple(attrs.items()))
    assert calls[-1][-1] == type_of(result)


def _recorder(calls, op, kernel):
    """Return `kernel` as one that also writes down what it was called with and what it made."""

    def run(*operands, **attrs):
        result = kernel(*operands, **attrs)
        calls.append((op, [type_of(v) for v in operands], attrs, type_of(result)))
        return result

    return run


@pytest.mark.parametrize("key", BASIC + ADVANCED, ids=described)
@pytest.mark.parametrize("kind", ["number", "full", "broadcast"])
def test_assignment_is_that_of_numpy(key, kind):
    x = array()
    selected = x[key].shape
    rng = np.random.default_rng(1)
    shape = {"number": (), "full": selected, "broadcast": selected[-1:]}[kind]
    value = rng.normal(size=shape)
    expected = x.copy()
    expected[key] = value
    result = set_item(x, key, value)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(x, array())


def test_assignment_of_a_number_and_of_another_dtype():
    x = array("int64")
    assert set_item(x, K[0], 1.5).dtype == np.int64
    np.testing.assert_array_equal(set_item(x, K[0], 1.5)[0], 1)
    np.testing.assert_array_equal(set_item(x, x > 5, 1.5)[1:], 1)
    assert set_item(array("float32"), MASK, np.float64(2)).dtype == np.float32
    np.testing.assert_array_equal(set_item(np.zeros(3), slice(None), np.ones((1, 3))), 1)


@pytest.mark.parametrize(
    "key",
    [K[1], K[1:, ::2], K[[0, 2]], K[:, [1, 3]], K[0, :, [1, 2]], K[ROWS, COLUMNS], K[MASK]],
    ids=described,
)
def test_the_gradients_of_assignment(key):
    x = dg.tensor(array(), requires_grad=True)
    selected = array()[key].shape
    value = dg.tensor(np.random.default_rng(0).normal(size=selected[-1:]), requires_grad=True)
    y = set_item(x, key, value)
    g = np.random.default_rng(1).normal(size=y.shape)
    y.backward(dg.tensor(g))
    kept = g.copy()
    kept[key] = 0
    np.testing.assert_allclose(x.grad.numpy(), kept)
    order = np.arange(g[key].size).reshape(selected)
    placed = np.zeros(g.shape, int)
    placed[key] = order
    stayed = np.where(placed[key] == order, g[key], 0)  # where an element is named twice, the last
    np.testing.assert_allclose(value.grad.numpy(), stayed.reshape(-1, *value.shape).sum(0))


def test_only_the_value_that_stays_gets_a_gradient():
    x = dg.tensor(np.zeros(3), requires_grad=True)
    value = dg.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    number = dg.tensor(np.array(4.0), requires_grad=True)
    for indices in ([0, 0, 1], [-3, 0, 1], np.array([0, 0, 1])):
        assert dg.gradcheck(lambda x, v, i=indices: set_item(x, i, v) ** 2, (x, value))
        assert dg.gradcheck(lambda x, n, i=indices: set_item(x, i, n) ** 2, (x, number))
        assert dg.gradgradcheck(lambda x, v, i=indices: set_item(x, i, v) ** 2, (x, value))


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_a_mask_of_no_axes(shape, truth):
    x, mask = np.ones(shape) * 2, np.array(truth)
    np.testing.assert_array_equal(getitem(x, mask), x[mask])
    t = dg.tensor(x, requires_grad=True)
    y = t[dg.tensor(mask)]
    assert y.shape == x[mask].shape
    (y * y).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), x * 2 * truth)
    u = dg.tensor(x)
    u[dg.tensor(mask)] = 5.0
    np.testing.assert_array_equal(u.numpy(), np.where(truth, 5.0, x))


@pytest.mark.parametrize("lengths", [(0,), (3,), (3, 2), (0, 2), (3, 2, 4)])
def test_a_mask_without_elements_selects_nothing(lengths):
    """As the array API standard has it, a length of 0 fits an axis of any length."""
    x = np.ones(lengths)
    masks = [m[:n] for m in itertools.product((0, 2, 3), repeat=3) for n in (1, 2, 3) if 0 in m[:n]]
    for mask in [np.ones(each, bool) for each in sorted(set(masks))]:
        calls = (
            lambda mask=mask: dg.tensor(x)[mask],
            lambda mask=mask: dg.tensor(x)[dg.tensor(mask)],
            lambda mask=mask: declared(lambda x: x[mask], x),
        )
        writes = (
            lambda mask=mask: set_item(dg.tensor(x), dg.tensor(mask), 2.0),
            lambda mask=mask: declared(lambda x, m: sg.set_item(x, m, 2.0), x, mask),
        )
        try:
            selected = x[mask]
        except IndexError:
            for call in (*calls, *writes):
                with pytest.raises(IndexingError, match="a mask of shape|indices for"):
                    call()
        else:
            for call in calls:
                assert call().shape == selected.shape
            for write in writes:
                assert write().tolist() == x.tolist()


def declared(program, *inputs):
    return sg.function(program, backend="interpret")(*inputs)


def test_masks_that_are_tensors():
    x = dg.tensor(array(), requires_grad=True)
    mask = x > 60
    np.testing.assert_array_equal(x[mask].detach().numpy(), np.arange(61.0, 120))
    np.testing.assert_array_equal(x[dg.tensor(MASK), 2].detach().numpy(), array()[MASK, 2])
    x[mask].sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), array() > 60)
    emptied = set_item(x, mask, 0.0)
    np.testing.assert_array_equal(emptied.detach().numpy(), array() * (array() <= 60))
    values = np.arange(59.0)
    expected = array()
    expected[array() > 60] = values
    np.testing.assert_array_equal(set_item(x, mask, values).detach().numpy(), expected)


def test_indices_that_are_tensors():
    x, i = dg.tensor(array()), dg.tensor(COLUMNS)
    np.testing.assert_array_equal(x[i].numpy(), array()[COLUMNS])
    np.testing.assert_array_equal(x[0, i, 1:].numpy(), array()[0, COLUMNS, 1:])
    np.testing.assert_array_equal(x[dg.tensor(2)].numpy(), array()[2])
    assert x[dg.tensor(2), dg.tensor(1), dg.tensor(0)].shape == ()


@pytest.mark.parametrize(
    ("key", "kind", "text"),
    [
        (K[4], IndexingError, "index 4 is out of bounds for axis 0 of length 4"),
        (K[0, -6], IndexingError, "index -6 is out of bounds for axis 1 of length 5"),
        (K[[0, 9]], IndexingError, "index 9 is out of bounds for axis 0 of length 4"),
        (K[:, [0, 9]], IndexingError, "index 9 is out of bounds for axis 1 of length 5"),
        (K[[0], [-7]], IndexingError, "index -7 is out of bounds for axis 1 of length 5"),
        (K[[0, 1], [0, 1, 2]], IndexingError, "index arrays of shapes (2,), (3,)"),
        (K[0, 0, 0, 0], IndexingError, "4 indices for the 3 axes of (4, 5, 6)"),
        (K[MASK, 0, 0], IndexingError, "4 indices for the 3 axes"),
        (K[MASK.T], IndexingError, "a mask of shape (5, 4) selects from axes of lengths (4, 5)"),
        (K[1.0], ArgumentError, "the index 1.0 is a float"),
        (K["a"], ArgumentError, "the index 'a' is a str"),
        (K[True], ArgumentError, "a single True"),
        (K[0, np.array(True)], ArgumentError, "a single truth value"),
        (K[..., 0, ...], ArgumentError, "more than one ..."),
        (K[::0], ArgumentError, "step 0"),
        (K[:1.5], ArgumentError, "a slice bound is 1.5, a float"),
        (K[np.array([0.5])], DTypeError, "indices are float64"),
    ],
    ids=described,
)
def test_keys_that_select_nothing_say_why(key, kind, text):
    with pytest.raises(kind) as error:
        getitem(array(), key)
    assert text in str(error.value)
    assert isinstance(error.value, (IndexError, ValueError, TypeError))
    with pytest.raises(kind):
        set_item(array(), key, 0.0)


def test_a_mask_that_is_not_known_has_no_static_shape():
    with pytest.raises(DataDependentShapeError) as error:
        advanced_index.infer(TensorType((3, 4)), TensorType((3,), "bool"), axes=(0,), position=0)
    assert "where(mask, x, 0)" in error.value.fix
    with pytest.raises(IndexingError, match="a mask of shape|indices for"):
        advanced_index.infer(TensorType((3, 4)), TensorType((2,), "bool"), axes=(0,), position=0)


@pytest.mark.parametrize(
    ("key", "value"), [(K[0], (4,)), (K[[0, 1]], (3, 5, 6)), (K[MASK, :2], (2, 9))], ids=described
)
def test_values_that_do_not_fit_are_refused(key, value):
    with pytest.raises((ShapeError, ArgumentError)) as error:
        set_item(array(), key, np.zeros(value))
    assert "set" in str(error.value)


def test_a_complex_value_in_a_real_array_is_refused():
    with pytest.raises(DTypeError, match="imaginary"):
        set_item(array(), 0, 1j)


def test_slices_are_constants_that_hash():
    assert hash((Slice(0, 3), None, 1)) == hash((Slice(0, 3, None), None, 1))


# take, take_along_axis ----------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize(
    "indices", [COLUMNS, ROWS, np.array(2), np.zeros((0,), int)], ids=described
)
def test_take(axis, indices):
    x = array()
    np.testing.assert_array_equal(take(x, indices, axis=axis), np.take(x, indices, axis))
    out = take(x, indices, axis=axis)
    g = np.random.default_rng(0).normal(size=out.shape)
    gradient = pull_back(take, 0, g, None, (type_of(x), indices), {"axis": axis}, type_of(x))
    expected = np.zeros(x.shape)
    np.add.at(np.moveaxis(expected, axis, 0), indices, _front(g, axis % 3, indices.ndim))
    np.testing.assert_allclose(gradient, expected)


def _front(g, axis, count):
    return np.moveaxis(g, range(axis, axis + count), range(count))


def test_take_of_one_axis_needs_none():
    np.testing.assert_array_equal(take(np.arange(5), np.array([4, 0])), [4, 0])
    with pytest.raises(ShapeError, match="axis is missing"):
        take(array(), COLUMNS)
    with pytest.raises(ShapeError, match="axis 3 is out of range"):
        take(array(), COLUMNS, axis=3)
    with pytest.raises(DTypeError, match="indices are float64"):
        take(array(), np.array([0.5]), axis=0)
    with pytest.raises(IndexingError, match="the axis has no elements"):
        take(np.zeros((0, 2)), np.array([0]), axis=0)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("length", [1, 4])
def test_take_along_axis_is_gather_of_torch(axis, length):
    x = array()
    shape = list(x.shape)
    shape[axis] = length
    indices = np.random.default_rng(0).integers(0, x.shape[axis], shape)
    leaf = torch.tensor(x, requires_grad=True)
    expected = torch.gather(leaf, axis, torch.tensor(indices))
    result = take_along_axis(x, indices, axis=axis)
    np.testing.assert_array_equal(result, expected.detach().numpy())
    g = np.random.default_rng(1).normal(size=result.shape)
    (theirs,) = torch.autograd.grad(expected, leaf, torch.tensor(g))
    mine = pull_back(take_along_axis, 0, g, None, (type_of(x), indices), {"axis": axis}, type_of(x))
    np.testing.assert_allclose(mine, theirs.numpy())


def test_take_along_axis_counts_from_the_end_and_says_what_is_wrong():
    x, last = array(), np.full((4, 5, 1), -1)
    np.testing.assert_array_equal(take_along_axis(x, last), x[..., -1:])
    with pytest.raises(IndexingError, match="index 6 is out of bounds for axis 2 of length 6"):
        take_along_axis(x, np.full((4, 5, 1), 6))
    with pytest.raises(ShapeError, match="there is one index an element"):
        take_along_axis(x, COLUMNS)
    with pytest.raises(ShapeError, match="do not broadcast"):
        take_along_axis(x, np.zeros((3, 5, 1), int))
    with pytest.raises(DTypeError, match="indices are float64"):
        take_along_axis(x, np.zeros((4, 5, 1)))


# what is made of them -----------------------------------------------------------------------------


def test_embedding_and_its_gradient_are_those_of_torch():
    weight = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    ids = np.array([[0, 6, 6], [2, 0, 6]])
    leaf = torch.tensor(weight, requires_grad=True)
    expected = torch.nn.functional.embedding(torch.tensor(ids), leaf)
    np.testing.assert_array_equal(embedding(weight, ids), expected.detach().numpy())
    g = np.random.default_rng(1).normal(size=(2, 3, 3)).astype("float32")
    (theirs,) = torch.autograd.grad(expected, leaf, torch.tensor(g))
    mine = dg.tensor(weight, requires_grad=True)
    embedding(mine, ids).backward(dg.tensor(g))
    np.testing.assert_allclose(mine.grad.numpy(), theirs.numpy(), rtol=1e-6)
    with pytest.raises(IndexingError, match="index 7 is out of bounds for axis 0 of length 7"):
        embedding(weight, np.array([7]))


def test_one_hot():
    rows = one_hot(np.array([[0, 2], [1, 5]]), 3)
    assert (rows.shape, rows.dtype) == ((2, 2, 3), np.float32)
    np.testing.assert_array_equal(rows[0, 1], [0, 0, 1])
    np.testing.assert_array_equal(rows[1, 1], [0, 0, 0])
    assert one_hot(np.array(1), 3, dtype="int64").dtype == np.int64
    with pytest.raises(DTypeError, match="one_hot: indices are float64"):
        one_hot(np.array([0.5]), 3)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_add_is_index_add_of_torch(axis):
    x, indices = array(), np.array([0, 2, 0])
    shape = list(x.shape)
    shape[axis] = 3
    updates = np.random.default_rng(0).normal(size=shape)
    expected = torch.tensor(x).index_add(axis, torch.tensor(indices), torch.tensor(updates))
    np.testing.assert_allclose(scatter_add(x, indices, updates, axis=axis), expected.numpy())
    np.testing.assert_array_equal(x, array())
    mine = [dg.tensor(v, requires_grad=True) for v in (x, updates)]
    result = scatter_add(mine[0], indices, mine[1], axis=axis)
    result.backward(dg.tensor(array()))
    np.testing.assert_array_equal(mine[0].grad.numpy(), array())
    np.testing.assert_array_equal(mine[1].grad.numpy(), np.take(array(), indices, axis))


def test_scatter_add_says_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"indices of shape \(3, 1\) for axis 0"):
        scatter_add(array(), ROWS, array())
    with pytest.raises((ShapeError, ArgumentError), match="updates of shape"):
        scatter_add(array(), np.array([0, 1]), array())
    with pytest.raises(IndexingError, match="index 9"):
        scatter_add(array(), np.array([0, 9, 1, 2]), array())


def test_every_gradient_is_an_op_that_infers():
    op = REGISTRY["take_gradient"]
    with pytest.raises(ShapeError, match="one update an index"):
        op.infer(TensorType((2, 3)), TensorType((3,), "int64"), shape=(5, 3), axis=0)
