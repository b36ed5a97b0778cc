"""Calls of functions that have derivatives of their own, for every executor.

The function runs as it is, and its results are then tied to its arguments, by
`Differentiation.attached`: where a derivative passes the results it asks the `CustomCall`, and
nothing of what was computed between them. Under `vmap` an executor's array has the rows of all
examples; here they are put around the arrays again, so that what the user wrote sees single
examples whenever it runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from oplibrary.core.dispatch import EXECUTORS, TRANSFORMS, executor_of
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import (
    ArgumentError,
    DTypeError,
    NotDifferentiableError,
    ShapeError,
)
from oplibrary.messages.source import Source
from oplibrary.ops.arguments import normalize_ints
from oplibrary.transforms.batched import (
    Batched,
    Level,
    Levels,
    bare,
    held_by,
    level_of,
    levels_of,
    open_levels,
    union,
)
from oplibrary.transforms.lifting import LiftedTransforms
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.parameters import place_of
from oplibrary.values.tree import LEAF, Structure, flatten, leaf_paths, unflatten
from oplibrary.values.types import TensorType, is_scalar, type_of


@dataclass(frozen=True, slots=True, eq=False)
class CustomCall:
    """What one call leaves behind for derivatives; it holds no array of an executor.

    Attributes
    ----------
    name : str
        What the user calls the function.
    pull : callable
        ``pull(cotangents, inputs, kept, linked)`` returns the gradient of each input, None where
        there is none, as a user has them. `linked` tells that derivatives go on from `kept`, or
        that none are asked for.
    push : callable or None
        ``push(tangents, inputs)`` returns the tangent of each result; None where the function has
        no derivative in forward mode.
    """

    name: str
    pull: Callable[..., list[Any]]
    push: Callable[..., list[Any]] | None

    def refusal(self) -> NotDifferentiableError:
        """Return the error of a tangent that arrives where there is no forward mode."""
        return NotDifferentiableError(
            f"forward mode through {self.name}, which is a custom_vjp",
            cause="it says how gradients are pulled back, and not how tangents are pushed on",
            fix="define its derivative with custom_jvp, which serves both modes, or differentiate "
            "in reverse mode: with grad, vjp or jacobian",
        )

    def from_outside(self) -> NotDifferentiableError:
        """Return the error of a derivative by a value that the function takes from outside."""
        return NotDifferentiableError(
            f"the derivative of {self.name} by a value that it reads from outside",
            cause="its own rule gives the derivatives by its arguments, and no others",
            fix="pass the value as an argument, with a gradient of its own in the rule; or cut it "
            "off with stop_gradient, if it is to have none",
        )


class Arguments:
    """The arguments of one call: what its derivatives are by, and everything else.

    Parameters
    ----------
    name : str
    args : tuple
    nondiff : tuple of int
        The positions of those that the rules get as they are.
    """

    def __init__(self, name: str, args: tuple[Any, ...], nondiff: tuple[int, ...]) -> None:
        count = len(args)
        for position in nondiff:
            if not -count <= position < count:
                raise ArgumentError(
                    f"{name}: nondiff_argnums names argument {position} of {count}",
                    cause="arguments are counted from 0, by position",
                    fix="name one of the arguments that the function is called with",
                )
        outside = {position % count for position in nondiff}
        self.fixed = [args[i] for i in sorted(outside)]
        for position in sorted(outside):
            if any(type(x) in EXECUTORS for x in flatten(args[position])[0]):
                raise ArgumentError(
                    f"{name}: argument {position}, one of nondiff_argnums, is an array",
                    cause="these are plain values, such as numbers, names and functions, which "
                    "the rules get as they are; an array may belong to a derivative",
                    fix="leave it out of nondiff_argnums, and give None as its gradient",
                )
        self.positions = [i for i in range(count) if i not in outside]
        self.leaves, self.structure = flatten(tuple(args[i] for i in self.positions))
        self.places = [i for i, x in enumerate(self.leaves) if type(x) in EXECUTORS]
        self._outside = outside

    @property
    def values(self) -> list[Any]:
        """The leaves that are arrays of an executor."""
        return [self.leaves[i] for i in self.places]

    def with_values(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return the arguments that derivatives are by, with other arrays in them."""
        leaves = list(self.leaves)
        for place, value in zip(self.places, values, strict=True):
            leaves[place] = value
        return unflatten(self.structure, leaves)  # type: ignore[no-any-return]

    def all(self, wanted: Sequence[Any]) -> list[Any]:
        """Return all arguments of a call, given those that derivatives are by."""
        left, fixed = iter(wanted), iter(self.fixed)
        count = len(self.positions) + len(self._outside)
        return [next(fixed) if i in self._outside else next(left) for i in range(count)]

    def without_arrays(self) -> None:
        """Forget the arrays: a tape and a graph hold them themselves."""
        for place in self.places:
            self.leaves[place] = None

    def paths(self) -> list[str]:
        """Return what each leaf is called, such as ``argument 1['w']``."""
        return [
            f"argument {position}{path}"
            for position, each in zip(self.positions, self.structure[2], strict=True)
            for path in leaf_paths(each)
        ]


class Signature:
    """How a function is called: by name too, and with defaults."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name
        self._function = function
        self._known: inspect.Signature | None = None

    def positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return all arguments of a call by position.

        Raises
        ------
        ArgumentError
            If the function does not take them, or some only by name.
        """
        try:
            if self._known is None:
                self._known = inspect.signature(self._function)
            bound = self._known.bind(*args, **kwargs)
        except ValueError:  # a builtin says nothing of its parameters
            if not kwargs:
                return args
            raise self._refusal(f"is called with {sorted(kwargs)} by name") from None
        except TypeError as error:
            raise self._refusal(f"takes {self._known}: {error}") from None
        bound.apply_defaults()
        if bound.kwargs:
            raise self._refusal(f"takes {sorted(bound.kwargs)} only by name")
        return bound.args

    def _refusal(self, what: str) -> ArgumentError:
        return ArgumentError(
            f"{self._name} {what}",
            cause="a rule gives a derivative for each argument, in the order of the parameters",
            fix="write the function with plain parameters, and call it with one value for each",
            related=declared(self._function, "the function"),
        )


def declared(function: Callable[..., Any], what: str) -> tuple[tuple[str, Source | None], ...]:
    """Return where a function of the user's was written, for messages."""
    return ((f"{what} declared", place_of(function)),)


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function is called."""
    return str(getattr(function, "__name__", type(function).__name__))


def nondiff_positions(value: Any) -> tuple[int, ...]:
    """Return `nondiff_argnums` as a tuple."""
    return tuple(dict.fromkeys(normalize_ints(value, "nondiff_argnums")))


def transforms_of(values: Sequence[Any]) -> LiftedTransforms | None:
    """Return the transforms of the executor that values belong to; None of plain arrays.

    Raises
    ------
    MixedModesError
        If they belong to several.
    """
    kinds = [x for x in map(bare, values) if type(x) in EXECUTORS]
    if executor_of(kinds) is None:
        return None
    mine: LiftedTransforms
    mine = next(TRANSFORMS[kind] for kind in type(kinds[0]).__mro__ if kind in TRANSFORMS)
    return mine


def moves(x: Any) -> bool:
    """Tell whether a value has a derivative: its numbers are floating-point or complex ones."""
    return x.dtype.kind in FLOATING


# examples under vmap ------------------------------------------------------------------------------


@contextmanager
def reopened(levels: Levels, lift: Callable[[Any], Any]) -> Iterator[dict[Level, Level]]:
    """Yield for each of `levels` the call to use: itself, or one like it where it has ended."""
    known = open_levels()
    with ExitStack() as stack:
        yield {
            each: each if each in known else stack.enter_context(level_of(each.size, lift))
            for each in levels
        }


def around(arrays: Sequence[Any], rows: Sequence[Levels], known: dict[Level, Level]) -> list[Any]:
    """Return arrays as the values that they hold, with rows for the calls that are open now."""
    return [
        None if x is None else held_by(x, [known[each] for each in own])
        for x, own in zip(arrays, rows, strict=True)
    ]


def summed_rows(g: Any, own: Levels, known: dict[Level, Level]) -> Any:
    """Return the gradient of an array with rows of `own`: what several examples share is summed."""
    wanted = tuple([known[each] for each in own])
    given = levels_of(g)
    # a derivative is taken by arrays with rows of every open call, so there are no others
    assert set(given) <= set(known.values())
    both = union([given, wanted])
    array = bare(g, both)
    axes = tuple([i for i, level in enumerate(both) if level not in wanted])
    return REGISTRY["sum"](array, axis=axes) if axes else array


# what rules return --------------------------------------------------------------------------------


def fitted(x: Any, type: TensorType, what: str, transforms: LiftedTransforms, rule: Any) -> Any:
    """Return a value that a rule gave, which must be of `type`, as an array of the executor.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
    """
    if is_scalar(x) and not type.shape:
        return transforms.array(np.asarray(x, type.dtype))
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise ArgumentError(
            f"{what} is a {_kind(x)}, not an array {type}",
            cause="derivatives are arrays of the shape and dtype of what they belong to",
            fix="return an array, or None where there is no derivative",
            related=declared(rule, "the rule"),
        )
    found = type_of(x)
    if found.shape != type.shape:
        raise ShapeError(
            f"{what} has shape {found.shape}, and what it belongs to {type.shape}",
            cause="a derivative has one number for each element of what it belongs to",
            fix="sum over the axes that broadcasting added, or broadcast it to the whole shape",
            related=declared(rule, "the rule"),
        )
    if found.dtype != type.dtype:
        raise DTypeError(
            f"{what} is {found.dtype}, and what it belongs to {type.dtype}",
            cause="a derivative has the dtype of what it belongs to",
            fix="cast it to that dtype with astype, or compute with arrays of that dtype",
            related=declared(rule, "the rule"),
        )
    return transforms.array(x)


def spread(structure: Structure, tree: Any, what: str, rule: Any) -> list[Any]:
    """Return a value for each leaf of `structure`; None in `tree` stands for a whole part.

    Raises
    ------
    ArgumentError
        If `tree` is arranged otherwise.
    """
    if tree is None:
        return [None] * len(leaf_paths(structure))
    if structure is LEAF and flatten(tree)[1] is LEAF:
        return [tree]
    if structure is not LEAF and structure is not None:
        kind, keys, children = structure
        if isinstance(tree, dict) and issubclass(kind, dict) and set(tree) == set(keys):
            parts = [tree[key] for key in keys]
        elif isinstance(tree, (tuple, list)) and type(tree) is kind and len(tree) == len(children):
            parts = list(tree)
        else:
            parts = []
        if parts or not children:
            return [
                leaf
                for child, part in zip(children, parts, strict=True)
                for leaf in spread(child, part, what, rule)
            ]
    raise ArgumentError(
        f"{what} is a {_kind(tree)}, and not arranged as what it belongs to",
        cause="derivatives have the structure of what they belong to, None for a part without one",
        fix="return containers of the same types, lengths and keys",
        related=declared(rule, "the rule"),
    )


def _kind(x: Any) -> str:
    return f"{type(x).__name__} of {len(x)}" if isinstance(x, (tuple, list)) else type(x).__name__


def pair(result: Any, what: str, form: str, rule: Any) -> tuple[Any, Any]:
    """Return the two things that a function of the user's must return.

    Raises
    ------
    ArgumentError
    """
    if isinstance(result, (tuple, list)) and len(result) == 2:
        return result[0], result[1]
    raise ArgumentError(
        f"{what} returned a {_kind(result)}, not a pair",
        cause=f"it returns two things, {form}",
        fix=f"return both in a tuple: {form}",
        related=declared(rule, "the rule"),
    )


def as_values(
    leaves: Sequence[Any], transforms: LiftedTransforms, what: str, rule: Any
) -> list[Any]:
    """Return the results of a function of the user's as values of the executor.

    Raises
    ------
    ArgumentError
        If one of them is no array.
    """
    for x in leaves:
        if type(x) is not Batched and not is_scalar(x) and not hasattr(x, "dtype"):
            raise ArgumentError(
                f"{what} returned a {type(x).__name__}",
                cause="what has a derivative is made of arrays",
                fix="return arrays, in tuples, lists and dicts if there are several",
                related=declared(rule, "it"),
            )
    return [transforms.array(x) for x in leaves]
