"""Unpooling, shuffled channels and bilinear maps, against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import dyngraph as dg
from dyngraph import errors

torch = pytest.importorskip("torch")
from tests.common.against_torch import against_torch, draw  # noqa: E402

functional = torch.nn.functional


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_what_was_pooled_goes_back(axes):
    x = draw(2, 3, *(5, 6, 4)[:axes])
    pool, unpool = f"max_pool{axes}d", f"max_unpool{axes}d"

    def ours(xp, x):
        found, places = getattr(xp, pool)(x, 2, return_indices=True)
        return getattr(xp, unpool)(found, places, 2, output_size=x.shape)

    def theirs(x):
        found, places = getattr(functional, pool)(x, 2, return_indices=True)
        return getattr(functional, unpool)(found, places, 2, output_size=x.shape)

    against_torch(ours, theirs, x, native=axes == 2)


def test_margins_and_strides_are_those_of_torch():
    x = draw(1, 2, 7, 7)
    found, places = dg.max_pool2d(dg.tensor(x), 2, 3, 1, return_indices=True)
    mine = dg.max_unpool2d(found, places, 2, 3, 1, (7, 7))
    pair = functional.max_pool2d(torch.tensor(x), 2, 3, 1, return_indices=True)
    theirs = functional.max_unpool2d(*pair, 2, 3, 1, (7, 7))
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_unpooling_that_does_not_fit_is_named():
    x, places = dg.tensor(draw(1, 1, 2, 2)), np.array([[[[0, 2], [8, 10]]]])
    for given, error in (
        ((x, places[0], 2), errors.ShapeError),
        ((x[0], places[0], 2), errors.ShapeError),
        ((x, places * 1.0, 2), errors.DTypeError),
        ((x, places + 8, 2), errors.IndexingError),
        ((x, places, 2, None, 0, (9, 9)), errors.ArgumentError),
        ((x, places, 0), errors.ArgumentError),
        ((x, places, 2, 1, 5), errors.ArgumentError),
    ):
        with pytest.raises(error):
            dg.max_unpool2d(*given)


def shuffled(x, groups):
    parts = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
    return parts.transpose(1, 2).reshape(x.shape)


def test_channels_are_shuffled():
    for shape, groups in (((2, 6, 3), 2), ((1, 6), 3), ((1, 4, 2, 2), 4)):
        x = draw(*shape)
        against_torch(
            lambda xp, x, g=groups: xp.channel_shuffle(x, g),
            lambda x, g=groups: (
                x.reshape(x.shape[0], g, -1, *x.shape[2:]).transpose(1, 2).reshape(x.shape)
            ),
            x,
        )
    for wrong in (0, 4, -1):
        with pytest.raises(errors.ShapeError, match="channel_shuffle"):
            dg.channel_shuffle(dg.ones((1, 6)), wrong)


def test_bilinear_maps_are_those_of_torch():
    xs = draw(2, 3, 4), draw(2, 3, 5), draw(2, 4, 5), draw(2)
    against_torch(lambda xp, *xs: xp.bilinear(*xs), functional.bilinear, *xs)
    x, y, weight, bias = map(dg.tensor, xs)
    for given in ((x, y[:1], weight), (y, x, weight), (x, y, weight[0]), (x, y, weight, bias[:1])):
        with pytest.raises(errors.ShapeError, match="bilinear"):
            dg.bilinear(*given)
