"""Transformations of gradients into updates, as pure functions of a state.

The form is optax's (Babuschkin et al., "The DeepMind JAX ecosystem", 2020): ``init`` makes the
state for the parameters, ``update`` turns gradients into what is to be added to the parameters, and
transformations are chained. Parameters, gradients and states are trees: arrays in tuples, lists,
dicts and named tuples. All of it runs in every mode, inside of traced functions, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.ops.arguments import is_real_number, operand_type
from oplibrary.ops.creation import full_like
from oplibrary.ops.elementwise import abs as abs_
from oplibrary.ops.elementwise import add, cast, divide, maximum, multiply, negative, square
from oplibrary.ops.elementwise import clip as clip_
from oplibrary.ops.exponential import sqrt
from oplibrary.ops.reduction import sum as sum_
from oplibrary.values.tree import flatten, map_tree

Schedule = Callable[[Any], Any]
"""A number for each step: called with how many steps were made before."""


class GradientTransformation(NamedTuple):
    """A pair of pure functions that turn gradients into updates.

    Attributes
    ----------
    init : callable
        ``init(parameters)`` returns the first state, a tree of arrays.
    update : callable
        ``update(gradients, state, parameters=None)`` returns the updates and the next state. The
        updates have the structure and the dtypes of the gradients; `apply_updates` adds them.

    Examples
    --------
    >>> import numpy as np
    >>> halve = scale(-0.5)
    >>> parameters = {"w": np.array([1.0, 2.0])}
    >>> state = halve.init(parameters)
    >>> updates, state = halve.update({"w": np.array([1.0, 1.0])}, state, parameters)
    >>> apply_updates(parameters, updates)
    {'w': array([0.5, 1.5])}
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


class CountState(NamedTuple):
    """How many updates were made, int64."""

    count: Any


def require_hyperparameter(
    function: str, name: str, value: Any, least: float = 0.0, below: float = float("inf")
) -> float:
    """Return `value`, a number that is fixed, of at least `least` and below `below`.

    Raises
    ------
    ArgumentError
    """
    fits = is_real_number(value) and least <= value < below
    if not fits:
        end = f" and below {below:g}" if below < float("inf") else ""
        raise ArgumentError(
            f"{function}: {name} is {value!r}",
            cause=f"it is a number of at least {least:g}{end}",
            fix=f"pass {name}={0.9 if below <= 1 else 0.01}, or leave it out",
        )
    return float(value)


def require_floats(parameters: Any, real: bool = False) -> None:
    """Refuse parameters that are not arrays of floating-point numbers.

    Raises
    ------
    DTypeError
    """
    for leaf in flatten(parameters)[0]:
        dtype = operand_type("optimizers", leaf).dtype
        if dtype.kind in "biu" or (real and dtype.kind == "c"):
            raise DTypeError(
                f"optimizers: a parameter is {operand_type('optimizers', leaf)}",
                cause="parameters are changed by small steps"
                if dtype.kind != "c"
                else "the size of steps is adapted to squares, which are those of real numbers",
                fix="keep what is not trained out of the parameters"
                if dtype.kind != "c"
                else "keep real and imaginary parts apart, or use sgd",
            )


def zero_count(parameters: Any) -> Any:
    """Return 0, int64, as a value of the mode that the parameters belong to."""
    leaves, _ = flatten(parameters)
    if not leaves:
        return np.zeros((), np.int64)
    return sum_(full_like(leaves[0], 0, dtype=np.int64))


def like(number: Any, x: Any) -> Any:
    """Return a number that is to be multiplied with `x`, in its dtype if it is an array."""
    return cast(number, dtype=x.dtype) if hasattr(number, "dtype") else number


def _stateless(update: Callable[[Any], Any]) -> GradientTransformation:
    def init(parameters: Any) -> Any:
        require_floats(parameters)
        return ()

    return GradientTransformation(init, lambda gradients, state, _=None: (update(gradients), state))


def apply_updates(parameters: Any, updates: Any) -> Any:
    """Return the parameters with the updates added, in the parameters' dtypes.

    Raises
    ------
    ArgumentError
        If the structures differ.
    """

    def added(parameter: Any, update: Any) -> Any:
        result = add(parameter, update)
        return result if result.dtype == parameter.dtype else cast(result, dtype=parameter.dtype)

    return map_tree(added, parameters, updates)


def chain(*transformations: GradientTransformation) -> GradientTransformation:
    """Return the transformation that applies all of them, one after the other.

    Its state is the tuple of their states.

    Raises
    ------
    ArgumentError
        If one of them is none.
    """
    for each in transformations:
        if not isinstance(each, GradientTransformation):
            raise ArgumentError(
                f"chain: a {type(each).__name__} is no transformation",
                cause="each has the functions init and update",
                fix="pass what functions such as sgd(0.1) or clip(1.0) return",
            )

    def init(parameters: Any) -> Any:
        return tuple([each.init(parameters) for each in transformations])

    def update(gradients: Any, state: Any, parameters: Any = None) -> tuple[Any, Any]:
        if not isinstance(state, (tuple, list)) or len(state) != len(transformations):
            raise ArgumentError(
                f"chain: a state of another form than the {len(transformations)} that are chained",
                cause="each transformation has a state of its own, in the order of the chain",
                fix="pass what init, or the last update, of this optimiser returned",
            )
        states = []
        for each, own in zip(transformations, state, strict=True):
            gradients, own = each.update(gradients, own, parameters)
            states.append(own)
        return gradients, tuple(states)

    return GradientTransformation(init, update)


def scale(factor: float) -> GradientTransformation:
    """Return the transformation that multiplies with `factor`."""
    return _stateless(lambda gradients: map_tree(lambda g: multiply(g, like(factor, g)), gradients))


def scale_by_schedule(schedule: Schedule) -> GradientTransformation:
    """Return the transformation that multiplies with what `schedule` gives for each step."""

    def init(parameters: Any) -> CountState:
        require_floats(parameters)
        return CountState(zero_count(parameters))

    def update(gradients: Any, state: CountState, _: Any = None) -> tuple[Any, CountState]:
        factor = schedule(state.count)
        updates = map_tree(lambda g: multiply(g, like(factor, g)), gradients)
        return updates, CountState(add(state.count, 1))

    return GradientTransformation(init, update)


def scale_by_learning_rate(learning_rate: Any) -> GradientTransformation:
    """Return the transformation that goes down: it multiplies with ``-learning_rate``.

    Parameters
    ----------
    learning_rate : float, array or callable
        A number, or a schedule.
    """
    if callable(learning_rate):
        return scale_by_schedule(lambda count: negative(learning_rate(count)))
    if not hasattr(learning_rate, "dtype"):
        learning_rate = require_hyperparameter("optimizers", "learning_rate", learning_rate)
    return scale(-learning_rate)


def add_decayed_weights(weight_decay: float) -> GradientTransformation:
    """Return the transformation that adds ``weight_decay`` times the parameters.

    Raises
    ------
    ArgumentError
        When it is updated without the parameters.
    """
    require_hyperparameter("add_decayed_weights", "weight_decay", weight_decay)

    def init(parameters: Any) -> Any:
        require_floats(parameters)
        return ()

    def update(gradients: Any, state: Any, parameters: Any = None) -> tuple[Any, Any]:
        if parameters is None:
            raise ArgumentError(
                "add_decayed_weights: the parameters are missing",
                cause="the weights themselves decay",
                fix="call update(gradients, state, parameters)",
            )
        decayed = map_tree(
            lambda g, p: add(g, cast(multiply(p, weight_decay), dtype=g.dtype)),
            gradients,
            parameters,
        )
        return decayed, state

    return GradientTransformation(init, update)


# clipping -----------------------------------------------------------------------------------------


def clip(max_delta: float) -> GradientTransformation:
    """Return the transformation that brings each element between ``-max_delta`` and `max_delta`."""
    bound = require_hyperparameter("clip", "max_delta", max_delta)
    return _stateless(
        lambda gradients: map_tree(lambda g: clip_(g, min=-bound, max=bound), gradients)
    )


def global_norm(tree: Any) -> Any:
    """Return the root of the sum of the squares of all elements of all arrays of a tree."""
    squares = [sum_(square(abs_(leaf))) for leaf in flatten(tree)[0]]
    return sqrt(reduce(add, squares)) if squares else np.zeros((), np.float32)


def clip_by_global_norm(max_norm: float) -> GradientTransformation:
    """Return the transformation that makes gradients shorter where they are too long together.

    Parameters
    ----------
    max_norm : float
        The length that all gradients, taken as one vector, are brought to where they are longer.

    Notes
    -----
    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (2013).
    """
    limit = require_hyperparameter("clip_by_global_norm", "max_norm", max_norm)

    def update(gradients: Any) -> Any:
        norm = global_norm(gradients)
        # exactly 1 where the gradients are short enough; of zeros and a limit of 0, too
        factor = divide(limit, maximum(norm, limit)) if limit else multiply(norm, 0.0)
        return map_tree(lambda g: multiply(g, like(factor, g)), gradients)

    return _stateless(update)
