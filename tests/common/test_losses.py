"""Losses against torch: values, weights, ignored classes, gradients, stability, errors."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.common.against_torch import against_torch, draw, refused

import dyngraph as dg

REDUCTIONS = ["mean", "sum", "none"]
X, Y = draw(5, 4), draw(5, 4, seed=1)
P, Q = 1 / (1 + np.exp(-X)), 1 / (1 + np.exp(-Y))
SIGNS = np.sign(draw(5, seed=2))
COUNTS = np.floor(np.abs(Y) * 4)

# name, operands that have gradients, those that have none, options and torch's where they differ
LOSSES = [
    ("huber_loss", (X * 3, Y), (), {}),
    ("huber_loss", (X * 3, Y), (), {"delta": 0.4}),
    ("smooth_l1_loss", (X, Y), (), {}),
    ("smooth_l1_loss", (X, Y), (), {"beta": 0.4}),
    ("smooth_l1_loss", (X, Y), (), {"beta": 0}),
    ("poisson_nll_loss", (X, COUNTS), (), {}),
    ("poisson_nll_loss", (P, COUNTS), (), {"log_input": False}),
    ("poisson_nll_loss", (X,), (COUNTS,), {"full": True}),
    ("gaussian_nll_loss", (X, Y, P), (), {}),
    ("gaussian_nll_loss", (X, Y, P[:, :1]), (), {"full": True}),
    ("gaussian_nll_loss", (X, Y, P[:, 0]), (), {}),
    ("binary_cross_entropy", (P, Q), (), {}),
    ("binary_cross_entropy", (P,), (Q,), {"weight": P[0]}),
    ("binary_cross_entropy_with_logits", (X * 9, Q), (), {}),
    ("binary_cross_entropy_with_logits", (X,), (Q,), {"weight": P}),
    ("binary_cross_entropy_with_logits", (X,), (Q,), {"pos_weight": P[1] * 3, "weight": P}),
    ("kl_div", (np.log(P), Q), (), {}),
    ("kl_div", (np.log(P), np.log(Q)), (), {"log_target": True}),
    ("cosine_embedding_loss", (X, Y), (SIGNS,), {}),
    ("cosine_embedding_loss", (X, Y), (SIGNS,), {"margin": 0.2}),
    ("hinge_embedding_loss", (np.abs(X),), (np.sign(Y),), {}),
    ("margin_ranking_loss", (X, Y), (np.sign(X - Y + 0.5),), {"margin": 0.3}),
    ("soft_margin_loss", (X * 9,), (np.sign(Y),), {}),
    ("triplet_margin_loss", (X, Y, P), (), {}),
    ("triplet_margin_loss", (X, Y, P), (), {"swap": True, "p": 1.0, "margin": 2.0}),
]


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", LOSSES, ids=lambda case: f"{case[0]}-{','.join(case[3])}")
def test_losses_are_those_of_torch(case, reduction):
    name, xs, fixed, options = case
    theirs = {
        key: torch.tensor(value) if isinstance(value, np.ndarray) else value
        for key, value in options.items()
    }
    against_torch(
        lambda xp, *xs: getattr(xp, name)(*xs, *fixed, reduction=reduction, **options),
        lambda *xs: getattr(F, name)(*xs, *map(torch.tensor, fixed), reduction=reduction, **theirs),
        *xs,
        native=reduction == "mean",
    )


def test_the_mean_over_a_batch_is_the_divergence():
    against_torch(
        lambda xp, x, y: xp.kl_div(x, y, reduction="batchmean"),
        lambda x, y: F.kl_div(x, y, reduction="batchmean"),
        np.log(P),
        Q,
    )
    zero = np.array([[0.0, 1.0]])
    assert dg.kl_div(dg.tensor(np.log([[0.5, 0.5]])), dg.tensor(zero), "sum").item() == np.log(2)


def test_binary_cross_entropy_of_certainty_is_that_of_torch():
    p, y = np.array([0.0, 0.0, 1.0, 1.0, 0.5]), np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    against_torch(
        lambda xp, p: xp.binary_cross_entropy(p, y, "none"),
        lambda p: F.binary_cross_entropy(p, torch.tensor(y), reduction="none"),
        p,
    )
    outside = dg.tensor([-0.5, 1.5])
    assert np.isnan(dg.binary_cross_entropy(outside, dg.tensor([0.5, 0.5]), "none").numpy()).all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(5, 4), (4,), (2, 4, 3)])
def test_weights_and_ignored_classes_are_those_of_torch(shape, reduction):
    x = draw(*shape)
    axis = 0 if len(shape) == 1 else 1
    labels = np.random.default_rng(1).integers(0, 4, shape[:axis] + shape[axis + 1 :])
    weight = np.array([0.5, 2.0, 1.0, 0.1])
    ignored = int(labels.reshape(-1)[0])
    if len(shape) == 1:
        ignored = (ignored + 1) % 4
    ids = torch.tensor(labels)
    for options in (
        {"weight": weight},
        {"ignore_index": ignored},
        {"weight": weight, "ignore_index": ignored},
    ):
        given = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
        against_torch(
            lambda xp, x, o=options: xp.nll_loss(x, labels, reduction=reduction, **o),
            lambda x, g=given: F.nll_loss(x, ids, reduction=reduction, **g),
            x,
            native=reduction == "mean",
        )
        against_torch(
            lambda xp, x, o=options: xp.cross_entropy(
                x, labels, reduction=reduction, label_smoothing=0.2, **o
            ),
            lambda x, g=given: F.cross_entropy(
                x, ids, reduction=reduction, label_smoothing=0.2, **g
            ),
            x,
            native=reduction == "mean",
        )


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
def test_the_mean_of_nothing_but_ignored_labels_is_nan(name):
    labels = np.full(5, 2)
    with np.errstate(all="ignore"):
        against_torch(
            lambda xp, x: getattr(xp, name)(x, labels, ignore_index=2),
            lambda x: getattr(F, name)(x, torch.tensor(labels), ignore_index=2),
            X,
        )
    x = dg.tensor(X, requires_grad=True)
    getattr(dg, name)(x, dg.tensor(labels), "sum", ignore_index=2).backward()
    assert not x.grad.numpy().any()


@pytest.mark.parametrize(("shape", "other"), [((5, 4), (5, 4)), ((2, 3, 4), (3, 4)), ((4,), (4,))])
def test_distances_are_those_of_torch(shape, other):
    x, y = draw(*shape), draw(*other, seed=1)
    for axis in (0, -1):
        against_torch(
            lambda xp, x, y, axis=axis: xp.cosine_similarity(x, y, axis=axis),
            lambda x, y, axis=axis: F.cosine_similarity(x, y, dim=axis),
            x,
            y,
            second=True,
        )
    against_torch(
        lambda xp, x, y: xp.pairwise_distance(x, y, 3.0, keepdims=True),
        lambda x, y: F.pairwise_distance(x, y, 3.0, keepdim=True),
        x,
        y,
    )
    zeros = dg.tensor(np.zeros((2, 3)), requires_grad=True)
    y = dg.cosine_similarity(zeros, zeros)
    y.sum().backward()
    assert not y.detach().numpy().any()
    assert not zeros.grad.numpy().any()


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda xp, x: xp.huber_loss(x, x, delta=0), "huber_loss: delta is 0"),
        (lambda xp, x: xp.huber_loss(x, x, "avg"), "huber_loss: reduction is 'avg'"),
        (lambda xp, x: xp.smooth_l1_loss(x, x, beta=-1.0), "smooth_l1_loss: beta is -1.0"),
        (lambda xp, x: xp.smooth_l1_loss(x, x[0]), "prediction (5, 4) and target (4,)"),
        (lambda xp, x: xp.gaussian_nll_loss(x, x, x[0]), "gaussian_nll_loss: var (4,)"),
        (lambda xp, x: xp.binary_cross_entropy(x, x, weight=x[:, 0]), "weight (5,) for x (5, 4)"),
        (
            lambda xp, x: xp.binary_cross_entropy_with_logits(x, x, pos_weight=x[:3]),
            "pos_weight (3, 4) for x (5, 4)",
        ),
        (lambda xp, x: xp.nll_loss(x, np.zeros(5, int), weight=x[0, :3]), "weight of shape (3,)"),
        (lambda xp, x: xp.nll_loss(x, np.zeros(5, int), ignore_index=0.5), "ignore_index must be"),
        (lambda xp, x: xp.cosine_embedding_loss(x, x, x), "target (5, 4) for pairs (5,)"),
        (lambda xp, x: xp.cosine_similarity(x, x, axis=2), "axis 2"),
        (lambda xp, x: xp.triplet_margin_loss(x, x, x, 0.0), "margin is 0.0"),
        (lambda xp, x: xp.margin_ranking_loss(x, x, x, "a"), "margin must be a number"),
    ],
)
def test_losses_say_what_does_not_fit(function, what):
    assert what in refused(function, X)[1]


def test_losses_of_empty_batches():
    none = dg.tensor(np.zeros((0, 4), "float32"))
    with np.errstate(all="ignore"):
        assert dg.huber_loss(none, none, "sum").item() == 0
        assert np.isnan(dg.binary_cross_entropy(none, none).item())
        assert dg.cosine_similarity(none, none).shape == (0,)
