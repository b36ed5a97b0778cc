"""Control flow under the names that staticgraph declares it with, run as Python's own.

A dynamic program needs none of this: ``if``, ``while`` and ``for`` are its control flow. With these
functions one program runs in both modes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from dyngraph.engine.namespace import NAMESPACE
from dyngraph.tape.grad_mode import no_grad
from dyngraph.tape.nodes import tick
from dyngraph.tape.versions import storage_of
from dyngraph.tensors.conversion import as_tensor
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.core.dispatch import LIFTED, SCANS
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import (
    ArgumentError,
    LoopBoundError,
    SideBySideError,
)
from oplibrary.ops.arguments import normalize_shape
from oplibrary.ops.effects import no_effects, no_effects_in
from oplibrary.transforms.batched import (
    any_holds,
    chosen,
    only_of,
    require_choice,
    side_of,
    takers,
)
from oplibrary.values.parameters import (
    reads_its_parameters,
    require_axis,
    require_bound,
    require_callable,
    require_decision,
    require_index,
    require_parameters,
    unread_carry,
)
from oplibrary.values.tree import flatten, map_tree, unflatten
from oplibrary.values.types import is_scalar, type_of


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any
) -> Any:
    """Return ``true_fn(*operands) if pred else false_fn(*operands)``."""
    require_callable("cond", true_fn, false_fn)
    if type(pred) in LIFTED:  # each example has its own
        require_choice("cond", pred)
        sides = []
        pred = REGISTRY["cast"](pred, dtype=np.dtype(bool))
        for taken, function in ((pred, true_fn), (REGISTRY["logical_not"](pred), false_fn)):
            with side_of("cond", taken, function, operands):
                sides.append(_call("cond", function, *operands))
        return chosen("cond", pred, sides[0], sides[1], as_tensor)
    return _region("cond", true_fn if _holds("cond", pred, "biu") else false_fn, *operands)


def _holds(name: str, condition: Any, kinds: str = "b") -> bool:
    """Tell whether a condition holds, which decides once for the whole call of `name`."""
    if type(condition) is bool:
        return condition
    found = as_tensor(condition)
    require_decision(name, type_of(found), kinds)
    return bool(found)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Run the branch that `index` chooses; below 0 the first, past the end the last."""
    if callable(branches) or not isinstance(branches, Iterable):
        raise ArgumentError(
            f"switch: the branches are a {type(branches).__name__}, not a list",
            cause="the index chooses one of several functions",
            fix="pass a list of functions, or use cond to choose between two",
        )
    branches = list(branches)
    if not branches:
        raise ArgumentError(
            "switch: there are no branches",
            cause="one of them is to run",
            fix="pass at least one function",
        )
    require_callable("switch", *branches)
    if type(index) in LIFTED:  # each example has its own
        require_choice("switch", index)
        sides = []
        for taken, branch in zip(takers(index, len(branches)), branches, strict=True):
            with side_of("switch", taken, branch, operands):
                sides.append(_call("switch", branch, *operands))
        *others, result = sides
        for number in range(len(others) - 1, -1, -1):
            result = chosen("switch", index <= number, others[number], result, as_tensor)
        return result
    found = as_tensor(index)
    require_index("switch", type_of(found))
    number = min(max(int(found.item()), 0), len(branches) - 1)
    return _region("switch", branches[number], *operands)


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
    ArgumentError
        If the condition does not read its parameter.
    """
    require_callable("while_loop", cond_fn, body_fn)
    carry = _begun(init)
    if not reads_its_parameters(cond_fn):
        require_parameters("while_loop", cond_fn, [flatten(carry)[1]], "a tensor")
        raise unread_carry(cond_fn)
    steps = 0
    going = _call("while_loop", cond_fn, carry)
    while any_holds(going) if type(going) in LIFTED else _holds("while_loop", going):
        if steps == max_steps:
            raise LoopBoundError(f"while_loop ran {steps:,} steps and its condition still holds")
        if type(going) in LIFTED:  # an example that is done stays as it is
            require_choice("while_loop", going)
            with no_effects_in("while_loop"):
                # it may write to its carry, and does for the examples that are done, too
                own = map_tree(lambda x, going=going: _copy(only_of(going, x)), carry)
                following = _region("while_loop", body_fn, own)
            following = chosen("while_loop", going, following, carry, as_tensor)
        else:
            following = _region("while_loop", body_fn, carry)
        carry = _own(following)
        going = _call("while_loop", cond_fn, carry)
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
    require_callable("scan", body_fn)
    leaves, structure = flatten(xs)
    sequences = [as_tensor(x).contiguous() for x in leaves]
    for x in sequences:
        require_axis("scan", x)
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
    carry = _begun(init)
    # what comes back to the rows goes on as one sum, behind what comes to a body that captures them
    sequences = [x[...] if type(x) is Tensor and x._node is not None else x for x in sequences]
    rows: list[list[Any]] = []
    y_structure: Any = None
    if not count:
        zeros = [tensor_of(np.zeros(x.shape[1:], x.dtype)) for x in sequences]
        return carry, _empty_stacks(body_fn, init, unflatten(structure, zeros))
    for step in range(count - 1, -1, -1) if reverse else range(count):
        x = unflatten(structure, [x[step] for x in sequences])
        carry, y = _pair(_region("scan", body_fn, carry, x))
        carry = _own(carry)
        row, y_structure = flatten(y)
        rows.append(_apart(row, carry))
    if reverse:
        rows.reverse()
    stacked = [NAMESPACE["stack"](list(column)) for column in zip(*rows, strict=True)]
    return carry, unflatten(y_structure, stacked)


SCANS[Tensor] = scan


def _copy(leaf: Any) -> Any:
    return as_tensor(leaf).clone()


def _begun(init: Any) -> Any:
    """Return the first carry, each value as one of its own: a body may write to it.

    A number becomes an array of its default dtype, as one that a region gives: the carry of a
    staticgraph is one.

    What comes back to it in the first step is then summed up before it is added to what comes from
    elsewhere: in the order of staticgraph, so that both modes give the same bits. The first one is
    made last, since its gradient is to go on first.
    """
    leaves, structure = flatten(init)
    for position, leaf in enumerate(leaves):
        if type(leaf) is Tensor or type(leaf) in LIFTED:
            leaves[position] = leaf.clone()
        elif isinstance(leaf, np.ndarray):
            leaves[position] = leaf.copy()
        elif is_scalar(leaf):
            leaves[position] = as_tensor(leaf)
    return unflatten(structure, leaves)


def _own(carry: Any) -> Any:
    """Return what a step gives to the next one, each value in memory of its own."""
    leaves, structure = flatten(carry)
    if len(leaves) < 2:
        return carry
    owners: set[int | None] = set()
    shared = []
    for position, leaf in enumerate(leaves):
        owner = _owner(leaf)
        if owner is not None and owner in owners:
            shared.append(position)
        owners.add(owner)
    for position in shared:
        leaves[position] = leaves[position].clone()
    return unflatten(structure, leaves) if shared else carry


def _owner(leaf: Any) -> int | None:
    """Return what tells the memory of an array; None for what has none."""
    if type(leaf) is Tensor or type(leaf) in LIFTED:
        return id(storage_of(leaf._memory()))
    return None


def _apart(row: list[Any], carry: Any) -> list[Any]:
    """Return what a step gave to stack, in memory that the next step does not write to."""
    owners = {_owner(leaf) for leaf in flatten(carry)[0]} - {None}
    return [y.clone() if _owner(y) in owners else y for y in row]


def _pair(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(
            f"scan: the body returned a {type(result).__name__}, not a pair",
            cause="each step gives the next carry and one value to stack",
            fix="return carry, y; y may be None",
        )
    return result


def _empty_stacks(body_fn: Callable[..., Any], init: Any, x: Any) -> Any:
    """Return what the steps of a scan give where there are none.

    A step is tried for its types, without a gradient and without effects, as staticgraph declares
    one that may never run.
    """
    carry = map_tree(lambda leaf: leaf.detach().clone() if _owner(leaf) else leaf, init)
    try:
        with no_grad(), no_effects(), np.errstate(all="ignore"):
            _, y = _pair(_call("scan", body_fn, carry, x))
    except SideBySideError:
        raise
    except Exception as error:
        raise ArgumentError(
            f"scan: there are no steps, and a step was tried for its types and failed: {error!r}",
            cause="what the steps give is stacked, and no step says of which type it is",
            fix="treat a length of 0 apart",
        ) from error
    return map_tree(lambda leaf: _empty_stack(as_tensor(leaf)), y)


def _empty_stack(row: Tensor) -> Tensor:
    return tensor_of(np.zeros((0, *row.shape), row.dtype))


def _call(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call `function`, which was passed to `name`, and say what it is to take if it does not."""
    try:
        return function(*args)
    except TypeError:
        require_parameters(name, function, [flatten(each)[1] for each in args], "a tensor")
        raise


def _region(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call `function` and return what it gives, each value as one of its own.

    A value from outside, or one that is given twice, is seen through a view: what comes back to
    each is summed up before it goes on, as in staticgraph. The first view is made last, as in
    `_begun`. One that is not row-major is copied, since the results of regions are row-major.
    """
    begun = tick()
    result = _call(name, function, *args)
    leaves, structure = flatten(result)
    numbers = [position for position, leaf in enumerate(leaves) if is_scalar(leaf)]
    for position in numbers:
        leaves[position] = as_tensor(leaves[position])
    count = Counter([id(leaf) for leaf in leaves])
    others = [
        position
        for position, leaf in enumerate(leaves)
        if type(leaf) is Tensor
        and (
            not leaf._array.flags.c_contiguous
            or (leaf._node is not None and (leaf._node.sequence < begun or count[id(leaf)] > 1))
        )
    ]
    for position in reversed(others):
        leaf = leaves[position]
        leaves[position] = leaf[...] if leaf._array.flags.c_contiguous else leaf.clone()
    return unflatten(structure, leaves) if others or numbers else result


def fori_loop(lower: Any, upper: Any, body_fn: Callable[..., Any], init: Any) -> Any:
    """Run ``carry = body_fn(i, carry)`` for each `i` from `lower` up to `upper`, excluded."""
    require_callable("fori_loop", body_fn)
    if type(lower) in LIFTED or type(upper) in LIFTED:  # each example has its own
        first = lower if type(lower) in LIFTED else as_tensor(lower)
        _, carry = while_loop(
            lambda state: state[0] < upper,
            lambda state: (state[0] + 1, body_fn(state[0], state[1])),
            (first, init),
        )
        return carry
    carry = _begun(init)
    for i in range(_bound("lower", lower), _bound("upper", upper)):
        carry = _own(_region("fori_loop", body_fn, i, carry))
    return carry


def _bound(name: str, value: Any) -> int:
    bound = as_tensor(value)
    require_bound("fori_loop", name, type_of(bound), "a tensor")
    return int(bound.item())


def map(function: Callable[..., Any], xs: Any) -> Any:
    """Run `function` on each position of axis 0 of `xs` and stack the results."""
    require_callable("map", function)
    _, ys = scan(lambda carry, x: (carry, _call("map", function, x)), (), xs)
    return ys
