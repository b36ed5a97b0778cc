"""Convolutions and poolings over one, two and three axes against torch, in every mode."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.common.against_torch import against_torch, draw, in_every_mode, refused

import dyngraph as dg
import staticgraph as sg
from oplibrary.ops import pooling

CONVOLUTIONS = [
    ((2, 3, 9), (4, 3, 3), {}),
    ((2, 3, 9), (4, 3, 3), {"padding": 2, "stride": 2}),
    ((2, 4, 20), (6, 2, 3), {"groups": 2, "dilation": 3, "padding": (1,)}),
    ((2, 2, 9), (3, 2, 4), {"padding": "same"}),
    ((2, 2, 4, 5, 3), (3, 2, 2, 3, 2), {}),
    ((1, 2, 4, 5, 3), (2, 1, 2, 3, 2), {"groups": 2, "padding": (1, 2, 0), "stride": (1, 2, 1)}),
    ((1, 2, 3, 3, 9), (2, 2, 3, 3, 3), {"padding": 1}),
]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("image", "filters", "options"), CONVOLUTIONS)
def test_convolutions_are_those_of_torch(image, filters, options):
    name = f"conv{len(image) - 2}d"
    against_torch(
        lambda xp, x, w, b: getattr(xp, name)(x, w, b, **options),
        lambda x, w, b: getattr(F, name)(x, w, b, **options),
        draw(*image),
        draw(*filters),
        draw(filters[0], seed=1),
        second=image[-1] == 9 and len(image) == 3,
    )


TRANSPOSED = [
    ((2, 3, 5), (3, 4, 3), {}),
    ((2, 4, 5), (4, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
    ((2, 2, 5), (2, 3, 3), {"dilation": 3, "output_padding": 2}),
    ((2, 2, 5), (2, 3, 3), {"dilation": 3, "output_padding": 2, "padding": 1}),
    ((2, 3, 4, 5), (3, 2, 3, 2), {"stride": (2, 3), "padding": (1, 0)}),
    ((2, 2, 5, 4), (2, 2, 1, 2), {"padding": (2, 1)}),
    ((1, 2, 2, 3, 2), (2, 2, 2, 2, 3), {"stride": 2, "output_padding": (1, 0, 1)}),
]


@pytest.mark.parametrize(("image", "filters", "options"), TRANSPOSED)
def test_transposed_convolutions_are_those_of_torch(image, filters, options):
    name = f"conv_transpose{len(image) - 2}d"
    outputs = filters[1] * options.get("groups", 1)
    against_torch(
        lambda xp, x, w, b: getattr(xp, name)(x, w, b, **options),
        lambda x, w, b: getattr(F, name)(x, w, b, **options),
        draw(*image),
        draw(*filters),
        draw(outputs, seed=1),
        second=len(image) == 3 and len(options) < 3,
    )


def test_padding_may_differ_from_side_to_side():
    x, w = draw(2, 3, 5, 6), draw(4, 3, 3, 2)
    against_torch(
        lambda xp, x, w: xp.conv2d(x, w, padding=((2, 0), (1, 3)), stride=2),
        lambda x, w: F.conv2d(F.pad(x, (1, 3, 2, 0)), w, stride=2),
        x,
        w,
    )
    against_torch(
        lambda xp, x, w: xp.conv1d(x, w, padding=((2, 0),)),
        lambda x, w: F.conv1d(F.pad(x, (2, 0)), w),
        x[:, :, 0],
        w[:, :, 0],
    )
    against_torch(
        lambda xp, x, w: xp.conv_transpose1d(x, w, padding=((2, 0),), stride=2),
        lambda x, w: F.conv_transpose1d(x, w, stride=2)[..., 2:],
        x[:, :, 0],
        w[:3, :, 0],
    )
    against_torch(
        lambda xp, x: xp.avg_pool2d(x, 3, 1, ((1, 0), (0, 1))),
        lambda x: F.avg_pool2d(F.pad(x, (0, 1, 1, 0)), 3, 1),
        x,
    )
    against_torch(
        lambda xp, x: xp.max_pool1d(x, 3, 1, ((1, 0),)),
        lambda x: F.max_pool1d(F.pad(x, (1, 0), value=-np.inf), 3, 1),
        x[:, :, 0],
    )


@pytest.mark.parametrize(("image", "filters", "options"), CONVOLUTIONS)
@pytest.mark.parametrize("transposed", [False, True])
def test_machine_code_takes_convolutions_of_any_number_of_axes(image, filters, options, transposed):
    name = f"conv{'_transpose' if transposed else ''}{len(image) - 2}d"
    if transposed:
        image = (image[0], filters[0], *image[2:])
        options = {key: value for key, value in options.items() if value != "same"}
    with sg.Graph():
        x, w = sg.placeholder("x", image), sg.placeholder("w", filters)
        loss = sg.sum(getattr(sg, name)(x, w, **options) ** 2)
        run = sg.compile([loss, *sg.gradients(loss, [x, w])], [x, w], backend="native")
    assert "left to NumPy" not in run.report()


def test_convolutions_of_no_images():
    for axes in (1, 2, 3):
        x, w = np.zeros((0, 2, *(5,) * axes), "float32"), draw(3, 2, *(2,) * axes, dtype="float32")
        found = in_every_mode(lambda xp, x, w, n=axes: getattr(xp, f"conv{n}d")(x, w), x, w)
        assert found[0].shape == (0, 3, *(4,) * axes)
        assert not found[2].any()
        w = w.swapaxes(0, 1)
        found = in_every_mode(
            lambda xp, x, w, n=axes: getattr(xp, f"conv_transpose{n}d")(x, w), x, w
        )
        assert found[0].shape == (0, 3, *(6,) * axes)


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda xp, x: xp.conv1d(x, x), "conv1d: image (1, 2, 3, 3) and weight (1, 2, 3, 3)"),
        (lambda xp, x: xp.conv1d(x[0], x[0, :, :2]), "conv1d: image (2, 3, 3) has 3 channels"),
        (lambda xp, x: xp.conv3d(x, x), "both must have 5 axes"),
        (lambda xp, x: xp.conv2d(x, x, padding=((1, 2, 3), 1)), "nor pairs of ints"),
        (lambda xp, x: xp.conv2d(x, x, padding=((1, -2), 1)), "the least is 0"),
        (lambda xp, x: xp.conv1d(x[0], x[0], stride=(1, 2)), "neither an int nor one in a tuple"),
        (lambda xp, x: xp.conv_transpose2d(x, x), "conv_transpose2d: image (1, 2, 3, 3)"),
        (lambda xp, x: xp.conv_transpose2d(x[:, :1], x, groups=2), "groups=2"),
        (lambda xp, x: xp.conv_transpose2d(x[:, :1], x, output_padding=1), "output_padding (1, 1)"),
        (lambda xp, x: xp.conv_transpose2d(x[:, :1], x, output_padding=-1), "the least is 0"),
        (lambda xp, x: xp.conv_transpose2d(x[:, :1], x, padding=3), "would have the lengths"),
        (lambda xp, x: xp.conv_transpose2d(x[:, :1], x, stride=0), "stride=0, the least is 1"),
        (lambda xp, x: xp.conv_transpose2d(x[:, :1], x, bias=x), "bias (1, 2, 3, 3) for 2 filters"),
        (lambda xp, x: xp.conv_transpose1d(x, x), "both must have 3 axes"),
    ],
)
def test_convolutions_say_what_does_not_fit(function, what):
    identity, text = refused(function, draw(1, 2, 3, 3))
    assert identity.startswith("SBS-1")
    assert what in text


# pooling ------------------------------------------------------------------------------------------

POOLINGS = [
    ((2, 3, 9), {"kernel_size": 2}),
    ((2, 3, 9), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((2, 3, 8), {"kernel_size": 3, "stride": 3, "ceil_mode": True}),
    ((2, 2, 7, 8), {"kernel_size": 3, "stride": (2, 3), "padding": 1, "ceil_mode": True}),
    ((2, 2, 7, 8), {"kernel_size": (2, 3), "stride": 1, "padding": (1, 1)}),
    ((1, 2, 5, 4, 6), {"kernel_size": 2}),
    ((1, 2, 5, 4, 6), {"kernel_size": (3, 2, 2), "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 2, 8, 8), {"kernel_size": 8}),
]


@pytest.mark.parametrize(("shape", "options"), POOLINGS)
def test_poolings_are_those_of_torch(shape, options):
    axes = len(shape) - 2
    x = draw(*shape)
    against_torch(
        lambda xp, x: getattr(xp, f"max_pool{axes}d")(x, **options),
        lambda x: getattr(F, f"max_pool{axes}d")(x, **options),
        x,
        second=axes == 1,
    )
    for more in ({}, {"count_include_pad": False}):
        against_torch(
            lambda xp, x, more=more: getattr(xp, f"avg_pool{axes}d")(x, **options, **more),
            lambda x, more=more: getattr(F, f"avg_pool{axes}d")(x, **options, **more),
            x,
            second=axes == 1,
        )


@pytest.mark.parametrize("values", ["distinct", "tied"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        *POOLINGS[:6],
        ((2, 3, 9), {"kernel_size": 3, "dilation": 2, "padding": 1}),
        ((2, 2, 7, 8), {"kernel_size": 2, "dilation": (3, 1), "stride": 2, "ceil_mode": True}),
    ],
)
def test_the_place_of_the_largest_is_that_of_torch(shape, options, values):
    axes = len(shape) - 2
    x = draw(*shape)
    if values == "tied":
        x = np.round(x)
    theirs = getattr(F, f"max_pool{axes}d")
    expected, places = theirs(torch.tensor(x), return_indices=True, **options)
    pool = getattr(dg, f"max_pool{axes}d")
    found, indices = pool(dg.tensor(x), return_indices=True, **options)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    np.testing.assert_array_equal(indices.numpy(), places.numpy())
    in_every_mode(
        lambda xp, x: getattr(xp, f"max_pool{axes}d")(x, return_indices=True, **options)[0], x
    )


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((2, 3, 9), 3),
        ((2, 3, 9), 4),
        ((2, 3, 4), 7),
        ((2, 2, 7, 8), (3, 2)),
        ((2, 2, 7, 8), (None, 3)),
        ((2, 2, 7, 8), 1),
        ((1, 2, 5, 4, 6), (2, 3, 4)),
    ],
)
def test_pooling_into_a_number_of_windows_is_that_of_torch(shape, size):
    axes = len(shape) - 2
    for kind in ("avg", "max"):
        name = f"adaptive_{kind}_pool{axes}d"
        against_torch(
            lambda xp, x, name=name: getattr(xp, name)(x, size),
            lambda x, name=name: getattr(F, name)(x, size),
            draw(*shape),
        )
    x = draw(*shape)
    x.reshape(-1)[[3, 11]] = np.inf, np.nan
    for kind in ("avg", "max"):
        name = f"adaptive_{kind}_pool{axes}d"
        expected = getattr(F, name)(torch.tensor(x), size).numpy()
        np.testing.assert_allclose(getattr(dg, name)(dg.tensor(x), size).numpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int64"])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 2)])
def test_what_a_pool_chose_is_taken_by_its_bits_as_element_by_element(kernel, dtype, monkeypatch):
    rng = np.random.default_rng(1)
    attrs = {"kernel": kernel, "stride": kernel, "padding": ((1, 0), (0, 0)), "dilation": (1, 1)}
    x, g = (rng.integers(-2, 3, shape).astype(dtype) for shape in ((8, 8, 17, 24), (8, 8, 9, 12)))
    g = g[:, :, : 18 // kernel[0]]
    if x.dtype.kind == "f":
        x[rng.random(x.shape) < 0.1] = np.nan
        for number in (np.nan, -0.0, np.inf):
            g[rng.random(g.shape) < 0.1] = number
    largest = pooling.max_pool.kernel(x, **attrs)
    assert largest.size >= pooling.MANY
    found = []
    for many in (pooling.MANY, 10**9):
        monkeypatch.setattr(pooling, "MANY", many)
        found.append(
            [
                pooling._max_pool_gradient_kernel(g, x, largest, **attrs),
                pooling._max_pool_indices_kernel(x, largest, **attrs),
                pooling._select(x[:1] * 2, x, largest, attrs),
            ]
        )
    for by_bits, by_element in zip(*found, strict=True):
        assert by_bits.dtype == by_element.dtype
        assert by_bits.tobytes() == by_element.tobytes()


def test_poolings_of_integers_and_of_no_images():
    x = np.arange(12, dtype="uint8").reshape(1, 1, 12) * 20
    assert dg.max_pool1d(dg.tensor(x), 3).tolist() == [[[40, 100, 160, 220]]]
    mean = dg.avg_pool1d(dg.tensor(x), 3)
    assert (mean.tolist(), mean.dtype) == ([[[20.0, 80.0, 140.0, 200.0]]], np.float64)
    assert dg.adaptive_avg_pool1d(dg.tensor(x), 2).tolist() == [[[50.0, 170.0]]]
    for name, argument in (("max_pool1d", 3), ("avg_pool1d", 3), ("adaptive_max_pool1d", 5)):
        none = np.zeros((0, 2, 9), "float32")
        result, gradient = in_every_mode(
            lambda xp, x, name=name, argument=argument: getattr(xp, name)(x, argument), none
        )
        assert (result.shape[:2], gradient.shape) == ((0, 2), (0, 2, 9))


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda xp, x: xp.max_pool1d(x, 2), "max_pool1d: image (1, 2, 5, 5) must have 3 axes"),
        (lambda xp, x: xp.avg_pool3d(x, 2), "avg_pool3d: image (1, 2, 5, 5) must have 5 axes"),
        (lambda xp, x: xp.max_pool2d(x, 2, 0), "stride=0, the least is 1"),
        (lambda xp, x: xp.max_pool2d(x, 2, 1, -1), "padding=-1, the least is 0"),
        (lambda xp, x: xp.max_pool2d(x, 2, dilation=9), "kernel height 10 is larger"),
        (lambda xp, x: xp.avg_pool2d(x, 6), "avg_pool2d: kernel height 6 is larger"),
        (lambda xp, x: xp.avg_pool2d(x, 2, 1, 2), "more than half of the kernel"),
        (lambda xp, x: xp.avg_pool2d(x, 2, divisor_override=0), "divisor_override is 0"),
        (lambda xp, x: xp.avg_pool2d(x, 2, ceil_mode="a"), "ceil_mode must be a bool"),
        (lambda xp, x: xp.max_pool2d(x > 0, 2), "max_pool2d is not defined for bool"),
        (lambda xp, x: xp.adaptive_avg_pool2d(x, 0), "output_size=0, the least is 1"),
        (lambda xp, x: xp.adaptive_max_pool2d(x, (1, 2, 3)), "neither an int nor a pair"),
        (lambda xp, x: xp.adaptive_max_pool2d(x[:, :, :0], 2), "has no pixels"),
        (lambda xp, x: xp.adaptive_max_pool2d(x, 10**9), "(1, 1, 1000000000, 1000000000)"),
        (lambda xp, x: xp.avg_pool2d(x, None), "kernel_size=None is neither"),
        (lambda xp, x: xp.avg_pool2d(x, 2, padding=0.5), "padding=0.5 is neither"),
    ],
)
def test_poolings_say_what_does_not_fit(function, what):
    assert what in refused(function, draw(1, 2, 5, 5))[1]
