"""Gradients, declared: the reverse mode as further nodes of the same graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from common.autodiff import pull_back
from common.errors import (
    ArgumentError,
    GraphError,
    NonScalarError,
    NotDifferentiableError,
    ShapeError,
    SideBySideError,
    UnusedInputError,
)
from common.source import Source
from common.tree import Structure, flatten, leaf_paths, unflatten
from staticgraph.build import declare, require_graph, to_node
from staticgraph.graph import Graph, current_graph
from staticgraph.node import Node
from staticgraph.roles import ARGUMENT, STOP_GRADIENT

_POLICIES = ("raise", "zero", "none")


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
        Any floating-point nodes: inputs, variables or intermediate results.
    grad_ys : array or sequence of array, optional
        A cotangent for each of `ys`, of its shape; not needed for those of one element.
    unused : {"raise", "zero", "none"}
        What to give for one of `xs` that no `ys` depends on: an error that shows where the path
        breaks, zeros, or None.

    Returns
    -------
    list of Node or None
        One gradient for each of `xs`, of its shape and dtype.

    Raises
    ------
    NonScalarError
        If one of `ys` has several elements and no cotangent.
    NotDifferentiableError
        If a dtype is not a floating-point one.
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
    if unused not in _POLICIES:
        raise ArgumentError(
            f"unused must be 'raise', 'zero' or 'none', not {unused!r}",
            cause="it says what an input without a path to the output gets",
            fix='choose one of them, for example unused="zero"',
        )
    targets, sources = _listed(ys, "ys"), _listed(xs, "xs")
    graph = _graph_of(targets + sources)
    targets, sources = [graph.adopt(y) for y in targets], [graph.adopt(x) for x in sources]
    for x in sources:
        if x.dtype.kind != "f":
            raise NotDifferentiableError(
                f"the gradient with respect to {x!r}",
                related=((f"{x.name} declared", x.source),),
            )
    with graph:
        roots = _roots(graph, targets, grad_ys)
        found = _pull(graph, targets, roots, sources)
        return [_result(graph, found.get(x), x, targets, unused) for x in sources]


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
    if y.dtype.kind != "f":
        raise NotDifferentiableError(f"the gradient of {y!r}", related=related)
    if g is None:
        if y.type.size != 1:
            raise NonScalarError(
                f"the gradient of {y!r}, which has {y.type.size} elements",
                fix="reduce it first, sum(y), or pass gradients(..., grad_ys=v)",
                related=related,
            )
        return graph.constant_array(np.ones(y.shape, y.dtype))
    node = g if isinstance(g, Node) else graph.constant_array(np.asarray(g, y.dtype))
    node = to_node(graph, node)
    if node.shape != y.shape:
        raise ShapeError(
            f"gradients: a cotangent of shape {node.shape} for {y!r}",
            cause="a cotangent holds one number for each element of the result",
            fix="pass grad_ys of the result's shape",
            related=related,
        )
    return node if node.dtype == y.dtype else node.astype(y.dtype)


def _ancestors(nodes: Iterable[Node]) -> set[Node]:
    """Return `nodes` and all that they are computed from."""
    seen = set(nodes)
    stack = list(seen)
    while stack:
        for operand in stack.pop().operands:
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return seen


def _passes(node: Node, position: int) -> bool:
    """Tell whether a gradient flows from `node` to its operand at `position`."""
    # the type of an op with several results is a tuple of types, of dtype object
    return node.type.dtype.kind in "fO" and node.op.operand_rule(position) is not None


def _path(ys: list[Node], xs: list[Node]) -> set[Node]:
    """Return the nodes between `xs` and `ys` that a gradient passes, both included."""
    path: set[Node] = set()
    wanted = set(xs)
    for node in sorted(_ancestors(ys), key=lambda node: node.sequence):
        if node in wanted or any(
            operand in path and _passes(node, position)
            for position, operand in enumerate(node.operands)
        ):
            path.add(node)
    return path


def _pull(
    graph: Graph, ys: list[Node], roots: list[Node], xs: list[Node]
) -> dict[Node, Node]:
    """Return the gradients of `xs`, for those that have one.

    What is declared for the gradient of a node is declared for that node's line.
    """
    path = _path(ys, xs)
    grads: dict[Node, Any] = {}
    for y, g in zip(ys, roots, strict=True):
        if y in path:
            grads[y] = grads[y] + g if y in grads else g
    found: dict[Node, Node] = {}
    wanted = set(xs)
    heap = [(-node.sequence, node) for node in grads]
    heapify(heap)
    outer = graph.line
    try:
        while heap:
            _, node = heappop(heap)
            g = grads.pop(node)
            if node in wanted:
                found[node] = g
            graph.line = node.source
            # all rules run before any sum, as in dyngraph: second derivatives see the same order
            pulled = [
                (operand, _contribution(node, position, g))
                for position, operand in enumerate(node.operands)
                if operand in path and _passes(node, position)
            ]
            for operand, contribution in pulled:
                if operand in grads:
                    grads[operand] = grads[operand] + contribution
                else:
                    grads[operand] = contribution
                    heappush(heap, (-operand.sequence, operand))
    finally:
        graph.line = outer
    return found


def _contribution(node: Node, position: int, g: Node) -> Any:
    """Declare what `node` with gradient `g` contributes to that of an operand."""
    op, operands = node.op, node.operands
    rule = op.operand_rule(position)
    assert rule is not None
    needs = rule.operands if op.arity is not None else rule.operands * len(operands)
    read = tuple(map(_read, operands, needs))
    try:
        return pull_back(
            op, position, g, _read(node, rule.out), read, node.attrs, operands[position].type
        )
    except SideBySideError as error:
        error.related += ((f"{node.name} declared", node.source),)
        raise error.with_context(f"gradient of {op.name}") from None


def _read(node: Node, need: str) -> Any:
    if need == "value":
        return node
    return node.type if need else None


def _result(graph: Graph, g: Node | None, x: Node, ys: list[Node], unused: str) -> Any:
    if g is not None:
        return g
    if unused == "none":
        return None
    if unused == "zero":
        return graph.constant_array(np.zeros(x.shape, x.dtype))
    raise _unused_error(x, ys)


def _unused_error(x: Node, ys: list[Node]) -> UnusedInputError:
    """Say where the path from `x` to `ys` breaks."""
    shown = ", ".join(y.name for y in ys)
    related: list[tuple[str, Source | None]] = [(f"{x.name} declared", x.source)]
    between = _ancestors(ys)
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
        if any(_passes(node, position) for position in positions):
            reached.add(node)
        elif positions:
            breaks.append(node)
    return breaks[0]


def _reason(node: Node) -> str:
    if node.op is STOP_GRADIENT:
        return "stop_gradient cuts it on purpose"
    if node.type.dtype.kind != "f":
        return f"its dtype is {node.type.dtype}, and only floating-point values have gradients"
    return f"{node.op.name} has no gradient for that operand"


# functions ----------------------------------------------------------------------------------------


def value_and_grad(
    function: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    unused: str = "zero",
) -> Callable[..., Any]:
    """Return a function that gives the value of `function` and its gradients.

    The new function is for use in a graph: under `trace` or `function`, or inside ``with graph:``.

    Parameters
    ----------
    function : callable
        Its result, or the first of its results with `has_aux`, holds one number.
    argnums : int or sequence of int
        The arguments to differentiate with respect to; each may be a tree of nodes.
    has_aux : bool
        Whether the function returns ``(value, aux)``; then so does the new one, first.
    unused : {"zero", "none", "raise"}
        What to give for an argument that the value does not depend on.

    Returns
    -------
    callable
        ``(value, gradients)``; the gradients have the structure of the argument, in a tuple if
        `argnums` is a sequence.

    Raises
    ------
    NonScalarError
        If the value has several elements; raised by the new function.

    Examples
    --------
    >>> import staticgraph as sg
    >>> graph = sg.trace(sg.value_and_grad(lambda x: sg.sum(x * x)), sg.TensorType((3,)))
    >>> graph.outputs
    [Node(sum: float32[]), Node(add: float32[3])]
    """
    several = not isinstance(argnums, int)
    positions: Sequence[int] = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def run(*args: Any, **kwargs: Any) -> Any:
        graph, prepared, arguments, structures = _arguments(args, positions)
        with graph:
            result = function(*prepared, **kwargs)
        value, aux = _split(result, has_aux)
        found = gradients(_scalar(value), arguments, unused=unused)
        grads = []
        for structure, count in structures:
            grads.append(unflatten(structure, found[:count]))
            found = found[count:]
        return (value, aux) if has_aux else value, tuple(grads) if several else grads[0]

    _take_name(run, function, "value_and_grad")
    return run


def grad(
    function: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    unused: str = "zero",
) -> Callable[..., Any]:
    """Return a function that gives the gradients of `function`; see `value_and_grad`.

    With `has_aux` it gives ``(gradients, aux)``.

    Examples
    --------
    >>> import staticgraph as sg
    >>> second = sg.grad(sg.grad(lambda x: x * x * x))
    >>> sg.trace(second, sg.TensorType(())).outputs[0].type
    float32[]
    """
    run = value_and_grad(function, argnums, has_aux, unused)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, grads = run(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    _take_name(gradient, function, "grad")
    return gradient


def _take_name(wrapper: Any, function: Callable[..., Any], prefix: str) -> None:
    """Let tracing find what was wrapped, for names and guards."""
    wrapper.__wrapped__ = function
    wrapper.__name__ = f"{prefix}({getattr(function, '__name__', 'function')})"


def _arguments(
    args: tuple[Any, ...], positions: Sequence[int]
) -> tuple[Graph, list[Any], list[Node], list[tuple[Structure, int]]]:
    """Return the arguments with those at `positions` as nodes of their own.

    The same node may be passed twice, or be used by the function from outside: only its use as that
    argument counts.
    """
    for position in positions:
        if not -len(args) <= position < len(args):
            raise ArgumentError(
                f"argnums names argument {position} of {len(args)}",
                cause="arguments are counted from 0, by position",
                fix="pass the argument by position, or change argnums",
            )
    leaves, _ = flatten(args)
    graph = current_graph()
    if graph is None:
        nodes = [x for x in leaves if isinstance(x, Node)]
        graph = nodes[0].graph if nodes else require_graph("the gradient of a function")
    prepared = list(args)
    arguments: list[Node] = []
    structures = []
    for position in positions:
        values, structure = flatten(args[position])
        with graph:
            fresh = [declare(ARGUMENT, (value,), {}) for value in values]
        for node, path in zip(fresh, leaf_paths(structure), strict=True):
            if node.dtype.kind != "f":
                raise NotDifferentiableError(
                    f"argument {position}{path} is {node.operands[0]!r}",
                    fix="cast it to float32 first, or leave it out of argnums",
                )
        prepared[position] = unflatten(structure, fresh)
        arguments += fresh
        structures.append((structure, len(fresh)))
    return graph, prepared, arguments, structures


def _split(result: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(
            f"has_aux: the function returned a {type(result).__name__} and not (value, aux)",
            cause="with has_aux the value comes first and everything else second",
            fix="return (value, aux)",
        )
    return result


def _scalar(value: Any) -> Node:
    if isinstance(value, Node) and value.type.size == 1:
        return value
    shown = f"a value of type {value.type}" if isinstance(value, Node) else type(value).__name__
    raise NonScalarError(
        f"the function returned {shown}",
        cause="a gradient is defined for a function that returns one number",
        fix="return a scalar such as sum(...), or use vjp",
        related=((("declared", value.source),) if isinstance(value, Node) else ()),
    )


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the value of `function` and the function that pulls a cotangent back.

    Examples
    --------
    >>> import staticgraph as sg
    >>> with sg.Graph():
    ...     x = sg.placeholder("x", (2,))
    ...     y, pull = sg.vjp(lambda x: x * x, x)
    ...     pull(sg.ones((2,)))
    (Node(add: float32[2]),)
    """
    graph, prepared, arguments, structures = _arguments(primals, range(len(primals)))
    with graph:
        value = function(*prepared)
    outputs, _ = flatten(value)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        found = gradients(outputs, arguments, flatten(cotangent)[0], unused="zero")
        grads = []
        for structure, count in structures:
            grads.append(unflatten(structure, found[:count]))
            found = found[count:]
        return tuple(grads)

    return value, pull


def jvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, Node]:
    """Return the value of `function` and its derivative in the direction of `tangents`.

    Declared as the gradient of a gradient: the vjp is linear in its cotangent, and its transpose is
    the jvp. What only the first gradient needs is dead code, and does not run.

    References
    ----------
    J. Townsend, A new trick for calculating Jacobian vector products, 2017.

    Examples
    --------
    >>> import staticgraph as sg
    >>> with sg.Graph():
    ...     x = sg.placeholder("x", (2,))
    ...     _, tangent = sg.jvp(lambda x: x * x, [x], [sg.ones((2,))])
    >>> tangent.type
    float32[2]
    """
    graph, prepared, arguments, _ = _arguments(tuple(primals), range(len(primals)))
    directions = [to_node(graph, t) for t in flatten(list(tangents))[0]]
    for position, (x, t) in enumerate(zip(arguments, directions, strict=True)):
        if x.shape != t.shape:
            raise ShapeError(
                f"tangent {position} has shape {t.shape} and its primal {x.shape}",
                cause="a tangent is a direction in the space of its primal",
                fix="pass tangents of the primals' shapes",
            )
    with graph:
        value = function(*prepared)
        zeros = graph.constant_array(np.zeros(value.shape, value.dtype))
        dummy = declare(ARGUMENT, (zeros,), {})
        pulled = gradients(value, arguments, dummy, unused="none")
        pairs = [(g, t) for g, t in zip(pulled, directions, strict=True) if g is not None]
        if not pairs:
            return value, zeros
        (tangent,) = gradients([g for g, _ in pairs], [dummy], [t for _, t in pairs], unused="zero")
    return value, tangent
