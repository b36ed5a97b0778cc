"""Recurrent cells, and the layers that run them along time.

Weights are laid out as PyTorch keeps them: the gates below each other. Layers run as `scan`, so
that a compiled program has one step in it, however long the sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.loops import scan_of
from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.activation import relu
from oplibrary.ops.arguments import operand_type, require_flag
from oplibrary.ops.creation import zeros_like
from oplibrary.ops.elementwise import add, cast, multiply, subtract
from oplibrary.ops.exponential import sigmoid
from oplibrary.ops.joining import split
from oplibrary.ops.linalg import linear
from oplibrary.ops.slicing import slice_axis
from oplibrary.ops.trigonometry import tanh
from oplibrary.values.dtypes import promoted

_ACTIVATIONS = {"tanh": tanh, "relu": relu}


def _require_weights(
    name: str, x: Any, gates: int, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any
) -> int:
    """Return the number of hidden features that the weights of so many gates are made for."""
    features = operand_type(name, x).shape[-1:] or (0,)
    hidden = (operand_type(name, weight_hh).shape[-1:] or (0,))[0]
    wanted = {
        "weight_ih": (weight_ih, (gates * hidden, *features)),
        "weight_hh": (weight_hh, (gates * hidden, hidden)),
        "bias_ih": (bias_ih, (gates * hidden,)),
        "bias_hh": (bias_hh, (gates * hidden,)),
    }
    for which, (given, shape) in wanted.items():
        if given is None and which.startswith("bias"):
            continue
        found = operand_type(name, given).shape
        if found != shape:
            raise ShapeError(
                f"{name}: {which} {found}, where x has {features[0]} features and there are "
                f"{hidden} hidden ones",
                cause=f"{gates} gates of as many rows as there are hidden features lie below each "
                "other; columns are the features that they read",
                fix=f"give it the shape {shape}",
            )
    return int(hidden)


def _require_state(name: str, which: str, state: Any, shape: tuple[int, ...]) -> Any:
    found = operand_type(name, state).shape
    if found != shape:
        raise ShapeError(
            f"{name}: {which} {found}",
            cause="the state has the hidden features of each sequence",
            fix=f"give it the shape {shape}",
        )
    return state


def _pair(name: str, state: Any) -> tuple[Any, Any]:
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise ArgumentError(
            f"{name}: the state is no pair",
            cause="it is a pair: what the cell gives, and what it keeps to itself",
            fix="pass (h, c)",
        )
    return state[0], state[1]


# one step -----------------------------------------------------------------------------------------


def _lstm_step(gates: Any, c: Any) -> tuple[Any, Any]:
    into, keep, new, out = split(gates, 4, axis=-1)
    c = add(multiply(sigmoid(keep), c), multiply(sigmoid(into), tanh(new)))
    return multiply(sigmoid(out), tanh(c)), c


def _gru_step(of_x: Any, of_h: Any, h: Any) -> Any:
    reset_x, update_x, new_x = split(of_x, 3, axis=-1)
    reset_h, update_h, new_h = split(of_h, 3, axis=-1)
    reset, update = sigmoid(add(reset_x, reset_h)), sigmoid(add(update_x, update_h))
    new = tanh(add(new_x, multiply(reset, new_h)))
    return add(new, multiply(update, subtract(h, new)))


def _activation(name: str, nonlinearity: Any) -> Callable[[Any], Any]:
    found = _ACTIVATIONS.get(nonlinearity) if isinstance(nonlinearity, str) else None
    if found is None:
        raise ArgumentError(
            f"{name}: nonlinearity is {nonlinearity!r}",
            cause='a plain recurrent cell has "tanh" or "relu"',
            fix='pass nonlinearity="tanh"',
        )
    return found


@public
def rnn_cell(
    x: Any,
    state: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
    nonlinearity: str = "tanh",
) -> Any:
    """Return the next state of a plain recurrent cell (Elman, 1990).

    Parameters
    ----------
    x : array
        ``(n, features)`` or ``(features,)``.
    state : array
        ``(n, hidden)`` or ``(hidden,)``.
    weight_ih, weight_hh : array
        ``(hidden, features)`` and ``(hidden, hidden)``.
    bias_ih, bias_hh : array, optional
        ``(hidden,)``.
    nonlinearity : {"tanh", "relu"}

    Returns
    -------
    array
        Of the shape of `state`.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ArgumentError
        If `nonlinearity` is neither.
    """
    activation = _activation("rnn_cell", nonlinearity)
    hidden = _require_weights("rnn_cell", x, 1, weight_ih, weight_hh, bias_ih, bias_hh)
    _require_state("rnn_cell", "state", state, (*x.shape[:-1], hidden))
    return activation(add(linear(x, weight_ih, bias_ih), linear(state, weight_hh, bias_hh)))


@public
def lstm_cell(
    x: Any, state: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> Any:
    """Return the next state of a cell with long short-term memory.

    Parameters
    ----------
    x : array
        ``(n, features)`` or ``(features,)``.
    state : (array, array)
        What the cell gave, and what it keeps: each ``(n, hidden)`` or ``(hidden,)``.
    weight_ih, weight_hh : array
        ``(4 hidden, features)`` and ``(4 hidden, hidden)``: the gates that let in, keep, make new
        content and let out, below each other.
    bias_ih, bias_hh : array, optional
        ``(4 hidden,)``.

    Returns
    -------
    (array, array)
        The next state.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ArgumentError
        If the state is no pair.

    Notes
    -----
    Hochreiter and Schmidhuber, "Long short-term memory" (1997), with the gate that keeps of
    Gers, Schmidhuber and Cummins (2000).
    """
    name = "lstm_cell"
    h, c = _pair(name, state)
    hidden = _require_weights(name, x, 4, weight_ih, weight_hh, bias_ih, bias_hh)
    _require_state(name, "h", h, (*x.shape[:-1], hidden))
    _require_state(name, "c", c, (*x.shape[:-1], hidden))
    return _lstm_step(add(linear(x, weight_ih, bias_ih), linear(h, weight_hh, bias_hh)), c)


@public
def gru_cell(
    x: Any, state: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> Any:
    """Return the next state of a gated recurrent unit (Cho et al., 2014).

    Parameters
    ----------
    x : array
        ``(n, features)`` or ``(features,)``.
    state : array
        ``(n, hidden)`` or ``(hidden,)``.
    weight_ih, weight_hh : array
        ``(3 hidden, features)`` and ``(3 hidden, hidden)``: the gates that reset and update, and
        the new content, below each other.
    bias_ih, bias_hh : array, optional
        ``(3 hidden,)``.

    Returns
    -------
    array
        Of the shape of `state`.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    hidden = _require_weights("gru_cell", x, 3, weight_ih, weight_hh, bias_ih, bias_hh)
    _require_state("gru_cell", "state", state, (*x.shape[:-1], hidden))
    return _gru_step(linear(x, weight_ih, bias_ih), linear(state, weight_hh, bias_hh), state)


# along time ---------------------------------------------------------------------------------------


def _along_time(
    name: str,
    gates: int,
    body: Callable[..., Any],
    x: Any,
    state: Any,
    weights: tuple[Any, Any, Any, Any],
    reverse: Any,
    paired: bool = False,
) -> tuple[Any, Any]:
    """Return what the steps give, stacked, and the last state.

    ``body(state, of_x, of_h)`` is called with the products of the weights; those with `x` are
    computed for all steps at once.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    backwards = require_flag(reverse, "reverse")
    shape = operand_type(name, x).shape
    if len(shape) not in (2, 3):
        raise ShapeError(
            f"{name}: x {shape}",
            cause="a sequence is (steps, features), several are (steps, sequences, features)",
            fix="move the axis of the steps to the front with moveaxis",
        )
    hidden = _require_weights(name, x, gates, *weights)
    wanted = (*shape[1:-1], hidden)
    of_x = linear(x, weight_ih, bias_ih)
    if state is None:
        if shape[0]:  # in the mode, the dtype and the symbolic lengths of x
            first = slice_axis(of_x, start=0, stop=1, axis=0).reshape((*of_x.shape[1:],))
            zeros = zeros_like(slice_axis(first, start=0, stop=hidden, axis=-1))
        else:
            zeros = np.zeros(wanted, of_x.dtype)
        state = (zeros, zeros) if paired else zeros
    elif paired:
        state = _pair(name, state)
        for which, each in zip("hc", state, strict=True):
            _require_state(name, which, each, wanted)
    else:
        _require_state(name, "state", state, wanted)

    # a carry keeps its dtype, so it has that of the steps from the beginning
    states = state if paired else (state,)
    dtype = _dtype(name, (of_x, *states, weight_hh, bias_hh))
    states = tuple([each if each.dtype == dtype else cast(each, dtype=dtype) for each in states])

    def step(carry: Any, row: Any) -> tuple[Any, Any]:
        h = carry[0] if paired else carry
        carry = body(carry, row, linear(h, weight_hh, bias_hh))
        return carry, (carry[0] if paired else carry)

    scan = scan_of((of_x, *states, *weights))
    last, outputs = scan(step, states if paired else states[0], of_x, reverse=backwards)
    return outputs, last


def _dtype(name: str, values: tuple[Any, ...]) -> np.dtype[Any]:
    """Return the dtype that all values have together, of floating-point numbers."""
    dtype = promoted(*[each.dtype for each in values if each is not None])
    if dtype.kind in "biuc":
        raise DTypeError(
            f"{name} is not defined for {dtype}",
            cause="its gates are numbers between 0 and 1",
            fix="convert with astype first",
        )
    return dtype


@public
def rnn(
    x: Any,
    state: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Run `rnn_cell` along axis 0 of `x`.

    Parameters
    ----------
    x : array
        ``(steps, n, features)``, or ``(steps, features)`` for one sequence.
    state : array or None
        ``(n, hidden)``; None is zeros.
    weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity
        See `rnn_cell`.
    reverse : bool
        Run from the last step to the first; outputs stay in the order of `x`.

    Returns
    -------
    outputs : array
        ``(steps, n, hidden)``.
    state : array
        The last one.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    activation = _activation("rnn", nonlinearity)
    weights = (weight_ih, weight_hh, bias_ih, bias_hh)

    def body(_: Any, of_x: Any, of_h: Any) -> Any:
        return activation(add(of_x, of_h))

    return _along_time("rnn", 1, body, x, state, weights, reverse)


@public
def lstm(
    x: Any,
    state: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Run `lstm_cell` along axis 0 of `x`.

    Parameters
    ----------
    x : array
        ``(steps, n, features)``, or ``(steps, features)`` for one sequence.
    state : (array, array) or None
        Each ``(n, hidden)``; None is zeros.
    weight_ih, weight_hh, bias_ih, bias_hh
        See `lstm_cell`.
    reverse : bool
        Run from the last step to the first; outputs stay in the order of `x`.

    Returns
    -------
    outputs : array
        ``(steps, n, hidden)``.
    state : (array, array)
        The last one.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ArgumentError
        If the state is no pair.
    """

    def body(carry: Any, of_x: Any, of_h: Any) -> Any:
        return _lstm_step(add(of_x, of_h), carry[1])

    weights = (weight_ih, weight_hh, bias_ih, bias_hh)
    return _along_time("lstm", 4, body, x, state, weights, reverse, paired=True)


@public
def gru(
    x: Any,
    state: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Run `gru_cell` along axis 0 of `x`.

    Parameters
    ----------
    x : array
        ``(steps, n, features)``, or ``(steps, features)`` for one sequence.
    state : array or None
        ``(n, hidden)``; None is zeros.
    weight_ih, weight_hh, bias_ih, bias_hh
        See `gru_cell`.
    reverse : bool
        Run from the last step to the first; outputs stay in the order of `x`.

    Returns
    -------
    outputs : array
        ``(steps, n, hidden)``.
    state : array
        The last one.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """

    def body(h: Any, of_x: Any, of_h: Any) -> Any:
        return _gru_step(of_x, of_h, h)

    weights = (weight_ih, weight_hh, bias_ih, bias_hh)
    return _along_time("gru", 3, body, x, state, weights, reverse)
