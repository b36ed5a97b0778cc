"""Effects in a graph: what does something besides computing, and is therefore kept and ordered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from oplibrary.core.op import Kind, Op
from staticgraph.graph.graph_ops import ASSIGN, PLACEHOLDER
from staticgraph.graph.node import Node


def has_effect(op: Op, attrs: Mapping[str, Any]) -> bool:
    """Tell whether running `op` does something besides computing, itself or in a region of it."""
    return op.effect or (op.kind is Kind.CONTROL and any(map(_holds_effect, attrs.values())))


def _holds_effect(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_holds_effect, value))
    return bool(getattr(value, "effect", False))


def silenced(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return `attrs` with regions that compute the same and do nothing else."""
    return {name: _silenced(value) for name, value in attrs.items()}


def _silenced(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_silenced, value))
    return value.silent() if _holds_effect(value) else value


def with_effects_of(attrs: Mapping[str, Any], silent: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes `silent`, with regions that have effects where those of `attrs` have."""
    return {name: _with_effects_of(attrs[name], value) for name, value in silent.items()}


def _with_effects_of(loud: Any, value: Any) -> Any:
    if isinstance(value, tuple) and isinstance(loud, tuple) and len(value) == len(loud):
        return tuple(map(_with_effects_of, loud, value))
    return value.audible() if _holds_effect(loud) else value


def computable_effects(nodes: Iterable[Node], needed: set[Node], fed: set[Node]) -> list[Node]:
    """Return the effects among `nodes` that nothing needs and that can be computed all the same.

    Parameters
    ----------
    nodes : iterable of Node
        The whole graph.
    needed : set of Node
        What is computed anyway.
    fed : set of Node
        What a call passes.
    """
    listed = list(nodes)
    if all(node in needed or not has_effect(node.op, node.attrs) for node in listed):
        return []
    possible: set[Node] = set()
    effects = []
    for node in sorted(listed, key=lambda node: node.sequence):
        known = node in needed or node in fed
        # a placeholder without a value, or an assignment that was not asked for, rules it out
        if known or (
            node.op is not PLACEHOLDER
            and node.op is not ASSIGN
            and possible.issuperset(node.operands)
        ):
            possible.add(node)
            if not known and has_effect(node.op, node.attrs):
                effects.append(node)
    return effects
