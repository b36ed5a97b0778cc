"""Images of other sizes, and channels that become pixels, against torch in every mode."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.common.against_torch import against_torch, draw, refused

import dyngraph as dg
import staticgraph as sg

SHAPES = {1: (2, 3, 7), 2: (2, 3, 5, 7), 3: (1, 2, 3, 4, 5)}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
CASES = [
    *[(axes, mode, None) for axes in (1, 2, 3) for mode in ("nearest", "nearest-exact", "area")],
    *[(axes, LINEAR[axes], corners) for axes in (1, 2, 3) for corners in (False, True)],
    *[(2, "bicubic", corners) for corners in (False, True)],
]


@pytest.mark.parametrize(("axes", "mode", "corners"), CASES)
def test_interpolation_is_that_of_torch(axes, mode, corners):
    x = draw(*SHAPES[axes])
    sizes = [9, (3, 8, 4)[:axes], 1]
    # of other factors torch's gradient of "nearest" is that of other pixels than it reads
    scales = [2, 0.6, (1.5, 2.5, 1.0)[:axes]]
    for options in [*[{"size": s} for s in sizes], *[{"scale_factor": s} for s in scales]]:
        against_torch(
            lambda xp, x, o=options: xp.interpolate(x, mode=mode, align_corners=corners, **o),
            lambda x, o=options: F.interpolate(x, mode=mode, align_corners=corners, **o),
            x,
            rtol=1e-6,
            native=options == {"size": 9},
        )


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 48])
def test_the_nearest_pixel_is_that_of_torch_for_every_size(n):
    x = np.arange(float(n)).reshape(1, 1, n)
    for mode in ("nearest", "nearest-exact"):
        for size in range(1, 100):
            expected = F.interpolate(torch.tensor(x), size, mode=mode).numpy()
            found = dg.interpolate(dg.tensor(x), size, mode=mode).numpy()
            np.testing.assert_array_equal(found, expected)


def test_machine_code_interpolates():
    with sg.Graph():
        x = sg.placeholder("x", (2, 3, 8, 8))
        y = sg.interpolate(x, scale_factor=2, mode="bilinear")
        run = sg.compile([y, *sg.gradients(sg.sum(y * y), [x])], [x], backend="native")
    assert "left to NumPy" not in run.report()


def test_lengths_that_are_not_known_are_refused_where_they_change():
    with sg.Graph():
        n = sg.dim("n")
        batch = sg.placeholder("batch", (n, 3, 4, 4))
        assert sg.interpolate(batch, scale_factor=2).shape[1:] == (3, 8, 8)
        with pytest.raises(sg.errors.SymbolicValueError, match="axis 3 of x"):
            sg.interpolate(sg.placeholder("x", (2, 3, 4, n)), size=8)


@pytest.mark.parametrize(("shape", "r"), [((2, 8, 3, 4), 2), ((9, 2, 2), 3), ((2, 2, 4, 3, 5), 1)])
def test_channels_become_pixels_and_back(shape, r):
    x = draw(*shape)
    against_torch(lambda xp, x: xp.pixel_shuffle(x, r), lambda x: F.pixel_shuffle(x, r), x)
    pixels = torch.pixel_shuffle(torch.tensor(x), r).numpy()
    against_torch(lambda xp, x: xp.pixel_unshuffle(x, r), lambda x: F.pixel_unshuffle(x, r), pixels)
    found = dg.pixel_unshuffle(dg.tensor(pixels), r)
    np.testing.assert_array_equal(found.numpy(), x)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2},
        {"kernel_size": (2, 3), "stride": 2, "padding": 1},
        {"kernel_size": 2, "dilation": (2, 1), "padding": (0, 1)},
    ],
)
def test_windows_are_taken_apart_and_added_up(options):
    x = draw(2, 3, 5, 7)
    against_torch(
        lambda xp, x: xp.unfold(x, **options), lambda x: F.unfold(x, **options), x, second=True
    )
    columns = F.unfold(torch.tensor(x), **options).numpy()
    against_torch(
        lambda xp, x: xp.fold(x, (5, 7), **options),
        lambda x: F.fold(x, (5, 7), **options),
        columns,
        second=True,
    )


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda xp, x: xp.interpolate(x), "pass one of size and scale_factor"),
        (lambda xp, x: xp.interpolate(x, 3, 2.0), "pass one of size and scale_factor"),
        (lambda xp, x: xp.interpolate(x, 3, mode="linear"), "in mode 'linear'"),
        (lambda xp, x: xp.interpolate(x, 3, mode="cubic"), "mode is 'cubic'"),
        (lambda xp, x: xp.interpolate(x, 0), "size=0, the least is 1"),
        (lambda xp, x: xp.interpolate(x, (3, 3, 3)), "neither an int nor a pair"),
        (lambda xp, x: xp.interpolate(x, scale_factor=0.1), "makes lengths (0, 0)"),
        (lambda xp, x: xp.interpolate(x, scale_factor=-1.0), "scale_factor is -1.0"),
        (lambda xp, x: xp.interpolate(x, scale_factor="a"), "scale_factor"),
        (lambda xp, x: xp.interpolate(x, 3, antialias=True), "antialias=True is not offered"),
        (lambda xp, x: xp.interpolate(x, 3, align_corners=True), "align_corners in mode 'nearest'"),
        (lambda xp, x: xp.interpolate(x > 0, 3, mode="bilinear"), "interpolate: x is bool"),
        (lambda xp, x: xp.interpolate(x[:, :, :0], 3), "has no pixels"),
        (lambda xp, x: xp.interpolate(x[0, 0], 3), "x (5, 5)"),
        (lambda xp, x: xp.pixel_shuffle(x, 2), "2 channels for an upscale_factor of 2"),
        (lambda xp, x: xp.pixel_unshuffle(x, 2), "images of 5 x 5 pixels"),
        (lambda xp, x: xp.pixel_shuffle(x, 0), "the factor is 0"),
        (lambda xp, x: xp.pixel_shuffle(x[0, 0], 1), "must have three axes"),
        (lambda xp, x: xp.unfold(x[0], 2), "unfold: image (2, 5, 5) must have 4 axes"),
        (lambda xp, x: xp.unfold(x, 6), "unfold: kernel height 6 is larger"),
        (lambda xp, x: xp.fold(x[0], 5, 2), "fold: x (2, 5, 5) for 16 windows"),
    ],
)
def test_resampling_says_what_does_not_fit(function, what):
    assert what in refused(function, draw(1, 2, 5, 5))[1]
