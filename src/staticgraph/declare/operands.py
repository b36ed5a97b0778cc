"""Operands that are not nodes yet: arrays, Python numbers, and nodes that stand for Python numbers.

A Python number is weak: beside arrays it takes their dtype (NEP 50). A traced function's argument
that is a Python number is weak too. Its node holds it in full precision, and wherever it meets an
array it is cast to the dtype that the number itself would have taken, so that traced and eager
programs agree to the bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from oplibrary.core.dispatch import EXECUTORS, LIFTED
from oplibrary.core.op import Kind, Op
from oplibrary.core.refusals import kind_of
from oplibrary.executors.python_numbers import ints_are_indices
from oplibrary.messages.errors import DTypeError, GraphError, MixedModesError, SideBySideError
from oplibrary.ops.elementwise import cast
from oplibrary.ops.nested import holds_values, stack_nested
from oplibrary.values.data import has_dtype, narrow_dtype, to_numbers
from oplibrary.values.dtypes import to_dtype
from oplibrary.values.tree import flatten
from oplibrary.values.types import (
    Array,
    TensorType,
    is_scalar,
    number_kind,
    plain_number,
    resolve_scalar,
    type_of,
)
from staticgraph.declare.length_op import LENGTH
from staticgraph.graph.dimension import Dim
from staticgraph.graph.graph import Graph
from staticgraph.graph.inference import infer
from staticgraph.graph.node import Node
from staticgraph.graph.number_ranges import require_fitting
from staticgraph.program.polynomial import is_symbolic

_SAMPLES: dict[str, bool | int | float | complex] = {"b": True, "i": 1, "f": 1.0, "c": 1j}
"""A Python number of each kind of dtype that a weak node has."""


def as_array(value: Any, dtype: npt.DTypeLike | None = None) -> Array:
    """Return `value` as an array; Python floats become float32 and Python complex complex64.

    Raises
    ------
    DTypeError
        If it is not made of numbers, or has elements that are masked.
    MixedModesError
        If it is a value of another executor.
    """
    if type(value) in EXECUTORS:
        if isinstance(value, Node):
            value.__array__()
        if type(value) in LIFTED:
            raise GraphError(
                f"{value!r} was passed where one value for all examples is needed",
                cause="under vmap a constant, and what is assigned to a variable, is one for all "
                "examples",
                fix="compute with the value itself; assign what vmap returns, behind it",
            )
        raise MixedModesError(f"a {type(value).__name__} was passed to staticgraph")
    array = to_numbers(value, dtype, "constant")
    if dtype is None and not has_dtype(value):
        return array.astype(narrow_dtype(array), copy=False)
    return array


def stacked(values: Any) -> Any:
    """Return nested sequences that hold nodes as an array; Python floats alone become float32."""
    array = stack_nested(values)
    numbers = all(number_kind(x) is not None for x in flatten(values)[0])
    return array.astype(narrow_dtype(array)) if numbers else array


def declare_mixed(graph: Graph, op: Op, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Node:
    """Declare `op` on operands of which some are arrays, Python numbers or weak nodes."""
    graph.require_open(op.name)  # before any constant is added, to name the op and not its operand
    mixed = [_as_operand(graph, op, x, position) for position, x in enumerate(operands)]
    if not all(_is_weak(graph, x) and not _is_beyond(x) for x in mixed):
        return graph.add_op(op, _resolve(graph, op, mixed, attrs), attrs)
    # numbers alone are what NumPy makes of them, as in a composition that runs in dyngraph
    nodes = [x if type(x) is Node else graph.constant_array(np.asarray(x)) for x in mixed]
    node = graph.add_op(op, tuple(nodes), attrs)
    if op.kind is Kind.ELEMENTWISE and "dtype" not in attrs and _made_of_lengths(graph, mixed):
        graph.weak.add(node)
        graph.lengths.add(node)
    return node


def _made_of_lengths(graph: Graph, mixed: list[Any]) -> bool:
    lengths = [x in graph.lengths for x in mixed if type(x) is Node]
    return bool(lengths) and all(lengths)


def strengthen(graph: Graph, node: Node, dtype: npt.DTypeLike | None = None) -> Node:
    """Return a weak node cast to `dtype`, or to the dtype that it has beside no array.

    It is cast where it was declared, which may be around the branch or the loop that reads it.
    """
    around = graph.stands_for(node)
    if around is not None:
        with around.graph:
            outside = strengthen(around.graph, around, dtype)
        return graph.adopt(outside)
    target = to_dtype(dtype) if dtype is not None else _weak_type(graph, node, ()).dtype
    key = (node, target)
    known = graph.weak_casts.get(key)
    if known is None:
        require_fitting(node, target)
        known = graph.add_op(cast, (node,), {"dtype": target})
        graph.weak_casts[key] = known
    return known


def _weak_type(graph: Graph, x: Any, dtypes: tuple[Any, ...]) -> TensorType:
    """Return the type that a Python number or a weak node acts as beside `dtypes`."""
    number = _SAMPLES[x.dtype.kind] if type(x) is Node else x
    return type_of(resolve_scalar(number, dtypes))


def _is_weak(graph: Graph, x: Any) -> bool:
    return type(x) is not Node or x in graph.weak


def _resolve(graph: Graph, op: Op, mixed: list[Any], attrs: dict[str, Any]) -> tuple[Node, ...]:
    """Return strong nodes for all operands."""
    dtypes = tuple([x.type.dtype for x in mixed if not _is_weak(graph, x)])
    if len(dtypes) == len(mixed):
        return tuple(mixed)
    if ints_are_indices(op, lambda whole: _types(graph, mixed, dtypes, whole), attrs):
        return _strong_nodes(graph, mixed, dtypes, whole=True)
    if _compares_wider(graph, op, mixed, dtypes, attrs):
        return _strong_nodes(graph, mixed, (), whole=True)
    try:
        return _strong_nodes(graph, mixed, dtypes)
    except OverflowError as error:
        return _resolve_wide(graph, op, mixed, attrs, error)


def _compares_wider(
    graph: Graph, op: Op, mixed: list[Any], dtypes: tuple[Any, ...], attrs: dict[str, Any]
) -> bool:
    """Tell whether a comparison takes a loop's counter that the dtype beside it may not hold."""
    for x in mixed:
        if type(x) is Node and x in graph.weak:
            try:
                require_fitting(x, _weak_type(graph, x, dtypes).dtype, narrow=False)
            except DTypeError:
                return _compares(op, _types(graph, mixed, (), whole=True), attrs)
    return False


def _compares(op: Op, types: tuple[TensorType, ...], attrs: dict[str, Any]) -> bool:
    try:
        return bool(infer(op, types, attrs).dtype == bool)
    except (SideBySideError, OverflowError):
        return False


def _beside(graph: Graph, x: Any, dtypes: tuple[Any, ...], whole: bool) -> tuple[Any, ...]:
    """Return `dtypes`, or nothing for an int that is to be int64 whatever is beside it."""
    is_int = x.dtype.kind == "i" if type(x) is Node else type(x) is int
    return () if whole and is_int else dtypes


def _strong_nodes(
    graph: Graph, mixed: list[Any], dtypes: tuple[Any, ...], whole: bool = False
) -> tuple[Node, ...]:
    nodes = []
    for x in mixed:
        beside = _beside(graph, x, dtypes, whole)
        if type(x) is not Node:
            nodes.append(graph.constant_scalar(x, beside))
        elif x in graph.weak:
            nodes.append(strengthen(graph, x, _weak_type(graph, x, beside).dtype))
        else:
            nodes.append(x)
    return tuple(nodes)


def _types(
    graph: Graph, mixed: list[Any], dtypes: tuple[Any, ...], whole: bool
) -> tuple[TensorType, ...]:
    return tuple(
        [
            _weak_type(graph, x, _beside(graph, x, dtypes, whole)) if _is_weak(graph, x) else x.type
            for x in mixed
        ]
    )


def _resolve_wide(
    graph: Graph, op: Op, mixed: list[Any], attrs: dict[str, Any], error: OverflowError
) -> tuple[Node, ...]:
    """Return nodes where a Python int does not fit the dtype beside it: comparisons take it."""
    near = [0 if _is_beyond(x) else x for x in mixed]
    if _compares(op, _types(graph, near, (), whole=True), attrs):
        # beside a dtype that it does not fit it is as an infinity
        mixed = [math.copysign(math.inf, x) if _is_beyond(x) else x for x in mixed]
        return _strong_nodes(graph, mixed, (), whole=True)
    listing = ", ".join(repr(x.type if type(x) is Node else x) for x in mixed)
    raise DTypeError(
        f"{op.name}({listing}): {error}",
        cause="a Python int takes the dtype of the array beside it, and does not fit",
        fix="convert the array to a wider dtype with astype first",
    ) from None


def _is_beyond(x: Any) -> bool:
    """Tell whether `x` is a Python int that is no int64."""
    return type(x) is int and not -(2**63) <= x < 2**63


def declare_length(graph: Graph, number: int) -> Node:
    """Declare a number that is made of lengths; it acts as a Python number."""
    attrs = {"length": number, "over": None, "dtype": np.dtype(np.int64)}
    node = graph.add_op(LENGTH, (), attrs)
    graph.weak.add(node)
    graph.lengths.add(node)
    return node


def _as_operand(graph: Graph, op: Op, x: Any, position: int) -> Any:
    """Return a node of `graph`, or a Python number as it is."""
    x = plain_number(x) if type(x) is not Node else x
    if is_scalar(x):
        return declare_length(graph, x) if is_symbolic(x) else x
    if isinstance(x, Dim):
        return declare_length(graph, x.stand_in)
    if isinstance(x, (list, tuple)) and holds_values(x):
        x = stack_nested(x)
    if not isinstance(x, Node):
        return graph.constant_array(_operand_array(op, x, position))
    try:
        return graph.adopt(x)
    except SideBySideError as error:
        raise error.with_context(op.name) from None


def _operand_array(op: Op, value: Any, position: int) -> Array:
    if isinstance(value, (np.ndarray, np.generic, list, tuple)):
        return to_numbers(value, None, "operand")
    if type(value) in EXECUTORS:
        raise MixedModesError(f"{op.name}: operand {position} is a {type(value).__name__}")
    raise DTypeError(
        f"{op.name}: operand {position} is a {kind_of(value)}, not an array",
        cause="operands are nodes, arrays or Python numbers",
        fix="convert it first, for example with numpy.asarray",
    )
