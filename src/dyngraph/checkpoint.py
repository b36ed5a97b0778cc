"""Trade time for memory: forget a function's intermediate values and compute them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.errors import ArgumentError
from dyngraph import random
from dyngraph.arguments import require_callable
from dyngraph.mode import collect_nodes, enable_grad, is_grad_enabled
from dyngraph.tape import Dropped, GradFn


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
        From the backward pass, if the second run did other operations than the first.

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
    require_callable(function, "checkpoint")
    if not is_grad_enabled():
        return function(*args, **kwargs)
    random_state = random.get_state()
    nodes: list[GradFn] = []
    with collect_nodes(nodes):
        result = function(*args, **kwargs)
    dropped = [node for node in nodes if node.saved() and node.operands is not None]
    kinds = [type(node) for node in nodes]
    positions = [position for position, node in enumerate(nodes) if node in set(dropped)]

    def restore() -> None:
        again: list[GradFn] = []
        now = random.get_state()
        random.set_state(random_state)
        try:
            with enable_grad(), collect_nodes(again):
                function(*args, **kwargs)
        finally:
            random.set_state(now)
        if [type(node) for node in again] != kinds:
            raise ArgumentError(
                f"checkpoint: the second run recorded {len(again)} operations that are not the "
                f"{len(kinds)} of the first",
                cause="the function depends on something that changed in between",
                fix="pass what changes as an argument",
            )
        for node, position in zip(dropped, positions, strict=True):
            if isinstance(node.out, Dropped):
                node.out, node.operands = again[position].out, again[position].operands

    for node in dropped:
        node.out = Dropped(restore)
        node.operands = None
    return result
