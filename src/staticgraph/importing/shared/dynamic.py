"""Which axes each run may choose the length of, as users write it in ``dynamic=``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oplibrary.messages.errors import ArgumentError


def open_axes(
    reader: str, name: str, axes: Any, shape: Sequence[int], known: dict[str, int] | None = None
) -> dict[int, str]:
    """Return the axes of an array by their numbers from the left, with what its lengths are called.

    Parameters
    ----------
    reader : str
        What the user called.
    name : str
        The array's.
    axes : mapping of int to str
        As the user wrote it; negative axes count from the right.
    shape : sequence of int
        The lengths of the example.
    known : dict of str to int, optional
        What each name stands for in other examples; gets those of this one. Without it a name may
        stand for different lengths.

    Raises
    ------
    ArgumentError
        If there is no such axis, a name is no identifier, or one name is given different lengths.
    """
    if not isinstance(axes, Mapping):
        raise _wrong(reader, f"{axes!r} for {name}", "axes are a mapping of numbers to names")
    found: dict[int, str] = {}
    for axis, length in axes.items():
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise _wrong(reader, f"axis {axis!r} of {name}", "an axis is a whole number")
        if not -len(shape) <= axis < len(shape):
            raise _wrong(reader, f"axis {axis} of {name}", f"it has shape {tuple(shape)}")
        place = axis % len(shape)
        if known is not None:
            if not (isinstance(length, str) and length.isidentifier()):
                raise _wrong(reader, f"the length {length!r}", "it is called by an identifier")
            if known.setdefault(length, shape[place]) != shape[place]:
                raise _wrong(
                    reader,
                    f"{length} for axis {axis} of {name}",
                    f"it is {shape[place]} in the example, and {known[length]} elsewhere",
                )
        if found.setdefault(place, length) != length:
            raise _wrong(
                reader,
                f"axis {axis} of {name} twice",
                f"it is called {found[place]} and {length}",
            )
    return found


def _wrong(reader: str, what: str, cause: str) -> ArgumentError:
    return ArgumentError(
        f"{reader}: dynamic has {what}",
        cause=cause,
        fix="name axes of the example inputs, and give equal lengths one name",
    )
