"""Convolutions, and their transposes, over one, two and three axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import operand_type, require_int
from oplibrary.ops.convolution import convolution, input_gradient
from oplibrary.ops.elementwise import add
from oplibrary.ops.slicing import pad_op
from oplibrary.ops.windows import AXES, Lengths, Margins, geometry_of, margins_of, per_axis
from oplibrary.values.types import Shape


def _margins(padding: Any, kernel: Shape, stride: Lengths, dilation: Lengths) -> Margins:
    axes = len(stride)
    if not isinstance(padding, str):
        return margins_of(padding, axes)
    if padding == "valid":
        return ((0, 0),) * axes
    if padding != "same" or set(stride) != {1}:
        raise ArgumentError(
            f"conv{axes}d: padding={padding!r} with stride {stride}",
            cause='the named paddings are "valid", which is none, and "same", which keeps the '
            "image's size and is defined for stride 1",
            fix="pass the padding as a number of pixels",
        )
    totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
    return tuple((total // 2, total - total // 2) for total in totals)


def _with_bias(name: str, result: Any, bias: Any) -> Any:
    if bias is None:
        return result
    shape, filters = operand_type(name, bias).shape, result.shape[1]
    if shape != (filters,):
        raise ShapeError(
            f"{name}: bias {shape} for {filters} filters",
            cause="a bias has one number a filter",
            fix=f"pass a bias of shape ({filters},)",
        )
    return add(result, bias.reshape((1, filters) + (1,) * (len(result.shape) - 2)))


def _convolved(
    axes: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    steps = per_axis(stride, "stride", 1, axes)
    spread = per_axis(dilation, "dilation", 1, axes)
    margins = _margins(padding, tuple(weight.shape[2:]), steps, spread)
    geometry_of(tuple(x.shape), tuple(weight.shape), steps, margins, spread, groups)  # or refuses
    result = convolution(x, weight, stride=steps, padding=margins, dilation=spread, groups=groups)
    return _with_bias(f"conv{axes}d", result, bias)


def _transposed(
    axes: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> Any:
    name = f"conv_transpose{axes}d"
    x_shape, weight_shape = operand_type(name, x).shape, operand_type(name, weight).shape
    steps = per_axis(stride, "stride", 1, axes)
    spread = per_axis(dilation, "dilation", 1, axes)
    beyond = per_axis(output_padding, "output_padding", 0, axes)
    margins, parts = margins_of(padding, axes), require_int(groups, "groups")
    if len(x_shape) != axes + 2 or len(weight_shape) != axes + 2:
        raise ShapeError(
            f"{name}: image {x_shape} and weight {weight_shape}, both must have {axes + 2} axes",
            cause=f"an image is (images, channels, {', '.join(AXES[axes])}), a weight is "
            f"(channels, filters / groups, {', '.join(AXES[axes])})",
            fix="add the missing axis, for one image with expand_dims(x, axis=0)",
        )
    if x_shape[1] != weight_shape[0] or parts < 1 or x_shape[1] % parts:
        raise ShapeError(
            f"{name}: image {x_shape}, weight {weight_shape}, groups={parts}",
            cause="axis 0 of the weight is the channels of the image, which split into the groups",
            fix="check that the weight is (channels, filters / groups, ...), or set groups=1",
        )
    if any(more >= max(step, reach) for more, step, reach in zip(beyond, steps, spread)):
        raise ArgumentError(
            f"{name}: output_padding {beyond} with stride {steps} and dilation {spread}",
            cause="it chooses among the sizes that a convolution with that stride takes to x's, so "
            "it is smaller than the stride or the dilation",
            fix="pass output_padding=0, or a larger stride",
        )
    # what is added beyond the steps of a stride counts as padding less, so that the convolution
    # back has x's size; where there is less than no padding, no window reaches that far
    fewer = [0 if more < step else more for more, step in zip(beyond, steps)]
    margins = tuple((before, after - less) for (before, after), less in zip(margins, fewer))
    zeros = tuple(max(-after, 0) for _, after in margins)
    margins = tuple((before, max(after, 0)) for before, after in margins)
    lengths = [
        (n - 1) * s + d * (k - 1) + 1 + more - less - before - after
        for n, k, s, d, more, less, (before, after) in zip(
            x_shape[2:], weight_shape[2:], steps, spread, beyond, fewer, margins
        )
    ]
    if min(lengths) < 1 or not all(x_shape[2:]) or not all(weight_shape[2:]):
        raise ShapeError(
            f"{name}: the result of image {x_shape} and weight {weight_shape} would have the "
            f"lengths {tuple(lengths)}",
            cause=f"padding {padding} is cut off from the result, and nothing is left",
            fix="use less padding, or a larger kernel",
        )
    shape = (x_shape[0], weight_shape[1] * parts, *lengths)
    result = input_gradient(x, weight, shape, steps, margins, spread, parts)
    if any(zeros):
        result = pad_op(result, pad_width=((0, 0), (0, 0), *[(0, n) for n in zeros]))
    return _with_bias(name, result, bias)


_Size = int | Sequence[int]
_Padding = int | Sequence[int | Sequence[int]]


@public
def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Size = 1,
    padding: _Padding | str = 0,
    dilation: _Size = 1,
    groups: int = 1,
) -> Any:
    """Correlate each sequence with each filter.

    Parameters
    ----------
    x : array
        Sequences, ``(images, channels, length)``.
    weight : array
        Filters, ``(filters, channels / groups, kernel length)``.
    bias : array, optional
        Added to each filter's results, ``(filters,)``.
    stride : int or a tuple of one
        Step between windows, in pixels.
    padding : int, a tuple of one, of int or (int, int), "valid" or "same"
        Zeros around the sequence, in pixels: as many on both sides, or a pair (before, after).
        ``"same"`` keeps the sequence's size (stride 1); where the sum is odd, the extra one is at
        the end.
    dilation : int or a tuple of one
        Distance between the pixels that a filter reads.
    groups : int
        Split channels and filters into groups that do not see each other.

    Returns
    -------
    array, (images, filters, out length)

    Raises
    ------
    ShapeError
        If the channels disagree or the kernel is larger than the padded sequence.
    ArgumentError
        If an option has no meaning.
    """
    return _convolved(1, x, weight, bias, stride, padding, dilation, groups)


@public
def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Size = 1,
    padding: _Padding | str = 0,
    dilation: _Size = 1,
    groups: int = 1,
) -> Any:
    """Correlate each image with each filter (the convolution of neural networks).

    Parameters
    ----------
    x : array
        Images, ``(images, channels, height, width)``.
    weight : array
        Filters, ``(filters, channels / groups, kernel height, kernel width)``.
    bias : array, optional
        Added to each filter's results, ``(filters,)``.
    stride : int or pair
        Step between windows, in pixels.
    padding : int, pair, of int or (int, int), "valid" or "same"
        Zeros around the image, in pixels: as many on both sides, or a pair (before, after).
        ``"same"`` keeps the image's size (stride 1); where the sum is odd, the extra one is at
        the end.
    dilation : int or pair
        Distance between the pixels that a filter reads.
    groups : int
        Split channels and filters into groups that do not see each other.

    Returns
    -------
    array, (images, filters, out height, out width)

    Raises
    ------
    ShapeError
        If the channels disagree or the kernel is larger than the padded image.
    ArgumentError
        If an option has no meaning.
    """
    return _convolved(2, x, weight, bias, stride, padding, dilation, groups)


@public
def conv3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Size = 1,
    padding: _Padding | str = 0,
    dilation: _Size = 1,
    groups: int = 1,
) -> Any:
    """Correlate each volume with each filter.

    Parameters
    ----------
    x : array
        Volumes, ``(images, channels, depth, height, width)``.
    weight : array
        Filters, ``(filters, channels / groups, depth, height, width)``.
    bias : array, optional
        Added to each filter's results, ``(filters,)``.
    stride : int or three
        Step between windows, in pixels.
    padding : int, three, of int or (int, int), "valid" or "same"
        Zeros around the volume, in pixels: as many on both sides, or a pair (before, after).
        ``"same"`` keeps the volume's size (stride 1); where the sum is odd, the extra one is at
        the end.
    dilation : int or three
        Distance between the pixels that a filter reads.
    groups : int
        Split channels and filters into groups that do not see each other.

    Returns
    -------
    array, (images, filters, out depth, out height, out width)

    Raises
    ------
    ShapeError
        If the channels disagree or the kernel is larger than the padded volume.
    ArgumentError
        If an option has no meaning.
    """
    return _convolved(3, x, weight, bias, stride, padding, dilation, groups)


@public
def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Size = 1,
    padding: _Padding = 0,
    output_padding: _Size = 0,
    groups: int = 1,
    dilation: _Size = 1,
) -> Any:
    """Return what conv1d with this weight would be the transpose of: its gradient by the sequence.

    Parameters
    ----------
    x : array
        Sequences, ``(images, channels, length)``.
    weight : array
        Filters, ``(channels, filters / groups, kernel length)``.
    bias : array, optional
        Added to each filter's results, ``(filters,)``.
    stride : int or a tuple of one
        Step between the places that neighbouring pixels are spread to.
    padding : int, a tuple of one, of int or (int, int)
        Pixels cut off from the result: as many on both sides, or a pair (before, after).
    output_padding : int or a tuple of one
        Pixels added at the end of the result; fewer than the stride or the dilation.
    groups : int
        Split channels and filters into groups that do not see each other.
    dilation : int or a tuple of one
        Distance between the pixels that one is spread to.

    Returns
    -------
    array, (images, filters, out length)
        Each axis is ``(n - 1) * stride - before - after + dilation * (kernel - 1) + 1`` long, and
        `output_padding` longer.

    Raises
    ------
    ShapeError
        If the channels disagree, or nothing is left of the result.
    ArgumentError
        If an option has no meaning.

    Notes
    -----
    Zeiler et al., "Deconvolutional networks" (2010). Options are in PyTorch's order.
    """
    return _transposed(1, x, weight, bias, stride, padding, output_padding, groups, dilation)


@public
def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Size = 1,
    padding: _Padding = 0,
    output_padding: _Size = 0,
    groups: int = 1,
    dilation: _Size = 1,
) -> Any:
    """Return what conv2d with this weight would be the transpose of: its gradient by the image.

    Parameters
    ----------
    x : array
        Images, ``(images, channels, height, width)``.
    weight : array
        Filters, ``(channels, filters / groups, kernel height, kernel width)``.
    bias : array, optional
        Added to each filter's results, ``(filters,)``.
    stride : int or pair
        Step between the places that neighbouring pixels are spread to.
    padding : int, pair, of int or (int, int)
        Pixels cut off from the result: as many on both sides, or a pair (before, after).
    output_padding : int or pair
        Pixels added at the end of the result; fewer than the stride or the dilation.
    groups : int
        Split channels and filters into groups that do not see each other.
    dilation : int or pair
        Distance between the pixels that one is spread to.

    Returns
    -------
    array, (images, filters, out height, out width)
        Each axis is ``(n - 1) * stride - before - after + dilation * (kernel - 1) + 1`` long, and
        `output_padding` longer.

    Raises
    ------
    ShapeError
        If the channels disagree, or nothing is left of the result.
    ArgumentError
        If an option has no meaning.

    Notes
    -----
    Zeiler et al., "Deconvolutional networks" (2010). Options are in PyTorch's order.
    """
    return _transposed(2, x, weight, bias, stride, padding, output_padding, groups, dilation)


@public
def conv_transpose3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Size = 1,
    padding: _Padding = 0,
    output_padding: _Size = 0,
    groups: int = 1,
    dilation: _Size = 1,
) -> Any:
    """Return what conv3d with this weight would be the transpose of: its gradient by the volume.

    Parameters
    ----------
    x : array
        Volumes, ``(images, channels, depth, height, width)``.
    weight : array
        Filters, ``(channels, filters / groups, depth, height, width)``.
    bias : array, optional
        Added to each filter's results, ``(filters,)``.
    stride : int or three
        Step between the places that neighbouring pixels are spread to.
    padding : int, three, of int or (int, int)
        Pixels cut off from the result: as many on both sides, or a pair (before, after).
    output_padding : int or three
        Pixels added at the end of the result; fewer than the stride or the dilation.
    groups : int
        Split channels and filters into groups that do not see each other.
    dilation : int or three
        Distance between the pixels that one is spread to.

    Returns
    -------
    array, (images, filters, out depth, out height, out width)
        Each axis is ``(n - 1) * stride - before - after + dilation * (kernel - 1) + 1`` long, and
        `output_padding` longer.

    Raises
    ------
    ShapeError
        If the channels disagree, or nothing is left of the result.
    ArgumentError
        If an option has no meaning.

    Notes
    -----
    Zeiler et al., "Deconvolutional networks" (2010). Options are in PyTorch's order.
    """
    return _transposed(3, x, weight, bias, stride, padding, output_padding, groups, dilation)
