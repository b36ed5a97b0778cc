"""What is passed to functions that call functions."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.messages.source import Source, defined_at, user_source
from oplibrary.values.tree import LEAF, Structure
from oplibrary.values.types import TensorType


def require_callable(name: str, *functions: Any) -> None:
    """Refuse what cannot be called among the `functions` that `name` was passed.

    Raises
    ------
    ArgumentError
    """
    for function in functions:
        if not callable(function):
            raise ArgumentError(
                f"{name} was given a {type(function).__name__} where it needs a function",
                cause="it calls the function with arrays",
                fix="pass the function itself, such as lambda x: x * 2",
            )


def require_axis(name: str, x: Any) -> None:
    """Refuse an array that has no axis 0 for `name` to go along.

    Raises
    ------
    ArgumentError
    """
    if not x.shape:
        raise ArgumentError(
            f"{name}: {x!r} has no axis to go along",
            cause="each step gets one position of axis 0",
            fix="capture it instead: the body may use values from outside",
        )


def require_decision(name: str, found: TensorType, kinds: str = "b") -> None:
    """Refuse a condition that does not decide once for the whole call of `name`.

    Parameters
    ----------
    name : str
    found : TensorType
        Of the condition.
    kinds : str
        Of the dtypes that it may have.

    Raises
    ------
    DTypeError
    """
    if found.shape or found.dtype.kind not in kinds:
        raise DTypeError(
            f"{name}: the condition is {found}",
            cause="it decides once for the whole call",
            fix="pass one bool, such as any(x > 0); to choose element by element, use where",
        )


def require_index(name: str, found: TensorType) -> None:
    """Refuse an index that does not choose one branch of `name` for the whole call.

    Raises
    ------
    DTypeError
    """
    if found.shape or found.dtype.kind not in "iub":
        raise DTypeError(
            f"{name}: the index is {found}",
            cause="it chooses one branch for the whole call",
            fix="pass one integer; to choose element by element, use where",
        )


def require_bound(
    name: str,
    bound: str,
    found: TensorType,
    value: str,
    related: tuple[tuple[str, Source | None], ...] = (),
) -> None:
    """Refuse a bound of the loop `name` that is no whole number.

    Parameters
    ----------
    name, bound : str
    found : TensorType
        Of the bound.
    value : str
        What an executor calls its values, for the fix.
    related : tuple of (str, Source or None)
        Lines that an error names besides.

    Raises
    ------
    DTypeError
    """
    if found.shape or found.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}: {bound} is {found}",
            cause="the loop counts from one whole number to another",
            fix=f"pass an int, or {value} of an integer dtype and shape ()",
            related=related,
        )


def require_parameters(
    name: str, function: Callable[..., Any], arguments: Sequence[Structure], leaf: str
) -> None:
    """Refuse a function that does not take the arguments that it is passed.

    Parameters
    ----------
    name : str
        What passes them.
    function : callable
    arguments : sequence of Structure
        How each is arranged; see `oplibrary.values.tree`.
    leaf : str
        What a value in them is called.

    Raises
    ------
    ArgumentError
        With the line of the function, and how to write its parameters.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin says nothing of its parameters
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        called = getattr(function, "__name__", type(function).__name__)
        shown = "lambda " if called == "<lambda>" else called
        place = place_of(function)
        raise ArgumentError(
            f"{name}: {shown}{signature} is called with {_counted(arguments)}",
            cause=f"it gets {_listed(arguments, leaf)}",
            fix=_parameters_fix(arguments),
            related=(("the function declared", place),) if place is not None else (),
        ) from None


def reads_its_parameters(function: Callable[..., Any]) -> bool:
    """Tell whether `function` reads any of its parameters, or may."""
    if not isinstance(function, FunctionType):
        return True
    code = function.__code__
    starred = bool(code.co_flags & inspect.CO_VARARGS) + bool(
        code.co_flags & inspect.CO_VARKEYWORDS
    )
    names = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + starred])
    if names & set(code.co_cellvars):
        return True
    for each in dis.get_instructions(code):
        if "LOAD_FAST" in each.opname:  # from Python 3.13 on one instruction may load two
            read = each.argval if isinstance(each.argval, tuple) else (each.argval,)
            if names.intersection(read):
                return True
    return False


def unread_carry(condition: Callable[..., Any]) -> ArgumentError:
    """Return the error of a loop's condition that reads no value of the carry."""
    place = place_of(condition)
    return ArgumentError(
        "while_loop: the condition reads no value of the carry",
        cause="it gives the same answer in each round: the loop never begins, or never ends",
        fix="put what the condition tests into the carry, read it from the condition's parameter, "
        "and let the body return its next value",
        related=(("the condition declared", place),) if place is not None else (),
    )


def _counted(arguments: Sequence[Structure]) -> str:
    count = len(arguments)
    return f"{count or 'no'} argument{'' if count == 1 else 's'}"


def _described(structure: Structure, leaf: str) -> str:
    if structure is None:
        return "None"
    if structure is LEAF:
        return leaf
    kind, keys, children = structure
    inside = f" with the keys {list(keys)}" if issubclass(kind, dict) else f" of {len(children)}"
    return f"a {kind.__name__}{inside}"


def _listed(arguments: Sequence[Structure], leaf: str) -> str:
    listed = ", ".join([_described(each, leaf) for each in arguments])
    return listed or "nothing: what it needs it takes from outside"


def _parameters_fix(arguments: Sequence[Structure]) -> str:
    if not arguments:
        return "write it without parameters, or pass the operands to the control flow as well"
    names = "xyzuvw"[: len(arguments)] if len(arguments) > 1 else ["carry"]
    fix = f"write it with {_counted(arguments).replace('argument', 'parameter')}"
    for position, each in enumerate(arguments):
        if each is not LEAF and each is not None and not issubclass(each[0], dict):
            inner = ", ".join("abcdefgh"[: len(each[2])])
            return f"{fix} and unpack inside: {inner or '()'} = {names[position]}"
    return fix


def place_of(function: Callable[..., Any]) -> Source | None:
    """Return where `function` was written, or the user's running line if that is not known."""
    code = getattr(function, "__code__", None)
    if code is None:
        return user_source()
    return defined_at(code)
