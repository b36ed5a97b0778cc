"""Say so where a tensor's number, and with it its gradient, goes into plain numbers unasked.

``float(x)`` and ``x.item()`` ask for the number. ``buffer[0] = x`` of a NumPy array and
``math.sin(x)`` take it by the same method, without a word of the user's: the instruction that runs
tells them apart.
"""

from __future__ import annotations

import ast
from opcode import opname
from types import FrameType

from oplibrary.messages.errors import LostGradientWarning, warn
from oplibrary.messages.source import Place, is_users, source_of

_ASKING = frozenset({"float", "complex", "int", "round", "print", "str", "repr", "format"})
"""Functions whose call says that the number is wanted, or that it is shown."""

_known: dict[Place, str] = {}
"""What each place does with the number; nothing where it may."""

_MOST_PLACES = 4096


def announce_number_taken(frame: FrameType) -> None:
    """Warn if what `frame` runs puts the number of a tensor with a graph where the graph is lost.

    Warns
    -----
    LostGradientWarning
        Once a place, as Python's filters have it.
    """
    place = frame.f_code, frame.f_lasti
    taker = _known.get(place)
    if taker is None:
        if len(_known) >= _MOST_PLACES:
            _known.clear()
        taker = _known[place] = _taker(frame)
    if taker:
        warn(
            LostGradientWarning(
                f"{taker} takes the number of a tensor that requires a gradient",
                source=source_of(place),
            )
        )


def _taker(frame: FrameType) -> str:
    """Return what the instruction does with a number, or nothing if that was asked for."""
    code = frame.f_code
    if not is_users(code):
        return ""
    from oplibrary.messages.syntax import running_path

    path = running_path(frame)
    if opname[code.co_code[frame.f_lasti]] in ("STORE_SUBSCR", "STORE_SLICE"):
        return f"{ast.unparse(path[-1])} = ..." if path else "an assignment to elements"
    if path and isinstance(path[-1], ast.Call):
        function = path[-1].func
        if not (isinstance(function, ast.Name) and function.id in _ASKING):
            return f"{ast.unparse(function)}(...)"
    return ""
