"""custom_vjp: a function whose gradient the user writes."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.core.refusals import kind_of
from oplibrary.messages.errors import ArgumentError
from oplibrary.transforms.batched import bare, held_by, levels_of, union
from oplibrary.transforms.custom_call import (
    Arguments,
    CustomCall,
    Signature,
    around,
    as_values,
    declared,
    fitted,
    moves,
    name_of,
    nondiff_positions,
    pair,
    reopened,
    spread,
    summed_rows,
    transforms_of,
)
from oplibrary.transforms.lifting import LiftedTransforms
from oplibrary.values.parameters import require_callable
from oplibrary.values.tree import flatten, unflatten
from oplibrary.values.types import type_of

_FORM = "the result and what backward needs"


def custom_vjp(function: Callable[..., Any], nondiff_argnums: Any = ()) -> Callable[..., Any]:
    """Return `function` with a gradient that you write, in every mode.

    Call ``defvjp(forward, backward)`` of what it returns before the first call.

    Parameters
    ----------
    function : callable
        Its arguments and its result are arrays, or trees of them. It runs where no derivative is
        asked for.
    nondiff_argnums : int or sequence of int
        Arguments that are no arrays, such as functions and flags. ``backward`` gets them first.

    Returns
    -------
    callable
        With ``defvjp``: ``forward(*args)`` returns a pair, the result of the function and whatever
        ``backward`` needs, in a tree; ``backward(*nondiff, needed, cotangent)`` returns a tuple
        with the gradient of each other argument, None where it is zero. The cotangent is arranged
        like the result, with None for what is made of integers.

    Raises
    ------
    ArgumentError
        If there is no ``defvjp``, or what the rules return is not as above; raised by a call, or
        where a gradient is taken, as the others are.
    ShapeError, DTypeError
        If a gradient is not of the shape or dtype of its argument.
    NotDifferentiableError
        If a tangent is pushed through it, or a gradient is asked for by a value that it reads from
        outside.

    Notes
    -----
    Derivatives of the gradient differentiate ``backward``, and ``forward`` where what ``backward``
    needs is neither an argument nor known beforehand. ``forward`` may call the function itself. A
    declared graph always holds ``forward``, and one that is not differentiated computes what the
    result needs of it. `jacobian` and `hessian` go through such a function in reverse mode.
    With complex numbers, gradients are those of `value_and_grad`, in both directions.

    References
    ----------
    Its form is that of ``jax.custom_vjp``.

    Examples
    --------
    >>> import dyngraph as dg
    >>> @dg.custom_vjp
    ... def clipped(x):  # the identity, whose gradient is at most 1
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, g: (dg.clip(g, -1.0, 1.0),))
    >>> dg.grad(lambda x: dg.sum(100 * clipped(x)))(dg.tensor([1.0, 2.0]))
    tensor([1., 1.])
    """
    require_callable("custom_vjp", function)
    name = name_of(function)
    nondiff = nondiff_positions(nondiff_argnums)
    signature = Signature(name, function)
    forward: Callable[..., Any] | None = None
    backward: Callable[..., Any] | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if forward is None or backward is None:
            raise ArgumentError(
                f"{name}: its gradient was not defined",
                cause="custom_vjp gives a function a gradient that defvjp defines",
                fix=f"call {name}.defvjp with forward and backward before the first call",
                related=declared(function, "the function"),
            )
        given = Arguments(name, signature.positional(args, kwargs), nondiff)
        transforms = transforms_of(given.values)
        if transforms is None or not any(transforms.tracked(x) for x in given.values if moves(x)):
            return function(*args, **kwargs)
        with transforms.opened(given.values):
            return _recorded(transforms, _Rules(name, function, forward, backward), given)

    def defvjp(forward_rule: Callable[..., Any], backward_rule: Callable[..., Any]) -> None:
        """Define the gradient: see `custom_vjp`."""
        nonlocal forward, backward
        require_callable(f"{name}.defvjp", forward_rule, backward_rule)
        forward, backward = forward_rule, backward_rule

    call.defvjp = defvjp  # type: ignore[attr-defined]
    return call


class _Running(threading.local):
    """The functions whose `forward` this thread is in."""

    def __init__(self) -> None:
        self.functions: list[Any] = []


_running = _Running()


class _Rules(NamedTuple):
    """A function with what the user wrote for its gradient."""

    name: str
    function: Callable[..., Any]
    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def is_running(self) -> bool:
        """Tell whether `forward` is what called the function."""
        return any(each is self.function for each in _running.functions)

    def run_forward(self, args: Sequence[Any]) -> tuple[Any, Any]:
        """Return the result, and what `backward` needs."""
        _running.functions.append(self.function)
        try:
            found = self.forward(*args)
        finally:
            _running.functions.pop()
        return pair(found, f"{self.name}: forward", _FORM, self.forward)


def _recorded(transforms: LiftedTransforms, rules: _Rules, given: Arguments) -> Any:
    """Run the function, and tie its results to the arguments by `backward`."""
    values = given.values
    moment = transforms.plain.moment()
    own = [transforms.isolated(x) if moves(x) else x for x in values]
    args = given.all(given.with_values(own))
    # where forward itself calls the function, it runs again only once a gradient comes back
    later = rules.is_running()
    result, needed = (rules.function(*args), None) if later else rules.run_forward(args)
    leaves, structure = flatten(result)
    leaves = as_values(leaves, transforms, f"{rules.name}: forward", rules.forward)
    needed_leaves, arranged = flatten(needed)
    # what backward needs, each by where it is found again: an argument, something kept, a constant
    of_arguments = {id(x): i for i, x in enumerate(own)}
    kept = [x for x in needed_leaves if type(x) in EXECUTORS and id(x) not in of_arguments]
    places = iter(range(len(kept)))
    recipe: list[tuple[str, Any]] = [
        ("argument", of_arguments[id(x)])
        if id(x) in of_arguments
        else ("kept", next(places))
        if type(x) in EXECUTORS
        else ("constant", x)
        for x in needed_leaves
    ]
    rows, kept_rows = list(map(levels_of, values)), list(map(levels_of, kept))
    levels = union([*rows, *kept_rows, *map(levels_of, leaves)])
    results = [bare(y, levels) for y in leaves]
    types, differentiable = list(map(type_of, values)), list(map(moves, results))
    anew = bool(kept)  # where derivatives of the gradient are to go on to the arguments

    def pull(cotangents: list[Any], inputs: Any, kept_now: Any, linked: bool) -> list[Any]:
        with reopened(levels, transforms.array) as known:
            xs = around(inputs, rows, known)
            if later or (anew and not linked):
                _, again = rules.run_forward(given.all(given.with_values(xs)))
            else:
                found = {"argument": xs, "kept": around(kept_now, kept_rows, known)}
                again = unflatten(
                    arranged, [x if how == "constant" else found[how][x] for how, x in recipe]
                )
            gs = around(cotangents, [levels] * len(cotangents), known)
            gs = [g if moving else None for g, moving in zip(gs, differentiable, strict=True)]
            pulled = rules.backward(*given.fixed, again, unflatten(structure, gs))
            grads = _gradients(transforms, rules, given, pulled, types)
            return [
                None if g is None else summed_rows(g, each, known)
                for g, each in zip(grads, rows, strict=True)
            ]

    inputs = list(map(bare, values))
    given.without_arrays()
    attached = transforms.plain.attached(
        results, inputs, list(map(bare, kept)), CustomCall(rules.name, pull, None), moment
    )
    return unflatten(structure, [held_by(y, levels) for y in attached])


def _gradients(
    transforms: LiftedTransforms, rules: _Rules, given: Arguments, found: Any, types: list[Any]
) -> list[Any]:
    """Return the gradient of each array among the arguments, of what `backward` returned.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
    """
    name, backward, count = rules.name, rules.backward, len(given.positions)
    if not isinstance(found, (tuple, list)) or len(found) != count:
        several = isinstance(found, (tuple, list))
        shown = f"{len(found)} gradients" if several else f"a {kind_of(found)} and no tuple"
        raise ArgumentError(
            f"{name}: backward returned {shown}, for {count} argument{'' if count == 1 else 's'}",
            cause="there is one gradient for each argument, in a tuple, None for one of zero",
            fix="return a tuple of that length; for one argument, (gradient,) with its comma",
            related=declared(backward, "backward"),
        )
    leaves = [
        leaf
        for position, structure, tree in zip(
            given.positions, given.structure[2], found, strict=True
        )
        for leaf in spread(
            structure, tree, f"{name}: the gradient of argument {position}", backward
        )
    ]
    paths = given.paths()
    grads: list[Any] = []
    for place, type in zip(given.places, types, strict=True):
        g, what = leaves[place], f"{name}: the gradient of {paths[place]}"
        if g is None:
            grads.append(None)
            continue
        if not moves(type):
            raise ArgumentError(
                f"{what}, which is {type}, is no None",
                cause="only floating-point and complex numbers have gradients",
                fix="return None for it",
                related=declared(backward, "backward"),
            )
        grads.append(fitted(g, type, what, transforms, backward))
    return grads
