"""The optimisers themselves."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any, NamedTuple

from oplibrary.messages.errors import ArgumentError
from oplibrary.ops.creation import full_like, zeros_like
from oplibrary.ops.elementwise import add, divide, multiply, negative, sign, square
from oplibrary.ops.exponential import expm1, sqrt
from oplibrary.optimizers.transformation import (
    GradientTransformation,
    add_decayed_weights,
    chain,
    like,
    require_floats,
    require_hyperparameter,
    scale_by_learning_rate,
    zero_count,
)
from oplibrary.values.tree import map_tree


class TraceState(NamedTuple):
    """The running sum of gradients."""

    trace: Any


class AdamState(NamedTuple):
    """How many updates were made, and the running means of gradients and of their squares."""

    count: Any
    mean: Any
    square: Any


class SquareState(NamedTuple):
    """The running mean, or the sum, of the squares of gradients."""

    square: Any


class MeanState(NamedTuple):
    """The running mean of gradients."""

    mean: Any


def _zeros(parameters: Any) -> Any:
    return map_tree(zeros_like, parameters)


def _blend(decay: float, old: Any, new: Any) -> Any:
    return map_tree(
        lambda each, other: add(multiply(each, decay), multiply(other, 1.0 - decay)), old, new
    )


def _decaying(weight_decay: float) -> list[GradientTransformation]:
    return [add_decayed_weights(weight_decay)] if weight_decay else []


def trace(decay: float, nesterov: bool = False) -> GradientTransformation:
    """Return the transformation that gives momentum: a sum of gradients, old ones less and less.

    Parameters
    ----------
    decay : float
        What an old gradient counts against the next, 0 to 1.
    nesterov : bool
        Look one step ahead.
    """
    rate = require_hyperparameter("trace", "decay", decay, 0.0, 1.0)

    def init(parameters: Any) -> TraceState:
        require_floats(parameters)
        return TraceState(_zeros(parameters))

    def update(gradients: Any, state: TraceState, _: Any = None) -> tuple[Any, TraceState]:
        def added(old: Any, g: Any) -> Any:
            return add(g, multiply(old, rate))

        found = map_tree(added, state.trace, gradients)
        return (map_tree(added, found, gradients) if nesterov else found), TraceState(found)

    return GradientTransformation(init, update)


def scale_by_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> GradientTransformation:
    """Return the transformation of Adam, without a learning rate; see `adam`."""
    first = require_hyperparameter("adam", "b1", b1, 0.0, 1.0)
    second = require_hyperparameter("adam", "b2", b2, 0.0, 1.0)
    least = require_hyperparameter("adam", "eps", eps)

    def init(parameters: Any) -> AdamState:
        require_floats(parameters, real=True)
        return AdamState(zero_count(parameters), _zeros(parameters), _zeros(parameters))

    def update(gradients: Any, state: AdamState, _: Any = None) -> tuple[Any, AdamState]:
        count = add(state.count, 1)
        mean = _blend(first, state.mean, gradients)
        squares = _blend(second, state.square, map_tree(square, gradients))
        counted = _counted(first, count), sqrt(_counted(second, count))

        def direction(m: Any, v: Any) -> Any:
            size = add(divide(sqrt(v), like(counted[1], v)), least)
            return divide(divide(m, like(counted[0], m)), size)

        return map_tree(direction, mean, squares), AdamState(count, mean, squares)

    return GradientTransformation(init, update)


def _counted(decay: float, count: Any) -> Any:
    """Return ``1 - decay ** count``, float64: the weights of what a running mean has seen."""
    # a mean that forgets at once has seen all there is
    return negative(expm1(multiply(count, log(decay) if decay else -1e3)))


def scale_by_rms(
    decay: float = 0.99, eps: float = 1e-8, initial_scale: float = 0.0
) -> GradientTransformation:
    """Return the transformation that divides by the root of the mean of recent squares."""
    rate = require_hyperparameter("rmsprop", "decay", decay, 0.0, 1.0)
    least = require_hyperparameter("rmsprop", "eps", eps)
    begin = require_hyperparameter("rmsprop", "initial_scale", initial_scale)
    return _by_squares(
        begin, least, lambda old, gradients: _blend(rate, old, map_tree(square, gradients))
    )


def scale_by_sum_of_squares(
    initial_accumulator_value: float = 0.0, eps: float = 1e-10
) -> GradientTransformation:
    """Return the transformation that divides by the root of the sum of all squares so far."""
    least = require_hyperparameter("adagrad", "eps", eps)
    begin = require_hyperparameter(
        "adagrad", "initial_accumulator_value", initial_accumulator_value
    )
    return _by_squares(
        begin,
        least,
        lambda old, gradients: map_tree(lambda s, g: add(s, square(g)), old, gradients),
    )


def _by_squares(
    begin: float, least: float, accumulate: Callable[[Any, Any], Any]
) -> GradientTransformation:
    def init(parameters: Any) -> SquareState:
        require_floats(parameters, real=True)
        return SquareState(map_tree(lambda p: full_like(p, begin), parameters))

    def update(gradients: Any, state: SquareState, _: Any = None) -> tuple[Any, SquareState]:
        squares = accumulate(state.square, gradients)
        updates = map_tree(lambda g, s: divide(g, add(sqrt(s), least)), gradients, squares)
        return updates, SquareState(squares)

    return GradientTransformation(init, update)


def scale_by_lion(b1: float = 0.9, b2: float = 0.99) -> GradientTransformation:
    """Return the transformation of Lion, without a learning rate; see `lion`."""
    first = require_hyperparameter("lion", "b1", b1, 0.0, 1.0)
    second = require_hyperparameter("lion", "b2", b2, 0.0, 1.0)

    def init(parameters: Any) -> MeanState:
        require_floats(parameters, real=True)
        return MeanState(_zeros(parameters))

    def update(gradients: Any, state: MeanState, _: Any = None) -> tuple[Any, MeanState]:
        updates = map_tree(sign, _blend(first, state.mean, gradients))
        return updates, MeanState(_blend(second, state.mean, gradients))

    return GradientTransformation(init, update)


# whole optimisers ---------------------------------------------------------------------------------


def sgd(
    learning_rate: Any, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
) -> GradientTransformation:
    """Return stochastic gradient descent.

    Parameters
    ----------
    learning_rate : float, array or callable
        A number, or a schedule.
    momentum : float
        What an old gradient counts against the next, 0 to 1.
    nesterov : bool
        Look one step ahead (Sutskever et al., "On the importance of initialization and momentum in
        deep learning", 2013).
    weight_decay : float
        What part of the parameters is added to the gradients.

    Returns
    -------
    GradientTransformation

    Raises
    ------
    ArgumentError
        If a number is out of its range, or there is no momentum to look ahead with.

    Examples
    --------
    >>> import numpy as np
    >>> optimizer = sgd(0.1, momentum=0.9)
    >>> w = np.array([1.0, -2.0])
    >>> state = optimizer.init(w)
    >>> for _ in range(200):  # the gradient of sum(w ** 2)
    ...     updates, state = optimizer.update(2 * w, state, w)
    ...     w = w + updates
    >>> bool(abs(w).max() < 1e-3)
    True
    """
    rate = require_hyperparameter("sgd", "momentum", momentum, 0.0, 1.0)
    if nesterov and not rate:
        raise ArgumentError(
            "sgd: nesterov without momentum",
            cause="it looks ahead in the direction of the momentum",
            fix="pass momentum=0.9, or leave nesterov out",
        )
    parts = [*_decaying(weight_decay), *([trace(rate, nesterov)] if rate else [])]
    return chain(*parts, scale_by_learning_rate(learning_rate))


def adam(
    learning_rate: Any, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> GradientTransformation:
    """Return Adam (Kingma and Ba, 2015).

    Parameters
    ----------
    learning_rate : float, array or callable
        A number, or a schedule.
    b1, b2 : float
        How much of the running means of gradients and of their squares stays in each step.
    eps : float
        Added to the roots that are divided by.

    Returns
    -------
    GradientTransformation

    Raises
    ------
    ArgumentError
        If a number is out of its range.
    """
    return chain(scale_by_adam(b1, b2, eps), scale_by_learning_rate(learning_rate))


def adamw(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> GradientTransformation:
    """Return Adam whose weights decay apart from its steps (Loshchilov and Hutter, 2019).

    Parameters
    ----------
    learning_rate, b1, b2, eps
        See `adam`.
    weight_decay : float
        What part of the parameters is taken away in each step, times the learning rate.

    Returns
    -------
    GradientTransformation
    """
    return chain(
        scale_by_adam(b1, b2, eps),
        *_decaying(weight_decay),
        scale_by_learning_rate(learning_rate),
    )


def rmsprop(
    learning_rate: Any, decay: float = 0.99, eps: float = 1e-8, momentum: float = 0.0
) -> GradientTransformation:
    """Return RMSProp (Hinton, "Neural networks for machine learning", lecture 6, 2012).

    Parameters
    ----------
    learning_rate : float, array or callable
        A number, or a schedule.
    decay : float
        How much of the running mean of squares stays in each step.
    eps : float
        Added to the roots that are divided by.
    momentum : float
        See `sgd`.

    Returns
    -------
    GradientTransformation
    """
    rate = require_hyperparameter("rmsprop", "momentum", momentum, 0.0, 1.0)
    parts = [trace(rate)] if rate else []
    return chain(scale_by_rms(decay, eps), *parts, scale_by_learning_rate(learning_rate))


def adagrad(
    learning_rate: Any, initial_accumulator_value: float = 0.0, eps: float = 1e-10
) -> GradientTransformation:
    """Return AdaGrad (Duchi, Hazan and Singer, 2011).

    Parameters
    ----------
    learning_rate : float, array or callable
        A number, or a schedule.
    initial_accumulator_value : float
        What the sums of squares begin with.
    eps : float
        Added to the roots that are divided by.

    Returns
    -------
    GradientTransformation
    """
    return chain(
        scale_by_sum_of_squares(initial_accumulator_value, eps),
        scale_by_learning_rate(learning_rate),
    )


def lion(
    learning_rate: Any, b1: float = 0.9, b2: float = 0.99, weight_decay: float = 0.0
) -> GradientTransformation:
    """Return Lion (Chen et al., "Symbolic discovery of optimization algorithms", 2023).

    Parameters
    ----------
    learning_rate : float, array or callable
        A number, or a schedule.
    b1, b2 : float
        How much of the running mean counts in a step, and how much of it stays.
    weight_decay : float
        See `adamw`.

    Returns
    -------
    GradientTransformation
    """
    return chain(
        scale_by_lion(b1, b2), *_decaying(weight_decay), scale_by_learning_rate(learning_rate)
    )
