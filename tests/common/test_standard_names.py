"""Names of the array API and options of PyTorch, against NumPy and PyTorch, in both modes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    ArgumentError,
    DataDependentShapeError,
    DTypeError,
    IndexingError,
    ShapeError,
    SideBySideError,
)

rng = np.random.default_rng(3)
LOGITS = rng.normal(size=(6, 4))
LABELS = np.array([3, 0, 2, 2, 1, 0])
WEIGHT = np.array([0.5, 2.0, 1.0, 0.25])
FACTOR = 0.84
SPECIAL = np.array([0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, -np.nan], np.float32)


def both(function, *arrays):
    """Return what `function` gives in dyngraph, which staticgraph is to give as well."""
    eager = function(dg, *map(dg.tensor, arrays)).numpy()
    declared = sg.function(lambda *xs: function(sg, *xs), backend="numpy")(*arrays)
    assert eager.dtype == declared.dtype
    assert np.array_equal(eager, declared, equal_nan=eager.dtype.kind == "f")
    return eager


def gradients(function, *arrays):
    """Return the gradients of the sum of `function`, the same in both modes."""
    loss = lambda xp, *xs: xp.sum(function(xp, *xs) * FACTOR)  # noqa: E731
    numbers = tuple(range(len(arrays)))
    tensors = [dg.tensor(x, requires_grad=True) for x in arrays]
    loss(dg, *tensors).backward()
    declared = sg.function(sg.grad(lambda *xs: loss(sg, *xs), argnums=numbers), backend="numpy")
    found = [x.grad.numpy() for x in tensors]
    for eager, static in zip(found, declared(*arrays), strict=True):
        assert np.array_equal(eager, static)
    return found


# signs and neighbours -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["copysign", "nextafter"])
def test_signs_and_neighbours_are_numpys(name, dtype):
    x, y = SPECIAL.astype(dtype), SPECIAL[:, None].astype(dtype)
    found = both(lambda xp, x, y: getattr(xp, name)(x, y), x, y)
    expected = getattr(np, name)(x, y)
    assert found.dtype == dtype
    assert found.tobytes() == expected.tobytes()


def test_signbit_and_positive():
    assert both(lambda xp, x: xp.signbit(x), SPECIAL).tolist() == np.signbit(SPECIAL).tolist()
    assert both(lambda xp, x: xp.positive(x), SPECIAL).tobytes() == SPECIAL.tobytes()
    for xp in (dg, sg):
        with sg.Graph(), pytest.raises(DTypeError, match="positive is not defined for bool"):
            xp.positive(xp.ones(2, dtype="bool"))


def test_the_gradient_of_copysign_is_pytorchs():
    x, y = np.array([1.5, -2.0, 0.0, 3.0]), np.array([-1.0, -1.0, 2.0, 1.0])
    found = gradients(lambda xp, x, y: xp.copysign(x, y), x, y)
    a, b = (torch.tensor(each, requires_grad=True) for each in (x, y))
    (torch.copysign(a, b) * FACTOR).sum().backward()
    assert np.allclose(found[0], a.grad)
    assert np.allclose(found[1], b.grad)


# searching ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("shape", [(), (7,), (2, 3)])
def test_searchsorted_is_numpys(side, shape):
    row = np.array([-1.0, 0.0, 0.0, 0.5, 2.0])
    values = np.round(rng.normal(size=shape), 1)
    shuffled = row[[3, 0, 4, 1, 2]]
    expected = np.searchsorted(row, values, side)
    found = both(lambda xp, x, v: xp.searchsorted(x, v, side=side), row, values)
    assert found.dtype == np.int64
    assert np.array_equal(found, expected)
    found = both(
        lambda xp, x, v: xp.searchsorted(x, v, side, sorter=xp.argsort(x)), shuffled, values
    )
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (ShapeError, lambda xp: xp.searchsorted(xp.ones((2, 2)), xp.ones(2))),
        (ArgumentError, lambda xp: xp.searchsorted(xp.ones(2), xp.ones(2), side="middle")),
        (DTypeError, lambda xp: xp.searchsorted(xp.ones(2, dtype="complex64"), xp.ones(2))),
    ],
)
@pytest.mark.parametrize("xp", [dg, sg])
def test_searchsorted_refuses_what_has_no_order(xp, kind, call):
    with sg.Graph(), pytest.raises(kind):
        call(xp)


@pytest.mark.parametrize("x", [np.array([3, 1, 3, 2]), np.array([[2.0, np.nan], [np.nan, 2.0]])])
def test_unique_parts_are_numpys(x):
    for name in ("unique_all", "unique_counts", "unique_inverse"):
        found, expected = getattr(dg, name)(dg.tensor(x)), getattr(np, name)(x)
        assert found._fields == expected._fields
        for ours, theirs in zip(found, expected, strict=True):
            assert type(ours) is dg.Tensor
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours.numpy(), theirs, equal_nan=theirs.dtype.kind == "f")


@pytest.mark.parametrize("name", ["unique_all", "unique_counts", "unique_inverse"])
def test_a_graph_has_no_place_for_what_is_unique(name):
    with sg.Graph(), pytest.raises(DataDependentShapeError, match="how many of the 3 elements"):
        getattr(sg, name)(sg.ones(3))


# padding ------------------------------------------------------------------------------------------

MODES = ["edge", "reflect", "symmetric", "wrap"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("widths", [1, (2, 1), ((0, 2), (1, 0)), ((0, 0), (0, 0))])
def test_padding_by_the_arrays_own_elements_is_numpys(mode, widths):
    x = rng.normal(size=(3, 4))
    found = both(lambda xp, x: xp.pad(x, widths, mode=mode), x)
    assert np.array_equal(found, np.pad(x, widths, mode))


@pytest.mark.parametrize("mode", ["replicate", "reflect", "circular"])
def test_pytorchs_modes_and_their_gradients(mode):
    x = rng.normal(size=(1, 2, 4, 5))
    widths = ((0, 0), (0, 0), (1, 2), (3, 0))
    function = lambda xp, x: xp.pad(x, widths, mode=mode) ** 2  # noqa: E731
    a = torch.tensor(x, requires_grad=True)
    padded = F.pad(a, (3, 0, 1, 2), mode=mode) ** 2
    assert np.array_equal(both(function, x), padded.detach())
    (padded * FACTOR).sum().backward()
    assert np.allclose(gradients(function, x)[0], a.grad)


@pytest.mark.parametrize("mode", MODES)
def test_padding_of_any_length(mode):
    n = sg.dim("padded", min=2)
    run = sg.function(
        lambda x: sg.pad(x, (1, 1), mode=mode), specs={"x": sg.TensorType((n,), "float64")}
    )
    for length in (2, 5):
        x = rng.normal(size=length)
        assert np.array_equal(run(x), np.pad(x, 1, mode))


@pytest.mark.parametrize(
    ("kind", "says", "call"),
    [
        (ShapeError, "takes 4 elements", lambda xp: xp.pad(xp.ones(3), 3, mode="reflect")),
        (ShapeError, "takes 4 elements", lambda xp: xp.pad(xp.ones(3), (0, 4), mode="wrap")),
        (ShapeError, "takes 1 elements", lambda xp: xp.pad(xp.ones(0), 1, mode="edge")),
        (ArgumentError, "'constant', 'edge'", lambda xp: xp.pad(xp.ones(3), 1, mode="mirror")),
        (ArgumentError, "mode is None", lambda xp: xp.pad(xp.ones(3), 1, mode=None)),
    ],
)
@pytest.mark.parametrize("xp", [dg, sg])
def test_padding_that_cannot_be(xp, kind, says, call):
    with sg.Graph(), pytest.raises(kind) as caught:
        call(xp)
    assert says in str(caught.value)


# losses and tables --------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels", ["ids", "some ignored", "negative ignored", "probabilities"])
def test_options_of_cross_entropy_are_pytorchs(reduction, smoothing, weighted, labels):
    options = {"reduction": reduction, "label_smoothing": smoothing}
    target = LABELS
    if labels == "probabilities":
        target = np.exp(LOGITS[::-1]) / np.exp(LOGITS[::-1]).sum(1, keepdims=True)
    elif labels != "ids":
        options["ignore_index"] = -1 if labels == "negative ignored" else 2
        target = np.where(LABELS == 2, options["ignore_index"], LABELS)

    def function(xp, x, *rest):
        more = {"weight": rest[0]} if rest else {}
        return xp.cross_entropy(x, xp.asarray(target), **options, **more)

    arrays = (LOGITS, WEIGHT) if weighted else (LOGITS,)
    a = torch.tensor(LOGITS, requires_grad=True)
    weight = torch.tensor(WEIGHT) if weighted else None
    loss = F.cross_entropy(a, torch.tensor(target), weight=weight, **options)
    assert np.allclose(both(function, *arrays), loss.detach(), rtol=1e-12)
    (loss * FACTOR).sum().backward()
    found = gradients(lambda xp, x: function(xp, x, *([WEIGHT] if weighted else [])), LOGITS)
    assert np.allclose(found[0], a.grad, rtol=1e-10, atol=1e-14)


def test_cross_entropy_of_images_with_weights():
    x, y = rng.normal(size=(2, 4, 3, 3)), rng.integers(0, 4, (2, 3, 3))
    found = both(
        lambda xp, x, y, w: xp.cross_entropy(x, y, weight=w, label_smoothing=0.1, ignore_index=1),
        x,
        y,
        WEIGHT,
    )
    expected = F.cross_entropy(
        *map(torch.tensor, (x, y, WEIGHT)), label_smoothing=0.1, ignore_index=1
    )
    assert np.allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (ShapeError, {"weight": np.ones(3)}),
        (ArgumentError, {"label_smoothing": 1.5}),
        (ArgumentError, {"label_smoothing": "a"}),
        (ArgumentError, {"ignore_index": 0.5}),
        (ArgumentError, {"ignore_index": 0, "labels": np.ones((6, 4))}),
        (IndexingError, {"ignore_index": -1, "labels": np.full(6, -2)}),
        (IndexingError, {"weight": np.ones(4), "labels": np.full(6, 4)}),
        (DTypeError, {"ignore_index": 0, "labels": np.ones(6)}),
        (ShapeError, {"ignore_index": 0, "labels": np.ones(5, "int64")}),
    ],
)
@pytest.mark.parametrize("xp", [dg, sg])
def test_options_of_cross_entropy_that_cannot_be(xp, kind, options):
    options = dict(options)
    labels = options.pop("labels", LABELS)
    with pytest.raises(kind) as caught:
        if xp is dg:
            dg.cross_entropy(dg.tensor(LOGITS), dg.tensor(labels), **options)
        else:
            sg.function(lambda x, y: sg.cross_entropy(x, y, **options))(LOGITS, labels)
    assert isinstance(caught.value, SideBySideError)


@pytest.mark.parametrize("padding", [0, 2, -1])
def test_the_padding_row_of_an_embedding_gets_no_gradient(padding):
    table, ids = rng.normal(size=(4, 3)), np.array([[0, 2, 3], [2, 2, 1]])
    function = lambda xp, w: xp.embedding(w, ids, padding_idx=padding) ** 2  # noqa: E731
    w = torch.tensor(table, requires_grad=True)
    rows = F.embedding(torch.tensor(ids), w, padding_idx=padding) ** 2
    assert np.array_equal(both(function, table), rows.detach())
    (rows * FACTOR).sum().backward()
    assert np.allclose(gradients(function, table)[0], w.grad)
    assert not gradients(function, table)[0][padding].any()
    for xp in (dg, sg):
        with sg.Graph(), pytest.raises(IndexingError, match="padding_idx 4 is no row"):
            xp.embedding(xp.ones((4, 3)), ids, padding_idx=4)
