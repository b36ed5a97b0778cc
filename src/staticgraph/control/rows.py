"""Control flow under vmap: regions are declared on the arrays that hold the rows of all examples.

What goes into a region, and what comes out of it, is one array with an axis for each `vmap` in
front; inside, it is a value with rows again. Which values have rows is found by declaring a region
that is thrown away.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.core.registry import REGISTRY
from oplibrary.ops.effects import no_effects_in
from oplibrary.transforms.batched import (
    Batched,
    Levels,
    bare,
    chosen,
    held_by,
    levels_of,
    only_of,
    require_choice,
    side_of,
    takers,
    union,
)
from oplibrary.values.tree import Structure, flatten, map_tree, unflatten
from oplibrary.values.types import TensorType, is_scalar, type_of
from staticgraph.control.declaring import region_from
from staticgraph.control.tangents import axis_behind, axis_first
from staticgraph.declare.autodiff import zeros_of
from staticgraph.declare.build import require_graph, to_node
from staticgraph.graph.node import Node

Outcome = list[tuple[list[Levels], Structure]]


def to_array(x: Any) -> Any:
    """Return a value as a node, or as the rows that it is."""
    return x if type(x) is Batched else to_node(require_graph("vmap"), x)


def _crossing(
    function: Callable[..., Any],
    given: Sequence[Levels],
    wanted: Sequence[Levels] | None = None,
    outcomes: Outcome | None = None,
) -> Callable[..., Any]:
    """Return `function` as one of the arrays that hold its arguments and results.

    Parameters
    ----------
    function : callable
    given : sequence of Levels
        What rows each array of its arguments has.
    wanted : sequence of Levels, optional
        What rows its results are to have; those that they have by default.
    outcomes : list, optional
        Where to put down which these are.
    """

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        leaves, structure = flatten(args)
        values = [held_by(x, levels) for x, levels in zip(leaves, given, strict=True)]
        results, found = flatten(function(*unflatten(structure, values)))
        own = list(map(levels_of, results))
        if outcomes is not None:
            outcomes.append((own, found))
        if wanted is not None and len(wanted) == len(own):
            own = list(wanted)
        return unflatten(found, [_bare(x, levels) for x, levels in zip(results, own, strict=True)])

    return run


def _bare(x: Any, levels: Levels) -> Any:
    if levels and (is_scalar(x) or isinstance(x, (list, tuple, np.ndarray))):
        x = to_array(x)
    return bare(x, levels) if levels else x


def _outcome(
    name: str,
    function: Callable[..., Any],
    arguments: Sequence[Any],
    given: Sequence[Levels],
    carries: int = 0,
) -> tuple[list[Levels], Structure]:
    """Return which rows the results of a function have, and their structure.

    The first `carries` leaves of its arguments are its own, as in `region_from`.
    """
    leaves, structure = flatten(tuple(arguments))
    types = [type_of(x) for x in leaves]
    outcomes: Outcome = []
    region_from(name, _crossing(function, given, None, outcomes), types, structure, carries)
    return outcomes[0]


def _unwrapped(values: Any) -> tuple[Any, list[Levels]]:
    """Return a tree of the arrays that hold `values`, and which rows each has."""
    leaves, structure = flatten(values)
    return unflatten(structure, [_bare_value(x) for x in leaves]), list(map(levels_of, leaves))


def _bare_value(x: Any) -> Any:
    return to_node(require_graph("vmap"), bare(x))


def _rewrapped(values: Any, levels: Sequence[Levels]) -> Any:
    leaves, structure = flatten(values)
    return unflatten(structure, [held_by(x, own) for x, own in zip(leaves, levels, strict=True)])


# branches -----------------------------------------------------------------------------------------


def choice_of_rows(
    declare: Callable[..., Any],
    name: str,
    branches: Mapping[str, Callable[..., Any]],
    operands: tuple[Any, ...],
) -> Any:
    """Declare a choice that is one for all examples, between branches that compute with rows.

    Parameters
    ----------
    declare : callable
        Declares it, given the branches and the operands without rows.
    name : str
    branches : mapping of str to callable
    operands : tuple
    """
    given, levels = _unwrapped(operands)
    found = [_outcome(name, branch, given, levels) for branch in branches.values()]
    wanted = None
    if len({len(own) for own, _ in found}) == 1:
        wanted = [union(each) for each in zip(*[own for own, _ in found], strict=True)]
    crossing = {key: _crossing(branch, levels, wanted) for key, branch in branches.items()}
    return _rewrapped(declare(crossing, given), wanted or ())


def choice_by_rows(
    name: str, index: Any, branches: Sequence[Callable[..., Any]], operands: tuple[Any, ...]
) -> Any:
    """Declare a choice that each example makes: all branches run."""
    require_choice(name, index)
    sides = []
    for taken, branch in zip(takers(index, len(branches)), branches, strict=True):
        with side_of(name, taken, branch, operands):
            sides.append(branch(*operands))
    *others, result = sides
    for number in range(len(others) - 1, -1, -1):
        result = chosen(name, index <= number, others[number], result, to_array)
    return result


# loops --------------------------------------------------------------------------------------------


def scan_of_rows(
    scan: Callable[..., Any],
    body_fn: Callable[..., Any],
    init: Any,
    xs: Any,
    length: int | None,
    reverse: bool,
) -> Any:
    """Declare a scan of values with rows: each step works on all examples."""
    carry, carried = _unwrapped(init)
    leaves, structure = flatten(xs)
    of_xs = list(map(levels_of, leaves))
    sequences = [
        axis_first(_bare_value(x), own) if own else x for x, own in zip(leaves, of_xs, strict=True)
    ]
    one = unflatten(structure, list(map(_position, sequences)))
    while True:
        own, _ = _outcome("scan", body_fn, (carry, one), [*carried, *of_xs], len(carried))
        more = [union(pair) for pair in zip(carried, own, strict=False)]
        if more == carried:
            break
        carry = unflatten(
            flatten(carry)[1],
            [
                _bare_value(_widened(x, before, after))
                for x, before, after in zip(flatten(carry)[0], carried, more, strict=True)
            ],
        )
        carried = more
    of_ys = own[len(carried) :]
    body = _crossing(body_fn, [*carried, *of_xs], [*carried, *of_ys])
    last, ys = scan(body, carry, unflatten(structure, sequences), length, reverse)
    y_leaves, y_structure = flatten(ys)
    stacked = [held_by(axis_behind(y, each), each) for y, each in zip(y_leaves, of_ys, strict=True)]
    return _rewrapped(last, carried), unflatten(y_structure, stacked)


def _position(x: Any) -> Node:
    """Return what stands for one position of axis 0."""
    graph = require_graph("scan")
    type = to_node(graph, x).type
    return zeros_of(graph, TensorType(type.shape[1:], type.dtype))


def _widened(array: Any, before: Levels, after: Levels) -> Any:
    return bare(held_by(array, before), after)


def while_of_rows(
    while_loop: Callable[..., Any],
    cond_fn: Callable[..., Any],
    body_fn: Callable[..., Any],
    init: Any,
    max_steps: int | None,
) -> Any:
    """Declare a loop over values with rows; an example that is done stays as it is."""
    carry, carried = _unwrapped(init)
    structure = flatten(carry)[1]
    while True:
        conditions, _ = _outcome("while_loop", cond_fn, (carry,), carried)
        decides = union(conditions)
        own, _ = _outcome("while_loop", body_fn, (carry,), carried, len(carried))
        more = [union([*pair, decides]) for pair in zip(carried, own, strict=False)]
        if more == carried or len(more) != len(carried):
            break
        leaves = flatten(carry)[0]
        carry = unflatten(
            structure,
            [_bare_value(_widened(*each)) for each in zip(leaves, carried, more, strict=True)],
        )
        carried = more
    if not decides:
        holds, step = _crossing(cond_fn, carried), _crossing(body_fn, carried, carried)
        return _rewrapped(while_loop(holds, step, carry, max_steps), carried)
    first = cond_fn(_rewrapped(carry, carried))
    require_choice("while_loop", first)

    def any_goes_on(state: Any) -> Any:
        return REGISTRY["any"](state[0])

    def step_of_those(state: Any) -> Any:
        going, before = held_by(state[0], decides), _rewrapped(state[1], carried)
        with no_effects_in("while_loop"):
            own = map_tree(lambda x: REGISTRY["clone"](only_of(going, x)), before)
            following = body_fn(own)  # which it may write to
        after = chosen("while_loop", going, following, before, to_array)
        still = REGISTRY["logical_and"](going, cond_fn(after))
        leaves, found = flatten(after)
        arrays = [bare(x, own) for x, own in zip(leaves, carried, strict=True)]
        return bare(still, decides), unflatten(found, arrays)

    state = (bare(first, decides), carry)
    _, last = while_loop(any_goes_on, step_of_those, state, max_steps)
    return _rewrapped(last, carried)
