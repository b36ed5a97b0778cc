"""Lengths that each run chooses, in JAX's terms: named when a function is traced, then computed."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, UnsupportedOpError
from oplibrary.messages.source import Source
from staticgraph.graph.dimension import Dim, declare_length
from staticgraph.importing.jaxprs.table import TABLE
from staticgraph.importing.shared.block import Ref, Step
from staticgraph.importing.shared.dynamic import open_axes
from staticgraph.importing.shared.table import Entry

Axes = Mapping[int, str]

_WORDS = frozenset({"max", "min", "mod", "floordiv", "non_negative"})
"""What JAX's texts of lengths have functions for; a length of such a name is called otherwise."""


# which axes ---------------------------------------------------------------------------------------


def axes_of(
    dynamic: Mapping[str, Axes],
    function: Callable[..., Any],
    skipped: int,
    inputs: Sequence[tuple[str, tuple[Any, ...], Any]],
) -> list[Axes]:
    """Return for each input which of its axes each run may choose the length of.

    Parameters
    ----------
    dynamic : mapping
        By the name of an argument, with the way into it where it is a tree, or by an input's name.
    function : callable
    skipped : int
        How many arguments stand before the inputs.
    inputs : sequence
        The name of each, the way to it from the arguments, and an example.

    Raises
    ------
    ArgumentError
        If `dynamic` names what there is not, or gives one name to different lengths.
    """
    arguments = _argument_names(function, skipped)
    names: dict[str, int] = {name: i for i, (name, _, _) in enumerate(inputs)}
    shown = []
    for i, (name, way, _) in enumerate(inputs):
        called = ".".join((arguments.get(way[0], name.partition(".")[0]), *way[1:]))
        names[called] = i
        shown.append(called)
    found: list[Axes] = [{} for _ in inputs]
    known: dict[str, int] = {}
    for name, axes in dynamic.items():
        if name not in names:
            raise ArgumentError(
                f"from_jax: dynamic names {name!r}, which is no array among the inputs",
                cause=f"they are {', '.join(shown) or 'none'}",
                fix=f'write dynamic={{"{(shown or ["x"])[0]}": {{0: "batch"}}}}',
            )
        shape = np.shape(inputs[names[name]][2])
        found[names[name]] = open_axes("from_jax", name, axes, shape, known)
    return found


def _argument_names(function: Callable[..., Any], skipped: int) -> dict[str, str]:
    """Return what the function calls its arguments, by their positions."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some callables have none
        return {}
    positional = [each for each in parameters if each.kind in _POSITIONAL]
    return {str(i): each.name for i, each in enumerate(positional[skipped:])}


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def traced_as(jax: Any, leaves: Sequence[Any], axes: Sequence[Axes]) -> list[Any]:
    """Return what stands for each input while JAX traces: itself, or its shape with names."""
    names = sorted({length for each in axes for length in each.values()})
    if not names:
        return list(leaves)
    from jax import export

    lengths = dict(zip(names, export.symbolic_shape(",".join(map(_theirs, names))), strict=True))
    return [
        jax.ShapeDtypeStruct(
            tuple([lengths[each[a]] if a in each else n for a, n in enumerate(x.shape)]), x.dtype
        )
        if each
        else x
        for x, each in zip(leaves, axes, strict=True)
    ]


def _theirs(name: str) -> str:
    return f"{name}_" if name in _WORDS else name


# in a program -------------------------------------------------------------------------------------


def ref_of(name: str) -> Ref:
    """Return what stands for a length, by its name, in a program and in all that is inside it."""
    return Ref(f"length {_theirs(name)}")


def reading(inputs: Sequence[str], axes: Sequence[Axes]) -> list[Step]:
    """Return the steps that read each length off an input."""
    steps: dict[str, Step] = {}
    for value, each in zip(inputs, axes, strict=True):
        for axis, name in each.items():
            if name not in steps:
                entry = _entry(lambda xp, x, axis=axis: x.shape[axis])
                called = ref_of(name).name
                steps[name] = Step("length", entry, (called,), (Ref(value),), {}, None, (None,))
    return list(steps.values())


def is_length(value: Any) -> bool:
    """Tell whether a parameter of a primitive is a length that JAX computes with."""
    return type(value).__name__ == "_DimExpr"


def computing(value: Any, name: str, line: Source | None) -> Step:
    """Return the step that computes a length, called `name`, of those that are read."""
    text = str(value).replace("^", "**")
    tree = ast.parse(text.strip(), mode="eval").body
    needed = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)} - _WORDS
    given = {each: Ref(f"length {each}") for each in sorted(needed)}
    entry = _entry(lambda xp, **lengths: _evaluated(tree, lengths, text))
    return Step(f"the length {text}", entry, (name,), (), given, line, (None,))


def _entry(function: Callable[..., Any]) -> Entry:
    return Entry(function, frozenset(), {}, frozenset(), True)


def _evaluated(tree: Any, lengths: Mapping[str, Any], text: str) -> Any:
    """Return the value of a length's text: a number, or a length that each run chooses."""
    if isinstance(tree, ast.Constant):
        return tree.value
    if isinstance(tree, ast.Name):
        return lengths[tree.id]
    if isinstance(tree, ast.UnaryOp):
        return -1 * _evaluated(tree.operand, lengths, text)
    if isinstance(tree, ast.BinOp):
        x, y = (_evaluated(each, lengths, text) for each in (tree.left, tree.right))
        if isinstance(tree.op, ast.Pow):
            product = x
            for _ in range(y - 1):
                product = product * x
            return product
        if isinstance(tree.op, ast.Mult):
            return x * y
        return x + y if isinstance(tree.op, ast.Add) else x - y
    assert isinstance(tree, ast.Call), text
    assert isinstance(tree.func, ast.Name), text
    values = [_evaluated(each, lengths, text) for each in tree.args]
    return _called(tree.func.id, values, text)


def _called(name: str, values: Sequence[Any], text: str) -> Any:
    """Return what a function of lengths gives where that is the same for all that a run chooses."""
    if not any(isinstance(each, Dim) for each in values):
        return _FUNCTIONS[name](*values)
    if name in ("floordiv", "mod"):
        x, y = values
        if isinstance(x, Dim):
            quotient = x.over(y)
            if quotient is not None:
                return quotient if name == "floordiv" else 0
        elif name == "mod":
            least = y.least_difference(0)
            if least is not None and -least <= x < least:
                return y + x if x < 0 else x
    raise UnsupportedOpError(
        f"the length {text} is not supported",
        cause="a length is a sum of products of the lengths of the inputs",
        fix="leave the axis out of dynamic, which takes the length of the example input",
    )


_FUNCTIONS: Mapping[str, Callable[..., int]] = {
    "floordiv": lambda x, y: x // y,
    "mod": lambda x, y: x % y,
    "max": max,
    "min": min,
    "non_negative": lambda x: max(x, 0),
}


@TABLE.entry("dim_as_value")
def _as_value(xp: Any, dim: Any) -> Any:
    if isinstance(dim, Dim):
        return xp.astype(declare_length(dim.stand_in), np.dtype(np.int64))
    return xp.asarray(np.asarray(dim))


def clipped(xp: Any, start: Any, most: Any) -> Any:
    """Return where windows start, those that would leave the array moved inside."""
    if isinstance(most, Dim):
        most = xp.astype(_as_value(xp, most), start.dtype)
    return xp.clip(start, 0, most)


def counted(xp: Any, length: Any) -> Any:
    """Return the numbers from 0 to a length, computed in each run if that chooses it."""
    return xp.arange(length) if isinstance(length, Dim) else np.arange(length)
