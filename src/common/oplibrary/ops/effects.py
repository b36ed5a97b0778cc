"""Ops that do something besides computing: show a value, or check one, whenever a run reaches them.

Their records say so in the field `effect`: no pass drops, merges, folds or swaps them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from oplibrary.core.batching import Rows
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, register
from oplibrary.messages.errors import ArgumentError, AssertionFailedError, DTypeError
from oplibrary.tangents.families import symmetric
from oplibrary.values.types import Array, TensorType


def _require_text(name: str, message: Any) -> None:
    if _trial.refused_in:
        raise effect_of_rows(name, _trial.refused_in)
    if not isinstance(message, str):
        raise ArgumentError(
            f"{name}: the message is {message!r}",
            cause="the message is a text that is known when the op is called",
            fix=f'write {name}(x, "a text")',
        )


def format_elements(x: Array, label: str = "") -> str:
    """Return `label` with the elements of `x` behind it, long arrays in short.

    Examples
    --------
    >>> format_elements(np.array([1.0, 2.5]), "weights")
    'weights: [1.  2.5]'
    """
    before = f"{label}: " if label else ""
    return before + (np.array2string(x, prefix=before) if np.ndim(x) else str(x))


# trials -------------------------------------------------------------------------------------------


class _Trial(threading.local):
    """Whether this thread runs something for its types alone."""

    running = False
    refused_in = ""


_trial = _Trial()


@contextmanager
def no_effects() -> Iterator[None]:
    """Let nothing be printed or checked inside: what runs there is tried for its types alone."""
    before, _trial.running = _trial.running, True
    try:
        yield
    finally:
        _trial.running = before


@contextmanager
def no_effects_in(name: str) -> Iterator[None]:
    """Refuse effects inside: what runs there is not what each example of `name` would run."""
    before, _trial.refused_in = _trial.refused_in, name
    try:
        yield
    finally:
        _trial.refused_in = before


def effect_of_rows(name: str, where: str) -> ArgumentError:
    """Return the error of an effect called `name` under vmap."""
    return ArgumentError(
        f"{name} in {where}, under vmap",
        cause="the function runs once for all examples, so what each of them would print or check "
        "is not known",
        fix="print or check the result of vmap",
    )


# print --------------------------------------------------------------------------------------------


def _print_kernel(x: Array, out: Array | None = None, *, message: str) -> Array:
    _require_text("print_", message)
    if not _trial.running:
        print(format_elements(x, message))
    if out is None:
        # a copy: the caller may change it, and the operand may be overwritten
        return np.array(x, order="K")
    np.copyto(out, x)
    return out


def _print_infer(x: TensorType, *, message: str) -> TensorType:
    _require_text("print_", message)
    return TensorType(x.shape, x.dtype)


print_ = register(
    Op(
        name="print_",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_print_kernel,
        infer=_print_infer,
        vjp=(lambda g, _out, _x, message: g,),
        jvp=symmetric,
        attrs={"message": ""},
        takes_out=True,
        effect=True,
        examples=(example((3, 4)), example((), message="loss"), example((0, 2), message="empty")),
        doc="Print x after the message each time it runs, and return x.",
    )
)


# assert -------------------------------------------------------------------------------------------


def _assert_kernel(condition: Array, *values: Array, message: str) -> Array:
    _require_text("assert_", message)
    condition = np.array(condition)
    if condition.dtype != np.bool_:
        raise TypeError("the condition is not bool")
    if not condition.all() and not _trial.running:
        raise _failure(condition, values, message)
    return condition


def _failure(condition: Array, values: tuple[Array, ...], message: str) -> AssertionFailedError:
    cause = "the condition is False"
    if condition.ndim:
        where = [int(n) for n in np.argwhere(~condition)[0]]
        count = condition.size - np.count_nonzero(condition)
        cause += f" for {count} of {condition.size} elements, first at {where}"
    if values:
        cause += "; the values are " + ", ".join([format_elements(value) for value in values])
    return AssertionFailedError(message or "the condition does not hold", cause=cause)


def _assert_infer(condition: TensorType, *_values: TensorType, message: str) -> TensorType:
    _require_text("assert_", message)
    if condition.dtype != np.bool_:
        raise DTypeError(
            f"the condition is {condition}",
            cause="a condition is True or False",
            fix="write a comparison, such as assert_(x > 0)",
        )
    return TensorType(condition.shape, condition.dtype)


def _assert_rows(rows: Rows) -> Any:
    """Check the conditions of all examples at once: the first that does not hold is named."""
    return rows.op(*[rows.whole(i) for i in range(len(rows.operands))], **rows.attrs)


_ASSERT = register(
    Op(
        name="assert_",
        kind=Kind.OPAQUE,
        arity=None,
        kernel=_assert_kernel,
        infer=_assert_infer,
        attrs={"message": ""},
        effect=True,
        batch=_assert_rows,
        operand_names=("condition",),
        examples=(
            example(np.array(True)),
            example(np.array([True, True]), (2,), message="both hold"),
        ),
        doc="Fail with the message and the values unless every element of the condition is True.",
    )
)


@public
def assert_(condition: Any, message: str = "", *values: Any) -> Any:
    """Check a condition each time it runs, and return it.

    Parameters
    ----------
    condition : bool array
        It holds if every element is True, under `vmap` of every example. A plain Python bool is
        checked at once, also while a graph is declared.
    message : str
        What the error says.
    *values : array
        Shown by the error.

    Raises
    ------
    AssertionFailedError
        With the line that called it, also when a compiled graph runs.
    DTypeError
        If the condition is not bool.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> assert_(x > 0, "all are positive", x)
    array([ True,  True])
    """
    return _ASSERT(condition, *values, message=message)


# counters -----------------------------------------------------------------------------------------


def _near_kernel(lower: Array, upper: Array, *, far: int) -> Array:
    if lower < upper and not (-far <= lower and upper <= far) and not _trial.running:
        raise DTypeError(
            f"fori_loop: it counts from {lower} to {upper}",
            cause=f"a Python int takes the dtype of what it meets, and in this loop a counter fits "
            f"as long as it is at least {-far} and less than {far}",
            fix="convert what it meets to a wider dtype with astype first",
        )
    return np.array(True)


require_near = register(
    Op(
        name="_require_near",
        public=False,
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_near_kernel,
        infer=lambda _lower, _upper, *, far: TensorType((), np.bool_),
        attrs={"far": ...},
        effect=True,
        operand_names=("lower", "upper"),
        examples=(example(np.array(0), np.array(3), far=8),),
        doc="Fail if a loop between these bounds counts further than `far`.",
    )
)
"""What a loop whose bounds a run finds is held to, where its counter meets narrow integers."""
