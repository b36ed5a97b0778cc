"""PyTorch's operators of networks: products, convolutions, pools, norms, recurrences, and flow."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.graph.dimension import Dim, declare_length
from staticgraph.importing.pytorch.table import TABLE
from staticgraph.importing.shared.block import Several

# products -----------------------------------------------------------------------------------------


@TABLE.entry("aten.mm.default", "aten.bmm.default")
def _mm(xp: Any, self: Any, mat2: Any) -> Any:
    return xp.matmul(self, mat2)


@TABLE.entry("aten.matmul.default")
def _matmul(xp: Any, self: Any, other: Any) -> Any:
    return xp.matmul(self, other)


@TABLE.entry("aten.mv.default")
def _mv(xp: Any, self: Any, vec: Any) -> Any:
    return xp.matmul(self, vec)


@TABLE.entry("aten.dot.default")
def _dot(xp: Any, self: Any, tensor: Any) -> Any:
    return xp.matmul(self, tensor)


def _scaled(xp: Any, x: Any, factor: Any) -> Any:
    return x if factor == 1 else x * factor


@TABLE.entry("aten.addmm.default")
def _addmm(xp: Any, self: Any, mat1: Any, mat2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    return _scaled(xp, xp.matmul(mat1, mat2), alpha) + _scaled(xp, self, beta)


@TABLE.entry("aten.baddbmm.default")
def _baddbmm(xp: Any, self: Any, batch1: Any, batch2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    return _scaled(xp, xp.matmul(batch1, batch2), alpha) + _scaled(xp, self, beta)


@TABLE.entry("aten.addbmm.default")
def _addbmm(xp: Any, self: Any, batch1: Any, batch2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    found = xp.sum(xp.matmul(batch1, batch2), axis=0)
    return _scaled(xp, found, alpha) + _scaled(xp, self, beta)


@TABLE.entry("aten.addmv.default")
def _addmv(xp: Any, self: Any, mat: Any, vec: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    return _scaled(xp, xp.matmul(mat, vec), alpha) + _scaled(xp, self, beta)


@TABLE.entry("aten.linear.default")
def _linear(xp: Any, input: Any, weight: Any, bias: Any = None) -> Any:
    return xp.linear(input, weight, bias)


@TABLE.entry("aten.einsum.default", ignored=("path",))
def _einsum(xp: Any, equation: str, tensors: Any) -> Any:
    return xp.einsum(equation, *tensors)


_BAGS = ("sum", "mean", "max")


@TABLE.entry(
    "aten._embedding_bag.default",
    "aten._embedding_bag_forward_only.default",
    ignored=("sparse",),
    scale_grad_by_freq=False,
    padding_idx=-1,
)
def _embedding_bag(
    xp: Any,
    weight: Any,
    indices: Any,
    offsets: Any,
    mode: int = 0,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
) -> Any:
    starts = offsets[:-1] if include_last_offset else offsets
    return Several(
        lambda: xp.embedding_bag(weight, indices, starts, _BAGS[mode], per_sample_weights)
    )


@TABLE.entry("aten.scaled_dot_product_attention.default", dropout_p=0.0)
def _attention(
    xp: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Any:
    return xp.scaled_dot_product_attention(
        query, key, value, attn_mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
    )


# convolutions and pools ---------------------------------------------------------------------------


def _per_axis(value: Any, rank: int) -> tuple[Any, ...]:
    """Return one number an axis; PyTorch's lists may hold one for all."""
    if isinstance(value, (tuple, list)):
        return tuple(value) * rank if len(value) == 1 else tuple(value)
    return (value,) * rank


@TABLE.entry("aten.convolution.default")
def _convolution(
    xp: Any,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Any:
    rank = len(weight.shape) - 2
    steps, pads, gaps = (_per_axis(each, rank) for each in (stride, padding, dilation))
    if transposed:
        return getattr(xp, f"conv_transpose{rank}d")(
            input,
            weight,
            bias,
            stride=steps,
            padding=pads,
            output_padding=_per_axis(output_padding, rank),
            groups=groups,
            dilation=gaps,
        )
    return getattr(xp, f"conv{rank}d")(
        input, weight, bias, stride=steps, padding=pads, dilation=gaps, groups=groups
    )


def _with_images(xp: Any, x: Any, rank: int, function: Any) -> Any:
    """Apply what takes ``(images, channels, ...)`` to it, or to one image without that axis."""
    if len(x.shape) == rank + 2:
        return function(x)
    found = function(xp.expand_dims(x, axis=0))
    if isinstance(found, tuple):
        return tuple([xp.squeeze(each, axis=0) for each in found])
    return xp.squeeze(found, axis=0)


def _avg_pool(rank: int) -> Any:
    def entry(
        xp: Any,
        self: Any,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: Any = None,
    ) -> Any:
        kernel = _per_axis(kernel_size, rank)
        return _with_images(
            xp,
            self,
            rank,
            lambda x: getattr(xp, f"avg_pool{rank}d")(
                x,
                kernel,
                _per_axis(stride or kernel, rank),
                _per_axis(padding, rank),
                ceil_mode,
                count_include_pad,
                divisor_override,
            ),
        )

    return entry


def _max_pool(rank: int) -> Any:
    def entry(
        xp: Any,
        self: Any,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        kernel = _per_axis(kernel_size, rank)

        def pooled(indices: bool) -> Any:
            return _with_images(
                xp,
                self,
                rank,
                lambda x: getattr(xp, f"max_pool{rank}d")(
                    x,
                    kernel,
                    _per_axis(stride or kernel, rank),
                    _per_axis(padding, rank),
                    _per_axis(dilation, rank),
                    ceil_mode,
                    return_indices=indices,
                ),
            )

        return Several(lambda: pooled(False), lambda: pooled(True)[1])

    return entry


def _adaptive(kind: str, rank: int) -> Any:
    def entry(xp: Any, self: Any, output_size: Any) -> Any:
        size = tuple(output_size)
        if kind == "avg" and set(size) == {1}:  # of any length, also one that changes
            return xp.mean(self, axis=tuple(range(-rank, 0)), keepdims=True)
        return _with_images(
            xp, self, rank, lambda x: getattr(xp, f"adaptive_{kind}_pool{rank}d")(x, size)
        )

    return entry


def _adaptive_max(rank: int) -> Any:
    def entry(xp: Any, self: Any, output_size: Any) -> Any:
        def places() -> Any:
            raise UnsupportedOpError(
                f"aten.adaptive_max_pool{rank}d.default: the places of the largest are not given",
                cause="windows of different sizes are pooled one by one",
                fix="leave return_indices out, or use MaxPool with windows of one size",
            )

        return Several(lambda: _adaptive("max", rank)(xp, self, output_size), places)

    return entry


for rank in (2, 3):
    TABLE.entry(f"aten.avg_pool{rank}d.default")(_avg_pool(rank))
    TABLE.entry(f"aten.max_pool{rank}d_with_indices.default")(_max_pool(rank))
    names = [f"aten.{each}adaptive_avg_pool{rank}d.default" for each in ("_", "")]
    TABLE.entry(*names)(_adaptive("avg", rank))


for rank in (2, 3):
    TABLE.entry(f"aten.adaptive_max_pool{rank}d.default")(_adaptive_max(rank))


@TABLE.entry("aten.avg_pool1d.default")
def _avg_pool1d(
    xp: Any,
    self: Any,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    return _avg_pool(1)(xp, self, kernel_size, stride, padding, ceil_mode, count_include_pad)


def _upsample(mode: str, corners: bool) -> Any:
    def resized(
        xp: Any, input: Any, output_size: Any, scale_factors: Any, align_corners: Any
    ) -> Any:
        given = (
            {"size": tuple(output_size)}
            if output_size is not None
            else {"scale_factor": tuple(scale_factors)}
        )
        return xp.interpolate(input, mode=mode, align_corners=align_corners, **given)

    def nearest(xp: Any, input: Any, output_size: Any, scale_factors: Any) -> Any:
        return resized(xp, input, output_size, scale_factors, None)

    return resized if corners else nearest


for name, mode, corners in (
    ("nearest1d", "nearest", False),
    ("nearest2d", "nearest", False),
    ("nearest3d", "nearest", False),
    ("linear1d", "linear", True),
    ("bilinear2d", "bilinear", True),
    ("bicubic2d", "bicubic", True),
    ("trilinear3d", "trilinear", True),
):
    TABLE.entry(f"aten.upsample_{name}.vec")(_upsample(mode, corners))


@TABLE.entry("aten.pixel_shuffle.default")
def _pixel_shuffle(xp: Any, self: Any, upscale_factor: int) -> Any:
    return xp.pixel_shuffle(self, upscale_factor)


@TABLE.entry("aten.pixel_unshuffle.default")
def _pixel_unshuffle(xp: Any, self: Any, downscale_factor: int) -> Any:
    return xp.pixel_unshuffle(self, downscale_factor)


@TABLE.entry("aten.im2col.default")
def _im2col(xp: Any, self: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    return xp.unfold(
        self,
        tuple(kernel_size),
        dilation=tuple(dilation),
        padding=tuple(padding),
        stride=tuple(stride),
    )


@TABLE.entry("aten.col2im.default")
def _col2im(
    xp: Any,
    self: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any,
    padding: Any,
    stride: Any,
) -> Any:
    return xp.fold(
        self,
        tuple(output_size),
        tuple(kernel_size),
        dilation=tuple(dilation),
        padding=tuple(padding),
        stride=tuple(stride),
    )


# normalisation ------------------------------------------------------------------------------------


def _batch_statistics(xp: Any, x: Any, eps: float) -> tuple[Any, Any]:
    axes = (0, *range(2, len(x.shape)))
    return (
        lambda: xp.mean(x, axis=axes),
        lambda: xp.rsqrt(xp.var(x, axis=axes) + eps),
    )


def _of_any_batch(xp: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Return a batch norm in training, whose batch may have any length: it is not counted."""
    shape = (1, x.shape[1]) + (1,) * (len(x.shape) - 2)
    mean, scale = (xp.reshape(made(), shape) for made in _batch_statistics(xp, x, eps))
    found = (x - mean) * scale
    found = found if weight is None else found * xp.reshape(weight, shape)
    return found if bias is None else found + xp.reshape(bias, shape)


@TABLE.entry("aten._native_batch_norm_legit_functional.default")
def _batch_norm_functional(
    xp: Any,
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    statistics = _batch_statistics(xp, input, eps)
    if training and any(isinstance(n, Dim) for n in input.shape):
        axes = (0, *range(2, len(input.shape)))
        means, variances = statistics[0](), xp.var(input, axis=axes, correction=1)
        return Several(
            lambda: _of_any_batch(xp, input, weight, bias, eps),
            *statistics,
            lambda: (1 - momentum) * running_mean + momentum * means,
            lambda: (1 - momentum) * running_var + momentum * variances,
        )
    found = xp.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)
    y, *updated = found if training else (found, running_mean, running_var)
    return Several(lambda: y, *statistics, lambda: updated[0], lambda: updated[1])


@TABLE.entry("aten._native_batch_norm_legit.no_stats")
def _batch_norm_no_stats(
    xp: Any, input: Any, weight: Any, bias: Any, training: bool, momentum: float, eps: float
) -> Any:
    if any(isinstance(n, Dim) for n in input.shape):
        y = _of_any_batch(xp, input, weight, bias, eps)
    else:
        y = xp.batch_norm(input, weight, bias, training=True, eps=eps)
    return Several(lambda: y, *_batch_statistics(xp, input, eps))


@TABLE.entry("aten._native_batch_norm_legit_no_training.default", ignored=("momentum",))
def _batch_norm_no_training(
    xp: Any, input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, eps: float
) -> Any:
    y = xp.batch_norm(input, weight, bias, running_mean, running_var, training=False, eps=eps)
    return Several(lambda: y)


@TABLE.entry("aten.native_layer_norm.default")
def _layer_norm(
    xp: Any, input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> Any:
    axes = tuple(range(-len(normalized_shape), 0))
    return Several(
        lambda: xp.layer_norm(input, tuple(normalized_shape), weight, bias, eps),
        lambda: xp.mean(input, axis=axes, keepdims=True),
        lambda: xp.rsqrt(xp.var(input, axis=axes, keepdims=True) + eps),
    )


@TABLE.entry("aten.native_group_norm.default", ignored=("N", "C", "HxW"))
def _group_norm(xp: Any, input: Any, weight: Any, bias: Any, group: int, eps: float) -> Any:
    return Several(lambda: xp.group_norm(input, group, weight, bias, eps))


@TABLE.entry("aten.rms_norm.default")
def _rms_norm(
    xp: Any, input: Any, normalized_shape: Any, weight: Any = None, eps: Any = None
) -> Any:
    return xp.rms_norm(input, tuple(normalized_shape), weight, eps)


# recurrences --------------------------------------------------------------------------------------


def _layers(
    xp: Any,
    run: Any,
    input: Any,
    states: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Any, list[Any]]:
    """Return the outputs of stacked layers and the last state of each layer and direction."""
    if dropout and train and num_layers > 1:
        raise UnsupportedOpError(
            f"dropout={dropout} between layers is not supported",
            cause="its random numbers cannot be told apart from outside",
            fix="write one layer each, with torch.nn.Dropout between them",
        )
    size = 4 if has_biases else 2
    directions = 2 if bidirectional else 1
    if len(params) != num_layers * directions * size:
        raise UnsupportedOpError(
            "a projection of the state is not supported",
            cause="the cells of the library have none",
            fix="leave out proj_size, and apply a torch.nn.Linear to the outputs",
        )
    x = xp.swapaxes(input, 0, 1) if batch_first else input
    last = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            weights = params[number * size : (number + 1) * size]
            y, state = run(x, states(number), *weights, reverse=direction == 1)
            outputs.append(y)
            last.append(state)
        x = outputs[0] if directions == 1 else xp.concat(outputs, axis=-1)
    return (xp.swapaxes(x, 0, 1) if batch_first else x), last


@TABLE.entry("aten.lstm.input")
def _lstm(
    xp: Any,
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    y, last = _layers(
        xp,
        xp.lstm,
        input,
        lambda i: (hx[0][i], hx[1][i]),
        params,
        has_biases,
        num_layers,
        dropout,
        train,
        bidirectional,
        batch_first,
    )
    return Several(
        lambda: y,
        lambda: xp.stack([h for h, _ in last], axis=0),
        lambda: xp.stack([c for _, c in last], axis=0),
    )


def _plain_recurrence(name: str, **given: Any) -> Any:
    def entry(
        xp: Any,
        input: Any,
        hx: Any,
        params: Any,
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Any:
        def run(*args: Any, reverse: bool) -> Any:
            return getattr(xp, name)(*args, reverse=reverse, **given)

        y, last = _layers(
            xp,
            run,
            input,
            lambda i: hx[i],
            params,
            has_biases,
            num_layers,
            dropout,
            train,
            bidirectional,
            batch_first,
        )
        return Several(lambda: y, lambda: xp.stack(last, axis=0))

    return entry


TABLE.entry("aten.gru.input")(_plain_recurrence("gru"))
TABLE.entry("aten.rnn_tanh.input")(_plain_recurrence("rnn"))
TABLE.entry("aten.rnn_relu.input")(_plain_recurrence("rnn", nonlinearity="relu"))


# flow ---------------------------------------------------------------------------------------------


@TABLE.entry("higher_order.cond")
def _cond(xp: Any, pred: Any, true_fn: Any, false_fn: Any, operands: Any = ()) -> Any:
    return xp.cond(pred, true_fn, false_fn, *operands)


@TABLE.entry("higher_order.while_loop")
def _while_loop(
    xp: Any, cond_fn: Any, body_fn: Any, carried_inputs: Any, additional_inputs: Any
) -> Any:
    return xp.while_loop(
        lambda carry: cond_fn(*carry, *additional_inputs),
        lambda carry: tuple(body_fn(*carry, *additional_inputs)),
        tuple(carried_inputs),
    )


# lengths ------------------------------------------------------------------------------------------


@TABLE.entry("aten.sym_size.int")
def _sym_size(xp: Any, self: Any, dim: int) -> Any:
    return self.shape[dim]


@TABLE.entry("aten.sym_numel.default")
def _sym_numel(xp: Any, self: Any) -> Any:
    total: Any = 1
    for n in self.shape:
        total = total * n
    return total


@TABLE.entry("torch.sym_float")
def _sym_float(xp: Any, a: Any) -> Any:
    if isinstance(a, Dim):  # which each run computes
        return xp.astype(declare_length(a.stand_in), np.dtype("float64"))
    return float(a)


def _python(name: str) -> Any:
    def entry(xp: Any, a: Any, b: Any) -> Any:
        return getattr(operator, name)(a, b)

    return entry


for name in ("add", "sub", "mul", "floordiv", "mod", "pow", "truediv"):
    TABLE.entry(f"operator.{name}")(_python(name))


@TABLE.entry("operator.neg")
def _negative(xp: Any, a: Any) -> Any:
    return -a


@TABLE.entry("operator.getitem")
def _getitem(xp: Any, a: Any, b: Any) -> Any:
    return a[b]
