"""Functions with derivatives of their own, declared: results tied to arguments by a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from oplibrary.core.op import Op
from oplibrary.ops.movement import clone
from oplibrary.transforms.custom_call import CustomCall
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import TensorType
from staticgraph.declare.build import declare, full, require_graph
from staticgraph.declare.in_place import family
from staticgraph.graph.graph_ops import (
    ARGUMENT,
    CONSTANT,
    CUSTOM_CALL,
    CUSTOM_RESULT,
    KEPT,
    SOURCES,
)
from staticgraph.graph.node import Node
from staticgraph.program.tuple_values import TupleType


def attach(
    results: Sequence[Node],
    inputs: Sequence[Node],
    kept: Sequence[Node],
    custom: CustomCall,
    moment: float,
) -> list[Node]:
    """Declare results whose derivatives go by `custom`; see `Differentiation.attached`."""
    graph = require_graph(custom.name)
    given = [graph.adopt(x) for x in inputs]
    bases = {family(x)[-1] for x in given}
    # an array of its own, as in dyngraph, where the result is an argument or a part of one
    own = [clone(y) if _base(y) in bases else y for y in map(graph.adopt, results)]
    outside = _read_from_outside(own, given, moment)
    types = [y.type for y in own]
    held = graph.add_op(
        KEPT, tuple(map(graph.adopt, kept)), {}, type=TupleType([x.type for x in kept])
    )
    call = graph.add_op(
        CUSTOM_CALL,
        (held, *outside, *reversed(given)),
        {"custom": replace(custom, pull=_with_zeros(custom, types)), "inputs": len(given)},
        type=TupleType(types),
    )
    return [
        graph.add_op(CUSTOM_RESULT, (y, call), {"index": i}, type=y.type)
        if y.dtype.kind in FLOATING
        else y
        for i, y in enumerate(own)
    ]


def _base(node: Node) -> Node:
    base = family(node)[-1]
    while base.op is ARGUMENT:  # which every argument was made for the function
        base = family(base.operands[0])[-1]
    return base


def _with_zeros(custom: CustomCall, types: Sequence[TensorType]) -> Any:
    """Return ``custom.pull`` as one that is given zeros for results that led nowhere."""

    def pull(cotangents: list[Any], inputs: Any, kept: Any, linked: bool) -> list[Any]:
        graph = require_graph(custom.name)
        whole = [
            full(graph, type, 0) if g is None and type.dtype.kind in FLOATING else g
            for g, type in zip(cotangents, types, strict=True)
        ]
        return custom.pull(whole, inputs, kept, linked)

    return pull


def _read_from_outside(
    results: Sequence[Node], inputs: Sequence[Node], moment: float
) -> list[Node]:
    """Return what the results were computed from besides the inputs, and has a derivative."""
    known, seen, stack = set(inputs), set(results), list(results)
    found: dict[Node, None] = {}
    while stack:
        node = stack.pop()
        if node in known or node.op is CONSTANT:
            continue
        # what is captured from around a region becomes an input of it when it is first read
        if node.sequence < moment or node.op in SOURCES:
            if node.dtype.kind in FLOATING:
                found[node] = None
            continue
        fresh = [x for x in node.operands if x not in seen]
        seen.update(fresh)
        stack += fresh
    return sorted(found, key=lambda node: node.sequence)


def customs_of(op: Op, attrs: Mapping[str, Any]) -> list[CustomCall]:
    """Return the functions with derivatives of their own that an op has, itself or in a region."""
    if op is CUSTOM_CALL:
        return [attrs["custom"]]
    return [each for value in attrs.values() for each in _held(value)]


def _held(value: Any) -> list[CustomCall]:
    if isinstance(value, tuple):
        return [each for part in value for each in _held(part)]
    return list(getattr(value, "customs", ()))


def isolated(x: Node) -> Node:
    """Declare the same value, as an argument that must not be written to."""
    return declare(ARGUMENT, (x,), {})
