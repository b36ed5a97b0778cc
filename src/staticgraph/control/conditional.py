"""Branches: only the one that is chosen runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op
from oplibrary.messages.errors import ArgumentError
from oplibrary.ops.elementwise import cast
from oplibrary.tangents.families import Push
from oplibrary.transforms.batched import Batched, held_by, open_levels
from oplibrary.values.parameters import require_callable, require_decision, require_index
from oplibrary.values.tree import flatten, unflatten
from oplibrary.values.types import Array, TensorType, type_of
from staticgraph.control.declaring import (
    mark_shared,
    region_from,
    require_same_types,
    share_captures,
)
from staticgraph.control.flow import Choice
from staticgraph.control.region import Region
from staticgraph.control.rows import choice_by_rows, choice_of_rows
from staticgraph.control.tangents import TangentGraph, TupleTangent, moving_operands
from staticgraph.declare.build import require_graph, to_node
from staticgraph.graph.node import Node
from staticgraph.program.tuple_values import ITEM, TupleGradient, TupleType


def _switch(index: Any, *operands: Array, branches: Sequence[Region]) -> Sequence[Array]:
    chosen = min(max(int(index), 0), len(branches) - 1)
    run, arrays = branches[chosen].given(0, operands)
    return run(*arrays)


def _switch_infer(
    _index: TensorType, *_operands: TensorType, branches: Sequence[Region]
) -> TensorType:
    return TupleType(branches[0].output_types)


def _switch_rule(
    position: int, g: TupleGradient, _out: Any, *operands: Any, branches: Sequence[Region]
) -> Any:
    index, *rest = operands
    if "grads" not in g.memo:
        given = g.given(len(branches[0].outputs))
        totals = {
            i: total
            for i in sorted(g.wanted)
            if (total := g.continue_total(operands[i])) is not None
        }
        wanted, started = [i - 1 for i in sorted(g.wanted)], [i - 1 for i in totals]
        pulled = tuple([branch.pullback(given, wanted, started) for branch in branches])
        absent = set.intersection(*[each.absent for each in pulled]).difference(started)
        g.absent.update(i + 1 for i in absent)
        values = declare_several(
            SWITCH, (index, *rest, *g.in_order(), *totals.values()), {"branches": pulled}
        )
        g.memo["grads"] = dict(zip(sorted(g.wanted), values, strict=True))
    return g.memo["grads"][position]


def _switch_tangents(push: Push) -> TupleTangent:
    """Declare the choice between the tangents of the branches, which compute their values anew."""
    given, levels = moving_operands(push)
    moving = sorted(given)
    sides = [
        TangentGraph(branch, [i - 1 for i in moving], levels, push.transpose)
        for branch in push.attrs["branches"]
    ]
    moved = [i for i in range(len(sides[0].outputs)) if any(s.moved[i] is not None for s in sides)]
    branches = tuple(
        [
            side.as_region([*side.inputs, *side.tangents], [side.tangent(i) for i in moved])
            for side in sides
        ]
    )
    operands = (*push.operands, *[given[i] for i in moving])
    values = declare_several(SWITCH, operands, {"branches": branches}) if moved else []
    return TupleTangent(zip(moved, [held_by(x, levels) for x in values], strict=True))


SWITCH = Op(
    name="switch",
    kind=Kind.CONTROL,
    arity=None,
    kernel=_switch,
    infer=_switch_infer,
    vjp=_switch_rule,
    jvp=_switch_tangents,
    control=Choice,
    attrs={"branches": ...},
    doc="Run the branch that the first operand chooses, and no other.",
)


def declare_several(op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> list[Any]:
    """Declare an op of several results and return a node for each."""
    graph = require_graph(op.name)
    node = graph.add_op(op, tuple(operands), attrs)
    assert isinstance(node.type, TupleType)
    return [graph.add_op(ITEM, (node,), {"index": i}) for i in range(len(node.type.items))]


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Declare a choice between functions; only the chosen one runs.

    Parameters
    ----------
    index : int Node of shape ()
        Which branch; below 0 means the first, past the end the last.
    branches : sequence of callable
        Each gets the operands. They may also use nodes of the graph around them.
    *operands : Node or tree of Node

    Returns
    -------
    Node or tree of Node
        What the branches return: the same structure and types from all.

    Raises
    ------
    BranchTypeError
        If two branches return different types; both are shown.
    """
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
    if type(index) is Batched:
        require_callable("switch", *branches)
        return choice_by_rows("switch", index, branches, operands)
    graph = require_graph("switch")
    chosen = to_node(graph, np.asarray(index) if isinstance(index, int) else index)
    require_index("switch", chosen.type)
    names = [f"branch {number}" for number in range(len(branches))]
    return declare_choice("switch", chosen, dict(zip(names, branches, strict=True)), operands)


def declare_choice(
    what: str, index: Node, branches: Mapping[str, Callable[..., Any]], arguments: tuple[Any, ...]
) -> Any:
    """Declare the choice between `branches`, each with what errors call it."""
    require_callable(what, *branches.values())
    if open_levels():

        def declare(crossing: Mapping[str, Callable[..., Any]], given: tuple[Any, ...]) -> Any:
            return _declare_plain(what, index, crossing, given)

        return choice_of_rows(declare, what, branches, arguments)
    return _declare_plain(what, index, branches, arguments)


def _declare_plain(
    what: str, index: Node, branches: Mapping[str, Callable[..., Any]], arguments: tuple[Any, ...]
) -> Any:
    graph = require_graph(what)
    leaves, structure = flatten(arguments)
    operands = [to_node(graph, leaf) for leaf in leaves]
    nodes = list(dict.fromkeys(operands))
    types = [node.type for node in nodes]
    traced = [
        region_from(what, branch, types, structure, operands=operands)
        for branch in branches.values()
    ]
    sides = [
        (name, region.output_types, found, region.source)
        for name, (region, found, _) in zip(branches, traced, strict=True)
    ]
    for side in sides[1:]:
        require_same_types(what, sides[0], side)
    regions, outer = share_captures([t[0] for t in traced], [t[2] for t in traced])
    values = declare_several(SWITCH, (index, *nodes, *outer), {"branches": tuple(regions)})
    mark_shared(values, regions, (*nodes, *outer))
    return unflatten(traced[0][1], values)


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any
) -> Any:
    """Declare ``true_fn(*operands) if pred else false_fn(*operands)``; only one of them runs.

    Parameters
    ----------
    pred : bool Node of shape ()
    true_fn, false_fn : callable
        They return the same structure and types, and may use nodes of the graph around them.
    *operands : Node or tree of Node

    Raises
    ------
    BranchTypeError
        If they return different types; both are shown.

    Examples
    --------
    >>> import numpy as np
    >>> import staticgraph as sg
    >>> @sg.function
    ... def safe_log(x):
    ...     return sg.cond(x > 0, lambda: sg.log(x), lambda: x * 0)
    >>> safe_log(np.float32(1.0)), safe_log(np.float32(-1.0))
    (array(0., dtype=float32), array(-0., dtype=float32))
    """
    if type(pred) is Batched:
        require_callable("cond", true_fn, false_fn)
        if type_of(pred).dtype.kind in "biu":
            pred = cast(pred, dtype=np.dtype(bool))
        return choice_by_rows("cond", pred, (false_fn, true_fn), operands)
    graph = require_graph("cond")
    if isinstance(pred, (bool, np.bool_)):
        pred = np.asarray(pred)
    chosen = to_node(graph, pred)
    require_decision("cond", chosen.type, "biu")
    if chosen.dtype.kind != "b":
        chosen = cast(chosen, dtype=np.dtype(bool))
    index = cast(chosen, dtype=np.dtype(np.int64))
    return declare_choice(
        "cond", index, {"the false branch": false_fn, "the true branch": true_fn}, operands
    )
