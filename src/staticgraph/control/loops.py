"""Loops that are made of scan and while_loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.messages.errors import DTypeError
from oplibrary.ops.effects import require_near
from oplibrary.ops.elementwise import cast
from oplibrary.transforms.batched import Batched
from oplibrary.values.parameters import require_bound, require_callable, require_parameters
from oplibrary.values.tree import LEAF, flatten
from oplibrary.values.types import is_int, type_of
from staticgraph.control.scan import scan
from staticgraph.control.while_loop import while_loop
from staticgraph.declare.build import require_graph, to_node
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.graph.number_ranges import FAR, Counter


def fori_loop(lower: Any, upper: Any, body_fn: Callable[..., Any], init: Any) -> Any:
    """Declare ``for i in range(lower, upper): carry = body_fn(i, carry)``.

    `i` acts as the Python int that it is in dyngraph: it takes the dtype of what it meets, so
    ``carry + i`` has that of the carry. What is computed of it alone has 64 bits, and is refused
    where Python would make another number; with bounds that are nodes it is taken to be within
    2**31, beyond which such numbers wrap around.

    With bounds that are Python ints it is a `scan`, differentiable to any order; with nodes it is a
    `while_loop`.

    Examples
    --------
    >>> import numpy as np
    >>> import staticgraph as sg
    >>> power = sg.function(lambda x: sg.fori_loop(0, 3, lambda i, y: y * x, x))
    >>> float(power(np.float32(2.0)))
    16.0
    """
    require_callable("fori_loop", body_fn)
    require_parameters("fori_loop", body_fn, (LEAF, flatten(init)[1]), "a node")
    if is_int(lower) and is_int(upper):
        values = range(lower, upper)
        _require_countable(values)
        positions = np.arange(lower, upper, dtype=np.int64)
        known = Counter(values)
        last, _ = scan(
            lambda carry, i: (body_fn(_counting(i, known), carry), None), init, positions
        )
        return last
    graph = require_graph("fori_loop")
    found = Counter(None, int(lower) if is_int(lower) else None)
    first, bound = (_bound(graph, name, x) for name, x in (("lower", lower), ("upper", upper)))
    _, carry = while_loop(
        lambda state: state[0] < bound,
        lambda state: (state[0] + 1, body_fn(_counting(state[0], found), state[1])),
        (first, init),
    )
    if found.far < FAR:
        require_near(first, bound, far=found.far)
    return carry


def _counting(i: Any, counter: Counter) -> Any:
    """Return the counter of a loop as what acts as a Python int."""
    if isinstance(i, Node):
        i.graph.weak.add(i)
        i.graph.ranges.counters[i] = counter
    return i


def _require_countable(values: range) -> None:
    if values and not -(2**63) <= values[0] <= values[-1] < 2**63:
        raise DTypeError(
            f"fori_loop: it counts from {values[0]} to {values[-1]}",
            cause="the counter has 64 bits in a graph",
            fix="count from 0, and add what is large to the counter's array",
        )


def _bound(graph: Graph, name: str, value: Any) -> Any:
    value = np.asarray(value) if isinstance(value, int) else value
    node: Any = value if type(value) is Batched else to_node(graph, value)
    related = ((f"{node.name} declared", node.source),) if isinstance(node, Node) else ()
    require_bound("fori_loop", name, type_of(node), "a node", related)
    return cast(node, dtype=np.dtype(np.int64))


def map(function: Callable[..., Any], xs: Any) -> Any:
    """Declare `function` on each position of axis 0 of `xs`, with the results stacked.

    Examples
    --------
    >>> import numpy as np
    >>> import staticgraph as sg
    >>> sg.function(lambda xs: sg.map(lambda x: sg.sum(x), xs))(np.ones((2, 3)))
    array([3., 3.])
    """
    require_callable("map", function)
    require_parameters("map", function, (flatten(xs)[1],), "a node")
    _, ys = scan(lambda carry, x: (carry, function(x)), (), xs)
    return ys
