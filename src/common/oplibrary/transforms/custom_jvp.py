"""custom_jvp: a function whose derivative in a direction the user writes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import ArgumentError, NotDifferentiableError
from oplibrary.transforms.batched import bare, held_by, levels_of, peeled, union
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
    transforms_of,
)
from oplibrary.transforms.lifting import LiftedTransforms
from oplibrary.values.parameters import require_callable
from oplibrary.values.tree import flatten, unflatten
from oplibrary.values.types import is_scalar, type_of

_FORM = "the result and its tangent"


def custom_jvp(function: Callable[..., Any], nondiff_argnums: Any = ()) -> Callable[..., Any]:
    """Return `function` with a derivative that you write, in every mode and both directions.

    Call ``defjvp(rule)`` of what it returns before the first call, or write ``@f.defjvp`` above
    the rule.

    Parameters
    ----------
    function : callable
        Its arguments and its result are arrays, or trees of them.
    nondiff_argnums : int or sequence of int
        Arguments that are no arrays, such as functions and flags. The rule gets them first.

    Returns
    -------
    callable
        With ``defjvp``: ``rule(*nondiff, primals, tangents)`` gets the other arguments and their
        tangents in two tuples, and returns a pair, the result of the function and its tangent,
        None where it is zero. It must be linear in the tangents: gradients are its transpose.
        ``defjvps(*rules)`` has a rule for each argument, or None,
        ``rule(tangent, result, *primals)``, whose results are added.

    Raises
    ------
    ArgumentError
        If there is no ``defjvp``, or what the rule returns is not as above; raised by a call, or
        where a derivative is taken, as the others are.
    ShapeError, DTypeError
        If a tangent is not of the shape or dtype of its result.
    NotDifferentiableError
        If a gradient is taken and the rule is not linear in the tangents, or a derivative is asked
        for by a value that the function reads from outside.

    Notes
    -----
    The rule runs where a derivative is taken, once for each; its first result is then not used.
    Tangents of integers are None.

    References
    ----------
    Its form is that of ``jax.custom_jvp``.

    Examples
    --------
    >>> import dyngraph as dg
    >>> @dg.custom_jvp
    ... def log1pexp(x):
    ...     return dg.log(1.0 + dg.exp(x))
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), (1.0 - 1.0 / (1.0 + dg.exp(x))) * t
    >>> dg.grad(log1pexp)(dg.tensor(100.0, dtype="float64"))  # without the rule it is nan
    tensor(1., dtype=float64)
    """
    require_callable("custom_jvp", function)
    name = name_of(function)
    nondiff = nondiff_positions(nondiff_argnums)
    signature = Signature(name, function)
    rule: Callable[..., Any] | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if rule is None:
            raise ArgumentError(
                f"{name}: its derivative was not defined",
                cause="custom_jvp gives a function a derivative that defjvp defines",
                fix=f"call {name}.defjvp with the rule before the first call",
                related=declared(function, "the function"),
            )
        given = Arguments(name, signature.positional(args, kwargs), nondiff)
        transforms = transforms_of(given.values)
        if transforms is None or not any(transforms.tracked(x) for x in given.values if moves(x)):
            return function(*args, **kwargs)
        with transforms.opened(given.values):
            return _recorded(transforms, name, function, rule, given)

    def defjvp(jvp_rule: Callable[..., Any]) -> Callable[..., Any]:
        """Define the derivative, and return the rule: see `custom_jvp`."""
        nonlocal rule
        require_callable(f"{name}.defjvp", jvp_rule)
        rule = jvp_rule
        return jvp_rule

    def defjvps(*rules: Callable[..., Any] | None) -> None:
        """Define the derivative by each argument: see `custom_jvp`."""
        require_callable(f"{name}.defjvps", *[each for each in rules if each is not None])
        if nondiff:
            raise ArgumentError(
                f"{name}: defjvps for a function with nondiff_argnums",
                cause="its rules are for the arguments, one each",
                fix="define one rule for all of them, with defjvp",
            )
        defjvp(_of_each(name, call, rules))

    call.defjvp = defjvp  # type: ignore[attr-defined]
    call.defjvps = defjvps  # type: ignore[attr-defined]
    return call


def _of_each(
    name: str, function: Callable[..., Any], rules: tuple[Callable[..., Any] | None, ...]
) -> Callable[..., Any]:
    """Return the rule for all arguments that is made of one for each."""

    def rule(primals: Any, tangents: Any) -> Any:
        if len(primals) != len(rules):
            raise ArgumentError(
                f"{name}: {len(rules)} rules for {len(primals)} arguments",
                cause="defjvps takes one rule for each argument",
                fix="pass None for an argument that the result does not depend on",
            )
        result = function(*primals)
        total = None
        for each, tangent in zip(rules, tangents, strict=True):
            if each is not None and tangent is not None:
                part = each(tangent, result, *primals)
                total = part if total is None else REGISTRY["add"](total, part)
        return result, total

    return rule


def _recorded(
    transforms: LiftedTransforms,
    name: str,
    function: Callable[..., Any],
    rule: Callable[..., Any],
    given: Arguments,
) -> Any:
    """Run `function`, and tie its results to the arguments by `rule`."""
    values = given.values
    moment = transforms.plain.moment()
    own = [transforms.isolated(x) if moves(x) else x for x in values]
    leaves, structure = flatten(function(*given.all(given.with_values(own))))
    leaves = as_values(leaves, transforms, name, function)
    rows = list(map(levels_of, values))
    levels = union([*rows, *map(levels_of, leaves)])
    results = [bare(y, levels) for y in leaves]
    types, result_types = list(map(type_of, values)), list(map(type_of, leaves))
    bare_types = [type_of(bare(x)) for x in values]

    def push(tangents: Any, inputs: Any) -> list[Any]:
        with reopened(levels, transforms.array) as known:
            xs, ts = around(inputs, rows, known), around(tangents, rows, known)
            moved = list(map(_still, given.leaves))
            for place, t, type in zip(given.places, ts, types, strict=True):
                moved[place] = transforms.full(type, 0) if t is None and moves(type) else t
            primals = given.with_values(xs)
            _, tangent = pair(
                rule(*given.fixed, primals, unflatten(given.structure, moved)),
                f"{name}: the rule",
                _FORM,
                rule,
            )
            found = []
            what = f"{name}: the tangent of the result"
            for t, type in zip(spread(structure, tangent, what, rule), result_types, strict=True):
                if t is not None and moves(type):
                    t = fitted(t, type, what, transforms, rule)
                    found.append(peeled(t, tuple([known[each] for each in levels])))
                else:
                    found.append(None)
            return found

    def pull(cotangents: list[Any], inputs: Any, _kept: Any, linked: bool) -> list[Any]:
        """Transpose the rule; it is linear, so that any tangents will do for that."""
        plain = transforms.plain
        with plain.recording(inputs):
            ts = [
                plain.input(plain.full(type, 0), False) if moves(type) else None
                for type in bare_types
            ]
            directions = [t for t in ts if t is not None]
            pairs = [
                (t, g) for t, g in zip(push(ts, inputs), cotangents, strict=True) if t is not None
            ]
            if not pairs:
                return [None] * len(inputs)
            tangents, given_cotangents = zip(*pairs, strict=True)
            offender = plain.not_linear(tangents, directions)
            if offender is not None:
                raise NotDifferentiableError(
                    f"the gradient of {name}, whose rule is not linear in the tangents",
                    cause=f"{offender} is computed of a tangent; a gradient is the transpose of "
                    "the rule, and only what is linear has one",
                    fix="compute with the tangents by sums, products with other values and what "
                    "else is linear",
                    related=declared(rule, "the rule"),
                )
            grads = iter(
                plain.gradients(tangents, directions, given_cotangents, "none", not linked)
            )
            return [None if t is None else next(grads) for t in ts]

    inputs = list(map(bare, values))
    given.without_arrays()
    attached = transforms.plain.attached(results, inputs, [], CustomCall(name, pull, push), moment)
    return unflatten(structure, [held_by(y, levels) for y in attached])


def _still(x: Any) -> Any:
    """Return the tangent of a plain value that derivatives are not by."""
    if is_scalar(x):
        return 0.0 if isinstance(x, float) else None
    return np.zeros_like(x) if getattr(x, "dtype", None) is not None and moves(x) else None
