"""One call of a workload, gradients included: how libraries with a tape take them, and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import WorkloadError
from oplibrary.values.tree import flatten, map_tree, unflatten
from oplibrary.values.types import Array
from sidebyside.measuring.scrutiny import as_array
from sidebyside.modes.conversion import convert_arrays, numbers, to_arrays
from sidebyside.modes.mode import Prepared
from sidebyside.workloads.workload import Workload


def taped_call(workload: Workload, xp: Any) -> Callable[[Sequence[Any], Sequence[Any]], Any]:
    """Return ``call(arguments, leaves)``, which does one call and returns its results.

    Gradients are taken as a user of PyTorch takes them, by ``loss.backward()``.

    Parameters
    ----------
    workload : Workload
    xp : namespace
        With PyTorch's ``no_grad`` and ``zeros_like``.

    Returns
    -------
    callable
        With `arguments` those of the program after `xp`, and `leaves` the tensors in those that
        `Workload.wrt` names. It gives what the program gave; or, with gradients, the list of the
        loss, further results, and for each leaf its gradient or new value.
    """
    function, rate = workload.function, workload.learning_rate
    if not workload.wrt:
        return lambda arguments, _leaves: function(xp, *arguments)

    def with_gradients(arguments: Sequence[Any], leaves: Sequence[Any]) -> list[Any]:
        loss, others = split(function(xp, *arguments))
        loss = as_scalar(xp, loss)
        loss.backward()
        gradients = []
        for leaf in leaves:
            gradient = leaf.grad
            gradients.append(xp.zeros_like(leaf) if gradient is None else gradient)
            leaf.grad = None
        if rate is None:
            return [loss, *others, *gradients]
        with xp.no_grad():
            return [loss, *others, *updated(leaves, gradients, rate)]

    return with_gradients


def prepare_taped(
    workload: Workload, xp: Any, kind: Any, make: Callable[[Array], Any], **counters: Any
) -> Prepared:
    """Return a workload made ready: there is nothing to build, only leaves to create.

    Parameters
    ----------
    workload : Workload
    xp : namespace
    kind : class
        Of its tensors.
    make : callable
        Makes one of an ndarray.
    **counters
        Further attributes of `Prepared`.
    """

    def convert(arguments: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        tensors = [convert_arrays(lambda x: make(np.asarray(x)), tree) for tree in arguments]
        leaves = []
        for position in workload.wrt:
            tensors[position] = map_tree(lambda x: x.requires_grad_(), tensors[position])
            leaves += flatten(tensors[position])[0]
        return tensors, leaves

    def arrays(results: Any) -> list[Any]:
        return to_arrays([as_array(x) if isinstance(x, kind) else x for x in numbers(results)])

    return Prepared(taped_call(workload, xp), convert, arrays, **counters)


Loss = Callable[..., tuple[Any, list[Any]]]
"""Gives the loss and further results, of other leaves if some are passed."""

Gradient = Callable[[Loss, list[Any]], tuple[Any, list[Any], Sequence[Any]]]
"""Gives the loss, further results, and the gradient of each leaf."""


def program_of(workload: Workload, xp: Any, gradient: Gradient) -> Callable[..., Any]:
    """Return the call of a workload as a function of its inputs, gradients included.

    Parameters
    ----------
    workload : Workload
    xp : namespace
    gradient : callable
        ``gradient(loss, leaves)``, how the library differentiates.
    """
    function, rate, wrt = workload.function, workload.learning_rate, workload.wrt
    if not wrt:
        return lambda *arguments: function(xp, *arguments)

    def call(*arguments: Any) -> list[Any]:
        leaves, structure = flatten([arguments[position] for position in wrt])

        def loss(changed: Any = None) -> tuple[Any, list[Any]]:
            whole = list(arguments)
            if changed is not None:
                for position, tree in zip(wrt, unflatten(structure, changed), strict=True):
                    whole[position] = tree
            return split(function(xp, *whole))

        value, others, found = gradient(loss, leaves)
        return [value, *others, *(found if rate is None else updated(leaves, found, rate))]

    return call


def split(result: Any) -> tuple[Any, list[Any]]:
    """Return the loss of a program, and its other results in a list."""
    if isinstance(result, (tuple, list)):
        return result[0], flatten(list(result[1:]))[0]
    return result, []


def as_scalar(xp: Any, loss: Any) -> Any:
    """Return `loss`, summed if it has several elements.

    Raises
    ------
    WorkloadError
        If it is no array.
    """
    try:
        shape = loss.shape
    except AttributeError:
        raise WorkloadError(
            f"the program gives a {type(loss).__name__}, which has no gradient",
            cause="wrt asks for gradients, of the first thing that the program returns",
            fix="return an array that is computed from the inputs, or leave wrt out",
        ) from None
    for length in shape:
        if length != 1:
            return xp.sum(loss)
    return loss


def updated(leaves: Sequence[Any], gradients: Sequence[Any], rate: float) -> list[Any]:
    """Return the parameters after one step of gradient descent."""
    return [leaf - rate * gradient for leaf, gradient in zip(leaves, gradients, strict=True)]
