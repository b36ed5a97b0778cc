"""ctc_loss against PyTorch, differences, and an enumeration of all alignments."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from dyngraph import errors


def scores(steps, n, c, seed=0):
    x = np.random.default_rng([seed, steps, n, c]).normal(size=(steps, n, c))
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_it_is_the_sum_over_all_alignments():
    x = scores(4, 1, 3)
    for target in ((1,), (1, 1), (1, 2), (2, 1, 2), ()):
        total = 0.0
        for path in product(range(3), repeat=4):
            if tuple(k for k, _ in groupby(path) if k) == target:
                total += np.exp(sum(x[t, 0, k] for t, k in enumerate(path)))
        found = dg.ctc_loss(
            dg.tensor(x[:, 0]), np.array(target, np.int64), 4, len(target), reduction="none"
        )
        np.testing.assert_allclose(found.item(), -np.log(total))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("blank", [0, 3])
def test_it_is_that_of_torch(blank, dtype, reduction):
    torch = pytest.importorskip("torch")
    x = scores(12, 4, 5).astype(dtype)
    targets = np.array([[1, 2, 2, 4], [1, 1, 2, 0], [2, 0, 0, 0], [0, 0, 0, 0]])
    targets = np.where(targets == blank, 4, targets)
    inputs, outputs = np.array([12, 9, 3, 12]), np.array([4, 3, 1, 0])
    leaf = torch.tensor(x, requires_grad=True)
    log = torch.log_softmax(leaf, -1)
    theirs = torch.nn.functional.ctc_loss(
        log, torch.tensor(targets), torch.tensor(inputs), torch.tensor(outputs), blank, reduction
    )
    weights = np.linspace(0.5, 1.5, theirs.numel()).reshape(theirs.shape)
    (theirs * torch.tensor(weights)).sum().backward()

    def loss(xp, x, inputs):
        log = xp.log_softmax(x, axis=-1)
        y = xp.ctc_loss(log, targets, inputs, outputs, blank, reduction)
        return xp.sum(y * weights), y

    close = 1e-5 if dtype == "float32" else 1e-9
    (_, y), slope = dg.value_and_grad(lambda x: loss(dg, x, inputs), has_aux=True)(dg.tensor(x))
    assert y.dtype == dtype
    np.testing.assert_allclose(y.detach().numpy(), theirs.detach().numpy(), rtol=close)
    np.testing.assert_allclose(slope.numpy(), leaf.grad.numpy(), rtol=close, atol=close)
    for backend in ("numpy", "native") if reduction == "mean" else ("numpy",):
        run = sg.function(
            sg.value_and_grad(lambda x, n: loss(sg, x, n), has_aux=True), backend=backend
        )
        (_, found), static_slope = run(x, inputs)
        exact = 0 if backend == "numpy" else 10 * close
        np.testing.assert_allclose(found, y.detach().numpy(), rtol=exact)
        np.testing.assert_allclose(static_slope, slope.numpy(), rtol=exact, atol=exact)


def test_second_derivatives():
    x = dg.tensor(scores(5, 2, 3), requires_grad=True)

    def loss(x):
        log = dg.log_softmax(x, axis=-1)
        return dg.ctc_loss(log, np.array([[1, 2], [2, 2]]), (5, 4), (2, 2))

    assert dg.gradcheck(loss, (x,))
    assert dg.gradgradcheck(loss, (x,))


def test_a_target_that_cannot_be_aligned():
    x = dg.tensor(scores(3, 2, 3), requires_grad=True)
    targets = np.array([[1, 1], [1, 2]])  # the first needs a blank between, and two steps are not 3
    y = dg.ctc_loss(x, targets, (2, 3), (2, 2), reduction="none")
    assert y[0].item() == np.inf
    assert np.isfinite(y[1].item())
    y.sum().backward()
    assert not np.isfinite(x.grad.numpy()[:, 0]).all()
    assert np.isfinite(x.grad.numpy()[:, 1]).all()
    x.grad = None
    y = dg.ctc_loss(x, targets, (2, 3), (2, 2), reduction="none", zero_infinity=True)
    assert y[0].item() == 0
    y.sum().backward()
    assert not x.grad.numpy()[:, 0].any()
    assert x.grad.numpy()[:, 1].any()


def test_classes_of_probability_zero():
    x = np.full((3, 3), -np.inf)
    x[0, 1] = x[1, 0] = x[2, 2] = 0.0
    leaf = dg.tensor(x, requires_grad=True)
    y = dg.ctc_loss(leaf, np.array([1, 2]), 3, 2, reduction="sum")
    assert y.item() == 0
    y.backward()
    assert np.isfinite(leaf.grad.numpy()).all()


@pytest.mark.parametrize("xp", [dg, sg])
def test_what_does_not_fit_is_named(xp):
    def call(x, *rest, **named):
        if xp is dg:
            return dg.ctc_loss(dg.tensor(x), *rest, **named)
        return sg.function(lambda x: sg.ctc_loss(x, *rest, **named))(x)

    x, targets = scores(4, 2, 3), np.array([[1, 2], [1, 0]])
    with pytest.raises(errors.ShapeError, match="targets of shape"):
        call(x, targets.reshape(-1), (4, 4), (2, 1))
    with pytest.raises(errors.ShapeError, match="input_lengths of shape"):
        call(x, targets, (4,), (2, 1))
    with pytest.raises(errors.ArgumentError, match="input_lengths has 5"):
        call(x, targets, (4, 5), (2, 1))
    with pytest.raises(errors.ArgumentError, match="target_lengths has -1"):
        call(x, targets, (4, 4), (2, -1))
    with pytest.raises(errors.IndexingError):
        call(x, targets + 5, (4, 4), (2, 1))
    with pytest.raises(errors.DTypeError, match="indices are float64"):
        call(x, targets * 1.0, (4, 4), (2, 1))
    with pytest.raises(errors.DTypeError, match="not defined for int64"):
        call(x.astype("int64"), targets, (4, 4), (2, 1))
    with pytest.raises(errors.ArgumentError, match="blank is 3"):
        call(x, targets, (4, 4), (2, 1), blank=3)
    with pytest.raises(errors.ArgumentError, match="reduction is"):
        call(x, targets, (4, 4), (2, 1), reduction="max")


def test_a_length_that_only_a_run_knows():
    x, targets = scores(4, 2, 3), np.array([[1, 2], [1, 0]])
    run = sg.function(lambda x, n: sg.ctc_loss(x, targets, n, (2, 1)))
    with pytest.raises(errors.IndexingError, match="index 5 is out of bounds"):
        run(x, np.array([4, 5]))


def test_no_sequences_and_no_steps():
    empty = np.zeros((0, 2), np.int64)
    none = np.zeros(0, np.int64)
    assert dg.ctc_loss(dg.zeros((3, 0, 4)), empty, none, none, reduction="none").shape == (0,)
    assert dg.ctc_loss(dg.zeros((0, 4)), np.zeros(0, np.int64), 0, 0).item() == 0


def test_a_batch_of_unknown_size():
    with sg.Graph():
        n = sg.dim("n")
        x = sg.placeholder("x", (4, n, 3), "float64")
        targets = sg.placeholder("targets", (n, 2), "int64")
        lengths = sg.placeholder("lengths", (n,), "int64")
        loss = sg.ctc_loss(x, targets, lengths + 2, lengths)
        run = sg.compile([loss, *sg.gradients(loss, [x])], [x, targets, lengths], backend="numpy")
    for size in (1, 5):
        given, ids, counts = scores(4, size, 3), np.full((size, 2), [[1, 2]]), np.arange(size) % 3
        leaf = dg.tensor(given, requires_grad=True)
        value = dg.ctc_loss(leaf, ids, counts + 2, counts)
        value.backward()
        found, slope = run(given, ids, counts)
        np.testing.assert_array_equal(found, value.detach().numpy())
        np.testing.assert_array_equal(slope, leaf.grad.numpy())
