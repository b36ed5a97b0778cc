"""Control flow under the names that staticgraph declares it with, run as Python's own.

A dynamic program needs none of this: ``if``, ``while`` and ``for`` are its control flow. With these
functions one program runs in both modes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from common.errors import ArgumentError, LoopBoundError
from common.ops.arguments import normalize_shape
from common.tree import flatten, unflatten
from dyngraph.arguments import require_callable
from dyngraph.namespace import NAMESPACE
from dyngraph.tensor import as_tensor


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any
) -> Any:
    """Return ``true_fn(*operands) if pred else false_fn(*operands)``."""
    require_callable(true_fn, "cond")
    require_callable(false_fn, "cond")
    return true_fn(*operands) if pred else false_fn(*operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Run the branch that `index` chooses; below 0 the first, past the end the last."""
    branches = list(branches)
    if not branches:
        raise ArgumentError(
            "switch: there is no branch",
            cause="one of them runs",
            fix="pass one function or more",
        )
    for branch in branches:
        require_callable(branch, "switch")
    return branches[min(max(operator.index(as_tensor(index)), 0), len(branches) - 1)](*operands)


def while_loop(
    cond_fn: Callable[..., Any],
    body_fn: Callable[..., Any],
    init: Any,
    max_steps: int | None = None,
) -> Any:
    """Run ``carry = body_fn(carry)`` while ``cond_fn(carry)`` holds.

    Raises
    ------
    LoopBoundError
        If it runs longer than `max_steps`.
    """
    require_callable(cond_fn, "while_loop")
    require_callable(body_fn, "while_loop")
    carry = init
    steps = 0
    while cond_fn(carry):
        if steps == max_steps:
            raise LoopBoundError(f"while_loop ran {steps:,} steps and its condition still holds")
        carry = body_fn(carry)
        steps += 1
    return carry


def scan(
    body_fn: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Run ``carry, y = body_fn(carry, x)`` for each position of axis 0 of `xs`.

    Returns
    -------
    carry, ys
        The last carry, and the values of all steps stacked along a new axis 0.

    Examples
    --------
    >>> import dyngraph as dg
    >>> scan(lambda t, x: (t + x, t + x), dg.tensor(0.0), dg.tensor([1.0, 2.0, 3.0]))
    (tensor(6.), tensor([1., 3., 6.]))
    """
    require_callable(body_fn, "scan")
    leaves, structure = flatten(xs)
    sequences = [as_tensor(x) for x in leaves]
    lengths = {len(x) for x in sequences}
    if length is not None:
        lengths.update(normalize_shape(length, "length"))
    if len(lengths) != 1:
        raise ArgumentError(
            f"scan: the lengths are {sorted(lengths)}" if lengths else "scan: there is no length",
            cause="all sequences are gone through together",
            fix="pass sequences of one length, or length= without any",
        )
    count = lengths.pop()
    carry = init
    rows: list[list[Any]] = []
    y_structure: Any = None
    for step in range(count - 1, -1, -1) if reverse else range(count):
        result = body_fn(carry, unflatten(structure, [x[step] for x in sequences]))
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(
                f"scan: the body returned a {type(result).__name__}, not a pair",
                cause="each step gives the next carry and one value to stack",
                fix="return carry, y; y may be None",
            )
        carry, y = result
        row, y_structure = flatten(y)
        rows.append(row)
    if reverse:
        rows.reverse()
    stacked = [NAMESPACE["stack"](list(column)) for column in zip(*rows, strict=True)]
    return carry, unflatten(y_structure, stacked)


def fori_loop(lower: Any, upper: Any, body_fn: Callable[..., Any], init: Any) -> Any:
    """Run ``carry = body_fn(i, carry)`` for each `i` from `lower` up to `upper`, excluded."""
    require_callable(body_fn, "fori_loop")
    carry = init
    for i in range(operator.index(as_tensor(lower)), operator.index(as_tensor(upper))):
        carry = body_fn(i, carry)
    return carry


def map(function: Callable[..., Any], xs: Any) -> Any:
    """Run `function` on each position of axis 0 of `xs` and stack the results."""
    require_callable(function, "map")
    _, ys = scan(lambda carry, x: (carry, function(x)), (), xs)
    return ys
