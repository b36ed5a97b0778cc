"""Which executor runs an operation: that of the values which it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from oplibrary.late.table import Late
from oplibrary.messages.errors import MixedModesError

Apply = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
"""Runs or declares an op, given it, its operands and its attributes."""

EXECUTORS: dict[type, Apply] = {}
"""The executor of each value type, entered by the executors when they are imported."""

LIFTED: dict[type, Apply] = {}
"""Those of the executors whose values hold values of others, and which go first where both meet."""

ENTRIES: dict[type, Mapping[Any, Callable[..., Any] | None]] = {}
"""For a value type, what takes a call of an op directly, where that saves time, or None."""

HELD: dict[type, Callable[[Any], Any]] = {}
"""For types of objects that hold arrays, what returns these arrays as they are now."""

SCANS: Late[type, Callable[..., Any]] = Late()
"""The ``scan`` of each executor, for compositions; loaded where one needs it."""

TRANSFORMS: Late[type, Any] = Late()
"""The `oplibrary.transforms.lifting.LiftedTransforms` of each executor, likewise."""


def executor_of(operands: Iterable[Any]) -> Apply | None:
    """Return the executor that `operands` belong to, or None for plain arrays.

    Raises
    ------
    MixedModesError
        If they belong to more than one.
    """
    found: Apply | None = None
    for operand in operands:
        apply = EXECUTORS.get(type(operand))
        if apply is not None and apply is not found:
            if found is not None:
                return _outermost({type(x) for x in operands if type(x) in EXECUTORS})
            found = apply
    return found


def _outermost(kinds: set[type]) -> Apply:
    """Return the executor of values that may hold the others among values of these types.

    Raises
    ------
    MixedModesError
        If none may.
    """
    for kind in kinds:
        if kind in LIFTED:
            return LIFTED[kind]
    shown = " and a ".join(sorted(kind.__name__ for kind in kinds))
    raise MixedModesError(f"one operation got a {shown}")


def lifted_executor(operands: Iterable[Any]) -> Apply | None:
    """Return the executor of values among `operands` that hold values of others, or None."""
    if not LIFTED:
        return None
    return next((LIFTED[type(x)] for x in operands if type(x) in LIFTED), None)
