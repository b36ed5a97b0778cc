"""Trade time for memory: forget a function's intermediate values and compute them again."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from dyngraph.engine import generator
from dyngraph.tape import versions
from dyngraph.tape.grad_mode import collect_nodes, enable_grad, is_grad_enabled
from dyngraph.tape.nodes import Dropped, GradFn
from dyngraph.tensors.tensor import Tensor
from oplibrary.messages.errors import ArgumentError, InPlaceError
from oplibrary.transforms.batched import bare, levels_again, open_levels
from oplibrary.values.parameters import require_callable
from oplibrary.values.tree import flatten


def checkpoint(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run ``function(*args, **kwargs)`` without keeping what its gradient needs.

    The backward pass runs the function a second time, once, and goes on with the values it finds.
    The graph is the usual one, so captured parameters, ``grad()`` and higher derivatives work. The
    default random generator is set back for the second run.

    Parameters
    ----------
    function : callable
        It must do the same operations both times.

    Raises
    ------
    ArgumentError
        From the backward pass, if the second run did other operations than the first, or computed
        other numbers.
    InPlaceError
        From the backward pass, if an argument was changed in place.

    References
    ----------
    Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.

    Examples
    --------
    >>> import dyngraph as dg
    >>> x = dg.tensor([1.0], requires_grad=True)
    >>> dg.checkpoint(lambda x: dg.exp(x) * x, x).backward()
    >>> x.grad
    tensor([5.4366])
    """
    require_callable("checkpoint", function)
    if not is_grad_enabled():
        return function(*args, **kwargs)
    random_state = generator.get_state()
    started = versions.latest[0]
    levels = open_levels()
    given = [x for x in _leaves((args, kwargs)) if isinstance(x, Tensor)]
    nodes: list[GradFn] = []
    with collect_nodes(nodes):
        result = function(*args, **kwargs)
    dropped = [
        (position, weakref.ref(node))  # weak, since the node will keep `restore`
        for position, node in enumerate(nodes)
        if node.saved() and node.operands is not None
    ]
    kinds = [type(node) for node in nodes]
    results = [_fingerprint(x) for x in _leaves(result)]

    def restore() -> None:
        for x in given:
            change = versions.change_after(x._array, started)
            if change is not None:
                raise InPlaceError(
                    f"an argument of checkpoint was overwritten by {change.operation}",
                    cause="the second run of the function needs it as it was",
                    related=(("overwritten", change.source),),
                )
        again: list[GradFn] = []
        now = generator.get_state()
        generator.set_state(random_state)
        try:
            with enable_grad(), collect_nodes(again), levels_again(levels):
                result = function(*args, **kwargs)
        finally:
            generator.set_state(now)
        if [type(node) for node in again] != kinds:
            raise ArgumentError(
                f"checkpoint: the second run recorded {len(again)} operations that are not the "
                f"{len(kinds)} of the first",
                cause="the function depends on something that changed in between",
                fix="pass what changes as an argument",
            )
        if not _same([_fingerprint(x) for x in _leaves(result)], results):
            raise ArgumentError(
                "checkpoint: the second run computed other numbers than the first",
                cause="something that the function reads changed in between, or is drawn anew",
                fix="pass what changes as an argument, and draw random numbers with a key",
            )
        for position, reference in dropped:
            node = reference()
            if node is not None and isinstance(node.out, Dropped):
                node.out, node.operands = again[position].out, again[position].operands

    for position, _ in dropped:
        nodes[position].out = Dropped(restore)
        nodes[position].operands = None
    return result


def _leaves(tree: Any) -> list[Any]:
    return list(map(bare, flatten(tree)[0]))


def _fingerprint(x: Any) -> tuple[float, float]:
    """Return two numbers that tell whether a result has changed, up to rounding."""
    if not isinstance(x, Tensor):
        return 0.0, 0.0
    array = x._array
    parts = (array.real, array.imag) if array.dtype.kind == "c" else (array,)
    with np.errstate(all="ignore"):
        wide = [part.astype(np.float64) for part in parts]
        # the parts weigh differently, so that one cannot make up for the other
        total = sum(weight * float(part.sum()) for weight, part in enumerate(wide, 1))
        return total, sum(weight * float(np.abs(part).sum()) for weight, part in enumerate(wide, 1))


def _same(found: list[tuple[float, float]], wanted: list[tuple[float, float]]) -> bool:
    return len(found) == len(wanted) and all(
        not np.isfinite(size) or abs(one - other) <= 1e-4 * size
        for (one, _), (other, size) in zip(found, wanted)
    )
