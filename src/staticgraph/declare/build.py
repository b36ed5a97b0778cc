"""Declaring: placeholders, variables, constants, and the executor's apply."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from oplibrary.core.dispatch import EXECUTORS, lifted_executor
from oplibrary.core.op import Op
from oplibrary.messages.errors import (
    ArgumentError,
    DTypeError,
    GraphError,
    MixedModesError,
)
from oplibrary.ops.movement import broadcast_to
from oplibrary.ops.nested import holds_values, stack_nested
from oplibrary.values.data import copy_of
from oplibrary.values.dtypes import to_dtype
from oplibrary.values.tree import flatten
from oplibrary.values.types import TensorType
from staticgraph.declare.operands import (
    as_array,
    declare_length,
    declare_mixed,
    stacked,
    strengthen,
)
from staticgraph.graph import dimension
from staticgraph.graph.dimension import Dim, has_dims, without_dims
from staticgraph.graph.graph import Graph, current_graph, leaked
from staticgraph.graph.graph_ops import ASSIGN, GROUP, PLACEHOLDER, STOP_GRADIENT, VARIABLE
from staticgraph.graph.handles import StaleView
from staticgraph.graph.node import Node, declare_assign, load_variable
from staticgraph.program.polynomial import is_symbolic, symbols_exist
from staticgraph.program.program import Variable

# what the user declares ---------------------------------------------------------------------------


def placeholder(
    name: str, shape: Iterable[int | Dim] | int | Dim, dtype: npt.DTypeLike = "float32"
) -> Node:
    """Declare a value that each run is fed.

    Parameters
    ----------
    name : str
        What feeds call it; new in the graph.
    shape : tuple of int or Dim
        Lengths of the axes; see `dim` for those that each run chooses.
    dtype : dtype
        Of the elements.

    Raises
    ------
    GraphError
        Outside ``with graph:``, or if the name is taken.
    ArgumentError
        If the name or shape is not one.

    Examples
    --------
    >>> with Graph():
    ...     placeholder("x", (4, 3))
    Node(x: float32[4,3])
    """
    graph = require_graph("placeholder")
    if not isinstance(name, str) or not name:
        raise ArgumentError(
            f"placeholder: the name is {name!r}",
            cause="a placeholder is fed by its name",
            fix='write placeholder("x", (4, 3), "float32")',
        )
    node = graph.add_op(PLACEHOLDER, (), {}, type=_type(name, shape, dtype), name=name)
    graph.inputs.append(node)
    return node


def _type(name: str, shape: Any, dtype: Any) -> TensorType:
    try:
        given = (shape,) if isinstance(shape, (int, np.integer, Dim)) else tuple(shape)
        lengths = without_dims(given)
        if any(not isinstance(n, (int, np.integer)) or n < 0 for n in lengths):
            raise TypeError
    except TypeError:
        raise ArgumentError(
            f"placeholder {name!r}: the shape is {shape!r}",
            cause="the lengths of axes are whole numbers, or symbolic dimensions",
            fix='write the lengths, such as (4, 3); dim("batch") for one that each run chooses; '
            "sg.function makes one executable a shape",
        ) from None
    try:
        found = to_dtype(dtype)
    except TypeError:
        raise DTypeError(
            f"placeholder {name!r}: {dtype!r} is not a dtype",
            cause="the order of arguments is name, shape, dtype",
            fix='write placeholder("x", (4, 3), "float32")',
        ) from None
    return TensorType(lengths, found)


def variable(value: Any, name: str = "", dtype: npt.DTypeLike | None = None) -> Node:
    """Declare state that is kept between runs.

    Parameters
    ----------
    value : array_like
        What it holds first; copied. Python floats become float32, as in PyTorch.
    name : str, optional
        New in the graph; made up by default.
    dtype : dtype, optional
        Defaults to that of `value`.

    Examples
    --------
    >>> with Graph():
    ...     w = variable([1.0, 2.0], name="w")
    >>> w, w.value
    (Node(w: float32[2]), array([1., 2.], dtype=float32))
    """
    graph = require_graph("variable")
    array = copy_of(as_array(value, dtype), "variable")
    array.flags.writeable = False
    state = Variable(name, array)
    node = graph.add_op(
        VARIABLE,
        (),
        {"variable": state},
        type=TensorType(array.shape, array.dtype),
        name=name,
    )
    state.name = node.name
    return node


def constant(value: Any, dtype: npt.DTypeLike | None = None, name: str = "") -> Node:
    """Declare a value that is known now; copied, so later changes do not reach the graph.

    Examples
    --------
    >>> with Graph():
    ...     constant([1.0, 2.0])
    Node(constant: float32[2])
    """
    graph = require_graph("constant")
    if isinstance(value, (list, tuple)) and holds_values(value):
        # no constant: it is computed from them
        value = stacked(value) if dtype is None else stack_nested(value)
    if isinstance(value, Node):
        node = to_node(graph, value)
        return node if dtype is None else node.astype(dtype)
    # an array is the caller's, who would not see what is written into a copy
    own = not isinstance(value, (np.ndarray, np.generic))
    return graph.constant_array(as_array(value, dtype), name, own=own)


def assign(target: Node, value: Any) -> Node:
    """Declare that a run which computes the returned node leaves `value` in a variable.

    Every read of the variable in that run sees the old value.

    Raises
    ------
    GraphError
        If `target` is not a variable.
    ShapeError, DTypeError
        If the value's type is not the variable's.

    Examples
    --------
    >>> with Graph():
    ...     count = variable(0, name="count")
    ...     assign(count, count + 1)
    Node(assign: int64[])
    """
    if not isinstance(target, Node) or target.op is not VARIABLE:
        raise GraphError(
            f"assign to {target!r}, which is not a variable",
            cause="only variables keep a value from run to run",
            fix='declare it with variable(value, name="w")',
            related=(("declared", getattr(target, "source", None)),),
        )
    graph = owner((target, value), "assign")
    if isinstance(value, (int, float, complex, list, tuple)) and not holds_values(value):
        value = as_array(value, target.dtype)
    return graph.add_op(ASSIGN, (target, to_node(graph, value, target.dtype)), {})


def group(*nodes: Node) -> Node:
    """Declare a node that computes all of `nodes`, so that one fetch makes all assignments.

    Its value is True; a session returns None for it.
    """
    leaves, _ = flatten(nodes)
    graph = owner(leaves, "group")
    return graph.add_op(GROUP, tuple([graph.resolve(node) for node in leaves]), {})


def stop_gradient(x: Any) -> Node:
    """Declare the same value, cut off from what it was computed from; no gradient passes."""
    if not hasattr(x, "shape"):
        x = constant(x)
    elif isinstance(x, Node) and x in x.graph.weak and x not in x.graph.lengths:
        x = strengthen(x.graph, x)
    return declare(STOP_GRADIENT, (x,), {})


def load(node: Node, value: Any) -> None:
    """Set what a variable holds from now on, between runs.

    Raises
    ------
    GraphError
        If `node` is not a variable.
    ShapeError, DTypeError
        If the value's type is not the variable's.
    """
    state = node.variable
    if state is None:
        raise GraphError(
            f"a value was set in {node!r}, which is not a variable",
            cause="only variables keep a value from run to run",
            fix="feed the value in a run, or declare a variable",
            related=(("declared", node.source),),
        )
    state.value = value


# the executor -------------------------------------------------------------------------------------


def to_node(graph: Graph, value: Any, dtype: npt.DTypeLike | None = None) -> Node:
    """Return `value` as a node of `graph`: itself, or a constant.

    A weak node, which stands for a Python number, becomes one of `dtype`, or of the dtype that it
    has beside no array.

    Raises
    ------
    LeakedNodeError
        If it is a node of another graph.
    """
    if isinstance(value, (list, tuple)) and holds_values(value):
        value = stack_nested(value)
    if not isinstance(value, Node):
        if isinstance(value, Dim):
            return strengthen(graph, declare_length(graph, value.stand_in), dtype)
        return graph.constant_array(as_array(value))
    value = graph.adopt(value)
    return strengthen(graph, value, dtype) if value in graph.weak else value


def full(graph: Graph, type: TensorType, value: float) -> Node:
    """Declare an array of that type in which every element is `value`."""
    if not is_symbolic(type.shape):
        return graph.constant_array(np.full(type.shape, value, type.dtype))
    with graph:
        return declare(
            broadcast_to, (np.full((), value, type.dtype),), {"shape": tuple(map(int, type.shape))}
        )


def require_graph(what: str) -> Graph:
    """Return the graph that is being declared.

    Raises
    ------
    GraphError
        If there is none.
    """
    graph = current_graph()
    if graph is None:
        raise GraphError(
            f"{what} was called outside any graph",
            cause="a static program is declared in a graph, and compiled and run afterwards",
            fix='open one, "with sg.Graph():", or trace a function with sg.function or sg.trace; '
            "for results at once use dyngraph",
        )
    return graph


def owner(values: Iterable[Any], what: str) -> Graph:
    """Return the graph that an op named `what` on `values` is to be declared in.

    Raises
    ------
    GraphError
        If none is open and no value is a node.
    LeakedNodeError
        If none is open, and two nodes belong to two graphs or one to a trace that has ended.
    """
    graph = current_graph()
    if graph is not None:
        return graph
    for x in values:
        if isinstance(x, Node):
            if graph is None:
                graph = x.graph
                if graph.sealed:
                    raise leaked(x, None, what)
            elif x.graph is not graph:
                raise leaked(x, graph, what)
        elif type(x) in EXECUTORS:
            raise MixedModesError(f"staticgraph's {what} got a {type(x).__name__}")
    return require_graph(what) if graph is None else graph


def declare(op: Op, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Node:
    """Declare `op` on nodes, arrays and Python numbers: the static executor's apply.

    Arrays become constants, and so do Python numbers, with the dtype that they act as beside the
    other operands (NEP 50).

    Raises
    ------
    LeakedNodeError, FinalGraphError, NodeBudgetError, MixedModesError
    SideBySideError
        Whatever the op's infer rule says of the operands' types.
    """
    if attrs and symbols_exist() and has_dims(attrs):
        attrs = {name: without_dims(value) for name, value in attrs.items()}
    graph = current_graph()
    plain = graph is not None
    for x in operands:
        if type(x) is not Node or x.graph is not graph:
            plain = False
    if plain and not graph.weak:  # type: ignore[union-attr]
        return graph.add_op(op, operands, attrs)  # type: ignore[union-attr]
    lifted = lifted_executor(operands)
    if lifted is not None:
        return lifted(op, operands, attrs)  # type: ignore[no-any-return]
    return declare_mixed(owner(operands, op.name), op, operands, attrs)


EXECUTORS[Node] = EXECUTORS[StaleView] = declare
declare_assign.enter(assign)
load_variable.enter(load)
dimension.declare_length.enter(lambda number: declare_length(require_graph("a length"), number))
