"""Derivatives of functions, declared: value_and_grad, grad, vjp and jvp.

A function takes nodes, or nested tuples, lists and dicts of them, and gives nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oplibrary.core.tree import Structure, flatten, leaf_paths, unflatten
from oplibrary.messages.errors import (
    ArgumentError,
    NonScalarError,
    NotDifferentiableError,
    ShapeError,
)
from staticgraph.declare.autodiff import gradients, zeros_of
from staticgraph.declare.build import declare, require_graph, to_node
from staticgraph.graph.graph import Graph, current_graph
from staticgraph.graph.graph_ops import ARGUMENT
from staticgraph.graph.node import Node


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
    unused : {"zero", "none", "warn", "raise"}
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
        zeros = zeros_of(graph, value.type)
        dummy = declare(ARGUMENT, (zeros,), {})
        pulled = gradients(value, arguments, dummy, unused="none")
        pairs = [(g, t) for g, t in zip(pulled, directions, strict=True) if g is not None]
        if not pairs:
            return value, zeros
        (tangent,) = gradients([g for g, _ in pairs], [dummy], [t for _, t in pairs], unused="zero")
    return value, tangent
