"""The functions of the namespace ``staticgraph``: the op library, bound to this executor."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.dispatch import EXECUTORS, LIFTED
from oplibrary.core.op import Op
from oplibrary.core.registry import CREATION, named_as
from oplibrary.core.registry import lookup as shared
from oplibrary.core.registry import names as shared_names
from oplibrary.messages.call_errors import UNFIT, explain_call, explain_creation
from oplibrary.messages.errors import ArgumentError, SideBySideError
from oplibrary.ops.arguments import require_device, require_flag
from oplibrary.ops.creation import resolve_dtype
from oplibrary.ops.nested import holds_values, stack_nested
from oplibrary.values.data import array_from_dlpack, require_numbers
from oplibrary.values.tree import flatten, map_tree
from oplibrary.values.types import fit_scalar, is_scalar, plain_number, resolve_scalar
from staticgraph.declare.build import constant, declare, require_graph, to_node
from staticgraph.declare.creation import declare_creation
from staticgraph.declare.operands import as_array, stacked, strengthen
from staticgraph.graph.dimension import has_dims
from staticgraph.graph.graph import Graph, current_graph
from staticgraph.graph.inference import OF_STAND_INS, takes_a_number
from staticgraph.graph.node import Node
from staticgraph.program.lengths import type_is_symbolic
from staticgraph.program.polynomial import named_text


def lookup(name: str, below: str = "") -> Callable[..., Any] | None:
    """Return the declaring form of the library's function called `name`, or None.

    Parameters
    ----------
    name : str
    below : str
        Its namespace below the main one, such as ``"linalg"``.
    """
    if name in CREATION and not below:
        return _creation(CREATION[name])
    found = shared(f"{below}.{name}" if below else name)
    if found is None:
        return None
    return _op(found) if isinstance(found, Op) else _composition(found)


def names(below: str = "") -> list[str]:
    """Return every name that `lookup` knows."""
    return sorted({*shared_names(below), *(() if below else CREATION.modules)})


def _op(op: Op) -> Callable[..., Node]:
    """Return `op` as a function that declares it whatever it is called with."""

    def call(*args: Any, **kwargs: Any) -> Node:
        try:
            operands, attrs = op.bind_beside_options(args, kwargs)
        except ArgumentError as error:
            if not any(type(x) in EXECUTORS for x in flatten((args, kwargs))[0]):
                require_graph(op.name)
            return _as_numpy(op, args, kwargs, error)  # type: ignore[no-any-return]
        if not op.options.keys().isdisjoint(kwargs):
            return op.call_with_options(call, args, kwargs)  # type: ignore[no-any-return]
        return declare(op, _as_arrays(operands), attrs)

    return named_as(op, call)  # type: ignore[no-any-return]


def _as_arrays(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return operands of a function; Python numbers alone are arrays to it, as in dyngraph.

    Python's operators make a number of them, and what is made of lengths stays one.
    """
    operands = tuple(map(plain_number, operands))
    numbers = [type(x) is Node and x in x.graph.weak and x not in x.graph.lengths for x in operands]
    if not all(of_graph or is_scalar(x) for of_graph, x in zip(numbers, operands, strict=True)):
        return operands
    if len(operands) == 1 and is_scalar(operands[0]):
        return (fit_scalar(operands[0], ()),)
    return tuple([strengthen(x.graph, x) if type(x) is Node else _alone(x) for x in operands])


def _alone(number: Any) -> Any:
    """Return a Python number as the array that it is beside no other, where it fits one."""
    fits = type(number) is not int or -(2**63) <= number < 2**63
    return resolve_scalar(number, ()) if fits else number


def _composition(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a composition of ops as a function that declares them."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        values, _ = flatten((args, kwargs))
        if not any(type(x) in EXECUTORS for x in values):
            if any(isinstance(x, np.ndarray) for x in values):
                graph = require_graph(function.__name__)
                # single numbers stay as they are: they may be axes and lengths
                args, kwargs = map_tree(
                    lambda x: _lift(graph, x) if isinstance(x, np.ndarray) else x, (args, kwargs)
                )
            elif current_graph() is None:
                return _called(function, args, kwargs)  # of plain numbers, such as a seed
        result = _called(function, args, kwargs)
        opened = current_graph()
        return result if opened is None else map_tree(lambda x: _lift(opened, x), result)

    return call


def _as_numpy(function: Any, args: tuple[Any, ...], kwargs: Any, error: Exception) -> Any:
    """Return what NumPy's function of the same name means by a call that ours has refused."""
    from oplibrary.executors.numpy.spelled import call_as_numpy

    if args and isinstance(args[0], Node):  # a number alone is an array, as for our functions
        args = (*_as_arrays(args[:1]), *args[1:])
    result = call_as_numpy(function, args, kwargs, error)
    opened = current_graph()
    return result if opened is None else map_tree(lambda x: _lift(opened, x), result)


def _called(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    try:
        require_numbers((*args, *kwargs.values()))
        return function(*args, **kwargs)
    except SideBySideError as error:
        error.what, error.cause = named_text(error.what), named_text(error.cause)
        if not isinstance(error, ArgumentError):
            raise
        explained: Exception = error
    except UNFIT as error:
        if type(error) in OF_STAND_INS and _meets_lengths((args, kwargs)):
            raise takes_a_number(function.__name__) from None
        explained = explain_call(function.__name__, function, error)
        if explained is error:
            raise
        explained.__cause__ = error
    return _as_numpy(function, args, kwargs, explained)


def _meets_lengths(arguments: Any) -> bool:
    """Tell whether an argument is a length that is not known, or a node that has one."""
    nodes = (x for x in flatten(arguments)[0] if isinstance(x, Node))
    return has_dims(arguments) or any(type_is_symbolic(x.type) for x in nodes)


def _lift(graph: Graph, x: Any) -> Any:
    """Return arrays as constants and everything else as it is."""
    return graph.constant_array(np.asarray(x)) if isinstance(x, (np.ndarray, np.generic)) else x


def _creation(function: Callable[..., Any]) -> Callable[..., Node]:
    """Return a function that makes an array as one that declares it as a constant."""

    @functools.wraps(function)
    def create(*args: Any, **kwargs: Any) -> Node:
        graph = require_graph(function.__name__)
        if has_dims((args, kwargs)):
            return declare_creation(graph, function, args, kwargs)
        try:
            made = function(*args, **kwargs)
        except SideBySideError:
            raise
        except UNFIT as error:
            raise explain_creation(function, args, error) from error
        return graph.constant_array(made, copy=False, own=True)

    return create


def asarray(
    value: Any, dtype: Any = None, device: str | None = None, copy: bool | None = None
) -> Node:
    """Return `value` as a node: itself, or a constant.

    Parameters
    ----------
    value : array_like
    dtype : dtype, optional
        Defaults to the array's own; Python floats become float32 and ints int64.
    device : str, optional
        ``"cpu"``, the only one.
    copy : bool, optional
        Whether the node is another than `value`. A constant is always a copy; one that is asked
        for may be written to.

    Raises
    ------
    ArgumentError
        If `copy` is False and the data cannot be shared.

    Examples
    --------
    >>> with Graph():
    ...     asarray([1.0, 2.0])
    Node(constant: float32[2])
    """
    require_device(device)
    dtype = None if dtype is None else resolve_dtype(dtype)
    if copy is not None and not require_flag(copy, "copy"):
        if not isinstance(value, Node) or (dtype is not None and dtype != value.dtype):
            raise ArgumentError(
                f"asarray: with copy=False this {type(value).__name__} cannot become a node"
                + ("" if dtype is None else f" of {dtype}"),
                cause="a graph keeps a copy of what it is given",
                fix="leave copy out: asarray copies only where it has to",
            )
        return value
    if isinstance(value, Node) and value in value.graph.weak:  # an array, and no number any more
        value = to_node(require_graph("asarray"), value, dtype)
    if isinstance(value, Node) and (dtype is None or dtype == value.dtype):
        return value.clone() if copy else value
    if isinstance(value, (list, tuple)) and holds_values(value):
        value = stacked(value) if dtype is None else stack_nested(value)
    if type(value) in LIFTED:  # rows of nodes
        value = value if dtype is None or value.dtype == dtype else value.astype(dtype)
        return value.clone() if copy else value  # type: ignore[no-any-return]
    if copy and isinstance(value, (np.ndarray, np.generic)):
        graph = require_graph("asarray")
        return graph.constant_array(as_array(value, dtype), own=True)
    return constant(value, dtype)


def from_dlpack(array: Any, /, *, device: str | None = None, copy: bool | None = None) -> Node:
    """Return an array of another library as a constant.

    Parameters
    ----------
    array : object with ``__dlpack__``
    device : str, optional
        ``"cpu"``, the only one.
    copy : bool, optional
        Accepted for the array API standard: a graph keeps a copy of what it is given.

    Raises
    ------
    ArgumentError
        If the array lies elsewhere or has no ``__dlpack__``, or `copy` is False.
    """
    if isinstance(array, Node):
        return asarray(array, device=device, copy=copy)
    found = array_from_dlpack(array, device, None if copy is False else copy)
    return asarray(found, device=device, copy=copy)
