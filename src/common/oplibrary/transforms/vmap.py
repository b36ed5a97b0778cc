"""vmap: a function written for one example, run for many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from oplibrary.core.batching import move_axis
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.transforms.batched import Batched, level_of, rows_of
from oplibrary.values.parameters import require_callable
from oplibrary.values.tree import flatten, unflatten
from oplibrary.values.types import is_scalar, normalize_axis


def vectorized(
    function: Callable[..., Any],
    in_axes: Any,
    out_axes: Any,
    axis_size: int | None,
    lift: Callable[[Any], Any],
    opened: Callable[[Sequence[Any]], AbstractContextManager[Any]],
) -> Callable[..., Any]:
    """Return `function` as one that runs for many examples; see `Transforms.vmap`."""
    require_callable("vmap", function)

    def run(*args: Any, **kwargs: Any) -> Any:
        axes = _spread("in_axes", _listed_axes(in_axes, len(args)), args)
        named = {name: _axes_of_named(value) for name, value in kwargs.items()}
        leaves, structure = flatten((args, kwargs))
        places = [*axes, *[axis for each in named.values() for axis in each]]
        with opened(leaves):
            values = [
                x if axis is None else lift(x) for x, axis in zip(leaves, places, strict=True)
            ]
            size = _size(values, places, axis_size)
            with level_of(size, lift) as level:
                inside = [
                    x if axis is None else rows_of(x, axis % len(x.shape), len(x.shape), level)
                    for x, axis in zip(values, places, strict=True)
                ]
                given, named_given = unflatten(structure, inside)
                result = function(*given, **named_given)
                outputs, found = flatten(result)
                out = _spread("out_axes", out_axes, result)
                return unflatten(
                    found,
                    [_result(x, axis, level, lift) for x, axis in zip(outputs, out, strict=True)],
                )

    run.__wrapped__ = function  # type: ignore[attr-defined]
    run.__name__ = f"vmap({getattr(function, '__name__', 'function')})"
    return run


def _listed_axes(in_axes: Any, count: int) -> Any:
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != count:
        raise ArgumentError(
            f"vmap: in_axes has {len(in_axes)} entries for {count} arguments",
            cause="each argument has its own entry, or one number stands for all",
            fix="pass one entry an argument; None for one that all examples share",
        )
    return in_axes


def _spread(name: str, axes: Any, tree: Any) -> list[int | None]:
    """Return the axis of each leaf of `tree`, of which `axes` gives one for a whole part."""
    if axes is None or (isinstance(axes, (int, np.integer)) and not isinstance(axes, bool)):
        return [None if axes is None else int(axes)] * len(flatten(tree)[0])
    if isinstance(axes, (tuple, list)) and isinstance(tree, (tuple, list)):
        if len(axes) == len(tree):
            return [a for part, each in zip(axes, tree) for a in _spread(name, part, each)]
    elif isinstance(axes, dict) and isinstance(tree, dict) and set(axes) == set(tree):
        return [a for key, each in tree.items() for a in _spread(name, axes[key], each)]
    raise ArgumentError(
        f"vmap: {name} {axes!r} does not fit what it is for",
        cause="it is an int, None, or a container like the one that it describes",
        fix=f"pass one int for all, for example {name}=0",
    )


def _axes_of_named(value: Any) -> list[int | None]:
    """Return the axes of an argument that is passed by name: arrays go along axis 0."""
    return [0 if len(getattr(x, "shape", ())) else None for x in flatten(value)[0]]


def _size(values: Sequence[Any], axes: Sequence[int | None], axis_size: int | None) -> int:
    lengths: dict[int, int] = {}
    for position, (x, axis) in enumerate(zip(values, axes, strict=True)):
        if axis is None:
            continue
        ndim = len(x.shape)
        if not -ndim <= axis < ndim:
            raise ShapeError(
                f"vmap: array {position} has shape {tuple(x.shape)}, and the examples are to be "
                f"along its axis {axis}",
                cause="there is no such axis",
                fix="pass in_axes with None for what all examples share, or another axis",
            )
        lengths[int(x.shape[axis])] = position
    if axis_size is not None:
        lengths.setdefault(int(axis_size), -1)
    if len(lengths) != 1:
        raise ShapeError(
            f"vmap: the numbers of examples are {sorted(lengths)}"
            if lengths
            else "vmap: no argument has an axis of examples",
            cause="all arguments go along their axes together",
            fix="pass arrays of one length along them, or axis_size= where there is none",
        )
    return next(iter(lengths))


def _result(x: Any, axis: int | None, level: Any, lift: Callable[[Any], Any]) -> Any:
    """Return a value of the function with the axis of examples where it is wanted."""
    own = type(x) is Batched and x._level is level
    if axis is None:
        if own:
            raise ArgumentError(
                f"vmap: out_axes is None for {x!r}",
                cause="each example has a result of its own",
                fix="pass an axis, such as out_axes=0",
            )
        return x
    if own:
        value = x._value
    else:
        if not is_scalar(x) and not hasattr(x, "shape"):
            raise ArgumentError(
                f"vmap: the function returned a {type(x).__name__}",
                cause="what it returns for all examples becomes one array",
                fix="return arrays, or numbers, in tuples, lists and dicts",
            )
        single = lift(x)
        value = REGISTRY["broadcast_to"](single, shape=(level.size, *single.shape))
    ndim = len(value.shape)
    return move_axis(value, ndim, 0, normalize_axis(axis, ndim, "out_axes"))
