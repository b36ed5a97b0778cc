"""Normalisation by groups, by instances and by size against torch; errors."""

import numpy as np
import pytest
import torch.nn.functional as F
from tests.common.against_torch import against_torch, draw, in_every_mode, refused


@pytest.mark.parametrize(("shape", "groups"), [((3, 6), 2), ((2, 6, 5), 3), ((2, 4, 3, 2), 1)])
def test_group_norm_is_that_of_torch(shape, groups):
    x, w, b = draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)
    against_torch(
        lambda xp, x, w, b: xp.group_norm(x, groups, w, b),
        lambda x, w, b: F.group_norm(x, groups, w, b),
        x,
        w,
        b,
        second=len(shape) == 3,
    )
    against_torch(
        lambda xp, x: xp.group_norm(x, groups, eps=0.1),
        lambda x: F.group_norm(x, groups, eps=0.1),
        x.astype("float32"),
        rtol=1e-5,
    )


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5)])
def test_instance_norm_is_that_of_torch(shape):
    against_torch(
        lambda xp, x, w, b: xp.instance_norm(x, w, b),
        lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
        draw(*shape),
        draw(3, seed=1),
        draw(3, seed=2),
    )


@pytest.mark.parametrize(("shape", "last"), [((3, 4), (4,)), ((2, 3, 4), (3, 4))])
def test_rms_norm_is_that_of_torch(shape, last):
    x, w = draw(*shape), draw(*last, seed=1)
    against_torch(
        lambda xp, x, w: xp.rms_norm(x, last, w), lambda x, w: F.rms_norm(x, last, w), x, w
    )
    against_torch(
        lambda xp, x: xp.rms_norm(x, last, eps=0.1), lambda x: F.rms_norm(x, last, eps=0.1), x
    )
    zeros = np.zeros(shape, "float32")
    against_torch(
        lambda xp, x: xp.rms_norm(x, last), lambda x: F.rms_norm(x, last), zeros, rtol=1e-5
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(2, 4, 3), (1, 3, 2, 2)])
def test_local_response_norm_is_that_of_torch(shape, size):
    options = {"alpha": 0.3, "beta": 0.6, "k": 1.5}
    against_torch(
        lambda xp, x: xp.local_response_norm(x, size, **options),
        lambda x: F.local_response_norm(x, size, **options),
        draw(*shape),
    )


@pytest.mark.parametrize("p", [1, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_normalize_is_that_of_torch(p, axis):
    against_torch(
        lambda xp, x: xp.normalize(x, p, axis),
        lambda x: F.normalize(x, p, axis),
        draw(3, 4, 2),
        native=p == 2,
    )
    result, gradient = in_every_mode(lambda xp, x: xp.normalize(x, p, axis), np.zeros((2, 3)))
    assert not result.any()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "function",
    [
        lambda xp, x: xp.group_norm(x, 2),
        lambda xp, x: xp.instance_norm(x),
        lambda xp, x: xp.rms_norm(x, 5),
        lambda xp, x: xp.local_response_norm(x, 3),
        lambda xp, x: xp.normalize(x),
    ],
)
@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 4, 5)])
def test_normalisation_of_empty_batches(function, shape):
    result, gradient = in_every_mode(function, np.ones(shape))
    assert result.shape == gradient.shape == shape
    assert np.isfinite(result).all()


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda xp, x: xp.group_norm(x, 3), "group_norm: 4 channels do not split into 3"),
        (lambda xp, x: xp.group_norm(x, 0), "do not split into 0 groups"),
        (lambda xp, x: xp.group_norm(x, 2.0), "num_groups must be an int"),
        (lambda xp, x: xp.group_norm(x[0], 2), "x (4,) has no channel axis"),
        (lambda xp, x: xp.group_norm(x, 2, x), "group_norm: weight (2, 4) for 4 channels"),
        (lambda xp, x: xp.group_norm(x > 0, 2), "group_norm: x is bool"),
        (lambda xp, x: xp.instance_norm(x), "instance_norm: x (2, 4) has one element a channel"),
        (lambda xp, x: xp.rms_norm(x, 3), "rms_norm: x (2, 4) does not end in"),
        (lambda xp, x: xp.rms_norm(x, 4, x), "rms_norm: weight (2, 4)"),
        (lambda xp, x: xp.rms_norm(x, 4, eps="a"), "eps must be a number"),
        (lambda xp, x: xp.local_response_norm(x, 0), "size is 0"),
        (lambda xp, x: xp.normalize(x, axis=2), "axis 2"),
        (lambda xp, x: xp.normalize(x, p="a"), "ord must be a number"),
        (lambda xp, x: xp.normalize(x, eps=-1.0), "normalize: eps is -1.0"),
    ],
)
def test_normalisation_says_what_does_not_fit(function, what):
    assert what in refused(function, draw(2, 4))[1]
