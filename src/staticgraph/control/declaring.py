"""Trace the functions that are passed to control flow, and require that their types agree."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from oplibrary.messages.errors import (
    ArgumentError,
    BranchTypeError,
    GraphError,
    InPlaceError,
    ShapeError,
    SideBySideError,
)
from oplibrary.messages.source import Source, user_source
from oplibrary.values.dtypes import promoted
from oplibrary.values.parameters import place_of, require_parameters
from oplibrary.values.tree import Structure, flatten, unflatten
from oplibrary.values.types import TensorType, broadcast_shapes
from staticgraph.control.region import Region, RegionGraph
from staticgraph.declare.build import require_graph, to_node
from staticgraph.declare.in_place import family
from staticgraph.graph.graph_ops import CONSTANT, SOURCES
from staticgraph.graph.node import Node


def region_from(
    name: str,
    function: Callable[..., Any],
    types: Sequence[TensorType],
    structure: Structure,
    carries: int = 0,
    operands: Sequence[Node] = (),
) -> tuple[Region, Structure, dict[Node, Node]]:
    """Trace `function` on inputs of `types`, arranged as its arguments.

    The first `carries` inputs are its own, and may be written to in place. Where each argument
    always is one of `operands`, the inputs are these, each once, though it be passed twice or
    captured, too: what comes back to it is then summed in the order of its uses.

    Returns
    -------
    region : Region
        Without inputs for what it captured.
    structure
        Of what the function returned.
    captured : dict of Node to Node
        The nodes of the graph around it that the function used, with what stands for them inside.
    """
    parent = require_graph(name)
    require_parameters(name, function, structure[2], "a node")
    graph = RegionGraph(f"{name} {getattr(function, '__name__', 'function')}", parent)
    with graph:
        inputs = [graph.add_input(f"x{i}", type) for i, type in enumerate(types)]
        graph.writable.update(inputs[:carries])
        given = dict(zip(dict.fromkeys(operands), inputs, strict=bool(operands)))
        graph.captured.update(given)
        for outer, inner in given.items():
            graph.lay_out_as(outer, inner)
        leaves = [given[x] for x in operands] if operands else inputs
        result = function(*unflatten(structure, leaves))
        leaves, found = flatten(result)
        for leaf in leaves:
            if callable(leaf) or isinstance(leaf, str):
                raise GraphError(
                    f"{name}: the function returned a {type(leaf).__name__}",
                    cause="each value it returns is computed by the graph",
                    fix="return nodes, in tuples, lists and dicts if there are several",
                )
        outputs = [to_node(graph, leaf) for leaf in leaves]
    # what is written to in place moved on
    region = Region(graph, graph.inputs[: len(types)], outputs, place_of(function))
    written = any(x is not y for x, y in zip(inputs[:carries], graph.inputs, strict=False))
    if written and shared_outputs([region], carries):
        raise InPlaceError(
            f"{name}: a carry is written to in place, and the body returns it twice, or together "
            "with something from outside",
            cause="the next step would write to several values at once",
            fix="return copies: x.clone()",
            related=(("the body declared", region.source),),
        )
    known = set(given.values())
    captured = {node: inner for node, inner in graph.captured.items() if inner not in known}
    return region, found, captured


def shared_outputs(regions: Sequence[Region], carries: int | None = None) -> set[int]:
    """Return the positions of outputs that may share memory with something else.

    An output is its own if each region computes it and gives it once. With `carries`, the regions
    are bodies of a loop: only so many outputs count, and they may be as many first inputs. What a
    body selects with the counter of its loop from what it gives, too, is a copy.
    """
    shared: set[int] = set()
    for region in regions:
        own = region.graph.writable.union(region.inputs[: carries or 0])
        bases = []
        for node in region.outputs[:carries]:
            chain = family(node)
            given = chain[-1].op in SOURCES and chain[-1] not in own
            copied = carries is not None and not given and any(x.selection for x in chain)
            bases.append((node if copied else chain[-1], given))
        for position, (base, given) in enumerate(bases):
            twice = sum(base is other for other, _ in bases) > 1
            if given or twice or base in region.graph.shared:
                shared.add(position)
    return shared


def mark_shared(
    values: Sequence[Node],
    regions: Sequence[Region],
    operands: Sequence[Node],
    carries: int | None = None,
) -> None:
    """Refuse in-place changes of those of `values` that may be one of `operands`, and of these.

    Parameters
    ----------
    values : sequence of Node
        What the op of control flow gives.
    regions : sequence of Region
    operands : sequence of Node
        What they are given, in the order of their inputs.
    carries : int, optional
        As in `shared_outputs`.
    """
    shared = shared_outputs(regions, carries)
    if not shared:
        return
    for position in shared:
        node = values[position]
        node.graph.shared[node] = (
            "a branch or a loop gave it, and it may be one of the values that went in"
        )
    for region in regions:
        given = {family(node)[-1] for node in region.outputs[:carries]} | set(region.graph.shared)
        for outer, inner in list(zip(operands, region.inputs, strict=True))[carries or 0 :]:
            if inner in given:
                base = family(outer)[-1]
                base.graph.shared[base] = (
                    "a branch or a loop may have given it, and what it gave would not change"
                )


def require_count(name: str, what: str, value: Any) -> int:
    """Return `value`, which must be a whole number of at least 0.

    Raises
    ------
    ArgumentError
    """
    try:
        count = operator.index(value)
    except SideBySideError:  # a node says best itself that it is no number
        raise
    except TypeError:
        count = -1
    if count < 0:
        raise ArgumentError(
            f"{name}: {what} is {value!r}",
            cause="it is a number of steps",
            fix=f"pass a whole number, such as {what}=100",
        )
    return count


def require_carry(
    what: str,
    types: Sequence[TensorType],
    structure: Structure,
    out_types: Sequence[TensorType],
    out_structure: Structure,
    body: Region,
) -> None:
    """Refuse a body that returns another carry than it gets.

    Raises
    ------
    BranchTypeError
        Showing both.
    """
    require_same_types(
        what,
        ("the first carry", types, structure, user_source()),
        ("the body", out_types, out_structure, body.source),
    )


def share_captures(
    regions: Sequence[Region],
    captured: Sequence[dict[Node, Node]],
    owned: Sequence[int] | None = None,
) -> tuple[list[Region], list[Node]]:
    """Give all regions the same further inputs: what any of them captured.

    Parameters
    ----------
    regions : sequence of Region
    captured : sequence of dict
        For each region, the nodes around it with what stands for them inside.
    owned : sequence of int, optional
        How many of the first inputs each region may overwrite.

    Returns
    -------
    regions : list of Region
    outer : list of Node
        What the further inputs stand for, in the graph around the regions.
    """
    parent = require_graph("control flow")
    inside = [{parent.adopt(x): inner for x, inner in each.items()} for each in captured]
    outer = list(dict.fromkeys(x for each in inside for x in each if each[x].op is not CONSTANT))
    shared = []
    counts = owned or [0] * len(regions)
    for region, known, count in zip(regions, inside, counts, strict=True):
        graph = region.graph
        assert isinstance(graph, RegionGraph)
        more = [
            known[node] if node in known else graph.add_input(node.name, node.type)
            for node in outer
        ]
        inputs = (*region.inputs, *more)
        shared.append(Region(graph, inputs, region.outputs, region.source, owned=count))
    return shared, outer


def require_same_types(
    what: str,
    first: tuple[str, Sequence[TensorType], Structure, Source | None],
    second: tuple[str, Sequence[TensorType], Structure, Source | None],
) -> None:
    """Refuse two sides of a control-flow op that give different types.

    Raises
    ------
    BranchTypeError
        Showing what differs, and both lines.
    """
    name, types, structure, source = first
    other, other_types, other_structure, other_source = second
    related = ((f"{name} declared", source), (f"{other} declared", other_source))
    if structure != other_structure:
        raise BranchTypeError(
            f"{what}: {name} gives {len(types)} values and {other} {len(other_types)}, "
            "or arranges them otherwise",
            fix="return the same tuples, lists and dicts from both",
            related=related,
        )
    for position, (a, b) in enumerate(zip(types, other_types, strict=True)):
        if a != b:
            raise BranchTypeError(
                f"{what}: value {position} is {a} from {name} and {b} from {other}",
                fix=_hint(name, a, other, b),
                related=related,
            )


def _hint(name: str, a: TensorType, other: str, b: TensorType) -> str:
    if a.dtype != b.dtype:
        wider = promoted(a.dtype, b.dtype)
        sides = [side for side, type in ((name, a), (other, b)) if type.dtype != wider]
        return f'cast what {" and ".join(sides)} gives: x.astype("{wider}")'
    try:
        wider_shape = broadcast_shapes(a.shape, b.shape)
    except ShapeError:
        return "reshape or reduce one of them to the other's shape"
    sides = [side for side, type in ((name, a), (other, b)) if type.shape != wider_shape]
    return f"broadcast what {' and '.join(sides)} gives: broadcast_to(x, {wider_shape})"
