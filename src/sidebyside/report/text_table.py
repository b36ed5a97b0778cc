"""Tables as text, in a frame or without one, their cells wrapped to the width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from sidebyside.report import units

_ASCII = str.maketrans("│─┌┐└┘├┤┬┴┼═║╞╡╪–−µ·÷→×▁▂▃▄▅▆▇█", "|-+++++++++=|+++--u./>x_.,-~=+#")


@dataclass(frozen=True, slots=True)
class Span:
    """One cell that takes the whole width of a table."""

    text: str


Line = Sequence[str] | Span | None
"""A row of cells; or one cell of the whole width; or None for a rule."""


def draw_table(
    lines: Sequence[Line],
    widths: Sequence[int] | None = None,
    left: Sequence[int] = (0,),
    gap: str | None = None,
) -> str:
    """Return a table.

    Parameters
    ----------
    lines : sequence
        Cells, a `Span`, or None for a rule between lines.
    widths : sequence of int, optional
        Characters of each column; longer cells are wrapped. By default what the cells need.
    left : sequence of int
        Columns whose text stands at the left; that of all others stands at the right.
    gap : str, optional
        What stands between the columns of a table without a frame.

    Examples
    --------
    >>> print(draw_table([["mode", "time"], None, ["static", "3 µs"]], [6, 5]))
    ┌────────┬───────┐
    │ mode   │  time │
    ├────────┼───────┤
    │ static │  3 µs │
    └────────┴───────┘
    """
    widths = natural_widths(lines) if widths is None else widths
    framed, between = gap is None, " │ " if gap is None else gap
    whole = sum(widths) + len(between) * (len(widths) - 1)
    drawn = [_rule(widths, None, lines[0])] if framed else []
    for position, line in enumerate(lines):
        if line is None and framed:
            drawn.append(_rule(widths, lines[position - 1], lines[position + 1]))
            continue
        if line is None:
            texts = ["─" * whole]
        elif isinstance(line, Span):
            texts = _wrap(without_lost_marks(line.text, whole), whole) if framed else [line.text]
        else:
            texts = [between.join(cells) for cells in _aligned(line, widths, left)]
        drawn += [f"│ {text:<{whole}} │" if framed else text.rstrip() for text in texts]
    return "\n".join([*drawn, _rule(widths, lines[-1], None)] if framed else drawn)


def _aligned(
    cells: Sequence[str], widths: Sequence[int], left: Sequence[int]
) -> list[tuple[str, ...]]:
    """Return the lines that a row of cells takes, each cell as wide as its column."""
    columns = [
        [text.ljust(width) if column in left else text.rjust(width) for text in _wrap(cell, width)]
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    height = max(map(len, columns))
    padded = [
        texts + [" " * width] * (height - len(texts))
        for texts, width in zip(columns, widths, strict=True)
    ]
    return list(zip(*padded, strict=True))


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


def natural_widths(lines: Sequence[Line]) -> list[int]:
    """Return the width that each column needs without wrapping."""
    rows = [line for line in lines if line is not None and not isinstance(line, Span)]
    return [
        max(len(text) for cell in cells for text in cell.split("\n"))
        for cells in zip(*rows, strict=True)
    ]


def as_list(lines: Sequence[Line], width: int, between: str) -> list[str]:
    """Return the rows of a table that would be too wide as sentences, the first the headings.

    Examples
    --------
    >>> as_list([["mode", "time", "speed-up"], None, ["static", "3 µs", "–"]], 60, "; ")
    ['  static: time 3 µs']
    """
    headings, *rows = (line for line in lines if line is not None and not isinstance(line, Span))
    found = []
    for row in rows:
        said = [
            f"{heading} {cell}"
            for heading, cell in zip(headings[1:], row[1:], strict=True)
            if cell != units.NOTHING
        ]
        found.append(indented(f"{row[0]}: {between.join(said)}", width))
    return found


def indented(text: str, width: int) -> str:
    """Return `text` indented by 2, by 4 where it is wrapped."""
    if len(text) + 2 <= width:
        return f"  {text}"
    return textwrap.fill(
        text,
        width,
        initial_indent="  ",
        subsequent_indent="    ",
        break_on_hyphens=False,
    )


def as_ascii(text: str) -> str:
    """Return `text` with plain characters in place of box characters and signs.

    Examples
    --------
    >>> as_ascii("│ 3 µs – 4 µs │")
    '| 3 us - 4 us |'
    """
    return text.translate(_ASCII)
