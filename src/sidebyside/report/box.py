"""Tables drawn with box characters, their cells wrapped to the width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

_ASCII = str.maketrans("│─┌┐└┘├┤┬┴┼═║╞╡╪–µ·÷→×", "|-+++++++++=|+++-u./>x")


@dataclass(frozen=True, slots=True)
class Span:
    """One cell that takes the whole width of a table."""

    text: str


Line = Sequence[str] | Span | None
"""A row of cells; or one cell of the whole width; or None for a rule."""


def draw_table(lines: Sequence[Line], widths: Sequence[int], right: Sequence[int] = ()) -> str:
    """Return a table.

    Parameters
    ----------
    lines : sequence
        Cells, a `Span`, or None for a rule between lines.
    widths : sequence of int
        Characters of each column; longer cells are wrapped.
    right : sequence of int
        Columns whose text stands at the right.

    Examples
    --------
    >>> print(draw_table([["mode", "time"], None, ["static", "3 µs"]], [6, 5], right=[1]))
    ┌────────┬───────┐
    │ mode   │  time │
    ├────────┼───────┤
    │ static │  3 µs │
    └────────┴───────┘
    """
    drawn = [_rule(widths, None, _first(lines))]
    for position, line in enumerate(lines):
        if line is None:
            drawn.append(_rule(widths, lines[position - 1], lines[position + 1]))
        elif isinstance(line, Span):
            whole = sum(widths) + 3 * (len(widths) - 1)
            fits = without_lost_marks(line.text, whole)
            drawn += [f"│ {text:<{whole}} │" for text in _wrap(fits, whole)]
        else:
            drawn += _cells(line, widths, right)
    drawn.append(_rule(widths, lines[-1], None))
    return "\n".join(drawn)


def _first(lines: Sequence[Line]) -> Line:
    return lines[0] if lines else None


def _cells(cells: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> list[str]:
    wrapped = [_wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, wrapped))
    drawn = []
    for row in range(height):
        parts = []
        for column, (texts, width) in enumerate(zip(wrapped, widths, strict=True)):
            text = texts[row] if row < len(texts) else ""
            parts.append(text.rjust(width) if column in right else text.ljust(width))
        drawn.append("│ " + " │ ".join(parts) + " │")
    return drawn


def _wrap(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += textwrap.wrap(paragraph, width, break_on_hyphens=False) or [""]
    return lines


def _rule(widths: Sequence[int], above: Line, below: Line) -> str:
    """Return a rule whose crossings fit the lines above and below it."""
    up = above is not None and not isinstance(above, Span)
    down = below is not None and not isinstance(below, Span)
    crossing = {(True, True): "┼", (True, False): "┴", (False, True): "┬", (False, False): "─"}
    left, end = ("┌", "┐") if above is None else ("└", "┘") if below is None else ("├", "┤")
    return left + crossing[up, down].join("─" * (width + 2) for width in widths) + end


def without_lost_marks(text: str, width: int) -> str:
    """Return a message without the marks below a line that is to be wrapped: they would be lost.

    Examples
    --------
    >>> message = "at a.py:1: y = x + w", "           ^^^^^^^^^"
    >>> without_lost_marks(chr(10).join(message), width=12)
    'at a.py:1: y = x + w'
    """
    kept: list[str] = []
    for line in text.splitlines():
        marks = not line.strip(" ^~") and bool(line.strip())
        if not (marks and kept and max(len(kept[-1]), len(line)) > width):
            kept.append(line)
    return "\n".join(kept)


def natural_widths(lines: Sequence[Line], count: int) -> list[int]:
    """Return the width that each of `count` columns needs without wrapping."""
    widths = [0] * count
    for line in lines:
        if line is None or isinstance(line, Span):
            continue
        for column, cell in enumerate(line):
            widths[column] = max(widths[column], *map(len, cell.split("\n")))
    return widths


def as_ascii(text: str) -> str:
    """Return `text` with plain characters in place of box characters and signs.

    Examples
    --------
    >>> as_ascii("│ 3 µs – 4 µs │")
    '| 3 us - 4 us |'
    """
    return text.translate(_ASCII)
