"""Compositions of ops against torch: values, gradients, stability, error texts."""

from importlib import import_module

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import dyngraph as dg
from oplibrary.core.registry import FUNCTIONS
from oplibrary.functional import batch_norm, layer_norm, scaled_dot_product_attention
from oplibrary.functional.class_losses import cross_entropy, nll_loss
from oplibrary.functional.dropout import dropout
from oplibrary.functional.losses import binary_cross_entropy_with_logits, l1_loss, mse_loss
from oplibrary.messages.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from oplibrary.ops.random import random_key
from oplibrary.ops.softmax import log_softmax, softmax
from oplibrary.values.types import type_of


def draw(*shape, dtype="float64", seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def agrees(function, theirs, *arrays, rtol=1e-9):
    """Compare a function with torch's, on arrays and on tensors, with every gradient."""
    leaves = [torch.tensor(x, requires_grad=True) for x in arrays]
    expected = theirs(*leaves)
    plain = np.asarray(function(*arrays))
    assert (plain.shape, plain.dtype) == (tuple(expected.shape), arrays[0].dtype)
    np.testing.assert_allclose(plain, expected.detach().numpy(), rtol=rtol, atol=rtol)
    tensors = [dg.tensor(x, requires_grad=True) for x in arrays]
    result = function(*tensors)
    np.testing.assert_array_equal(result.detach().numpy(), plain)
    g = draw(*plain.shape, dtype=arrays[0].dtype, seed=5)
    result.backward(dg.tensor(g))
    for mine, other in zip(
        tensors, torch.autograd.grad(expected, leaves, torch.tensor(g)), strict=True
    ):
        assert mine.grad.dtype == arrays[0].dtype
        np.testing.assert_allclose(mine.grad.numpy(), other.numpy(), rtol=rtol, atol=rtol)


def test_all_are_in_the_namespace():
    """What a module of compositions offers is entered under its name."""
    for module in {module for module in FUNCTIONS.modules.values() if ".ops." not in module}:
        functions = vars(import_module(module)).items()
        own = {name for name, f in functions if FUNCTIONS.get(name) is f}
        own = {name for name in own if FUNCTIONS[name].__module__ == module}
        assert own == {n for n, where in FUNCTIONS.modules.items() if where == module}, module


# softmax ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(("shape", "axis"), [((3, 4), -1), ((3, 4), 0), ((2, 3, 4), 1), ((5,), 0)])
def test_softmax_is_that_of_torch(name, shape, axis):
    mine = {"softmax": softmax, "log_softmax": log_softmax}[name]
    agrees(lambda x: mine(x, axis=axis), lambda x: getattr(torch, name)(x, dim=axis), draw(*shape))
    agrees(
        lambda x: mine(x, axis=axis),
        lambda x: getattr(torch, name)(x, dim=axis),
        draw(*shape, dtype="float32"),
        rtol=1e-5,
    )


def test_softmax_of_large_and_infinite_numbers():
    x = np.array([[1e4, 1e4 - 1, -1e4], [0.0, -np.inf, 0.0]])
    np.testing.assert_allclose(softmax(x), torch.softmax(torch.tensor(x), -1).numpy())
    np.testing.assert_allclose(log_softmax(x), torch.log_softmax(torch.tensor(x), -1).numpy())


def test_softmax_of_integers_and_of_nothing():
    assert softmax(np.arange(3)).dtype == softmax.infer(type_of(np.arange(3)), axis=-1).dtype
    assert softmax(np.zeros((3, 0))).shape == (3, 0)
    with pytest.raises(ShapeError, match="axis 2 is out of range"):
        softmax(np.zeros((3, 4)), axis=2)
    with pytest.raises(ShapeError, match="softmax: axis 1 is out of range"):
        log_softmax(np.zeros((0,)), axis=1)
    with pytest.raises(DTypeError):
        softmax(np.zeros(3, complex))


# normalisation ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "normalized"), [((3, 4), 4), ((2, 3, 4), (3, 4)), ((5,), (5,))])
def test_layer_norm_is_that_of_torch(shape, normalized):
    listed = (normalized,) if isinstance(normalized, int) else normalized
    x, w, b = draw(*shape), draw(*listed, seed=1), draw(*listed, seed=2)
    agrees(
        lambda x, w, b: layer_norm(x, normalized, w, b),
        lambda x, w, b: F.layer_norm(x, listed, w, b),
        x,
        w,
        b,
        rtol=1e-7,
    )
    agrees(
        lambda x: layer_norm(x, normalized, eps=0.1),
        lambda x: F.layer_norm(x, listed, eps=0.1),
        x,
        rtol=1e-7,
    )


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5)])
def test_batch_norm_is_that_of_torch(shape):
    x, w, b = draw(*shape), draw(3, seed=1), draw(3, seed=2)
    mean, var = draw(3, seed=3), draw(3, seed=4) ** 2
    agrees(
        batch_norm,
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        x,
        w,
        b,
        rtol=1e-7,
    )
    agrees(
        lambda x, w, b: batch_norm(x, w, b, mean, var, training=False),
        lambda x, w, b: F.batch_norm(x, torch.tensor(mean), torch.tensor(var), w, b),
        x,
        w,
        b,
        rtol=1e-7,
    )
    running = torch.tensor(mean.copy()), torch.tensor(var.copy())
    expected = F.batch_norm(torch.tensor(x), *running, training=True, momentum=0.3)
    result, new_mean, new_var = batch_norm(x, None, None, mean, var, momentum=0.3)
    np.testing.assert_allclose(result, expected.numpy(), rtol=1e-7)
    np.testing.assert_allclose(new_mean, running[0].numpy(), rtol=1e-7)
    np.testing.assert_allclose(new_var, running[1].numpy(), rtol=1e-7)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            lambda: layer_norm(draw(3, 4), 3),
            ShapeError,
            "x (3, 4) does not end in normalized_shape",
        ),
        (
            lambda: layer_norm(draw(3, 4), 4, draw(3)),
            ShapeError,
            "weight (3,), normalized_shape (4,)",
        ),
        (lambda: layer_norm(np.arange(4), 4), DTypeError, "layer_norm: x is int64"),
        (lambda: layer_norm("x", 4), DTypeError, "the operand is a str"),
        (lambda: batch_norm(draw(4)), ShapeError, "no channel axis"),
        (lambda: batch_norm(draw(4, 3), draw(4)), ShapeError, "weight (4,) for 3 channels"),
        (lambda: batch_norm(draw(1, 3)), ShapeError, "1 elements a channel"),
        (lambda: batch_norm(draw(4, 3), training=False), ArgumentError, "are missing"),
        (lambda: batch_norm(draw(4, 3), None, None, draw(3)), ArgumentError, "are missing"),
    ],
)
def test_normalisation_says_what_does_not_fit(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert text in str(error.value)


# dropout ------------------------------------------------------------------------------------------


def test_dropout_drops_scales_and_repeats():
    x, key = np.ones((100, 100), "float32"), random_key(0)
    y = dropout(x, 0.25, key)
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.mean() - 1) < 0.03
    np.testing.assert_array_equal(dropout(x, 0.25, key), y)
    assert not np.array_equal(dropout(x, 0.25, random_key(1)), y)
    leaf = dg.tensor(x, requires_grad=True)
    dropout(leaf, 0.25, key).sum().backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), y)


def test_dropout_at_its_ends():
    x, key = draw(3), random_key(0)
    assert dropout(x, 0.0, key) is x
    assert dropout(x, 0.5, key, training=False) is x
    np.testing.assert_array_equal(dropout(x, 1.0, key), 0 * x)
    with pytest.raises(ArgumentError, match=r"dropout: p is 1\.5"):
        dropout(x, 1.5, key)


# losses -------------------------------------------------------------------------------------------

REDUCTIONS = ["mean", "sum", "none"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_of_numbers_are_those_of_torch(reduction, dtype):
    x, y = draw(3, 4, dtype=dtype), draw(3, 4, dtype=dtype, seed=1)
    rtol = 1e-5 if dtype == "float32" else 1e-9
    for mine, theirs in ((mse_loss, F.mse_loss), (l1_loss, F.l1_loss)):
        agrees(
            lambda x, y, f=mine: f(x, y, reduction=reduction),
            lambda x, y, f=theirs: f(x, y, reduction=reduction),
            x,
            y,
            rtol=rtol,
        )
    p = np.abs(np.sin(y))
    agrees(
        lambda x: binary_cross_entropy_with_logits(x, p, reduction=reduction),
        lambda x: F.binary_cross_entropy_with_logits(x, torch.tensor(p), reduction=reduction),
        x,
        rtol=rtol,
    )


def test_binary_cross_entropy_does_not_overflow():
    x = np.array([-1e4, -50.0, 0.0, 50.0, 1e4])
    for target in (np.zeros(5), np.ones(5)):
        expected = F.binary_cross_entropy_with_logits(
            torch.tensor(x), torch.tensor(target), reduction="none"
        )
        result = binary_cross_entropy_with_logits(x, target, reduction="none")
        np.testing.assert_allclose(result, expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(5, 4), (4,), (2, 4, 3), (2, 4, 3, 2)])
def test_losses_of_classes_are_those_of_torch(shape, reduction):
    x = draw(*shape)
    axis = 0 if len(shape) == 1 else 1
    rest = shape[:axis] + shape[axis + 1 :]
    labels = np.random.default_rng(1).integers(0, 4, rest)
    ids = torch.tensor(labels)
    agrees(
        lambda x: cross_entropy(x, labels, reduction=reduction),
        lambda x: F.cross_entropy(x, ids, reduction=reduction),
        x,
    )
    agrees(
        lambda x: nll_loss(log_softmax(x, axis=axis), labels, reduction=reduction),
        lambda x: F.nll_loss(torch.log_softmax(x, axis), ids, reduction=reduction),
        x,
    )
    p = softmax(draw(*shape, seed=2), axis=axis)
    agrees(
        lambda x, p: cross_entropy(x, p, reduction=reduction),
        lambda x, p: F.cross_entropy(x, p, reduction=reduction),
        x,
        p,
    )


def test_classes_on_the_last_axis():
    x, labels = draw(2, 3, 4), np.array([[0, 3, 1], [2, 2, 0]])
    expected = F.cross_entropy(torch.tensor(x).reshape(6, 4), torch.tensor(labels).reshape(6))
    np.testing.assert_allclose(cross_entropy(x, labels, axis=-1), expected.numpy())


def test_cross_entropy_of_large_logits():
    x = np.array([[1e4, 0.0], [-1e4, 1e4]])
    expected = F.cross_entropy(torch.tensor(x), torch.tensor([1, 0]), reduction="none").numpy()
    np.testing.assert_allclose(cross_entropy(x, np.array([1, 0]), reduction="none"), expected)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: mse_loss(draw(3, 1), draw(3)), ShapeError, "prediction (3, 1) and target (3,)"),
        (lambda: l1_loss(draw(3), draw(4)), ShapeError, "l1_loss: prediction (3,) and target (4,)"),
        (lambda: mse_loss(draw(3), draw(3), "avg"), ArgumentError, "reduction is 'avg'"),
        (
            lambda: binary_cross_entropy_with_logits(draw(3), draw(3, 1)),
            ShapeError,
            "binary_cross_entropy_with_logits: prediction (3,)",
        ),
        (
            lambda: cross_entropy(draw(3, 4), np.array([0, 1])),
            ShapeError,
            "labels of shape (2,) for scores (3, 4), class axis 1",
        ),
        (
            lambda: cross_entropy(draw(3, 4), np.array([0, 1, 4])),
            IndexingError,
            "index 4 is out of",
        ),
        (lambda: cross_entropy(draw(3, 4), np.array([0, -1, 2])), IndexingError, "label -1 is neg"),
        (lambda: cross_entropy(draw(3, 4), np.zeros(3, bool)), DTypeError, "labels are bool"),
        (lambda: cross_entropy(draw(3, 4), np.zeros(3)), DTypeError, "labels are float64"),
        (
            lambda: cross_entropy(draw(2, 3, 4), np.zeros((2, 3), int)),
            ShapeError,
            "pass axis=-1, if the classes are on the last axis",
        ),
        (
            lambda: nll_loss(draw(3, 4), np.zeros((4,), int)),
            ShapeError,
            "nll_loss: labels of shape",
        ),
        (lambda: cross_entropy(draw(3, 4), [0, 1, 2]), DTypeError, "the operand is a list"),
        (
            lambda: cross_entropy(draw(3, 4), np.zeros(3, int), "avg"),
            ArgumentError,
            "cross_entropy: reduction is 'avg'",
        ),
    ],
)
def test_losses_say_what_does_not_fit(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert text in str(error.value)


# attention ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_attention_is_that_of_torch(lead):
    q, k, v = draw(*lead, 4, 6), draw(*lead, 5, 6, seed=1), draw(*lead, 5, 3, seed=2)
    theirs = F.scaled_dot_product_attention
    agrees(scaled_dot_product_attention, theirs, q, k, v)
    mask = np.tri(4, 5, 2, dtype=bool)
    bias = draw(4, 5, seed=3)
    for chosen in (mask, bias):
        agrees(
            lambda q, k, v, m=chosen: scaled_dot_product_attention(q, k, v, m),
            lambda q, k, v, m=chosen: theirs(q, k, v, torch.tensor(m)),
            q,
            k,
            v,
        )
    agrees(
        lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda q, k, v: theirs(q, k, v, is_causal=True),
        q,
        k,
        v,
    )
    agrees(
        lambda q, k, v: scaled_dot_product_attention(q, k, v, scale=0.5),
        lambda q, k, v: theirs(q, k, v, scale=0.5),
        q,
        k,
        v,
    )


@pytest.mark.parametrize(
    ("shapes", "options", "kind", "text"),
    [
        (((4, 6), (5, 7), (5, 3)), {}, ShapeError, "query (4, 6), key (5, 7), value (5, 3) do not"),
        (((4, 6), (5, 6), (4, 3)), {}, ShapeError, "do not fit"),
        (((6,), (5, 6), (5, 3)), {}, ShapeError, "each must have two axes"),
        (
            ((4, 6), (5, 6), (5, 3)),
            {"is_causal": True, "attn_mask": np.ones((4, 5), bool)},
            ArgumentError,
            "both attn_mask and is_causal",
        ),
    ],
)
def test_attention_says_what_does_not_fit(shapes, options, kind, text):
    with pytest.raises(kind) as error:
        scaled_dot_product_attention(*(draw(*shape) for shape in shapes), **options)
    assert text in str(error.value)
