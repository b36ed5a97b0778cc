"""Gradients, declared: the reverse mode as further nodes of the same graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from types import MappingProxyType
from typing import Any

from oplibrary.core.op import OperandRule
from oplibrary.executors.autodiff import (
    complex_value,
    conjugated,
    pull_back,
    require_policy,
)
from oplibrary.messages.errors import (
    ArgumentError,
    GraphError,
    NonScalarError,
    NotDifferentiableError,
    ShapeError,
    SideBySideError,
    UnusedInputError,
    UnusedInputWarning,
    warn,
)
from oplibrary.messages.source import Source
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import TensorType
from staticgraph.declare.build import full, require_graph, to_node
from staticgraph.declare.operands import as_array
from staticgraph.graph.graph import Graph, current_graph
from staticgraph.graph.graph_ops import STOP_GRADIENT
from staticgraph.graph.inference import OF_STAND_INS, takes_a_number
from staticgraph.graph.node import Node
from staticgraph.program.polynomial import is_symbolic
from staticgraph.program.tuple_values import TupleGradient


def gradients(
    ys: Node | Sequence[Node],
    xs: Node | Sequence[Node],
    grad_ys: Any = None,
    unused: str = "raise",
) -> list[Any]:
    """Declare the gradients of the sum of `ys` with respect to `xs`.

    Parameters
    ----------
    ys : Node or sequence of Node
        What is differentiated.
    xs : Node or sequence of Node
        Any floating-point or complex nodes: inputs, variables or intermediate results.
    grad_ys : array or sequence of array, optional
        A cotangent for each of `ys`, of its shape; not needed for those of one element.
    unused : {"raise", "warn", "zero", "none"}
        What to give for one of `xs` that no `ys` depends on: an error that shows where the path
        breaks, zeros with a warning or without one, or None.

    Returns
    -------
    list of Node or None
        One gradient for each of `xs`, of its shape and dtype.

    Raises
    ------
    NonScalarError
        If one of `ys` has several elements and no cotangent.
    NotDifferentiableError
        If a dtype is neither a floating-point nor a complex one, or one of `ys` is complex and has
        no cotangent.
    UnusedInputError
        If `unused` is ``"raise"`` and no differentiable path leads from `ys` to one of `xs`.

    Notes
    -----
    Nodes are visited in the reverse order of their declaration, and contributions to one gradient
    are added in that order: that is what dyngraph does too, so both give the same bits.

    Examples
    --------
    >>> import staticgraph as sg
    >>> with sg.Graph():
    ...     x = sg.placeholder("x", (3,))
    ...     dx, = sg.gradients(sg.sum(x * x), [x])
    >>> dx
    Node(add: float32[3])
    """
    require_policy(unused)
    targets, sources = _listed(ys, "ys"), _listed(xs, "xs")
    graph = _graph_of(targets + sources)
    targets, sources = [graph.adopt(y) for y in targets], [graph.adopt(x) for x in sources]
    for x in sources:
        if x.dtype.kind not in FLOATING:
            raise NotDifferentiableError(
                f"the gradient with respect to {x!r}",
                related=((f"{x.name} declared", x.source),),
            )
    graph.require_open("gradients")
    with graph:
        roots = list(map(conjugated, _roots(graph, targets, grad_ys)))
        known = graph.next_sequence
        found = _pull(graph, targets, roots, sources)
        results = [_result(graph, found.get(x), x, targets, unused) for x in sources]
        _mark_shared(graph, results, known)
        return results


def _mark_shared(graph: Graph, results: Sequence[Node | None], known: int) -> None:
    """Refuse in-place changes of gradients that are another value, too."""
    seen: set[Node] = set()
    for g in results:
        if g is not None:
            if g in seen or g.sequence < known:
                graph.shared[g] = "it is a gradient that other gradients may share"
            seen.add(g)


def gradients_onto(
    ys: Sequence[Node], xs: Sequence[Node], grad_ys: Sequence[Node], totals: Mapping[Node, Node]
) -> list[Node | None]:
    """Declare the gradients of `ys`, in the graph that is being declared, on top of `totals`.

    Parameters
    ----------
    ys, xs, grad_ys
        As in `gradients`; nodes of this graph, with a cotangent for each of `ys`.
    totals : mapping of Node to Node
        What the gradients of some of `xs` are already. Contributions are added to it one by one.

    Returns
    -------
    list of Node or None
        A gradient for each of `xs`, None where there is none.
    """
    found = _pull(require_graph("gradients"), list(ys), list(grad_ys), list(xs), totals)
    return [found.get(x, totals.get(x)) for x in xs]


def zeros_of(graph: Graph, type: TensorType) -> Node:
    """Declare zeros of that type."""
    return full(graph, type, 0)


def _listed(nodes: Any, what: str) -> list[Node]:
    listed = list(nodes) if isinstance(nodes, (list, tuple)) else [nodes]
    for node in listed:
        if not isinstance(node, Node):
            raise GraphError(
                f"gradients: one of {what} is a {type(node).__name__}",
                cause="gradients are declared between nodes",
                fix="pass nodes, or sg.value_and_grad a function",
            )
    return listed


def _graph_of(nodes: list[Node]) -> Graph:
    return current_graph() or (nodes[0].graph if nodes else require_graph("gradients"))


def _roots(graph: Graph, ys: list[Node], grad_ys: Any) -> list[Node]:
    """Return the cotangent of each of `ys`."""
    if grad_ys is None:
        given: list[Any] = [None] * len(ys)
    else:
        given = list(grad_ys) if isinstance(grad_ys, (list, tuple)) else [grad_ys]
    if len(given) != len(ys):
        raise ArgumentError(
            f"gradients: {len(given)} cotangents for {len(ys)} results",
            cause="each result needs one cotangent, or None if it holds one number",
            fix="pass grad_ys of the same length as ys",
        )
    return [_root(graph, y, g) for y, g in zip(ys, given, strict=True)]


def _root(graph: Graph, y: Node, g: Any) -> Node:
    related = ((f"{y.name} declared", y.source),)
    if y.dtype.kind not in FLOATING:
        raise NotDifferentiableError(f"the gradient of {y!r}", related=related)
    if g is None:
        if y.dtype.kind == "c":
            error = complex_value(repr(y))
            error.related = related
            raise error
        if y.type.size != 1:
            raise NonScalarError(
                f"the gradient of {y!r}, which has {y.type.size} elements",
                fix="reduce it first, sum(y), or pass gradients(..., grad_ys=v)",
                related=related,
            )
        return full(graph, y.type, 1)
    node = g if isinstance(g, Node) else graph.constant_array(as_array(g, y.dtype))
    node = to_node(graph, node)
    if node.shape != y.shape:
        raise ShapeError(
            f"gradients: a cotangent of shape {node.shape} for {y!r}",
            cause="a cotangent holds one number for each element of the result",
            fix="pass grad_ys of the result's shape",
            related=related,
        )
    return node if node.dtype == y.dtype else node.astype(y.dtype)


def ancestors(nodes: Iterable[Node]) -> set[Node]:
    """Return `nodes` and all that they are computed from."""
    seen = set(nodes)
    stack = list(seen)
    while stack:
        for operand in stack.pop().operands:
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return seen


def passes(node: Node, position: int) -> bool:
    """Tell whether a gradient flows from `node` to its operand at `position`."""
    # the type of an op with several results is a tuple of types, of dtype object
    return node.type.dtype.kind in FLOATING + "O" and node.op.operand_rule(position) is not None


def path_between(ys: list[Node], xs: list[Node]) -> set[Node]:
    """Return the nodes between `xs` and `ys` that a gradient passes, both included."""
    path: set[Node] = set()
    wanted = set(xs)
    for node in sorted(ancestors(ys), key=lambda node: node.sequence):
        for position, operand in enumerate(node.operands):
            if operand in path and passes(node, position):
                path.add(node)
        if node in wanted:
            path.add(node)
    return path


def _pull(
    graph: Graph,
    ys: list[Node],
    roots: list[Node],
    xs: list[Node],
    totals: Mapping[Node, Node] = MappingProxyType({}),
) -> dict[Node, Node]:
    """Return the gradients of `xs`, for those that have one, on top of `totals`.

    What is declared for the gradient of a node is declared for that node's line.
    """
    path = path_between(ys, xs)
    grads: dict[Node, Any] = {x: total for x, total in totals.items() if x in path}
    for y, g in zip(ys, roots, strict=True):
        if y in path:
            grads[y] = grads[y] + g if y in grads else g
    found: dict[Node, Node] = {}
    targets = set(xs)
    heap = [(-node.sequence, node) for node in grads]
    heapify(heap)
    waiting = set(grads)
    outer = graph.line
    try:
        while heap:
            _, node = heappop(heap)
            g = grads.pop(node)
            if node in targets:
                found[node] = g
            graph.line = node.source
            wanted = [
                position
                for position, operand in enumerate(node.operands)
                if operand in path and passes(node, position)
            ]
            if isinstance(g, TupleGradient):
                g.wanted = frozenset(wanted)
                g.totals = {x: grads[x] for x in node.operands if x in grads}
            # all rules run before any sum, as in dyngraph: second derivatives see the same order
            pulled = _contributions(node, wanted, g)
            if isinstance(g, TupleGradient):
                for operand in g.continued:  # its sum so far is part of the contribution
                    del grads[operand]
                coming = [
                    each
                    for position, each in zip(wanted, pulled, strict=True)
                    if position not in g.absent
                ]
                # as dyngraph's tape has it: captured values first, the first carry last
                pulled = coming[::-1]
            for operand, contribution in pulled:
                if operand in grads:
                    grads[operand] = grads[operand] + contribution
                else:
                    grads[operand] = contribution
                    if operand not in waiting:
                        waiting.add(operand)
                        heappush(heap, (-operand.sequence, operand))
    finally:
        graph.line = outer
    return found


def _contributions(node: Node, wanted: Sequence[int], g: Node) -> list[tuple[Node, Any]]:
    """Declare what `node` with gradient `g` contributes to those of its operands `wanted`."""
    op, operands = node.op, node.operands
    found: list[tuple[Node, Any]] = []
    last: OperandRule | None = None
    read: tuple[Any, ...] = ()
    for position in wanted:
        rule = op.operand_rule(position)
        assert rule is not None
        if rule is not last or rule.rest == "others":  # else all operands of many read the same
            read = tuple(map(part_read, operands, rule.needs(position, len(operands))))
            last = rule
        operand = operands[position]
        try:
            pulled = pull_back(
                op, position, g, part_read(node, rule.out), read, node.attrs, operand.type
            )
        except SideBySideError as error:
            error.related += ((f"{node.name} declared", node.source),)
            raise error.with_context(f"gradient of {op.name}") from None
        except OF_STAND_INS:
            if not any(is_symbolic(each.type.shape) for each in (node, *operands)):
                raise
            raise takes_a_number(f"the gradient of {op.name}") from None
        found.append((operand, pulled))
    return found


def part_read(node: Node, need: str) -> Any:
    """Return what a gradient rule reads of a node; see `oplibrary.core.op.OperandRule`."""
    if need == "value" or (need == "complex" and node.dtype.kind == "c"):
        return node
    if need == "complex":
        return None
    return node.type if need else None


def _result(graph: Graph, g: Node | None, x: Node, ys: list[Node], unused: str) -> Any:
    if g is not None:
        return conjugated(g)
    if unused == "none":
        return None
    if unused != "zero":
        error = _unused_error(x, ys)
        if unused == "raise":
            raise error
        warn(UnusedInputWarning(error.what, cause=error.cause, related=error.related))
    return zeros_of(graph, x.type)


def _unused_error(x: Node, ys: list[Node]) -> UnusedInputError:
    """Say where the path from `x` to `ys` breaks."""
    shown = ", ".join(y.name for y in ys)
    related: list[tuple[str, Source | None]] = [(f"{x.name} declared", x.source)]
    between = ancestors(ys)
    if x not in between:
        users = sorted(set(x.graph.successors(x)), key=lambda node: node.sequence)
        if users:
            cause = f"{x.name} is used by {users[0].name}, and {shown} is computed from neither"
            related.append((f"{users[0].name} declared", users[0].source))
        else:
            cause = f"no op uses {x.name}"
    else:
        break_ = _first_break(x, between)
        cause = f"the path breaks at {break_!r}: {_reason(break_)}"
        related.append((f"{break_.name} declared", break_.source))
    return UnusedInputError(
        f"{shown} does not depend on {x!r}", cause=cause, related=tuple(related)
    )


def _first_break(x: Node, between: set[Node]) -> Node:
    """Return the first node after `x` that no gradient passes."""
    reached = {x}
    breaks = []
    for node in sorted(between, key=lambda node: node.sequence):
        positions = [i for i, operand in enumerate(node.operands) if operand in reached]
        if any(passes(node, position) for position in positions):
            reached.add(node)
        elif positions:
            breaks.append(node)
    return breaks[0]


def _reason(node: Node) -> str:
    if node.op is STOP_GRADIENT:
        return "stop_gradient cuts it on purpose"
    if node.type.dtype.kind not in FLOATING:
        return f"its dtype is {node.type.dtype}, and only floating-point values have gradients"
    return f"{node.op.name} has no gradient for that operand"
