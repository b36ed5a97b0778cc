"""Where in the user's own code something happened: the file, the line, and the expression in it."""

from __future__ import annotations

import linecache
import os
import re
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile
from types import CodeType, FrameType

_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_BETWEEN = frozenset({"numpy", "networkx", "IPython", "ipykernel"})
"""Installed packages between the user and this library: their lines are not what the user wrote."""

_GENERATED, _BY_DATACLASSES = "<string>", "__create_fn__"
"""Of methods that dataclasses write: they stand in no file, between lines of the user's."""

_MOST_DECORATOR_LINES = 50

_ours: tuple[str, ...] = ()
_written_as_users: tuple[str, ...] = ()
_is_ours: dict[str, bool] = {}
_is_users: dict[str, bool] = {}


def enter_package(init: str, *users: str) -> None:
    """Count the files of a package as this library's: lines that no message should point at.

    Every package of the library enters itself when it is imported, wherever it is installed.

    Parameters
    ----------
    init : str
        The ``__file__`` of the package.
    *users : str
        Folders inside it whose files are programs, as a user writes them.
    """
    global _ours, _written_as_users
    folder = os.path.dirname(os.path.abspath(init))
    _ours += (folder + os.sep,)
    _written_as_users += tuple([os.path.join(folder, each) + os.sep for each in users])
    _is_ours.clear()
    _is_users.clear()


def short_name(filename: str) -> str:
    """Return the name of a file, from its package on if it is one of this library's."""
    for folder in _ours:
        if filename.startswith(folder):
            return os.path.relpath(filename, os.path.dirname(folder[:-1]))
    return os.path.basename(filename)


@dataclass(frozen=True, slots=True)
class Source:
    """A place in the user's program.

    Two sources of one line are equal, whichever expression of the line they mean.

    Attributes
    ----------
    filename : str
    line : int
        Counted from 1.
    function : str
        The function it stands in.
    column, end_column : int or None
        Where the expression starts and stops, as Python counts it: from 0, in bytes of UTF-8. None
        where it is not known.
    end_line : int or None
        The line in which it stops.
    kept : str or None
        The line as it was, of a program that was saved: here its file may be another one, or none.
    """

    filename: str
    line: int
    function: str
    column: int | None = field(default=None, compare=False)
    end_column: int | None = field(default=None, compare=False)
    end_line: int | None = field(default=None, compare=False)
    kept: str | None = field(default=None, compare=False, repr=False)

    @property
    def whole_line(self) -> str:
        """The line with its indentation; empty when the source cannot be read."""
        if self.kept is not None:
            return self.kept
        if self.filename == _GENERATED:
            return ""  # from Python 3.13 on it holds what the interpreter itself was given
        return linecache.getline(self.filename, self.line).rstrip()

    @property
    def text(self) -> str:
        """The line itself, stripped; empty when the source cannot be read."""
        return self.whole_line.strip()

    @property
    def place(self) -> str:
        """``file.py:12``, with the folder left out."""
        return f"{os.path.basename(self.filename)}:{self.line}"

    @property
    def span(self) -> tuple[int, int] | None:
        """Which characters of `text` are the expression, or None where that is not known."""
        line = self.whole_line
        indent = len(line) - len(line.lstrip())
        if not line or self.column is None:
            return None
        start = _characters(line, self.column)
        goes_on = self.end_line is not None and self.end_line > self.line
        stop = len(line)
        if not goes_on and self.end_column is not None:
            stop = min(_characters(line, self.end_column), stop)
        # a file that was edited since it was imported has other lines
        return (start - indent, stop - indent) if indent <= start < stop else None

    @property
    def expression(self) -> str:
        """The expression itself, as far as it stands in `line`; `text` where it is not known."""
        span = self.span
        return self.text if span is None else self.text[slice(*span)]

    def shown(self, label: str, always: bool = True) -> list[str]:
        """Return the place after `label`, and a line with carets under the expression.

        Parameters
        ----------
        label : str
        always : bool
            Whether the carets are wanted although the expression is the whole line.
        """
        lines = [f"{label}{self}"]
        span = self.span
        if span is None or not (always or span != (0, len(self.text))):
            return lines
        before = _blank(f"{label}{self.place}: {self.text[: span[0]]}")
        carets = "^" * max(1, _width(self.text[slice(*span)]))
        rest = ""
        if self.end_line is not None and self.end_line > self.line:
            rest = f" to line {self.end_line}"
        return [*lines, f"{before}{carets}{rest}"]

    def __str__(self) -> str:
        text = self.text
        if text:
            return f"{self.place}: {text}"
        named = self.function and not self.function.startswith("<")
        return f"{self.place}, in {self.function}" if named else self.place


def _characters(line: str, column: int) -> int:
    """Return how many characters the first `column` bytes of `line` are."""
    return column if line.isascii() else len(line.encode()[:column].decode(errors="replace"))


def _width(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    import unicodedata

    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def _blank(text: str) -> str:
    """Return white space as wide as `text`."""
    return "".join(each if each == "\t" else " " * _width(each) for each in text)


# whose code ---------------------------------------------------------------------------------------


def is_ours(code: CodeType) -> bool:
    """Tell whether `code` belongs to this library and not to its user."""
    return is_our_file(code.co_filename)


def is_our_file(name: str) -> bool:
    """Tell whether the file is one of this library's."""
    known = _is_ours.get(name)
    if known is None:
        ours = name.startswith(_ours) and not name.startswith(_written_as_users)
        known = _is_ours[name] = ours or name.startswith(("<staticgraph", "<frozen importlib"))
    return known


def is_users(code: CodeType) -> bool:
    """Tell whether `code` was written by the user: not by us, nor for Python or NumPy."""
    name = code.co_filename
    if name == _GENERATED and code.co_qualname.startswith(_BY_DATACLASSES):
        return False
    return is_users_file(name)


def is_users_file(name: str) -> bool:
    """Tell whether the file was written by the user."""
    known = _is_users.get(name)
    if known is None:
        known = not (is_our_file(name) or _is_between(name))
        if name != _GENERATED:
            _is_users[name] = known
    return known


def _is_between(name: str) -> bool:
    parts = name.split(os.sep)
    outside = len(list(takewhile(lambda part: part not in _INSTALLED, parts)))
    if outside < len(parts):
        return not _BETWEEN.isdisjoint(parts[outside + 1 : outside + 2])
    return name.startswith((_STANDARD_LIBRARY, "<frozen ", "<__array_function__"))


# where --------------------------------------------------------------------------------------------

Place = tuple[CodeType, int]
"""A running instruction, cheap to take down on a path that seldom shows it; see `source_of`."""


def user_place() -> Place | None:
    """Take down the user's place that is running now."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        users = _is_users.get(code.co_filename)
        if users is None:
            users = is_users(code)
        if users:
            return code, frame.f_lasti
        frame = frame.f_back
    frame = _outside(sys._getframe(1))
    return None if frame is None else (frame.f_code, frame.f_lasti)


def user_frame(depth: int = 1) -> FrameType | None:
    """Return the innermost frame of the user's code, or None."""
    start = frame = sys._getframe(depth)
    while frame is not None and not is_users(frame.f_code):
        frame = frame.f_back  # type: ignore[assignment]
    return frame if frame is not None else _outside(start)


def _outside(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame that is not ours, for programs without code of a user's."""
    while frame is not None and (is_ours(frame.f_code) or _is_frozen(frame.f_code)):
        frame = frame.f_back
    return frame


def _is_frozen(code: CodeType) -> bool:
    """Tell whether code is Python's own, which has no file: that of ``python -m`` runs below us."""
    return code.co_filename.startswith("<frozen ")


@lru_cache(maxsize=64)
def _positions(code: CodeType) -> tuple[tuple[int | None, int | None, int | None, int | None], ...]:
    # as a whole, since Python can only count through them: a place is then found in one step
    return tuple(code.co_positions())


def source_of(place: Place | None) -> Source | None:
    """Return the place as something to show."""
    if place is None:
        return None
    code, instruction = place
    positions = _positions(code)
    at = instruction // 2
    line, end_line, column, end_column = positions[at] if 0 <= at < len(positions) else (None,) * 4
    return Source(
        code.co_filename, line or code.co_firstlineno, code.co_name, column, end_column, end_line
    )


def defined_at(code: CodeType) -> Source:
    """Return where the user wrote `code`: the line of its ``def``, or the body of its lambda."""
    if code.co_name != "<lambda>":
        return Source(code.co_filename, _line_of_def(code), code.co_name)
    spans = [
        (line, column, end_line, end_column)
        for line, end_line, column, end_column in _positions(code)
        if line and end_line and column is not None and end_column
        if (line, column) < (end_line, end_column)
    ]
    if not spans:
        return Source(code.co_filename, code.co_firstlineno, code.co_name)
    line, column = min(span[:2] for span in spans)
    end_line, end_column = max(span[2:] for span in spans)
    return Source(code.co_filename, line, code.co_name, column, end_column, end_line)


def _line_of_def(code: CodeType) -> int:
    """Return the line of the ``def``; code starts at the first decorator above it."""
    written = re.compile(rf"\s*(async\s+)?def\s+{re.escape(code.co_name)}\b")
    for line in range(code.co_firstlineno, code.co_firstlineno + _MOST_DECORATOR_LINES):
        if written.match(linecache.getline(code.co_filename, line)):
            return line
    return code.co_firstlineno


def user_source() -> Source | None:
    """Return the user's place that is running now, or None where there is none."""
    return source_of(user_place())
