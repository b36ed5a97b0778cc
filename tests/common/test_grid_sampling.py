"""grid_sample and affine_grid against PyTorch, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from dyngraph import errors

torch = pytest.importorskip("torch")
from tests.common.against_torch import against_torch, draw  # noqa: E402

functional = torch.nn.functional
PADDINGS = ["zeros", "border", "reflection"]


def sample(mode, padding_mode, corners):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": corners}
    return (
        lambda xp, x, grid: xp.grid_sample(x, grid, **options),
        lambda x, grid: functional.grid_sample(x, grid, **options),
    )


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("padding_mode", PADDINGS)
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_images_are_those_of_torch(mode, padding_mode, corners):
    x, grid = draw(2, 3, 4, 5), 1.3 * draw(2, 3, 2, 2)
    native = padding_mode == "zeros" and mode != "bicubic"
    against_torch(*sample(mode, padding_mode, corners), x, grid, native=native)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_volumes_are_those_of_torch(mode, corners):
    x, grid = draw(1, 2, 3, 2, 4), 1.2 * draw(1, 2, 2, 3, 3)
    for padding_mode in PADDINGS:
        against_torch(*sample(mode, padding_mode, corners), x, grid, native=False)


def test_second_derivatives():
    x = dg.tensor(draw(1, 2, 3, 3), requires_grad=True)
    grid = dg.tensor(0.8 * draw(1, 2, 2, 2), requires_grad=True)
    for mode in ("bilinear", "bicubic"):
        assert dg.gradgradcheck(lambda x, g, m=mode: dg.grid_sample(x, g, m), (x, grid))


def test_one_pixel_and_the_borders():
    x, grid = draw(1, 1, 1, 1), np.array([[[[-1.0, 1.0], [0.0, 0.0]]]])
    for mode in ("bilinear", "nearest", "bicubic"):
        for padding_mode in PADDINGS:
            for corners in (False, True):
                ours, theirs = sample(mode, padding_mode, corners)
                found = ours(dg, dg.tensor(x), dg.tensor(grid)).numpy()
                np.testing.assert_allclose(found, theirs(*map(torch.tensor, (x, grid))).numpy())


def test_what_is_no_place_is_outside():
    x = np.ones((1, 1, 3, 3))
    grid = np.array([[[[np.nan, 0.0], [np.inf, 0.0], [1e30, 0.0], [0.0, 0.0]]]])
    for mode in ("bilinear", "nearest"):
        ours, _ = sample(mode, "zeros", False)
        leaf = dg.tensor(x, requires_grad=True)
        y = ours(dg, leaf, dg.tensor(grid))
        assert y.detach().numpy().reshape(-1).tolist() == [0, 0, 0, 1]
        y.sum().backward()
        assert leaf.grad.numpy().sum() == 1


@pytest.mark.filterwarnings("ignore:Since version 1.3.0")
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 1, 1, 3), (2, 1, 2, 3, 4)])
def test_affine_grids_are_those_of_torch(size, corners):
    axes = len(size) - 2
    against_torch(
        lambda xp, theta: xp.affine_grid(theta, size, corners),
        lambda theta: functional.affine_grid(theta, size, corners),
        draw(2, axes, axes + 1),
    )


def test_the_grid_of_no_map_gives_the_image():
    x = draw(1, 2, 4, 5).astype("float32")
    theta = np.array([[[1, 0, 0], [0, 1, 0]]], "float32")
    for corners in (False, True):
        grid = dg.affine_grid(dg.tensor(theta), x.shape, corners)
        found = dg.grid_sample(dg.tensor(x), grid, align_corners=corners)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.numpy(), x, atol=1e-5)


@pytest.mark.parametrize("xp", [dg, sg])
def test_what_does_not_fit_is_named(xp):
    def call(name, *operands, **named):
        def run(*operands):
            return getattr(xp, name)(*operands, **named)

        return run(*map(dg.tensor, operands)) if xp is dg else sg.function(run)(*operands)

    x, grid = draw(1, 1, 3, 3), draw(1, 2, 2, 2)
    for given, place, named, error, text in (
        (x, grid[..., :1], {}, errors.ShapeError, "a grid of shape"),
        (x, draw(2, 2, 2, 2), {}, errors.ShapeError, "a grid of shape"),
        (x[0], grid[0], {}, errors.ShapeError, "in mode 'bilinear'"),
        (
            draw(1, 1, 2, 2, 2),
            draw(1, 1, 1, 1, 3),
            {"mode": "bicubic"},
            errors.ShapeError,
            "bicubic",
        ),
        (x[:, :, :0], grid, {}, errors.ShapeError, "has no pixels"),
        (x, grid, {"mode": "linear"}, errors.ArgumentError, "mode is 'linear'"),
        (x, grid, {"padding_mode": 3}, errors.ArgumentError, "padding_mode is 3"),
        (x.astype("int64"), grid, {}, errors.DTypeError, "x is int64"),
        (x, grid.astype("complex64"), {}, errors.DTypeError, "grid is complex64"),
    ):
        with pytest.raises(error, match=text):
            call("grid_sample", given, place, **named)
    with pytest.raises(errors.ShapeError, match="theta of shape"):
        call("affine_grid", draw(1, 2, 2), size=(1, 1, 2, 2))
    with pytest.raises(errors.DTypeError, match="theta is int64"):
        call("affine_grid", np.ones((1, 2, 3), "int64"), size=(1, 1, 2, 2))
    assert dg.grid_sample(dg.zeros((0, 1, 2, 2)), dg.zeros((0, 1, 1, 2))).shape == (0, 1, 1, 1)
    assert dg.grid_sample(dg.zeros((1, 1, 2, 2)), dg.zeros((1, 0, 1, 2))).shape == (1, 1, 0, 1)
