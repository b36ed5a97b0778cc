"""Arrays made of symbolic lengths: zeros, ones, arange and so on, made anew in each run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oplibrary.core.op import Kind, Op
from oplibrary.messages.errors import ShapeError, SideBySideError
from oplibrary.values.types import Array, TensorType
from staticgraph.graph.dimension import has_dims, without_dims
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.program.polynomial import evaluated, named, samples, symbols_in


def _create(
    *, function: Callable[..., Array], args: tuple[Any, ...], names: tuple[str, ...]
) -> Array:
    count = len(args) - len(names)
    return function(*args[:count], **dict(zip(names, args[count:], strict=True)))


def _infer(
    *, function: Callable[..., Array], args: tuple[Any, ...], names: tuple[str, ...]
) -> TensorType:
    """Try the function on small lengths, and find the lengths of its axes among the arguments."""
    tried = []
    for lengths in samples(set(symbols_in(args))):
        array = _create(function=function, args=evaluated(args, lengths), names=names)
        tried.append((lengths, array))
    candidates = [*_numbers(args), *range(65)]
    dtype, ndim = tried[0][1].dtype, tried[0][1].ndim
    shape = []
    for axis in range(ndim):
        fitting = [
            n
            for n in candidates
            if all(array.shape[axis] == evaluated(n, lengths) for lengths, array in tried)
        ]
        if not fitting:
            raise ShapeError(
                f"axis {axis} of {function.__name__} of {named(args)}",
                cause="its length is none of the arguments, and must be known as one",
                fix="make a longer array, or of a length that is an argument, and compute with it",
            )
        shape.append(fitting[0])
    return TensorType(shape, dtype)


def _numbers(args: Any) -> list[int]:
    if isinstance(args, (tuple, list)):
        return [n for each in args for n in _numbers(each)]
    return [args] if isinstance(args, int) and not isinstance(args, bool) else []


CREATED = Op(
    name="created",
    kind=Kind.CREATION,
    arity=0,
    kernel=_create,
    infer=_infer,
    attrs={"function": ..., "args": ..., "names": ()},
    doc="An array that a function makes of lengths.",
)


def declare_creation(
    graph: Graph,
    function: Callable[..., Array],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Node:
    """Declare what a creation function makes in each run, of the lengths that this run has."""
    values = tuple([without_dims(_hashable(x)) for x in (*args, *kwargs.values())])
    attrs = {"function": function, "args": values, "names": tuple(kwargs)}
    try:
        return graph.add_op(CREATED, (), attrs)
    except SideBySideError as error:
        raise error.with_context(function.__name__) from None


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) and has_dims(value) else value
