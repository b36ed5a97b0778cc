"""Convolution and pooling against torch: values, gradients of both orders, error texts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oplibrary.core.registry import REGISTRY
from oplibrary.executors.autodiff import pull_back
from oplibrary.functional import avg_pool2d, conv2d, max_pool2d
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.windows import geometry_of
from oplibrary.values.types import TensorType, type_of


def draw(*shape, dtype="float64", seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


# x, weight, options; the widths take both orders of the columns
CONVOLUTIONS = [
    ((2, 3, 5, 6), (4, 3, 3, 2), {}),
    ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": 1}),
    ((2, 3, 7, 6), (4, 3, 3, 3), {"padding": (2, 1), "stride": (2, 3)}),
    ((2, 4, 8, 8), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    ((2, 4, 8, 8), (4, 1, 3, 3), {"groups": 4, "stride": 2, "padding": 1}),
    ((2, 2, 9, 9), (3, 2, 3, 2), {"dilation": (2, 3)}),
    ((2, 2, 4, 20), (3, 2, 3, 3), {"padding": 1}),
    ((2, 2, 4, 20), (4, 1, 3, 3), {"padding": 1, "groups": 2, "stride": (1, 2)}),
    ((2, 8, 4, 4), (2, 8, 3, 3), {"padding": 1}),
    ((2, 1, 6, 6), (8, 1, 3, 3), {"padding": 1}),
    ((3, 4, 5, 5), (2, 4, 1, 1), {}),
    ((3, 4, 5, 5), (2, 4, 1, 1), {"stride": 2}),
    ((2, 1, 3, 3), (2, 1, 1, 1), {"padding": 1}),
    ((2, 1, 3, 3), (1, 1, 3, 3), {}),
    ((2, 2, 6, 6), (3, 2, 3, 3), {"padding": "same"}),
    ((2, 2, 6, 6), (3, 2, 2, 4), {"padding": "same"}),
    ((2, 2, 6, 6), (3, 2, 3, 3), {"padding": "valid"}),
]


def canonical(weight, stride=1, padding=0, dilation=1, groups=1):
    """Return the options as the op's attributes, worked out apart from the library."""
    pairs = [(v, v) if isinstance(v, int) else v for v in (stride, dilation)]
    if padding == "same":
        total = [n - 1 for n in weight[2:]]
        margins = tuple((n // 2, n - n // 2) for n in total)
    else:
        both = {"valid": (0, 0)}.get(padding, padding) if isinstance(padding, str) else padding
        both = (both, both) if isinstance(both, int) else both
        margins = tuple((n, n) for n in both)
    return {"stride": pairs[0], "padding": margins, "dilation": pairs[1], "groups": groups}


# torch warns that an odd total padding costs it a copy
@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("image", "filters", "options"), CONVOLUTIONS)
def test_convolution_and_its_gradients_are_those_of_torch(image, filters, options, dtype):
    x, w, b = draw(*image, dtype=dtype), draw(*filters, dtype=dtype), draw(filters[0], dtype=dtype)
    tx, tw, tb = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    expected = F.conv2d(tx, tw, tb, **options)
    result = conv2d(x, w, b, **options)
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-10}
    assert (result.shape, result.dtype) == (tuple(expected.shape), dtype)
    np.testing.assert_allclose(result, expected.detach().numpy(), **close)
    assert result.flags.c_contiguous
    g = draw(*result.shape, dtype=dtype)
    op, attrs = REGISTRY["convolution"], canonical(filters, **options)
    theirs = torch.autograd.grad(expected, (tx, tw), torch.tensor(g))
    for position, (operand, other) in enumerate(zip((x, w), theirs, strict=True)):
        mine = pull_back(op, position, g, None, (x, w), attrs, type_of(operand))
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, other.numpy(), **close)


def test_both_orders_of_the_columns_were_tested():
    orders = {
        geometry_of(image, filters, **canonical(filters, **options)).channels_last
        for image, filters, options in CONVOLUTIONS
    }
    assert orders == {True, False}


@pytest.mark.parametrize(("image", "filters", "options"), CONVOLUTIONS[:9])
def test_each_derivative_of_a_gradient_is_again_one_of_the_three(image, filters, options):
    """The three ops are one trilinear form: <conv2d(x, w), g>."""
    attrs = canonical(filters, **options)
    x, w = draw(*image), draw(*filters)
    forward, to_x, to_w = (
        REGISTRY[name]
        for name in ("convolution", "convolution_input_gradient", "convolution_weight_gradient")
    )
    g = draw(*forward.kernel(x, w, **attrs).shape)
    form = np.sum(forward.kernel(x, w, **attrs) * g)
    assert np.isclose(np.sum(to_x.kernel(g, w, shape=image, **attrs) * x), form)
    assert np.isclose(np.sum(to_w.kernel(g, x, shape=filters, **attrs) * w), form)
    for op, operands, shape, cotangent in (
        (to_x, (g, w), image, x),
        (to_w, (g, x), filters, w),
    ):
        rest = {"shape": shape, **attrs}
        for position, operand in enumerate(operands):
            derivative = pull_back(op, position, cotangent, None, operands, rest, type_of(operand))
            assert np.isclose(np.sum(derivative * operand), form)


@pytest.mark.parametrize("case", [CONVOLUTIONS[1], CONVOLUTIONS[6], CONVOLUTIONS[10]])
def test_convolution_has_the_same_bits_in_any_output(case):
    image, filters, options = case
    x, w = draw(*image, dtype="float32"), draw(*filters, dtype="float32")
    op, attrs = REGISTRY["convolution"], canonical(filters, **options)
    result = op.kernel(x, w, **attrs)
    contiguous = np.full(result.shape, 7, "float32")
    strided = np.full((*result.shape, 2), 7, "float32")[..., 0]
    op.kernel(x, w, contiguous, **attrs)
    op.kernel(x, w, strided, **attrs)
    assert np.array_equal(contiguous, result)
    assert np.array_equal(strided, result)


def test_convolution_of_views_and_in_pieces():
    x, w = draw(60, 5, 30, 30).transpose(0, 1, 3, 2), draw(4, 3, 3, 5).transpose(0, 3, 1, 2)
    expected = F.conv2d(torch.tensor(x), torch.tensor(w)).numpy()
    np.testing.assert_allclose(conv2d(x, w), expected, rtol=1e-10, atol=1e-10)


def test_convolution_of_no_images():
    assert conv2d(draw(0, 3, 5, 5), draw(2, 3, 3, 3)).shape == (0, 2, 3, 3)


def test_convolution_promotes():
    x, w = draw(1, 1, 3, 3, dtype="float32"), draw(1, 1, 2, 2)
    assert conv2d(x, w).dtype == np.float64
    inferred = REGISTRY["convolution"].infer(type_of(x), type_of(w), **canonical(w.shape))
    assert inferred == TensorType((1, 1, 2, 2), "float64")


@pytest.mark.parametrize(
    ("image", "filters", "options", "kind", "text"),
    [
        (
            (2, 3, 5, 5),
            (4, 2, 3, 3),
            {},
            ShapeError,
            "has 3 channels, weight (4, 2, 3, 3) expects 2",
        ),
        ((2, 4, 5, 5), (4, 4, 3, 3), {"groups": 2}, ShapeError, "2 channels in each of 2 groups"),
        ((2, 3, 5, 5), (4, 3, 3, 3), {"groups": 2}, ShapeError, "do not split into 2 groups"),
        ((2, 3, 5, 5), (4, 3, 7, 3), {}, ShapeError, "kernel height 7 is larger than the padded"),
        ((2, 3, 5, 5), (4, 3, 3, 3), {"dilation": (1, 3)}, ShapeError, "kernel width 7 is larger"),
        ((3, 5, 5), (4, 3, 3, 3), {}, ShapeError, "both must have 4 axes"),
        ((2, 3, 5, 5), (4, 3, 3, 3), {"stride": 0}, ArgumentError, "stride=0, the least is 1"),
        ((2, 3, 5, 5), (4, 3, 3, 3), {"padding": -1}, ArgumentError, "padding=-1, the least is 0"),
        ((2, 3, 5, 5), (4, 3, 3, 3), {"stride": 1.5}, (ArgumentError, TypeError), ""),
        ((2, 3, 5, 5), (4, 3, 3, 3), {"stride": (1, 2, 3)}, ArgumentError, "neither an int nor"),
        (
            (2, 3, 5, 5),
            (4, 3, 3, 3),
            {"padding": "same", "stride": 2},
            ArgumentError,
            "padding='same' with stride (2, 2)",
        ),
        ((2, 3, 5, 5), (4, 3, 3, 3), {"padding": "full"}, ArgumentError, "padding='full'"),
    ],
)
def test_convolution_says_what_does_not_fit(image, filters, options, kind, text):
    with pytest.raises(kind) as error:
        conv2d(draw(*image), draw(*filters), **options)
    assert text in str(error.value)


def test_bias_has_one_number_a_filter():
    with pytest.raises(ShapeError, match=r"bias \(3,\) for 4 filters"):
        conv2d(draw(1, 1, 3, 3), draw(4, 1, 3, 3), draw(3))


def test_a_gradient_of_the_wrong_shape_is_refused():
    with pytest.raises(ShapeError, match="of a result of shape"):
        REGISTRY["convolution_weight_gradient"].infer(
            TensorType((1, 1, 2, 2)),
            TensorType((1, 1, 3, 3)),
            shape=(1, 1, 3, 3),
            **canonical((1, 1, 3, 3)),
        )


# pooling ------------------------------------------------------------------------------------------

POOLINGS = [
    ((2, 3, 6, 8), {"kernel_size": 2}),
    ((2, 3, 7, 9), {"kernel_size": 2}),
    ((2, 3, 6, 8), {"kernel_size": 3, "stride": 2}),
    ((2, 3, 6, 8), {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)}),
    ((2, 3, 6, 8), {"kernel_size": 2, "padding": 1}),
    ((2, 3, 6, 8), {"kernel_size": 2, "stride": 3}),
    ((2, 3, 6, 8), {"kernel_size": 1}),
    ((2, 3, 6, 8), {"kernel_size": 1, "stride": 2}),
    ((0, 3, 6, 8), {"kernel_size": 2}),
]


def pooling_attrs(kernel_size, stride=None, padding=0):
    pair = lambda v: (v, v) if isinstance(v, int) else v  # noqa: E731
    kernel = pair(kernel_size)
    return {
        "kernel": kernel,
        "stride": kernel if stride is None else pair(stride),
        "padding": tuple((n, n) for n in pair(padding)),
        "dilation": (1, 1),
    }


@pytest.mark.parametrize("values", ["distinct", "tied"])
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(("shape", "options"), POOLINGS)
def test_pooling_and_its_gradient_are_those_of_torch(name, shape, options, values):
    x = draw(*shape, dtype="float32")
    if values == "tied":
        x = np.round(x)
    mine = {"max_pool2d": max_pool2d, "avg_pool2d": avg_pool2d}[name]
    leaf = torch.tensor(x, requires_grad=True)
    expected = getattr(F, name)(leaf, **options)
    result = mine(x, **options)
    assert (result.shape, result.dtype) == (tuple(expected.shape), np.float32)
    np.testing.assert_allclose(result, expected.detach().numpy(), rtol=1e-6, atol=1e-6)
    assert not np.shares_memory(result, x)
    g = draw(*result.shape, dtype="float32")
    (theirs,) = torch.autograd.grad(expected, leaf, torch.tensor(g))
    mean = name == "avg_pool2d"
    op, attrs = REGISTRY["sum_pool" if mean else "max_pool"], pooling_attrs(**options)
    places = np.float32(np.prod(attrs["kernel"]) if mean else 1)
    gradient = pull_back(op, 0, g / places, result, (x,), attrs, type_of(x))
    np.testing.assert_allclose(gradient, theirs.numpy(), rtol=1e-5, atol=1e-6)
    out = np.full(result.shape, 7, "float32")
    assert np.array_equal(op.kernel(x, out, **attrs) / places, result)


@pytest.mark.parametrize(("shape", "options"), POOLINGS[:5])
def test_the_gradient_of_max_pooling_is_linear_with_its_transpose_as_rule(shape, options):
    x, attrs = np.round(draw(*shape)), pooling_attrs(**options)
    largest = max_pool2d(x, **options)
    scatter, gather = REGISTRY["max_pool_gradient"], REGISTRY["max_pool_select"]
    g, h = draw(*largest.shape), draw(*shape)
    selected = pull_back(scatter, 0, h, None, (g, x, largest), attrs, type_of(g))
    product = np.sum(scatter.kernel(g, x, largest, **attrs) * h)
    assert np.isclose(np.sum(selected * g), product)
    back = pull_back(gather, 0, g, None, (h, x, largest), attrs, type_of(h))
    np.testing.assert_allclose(back, scatter.kernel(g, x, largest, **attrs))


def test_max_pooling_of_integers_with_padding():
    x = -np.arange(16).reshape(1, 1, 4, 4) - 1
    assert max_pool2d(x, 2, padding=1).dtype == np.int64
    assert max_pool2d(x, 2, padding=1).max() == -1
    assert avg_pool2d(x, 2).dtype == np.float64


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
@pytest.mark.parametrize(
    ("shape", "options", "kind", "text"),
    [
        ((1, 1, 3, 3), {"kernel_size": 4}, ShapeError, "kernel height 4 is larger than the padded"),
        ((3, 3), {"kernel_size": 2}, ShapeError, "must have 4 axes"),
        ((1, 1, 3, 3), {"kernel_size": 2, "padding": 2}, ArgumentError, "more than half"),
        ((1, 1, 3, 3), {"kernel_size": 0}, ArgumentError, "kernel_size=0"),
    ],
)
def test_pooling_says_what_does_not_fit(pool, shape, options, kind, text):
    with pytest.raises(kind) as error:
        pool(draw(*shape), **options)
    assert text in str(error.value)
    assert error.value.what.startswith(("max_pool2d", "avg_pool2d", "kernel_size"))
