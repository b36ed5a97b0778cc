"""Activation functions against torch: values, corners, infinities, gradients, errors."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.common.against_torch import against_torch, draw, in_every_mode, refused

import dyngraph as dg

ACTIVATIONS = {
    "celu": ({}, {"alpha": 0.7}),
    "glu": ({}, {"axis": 0}),
    "hardshrink": ({}, {"lambd": 1.0}),
    "hardsigmoid": ({},),
    "hardswish": ({},),
    "hardtanh": ({}, {"min_val": -0.5, "max_val": 2}),
    "logsigmoid": ({},),
    "mish": ({},),
    "relu6": ({},),
    "selu": ({},),
    "softmin": ({}, {"axis": 0}),
    "softplus": ({}, {"beta": 2.5}),
    "softshrink": ({}, {"lambd": 1.0}),
    "softsign": ({},),
    "tanhshrink": ({},),
    "threshold": ({"threshold": -0.5, "value": 3.0},),
}


def theirs(name, options):
    options = dict(options)
    if "axis" in options or name == "softmin":
        options["dim"] = options.pop("axis", -1)
    function = getattr(F, name)
    if name == "softplus":
        options["threshold"] = 1e9  # no part of it is replaced by a line
    return lambda x: function(x, **options)


@pytest.mark.parametrize(
    ("name", "options"), [(name, each) for name, cases in ACTIVATIONS.items() for each in cases]
)
def test_activations_are_those_of_torch(name, options):
    x = draw(4, 6) * 3
    second = not options
    against_torch(
        lambda xp, x: getattr(xp, name)(x, **options), theirs(name, options), x, second=second
    )
    single = draw(4, 6, dtype="float32")
    against_torch(
        lambda xp, x: getattr(xp, name)(x, **options),
        theirs(name, options),
        single,
        rtol=2e-6,
        native=False,
    )


CORNERS = np.array([-np.inf, -6, -3, -1, -0.5, -0.0, 0.0, 0.5, 1, 3, 6, np.inf, np.nan, 1e30])
AT_INFINITY = {"hardswish", "softsign", "softshrink", "tanhshrink", "mish"}
"""Those of which torch gives NaN at an infinity; ours are the limit where that is easy to have."""


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"glu", "softmin"}))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_corners_and_infinities_are_those_of_torch(name, dtype):
    options = ACTIVATIONS[name][0]
    x = CORNERS.astype(dtype)
    if name in AT_INFINITY:
        x = x[np.isfinite(x) | np.isnan(x)]
    leaf = torch.tensor(x, requires_grad=True)
    y = theirs(name, options)(leaf)
    y.backward(torch.ones_like(y))
    found = dg.tensor(x, requires_grad=True)
    with np.errstate(all="ignore"):
        result = getattr(dg, name)(found, **options)
        result.backward(dg.ones(result.shape, result.dtype))
    np.testing.assert_allclose(result.detach().numpy(), y.detach().numpy(), rtol=1e-6)
    finite = np.isfinite(x)
    close = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(found.grad.numpy()[finite], leaf.grad.numpy()[finite], **close)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5), (4,), ()])
@pytest.mark.parametrize("weights", ["one", "each"])
def test_prelu_is_that_of_torch(shape, weights):
    x = draw(*shape)
    w = draw(shape[1] if weights == "each" and len(shape) > 1 else 1)
    against_torch(lambda xp, x, w: xp.prelu(x, w), F.prelu, x, w)


def test_activations_of_integers_are_floating_point_numbers():
    x = np.arange(-4, 4)
    for name, cases in ACTIVATIONS.items():
        assert getattr(dg, name)(dg.tensor(x), **cases[0]).dtype == np.float64, name
    for name in ACTIVATIONS:
        what = refused(
            lambda xp, x, name=name: getattr(xp, name)(x, **ACTIVATIONS[name][0]),
            np.ones(4, "complex64"),
        )
        assert what[0].startswith("SBS-1"), name


def test_gumbel_softmax_draws_classes_with_a_gradient():
    key = dg.random_key(3).numpy()
    logits = np.log(np.float32([0.1, 0.2, 0.7]))
    many = np.tile(logits, (4000, 1))
    hard = dg.gumbel_softmax(dg.tensor(many), dg.tensor(key), hard=True).numpy()
    assert set(np.unique(hard)) == {0, 1}
    np.testing.assert_array_equal(hard.sum(-1), np.ones(4000))
    np.testing.assert_allclose(hard.mean(0), [0.1, 0.2, 0.7], atol=0.03)
    soft = dg.gumbel_softmax(dg.tensor(many), dg.tensor(key), tau=0.5)
    np.testing.assert_array_equal(soft.numpy().argmax(-1), hard.argmax(-1))
    for axis in (0, -1):
        both = [
            in_every_mode(
                lambda xp, x, hard=hard, axis=axis: xp.gumbel_softmax(x, key, 0.5, hard, axis),
                many[:5],
                rtol=1e-5,
            )
            for hard in (True, False)
        ]
        np.testing.assert_array_equal(both[0][1], both[1][1])  # the gradient of the soft draw
        assert np.any(both[0][1])


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda xp, x: xp.glu(x), "glu: axis -1"),
        (lambda xp, x: xp.glu(x, axis=5), "axis 5"),
        (lambda xp, x: xp.prelu(x, x), "prelu: weight (2, 3)"),
        (lambda xp, x: xp.hardtanh(x, 2.0, 1.0), "hardtanh: min_val 2.0"),
        (lambda xp, x: xp.hardtanh(x, "a"), "min_val must be"),
        (lambda xp, x: xp.softplus(x, 0.0), "softplus: beta is 0.0"),
        (lambda xp, x: xp.softplus(x, None), "beta must be"),
        (lambda xp, x: xp.celu(x, -1.0), "celu: alpha is -1.0"),
        (lambda xp, x: xp.softshrink(x, -1.0), "softshrink: lambd is -1.0"),
        (lambda xp, x: xp.gumbel_softmax(x, xp.random_key(0), 0.0), "gumbel_softmax: tau is 0.0"),
        (lambda xp, x: xp.gumbel_softmax(x, xp.random_key(0), axis=2), "axis 2"),
    ],
)
def test_activations_say_what_does_not_fit(function, what):
    assert what in refused(function, draw(2, 3))[1]
