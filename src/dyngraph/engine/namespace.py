"""The functions of the namespace ``dyngraph``: the op library, bound to this executor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import oplibrary.functional
import oplibrary.numerical  # noqa: F401  both enter compositions into the namespace
from dyngraph.engine.apply import FAST, lift, make_attributed, make_binary, make_unary
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.core.data import require_numbers
from oplibrary.core.op import REGISTRY, Kind, Op, late, named_as, namespace
from oplibrary.messages.call_errors import UNFIT, explain_call, explain_creation
from oplibrary.messages.errors import SideBySideError
from oplibrary.ops.arguments import require_flag
from oplibrary.ops.creation import CREATION


def wrap(result: Any) -> Any:
    """Return `result` with every array in it made a Tensor."""
    if type(result) is np.ndarray or isinstance(result, np.generic):
        return tensor_of(np.asarray(result))
    if type(result) in (tuple, list):
        return type(result)(map(wrap, result))
    if isinstance(result, tuple):  # a named one
        return type(result)(*map(wrap, result))
    return result


def _lifted(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return `function` as one whose result is a Tensor whatever it was called with."""
    if isinstance(function, Op):
        op = function

        def call_op(*args: Any, **kwargs: Any) -> Any:
            if op.options.keys().isdisjoint(kwargs):
                return lift(op, *op.bind(args, kwargs))
            return op.call_with_options(call_op, args, kwargs)

        return named_as(op, call_op)  # type: ignore[no-any-return]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            require_numbers((*args, *kwargs.values()))
            return wrap(function(*args, **kwargs))
        except SideBySideError:
            raise
        except UNFIT as error:
            explained = explain_call(name, function, error)
            if explained is error:
                raise
            raise explained from error

    return call


def _creation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a creation function that makes Tensors and knows ``requires_grad``."""

    @functools.wraps(function)
    def create(*args: Any, requires_grad: bool = False, **kwargs: Any) -> Tensor:
        try:
            out = tensor_of(function(*args, **kwargs))
        except SideBySideError:
            raise
        except UNFIT as error:
            raise explain_creation(function, args, error) from error
        return out.requires_grad_() if require_flag(requires_grad, "requires_grad") else out

    plain = inspect.signature(function)
    flag = inspect.Parameter("requires_grad", inspect.Parameter.KEYWORD_ONLY, default=False)
    create.__signature__ = plain.replace(parameters=[*plain.parameters.values(), flag])  # type: ignore[attr-defined]
    return create


def functions_of(below: str) -> dict[str, Callable[..., Any]]:
    """Return the functions of a namespace: the main one is ``""``, one below it ``"linalg"``."""
    names: dict[str, Callable[..., Any]] = {}
    for name, function in namespace(below, loaded=True).items():
        entry = FAST.get(function) if isinstance(function, Op) else None
        names[name] = entry or _lifted(function, name)
    return names


def late_function(name: str) -> Callable[..., Any] | None:
    """Return the function called `name` that is loaded when it is first asked for, or None."""
    function = late(name)
    return None if function is None else _lifted(function, name)


def _build() -> dict[str, Callable[..., Any]]:
    for op in REGISTRY.values():
        if not op.name.startswith("_"):  # those may give several results
            _make_quick_entry(op)
    names = functions_of("")
    names.update({name: _creation(function) for name, function in CREATION.items()})
    return names


def _make_quick_entry(op: Op) -> None:
    """Make the entry of fixed arity of `op`, unless only the general one fits."""
    if op.arity == 1:
        plain = op.kind is Kind.ELEMENTWISE and not op.attrs and not op.view
        reads = {need for rule in op.rules if rule for need in (rule.out, *rule.operands)}
        FAST[op] = make_unary(op) if plain and reads <= {"", "value"} else make_attributed(op)
    elif op.arity == 2 and not op.attrs and not op.view:
        FAST[op] = make_binary(op)


NAMESPACE = _build()
