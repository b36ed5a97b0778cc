"""ONNX's recurrent layers, and transforms of signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.loops import scan_of
from staticgraph.importing.onnx_models.arrays import INT64, key_along, reversed_rows
from staticgraph.importing.onnx_models.table import TABLE
from staticgraph.importing.shared.block import Several

Activation = Callable[[Any], Any]


def _activation(xp: Any, name: str, alpha: Any, beta: Any) -> Activation:
    """Return a function of a gate; its numbers are those that ONNX gives it by default."""

    def of(default: float, given: Any) -> float:
        return default if given is None else given

    made: dict[str, Activation] = {
        "affine": lambda x: x * of(1.0, alpha) + of(0.0, beta),
        "elu": lambda x: xp.where(x < 0, xp.expm1(xp.minimum(x, 0)) * of(1.0, alpha), x),
        "hardsigmoid": lambda x: xp.clip(x * of(0.2, alpha) + of(0.5, beta), 0, 1),
        "leakyrelu": lambda x: xp.where(x < 0, x * of(0.01, alpha), x),
        "relu": lambda x: xp.relu(x),
        "scaledtanh": lambda x: xp.tanh(x * of(1.0, beta)) * of(1.0, alpha),
        "sigmoid": lambda x: xp.sigmoid(x),
        "softplus": lambda x: xp.softplus(x),
        "softsign": lambda x: xp.softsign(x),
        "tanh": lambda x: xp.tanh(x),
        "thresholdedrelu": lambda x: xp.where(x > of(1.0, alpha), x, xp.zeros_like(x)),
    }
    return made[name.lower()]


def _gate(x: Any, number: int, size: int) -> Any:
    return x[..., number * size : (number + 1) * size]


Step = Callable[[Any, Any, Any, Any], Any]
"""``step(state, x, weights, activations)`` returns the next state, a tuple whose first is seen."""


def _layer(
    xp: Any,
    gates: int,
    step: Callable[..., tuple[Any, ...]],
    defaults: list[str],
    X: Any,
    W: Any,
    R: Any,
    B: Any,
    sequence_lens: Any,
    initial: list[Any],
    extra: Any,
    direction: str,
    layout: int,
    activations: Any,
    activation_alpha: Any,
    activation_beta: Any,
    clip: Any,
) -> Any:
    """Return the outputs, then each last state, of a layer in one or both directions."""
    x = xp.swapaxes(X, 0, 1) if layout else X
    directions = W.shape[0]
    hidden, rows = R.shape[-1], x.shape[1]
    names = list(activations or defaults * 2)
    alphas, betas = list(activation_alpha or []), list(activation_beta or [])

    def bounded(value: Any) -> Any:
        return value if clip is None else xp.clip(value, -clip, clip)

    outputs, lasts = [], []
    for d in range(directions):
        backward = direction == "reverse" or d == 1
        made = []
        for name in names[d * len(defaults) : (d + 1) * len(defaults)]:
            takes = name.lower() in ("affine", "hardsigmoid", "scaledtanh")
            alpha = alphas.pop(0) if alphas and _takes_alpha(name) else None
            beta = betas.pop(0) if betas and takes else None
            made.append(_activation(xp, name, alpha, beta))
        zeros = xp.zeros_like(xp.matmul(x[0], xp.swapaxes(W[d], 0, 1))[:, :hidden])
        start = tuple(
            [zeros if s is None else (xp.swapaxes(s, 0, 1) if layout else s)[d] for s in initial]
        )
        bias_w, bias_r = (
            (B[d][: gates * hidden], B[d][gates * hidden :]) if B is not None else (None, None)
        )
        seen = x
        if backward:
            seen = (
                xp.flip(x, axis=0)
                if sequence_lens is None
                else reversed_rows(xp, x, sequence_lens, 1, 0)
            )
        of_x = xp.matmul(seen, xp.swapaxes(W[d], 0, 1))
        of_x = of_x if bias_w is None else of_x + bias_w
        weight = xp.swapaxes(R[d], 0, 1)
        peep = None if extra is None else extra[d]
        counts = (
            None
            if sequence_lens is None
            else xp.reshape(xp.astype(xp.asarray(sequence_lens), INT64), (rows, 1))
        )

        def advance(
            state: Any,
            row: Any,
            weight: Any = weight,
            bias: Any = bias_r,
            peep: Any = peep,
            made: Any = made,
            counts: Any = counts,
        ) -> Any:
            given, at = row if counts is not None else (row, None)
            found = step(xp, state, given, weight, bias, peep, made, bounded, hidden)
            if counts is None:
                return found, found[0]
            going = xp.less(at, counts)
            kept = tuple([xp.where(going, n, o) for n, o in zip(found, state, strict=True)])
            return kept, xp.where(going, found[0], xp.zeros_like(found[0]))

        times = np.arange(int(x.shape[0])) if counts is not None else None
        captured = [v for v in (weight, bias_r, peep, counts) if v is not None]
        scan = scan_of((of_x, *start, *captured))
        last, stacked = scan(advance, start, of_x if times is None else (of_x, times))
        if backward:
            stacked = (
                xp.flip(stacked, axis=0)
                if counts is None
                else reversed_rows(xp, stacked, sequence_lens, 1, 0)
            )
        outputs.append(stacked)
        lasts.append(last)
    y = xp.stack(outputs, axis=1)
    states = [xp.stack([last[i] for last in lasts], axis=0) for i in range(len(initial))]
    if layout:
        y = xp.permute_dims(y, (2, 0, 1, 3))
        states = [xp.swapaxes(s, 0, 1) for s in states]
    return Several(lambda: y, *[lambda s=s: s for s in states])


def _takes_alpha(name: str) -> bool:
    return name.lower() not in ("relu", "sigmoid", "softplus", "softsign", "tanh")


def _rnn_step(
    xp: Any, state: Any, x: Any, r: Any, bias: Any, _p: Any, f: Any, bounded: Any, hidden: Any
) -> tuple[Any, ...]:
    found = x + xp.matmul(state[0], r)
    return (f[0](bounded(found if bias is None else found + bias)),)


def _lstm_step(input_forget: int) -> Callable[..., tuple[Any, ...]]:
    def step(
        xp: Any, state: Any, x: Any, r: Any, bias: Any, p: Any, f: Any, bounded: Any, hidden: Any
    ) -> tuple[Any, ...]:
        h, c = state
        gates = x + xp.matmul(h, r)
        gates = gates if bias is None else gates + bias
        i, o, forget, new = (_gate(gates, k, hidden) for k in range(4))
        if p is not None:
            i, forget = i + c * _gate(p, 0, hidden), forget + c * _gate(p, 2, hidden)
        i = f[0](bounded(i))
        forget = 1.0 - i if input_forget else f[0](bounded(forget))
        cell = forget * c + i * f[1](bounded(new))
        if p is not None:
            o = o + cell * _gate(p, 1, hidden)
        return f[0](bounded(o)) * f[2](cell), cell

    return step


def _gru_step(linear_before_reset: int) -> Callable[..., tuple[Any, ...]]:
    def step(
        xp: Any, state: Any, x: Any, r: Any, bias: Any, _p: Any, f: Any, bounded: Any, hidden: Any
    ) -> tuple[Any, ...]:
        (h,) = state
        of_h = xp.matmul(h, r[:, : 2 * hidden])
        gates = x[:, : 2 * hidden] + of_h
        gates = gates if bias is None else gates + bias[: 2 * hidden]
        z, reset = (f[0](bounded(_gate(gates, k, hidden))) for k in range(2))
        weight, own = r[:, 2 * hidden :], None if bias is None else bias[2 * hidden :]
        if linear_before_reset:
            inner = xp.matmul(h, weight)
            inner = reset * (inner if own is None else inner + own)
        else:
            inner = xp.matmul(reset * h, weight)
            inner = inner if own is None else inner + own
        new = f[1](bounded(_gate(x, 2, hidden) + inner))
        return ((1.0 - z) * new + z * h,)

    return step


_UNREAD = ("hidden_size", "output_sequence")  # the weights say the one, the model uses the other


@TABLE.entry("RNN", ignored=_UNREAD)
def _rnn(
    xp: Any,
    X: Any,
    W: Any,
    R: Any,
    B: Any = None,
    sequence_lens: Any = None,
    initial_h: Any = None,
    *,
    direction: str,
    layout: int = 0,
    activations: Any = None,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    clip: Any = None,
) -> Any:
    return _layer(
        xp, 1, _rnn_step, ["Tanh"], X, W, R, B, sequence_lens, [initial_h], None,
        direction, layout, activations, activation_alpha, activation_beta, clip,
    )  # fmt: skip


@TABLE.entry("GRU", ignored=_UNREAD)
def _gru(
    xp: Any,
    X: Any,
    W: Any,
    R: Any,
    B: Any = None,
    sequence_lens: Any = None,
    initial_h: Any = None,
    *,
    direction: str,
    layout: int = 0,
    linear_before_reset: int = 0,
    activations: Any = None,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    clip: Any = None,
) -> Any:
    return _layer(
        xp, 3, _gru_step(linear_before_reset), ["Sigmoid", "Tanh"], X, W, R, B, sequence_lens,
        [initial_h], None,
        direction, layout, activations, activation_alpha, activation_beta, clip,
    )  # fmt: skip


@TABLE.entry("LSTM", ignored=_UNREAD)
def _lstm(
    xp: Any,
    X: Any,
    W: Any,
    R: Any,
    B: Any = None,
    sequence_lens: Any = None,
    initial_h: Any = None,
    initial_c: Any = None,
    P: Any = None,
    *,
    direction: str,
    input_forget: int,
    layout: int = 0,
    activations: Any = None,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    clip: Any = None,
) -> Any:
    return _layer(
        xp, 4, _lstm_step(input_forget), ["Sigmoid", "Tanh", "Tanh"], X, W, R, B, sequence_lens,
        [initial_h, initial_c], P,
        direction, layout, activations, activation_alpha, activation_beta, clip,
    )  # fmt: skip


# signals ------------------------------------------------------------------------------------------


def _parts(xp: Any, x: Any) -> Any:
    return xp.stack([xp.real(x), xp.imag(x)], axis=-1)


def _transformed(xp: Any, x: Any, length: Any, axis: int, inverse: int, onesided: int) -> Any:
    """Return the transform of what has real numbers, or pairs of parts, in its last axis."""
    rank = len(x.shape)
    axis = axis + rank if axis < 0 else axis
    n = x.shape[axis] if length is None else length
    if isinstance(x.shape[-1], int) and x.shape[-1] == 2:
        x = x[..., 0] + x[..., 1] * np.asarray(1j, "complex64" if x.dtype.itemsize < 8 else None)
    else:
        x = x[..., 0]
    if inverse and onesided:
        return xp.expand_dims(xp.fft.irfft(x, n=length, axis=axis), axis=-1)
    if inverse:
        return _parts(xp, xp.fft.ifft(x, n=n, axis=axis))
    if onesided:
        found = xp.fft.fft(x, n=n, axis=axis)
        return _parts(xp, found[key_along(rank - 1, axis, slice(0, n // 2 + 1))])
    return _parts(xp, xp.fft.fft(x, n=n, axis=axis))


@TABLE.entry("DFT", known=("dft_length", "axis"))
def _dft(
    xp: Any,
    input: Any,
    dft_length: Any = None,
    axis: Any = -2,
    *,
    inverse: int,
    onesided: int,
) -> Any:
    length = dft_length[0] if isinstance(dft_length, list) else dft_length
    axis = axis[0] if isinstance(axis, list) else axis
    return _transformed(xp, input, length, axis, inverse, onesided)


@TABLE.entry("STFT", known=("frame_step", "frame_length"))
def _stft(
    xp: Any,
    signal: Any,
    frame_step: Any,
    window: Any = None,
    frame_length: Any = None,
    *,
    onesided: int,
) -> Any:
    step = frame_step[0] if isinstance(frame_step, list) else frame_step
    length = frame_length[0] if isinstance(frame_length, list) else frame_length
    if length is None:
        length = int(window.shape[0])
    count = (int(signal.shape[1]) - length) // step + 1
    places = np.arange(count)[:, None] * step + np.arange(length)
    frames = xp.take(signal, places, axis=1)
    if window is not None:
        frames = frames * xp.reshape(window, (-1, 1))
    return _transformed(xp, frames, None, 2, 0, onesided)


@TABLE.entry(
    "MelWeightMatrix",
    known=(
        "num_mel_bins",
        "dft_length",
        "sample_rate",
        "lower_edge_hertz",
        "upper_edge_hertz",
    ),
)
def _mel_weight_matrix(
    xp: Any,
    num_mel_bins: Any,
    dft_length: Any,
    sample_rate: Any,
    lower_edge_hertz: Any,
    upper_edge_hertz: Any,
    output_datatype: Any,
) -> Any:
    given = (num_mel_bins, dft_length, sample_rate, lower_edge_hertz, upper_edge_hertz)
    bins, size, rate, low, high = (x[0] if isinstance(x, list) else x for x in given)
    rows = size // 2 + 1
    mels = 2595 * np.log10(1 + np.array([low, high], np.float64) / 700)
    spread = (mels[1] - mels[0]) / (bins + 2)
    edges = mels[0] + np.arange(bins + 2) * spread
    hertz = 700 * (10 ** (edges / 2595) - 1)
    places = ((size + 1) * hertz // rate).astype(np.int64)
    found = np.zeros((rows, bins))
    for i in range(bins):
        lower, centre, upper = places[i : i + 3]
        if centre == lower:
            found[centre, i] = 1
        else:
            for j in range(lower, centre + 1):
                found[j, i] = (j - lower) / (centre - lower)
        for j in range(centre, upper if upper > centre else centre):
            found[j, i] = (upper - j) / (upper - centre)
    return found.astype(output_datatype)
