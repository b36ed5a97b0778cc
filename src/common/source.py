"""Where in the user's own code something happened."""

from __future__ import annotations

import linecache
import os
import sys
from dataclasses import dataclass
from types import CodeType, FrameType

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OURS = tuple(
    os.path.join(_HERE, package) + os.sep
    for package in ("common", "dyngraph", "staticgraph", "sidebyside")
)
_WORKLOADS = os.path.join(_HERE, "sidebyside", "workloads") + os.sep
_is_ours: dict[CodeType, bool] = {}


@dataclass(frozen=True, slots=True)
class Source:
    """A line of the user's program.

    Attributes
    ----------
    filename : str
    line : int
        Counted from 1.
    function : str
        The function it stands in.
    """

    filename: str
    line: int
    function: str

    @property
    def text(self) -> str:
        """The line itself, stripped; empty when the source cannot be read."""
        return linecache.getline(self.filename, self.line).strip()

    @property
    def place(self) -> str:
        """``file.py:12``, with the folder left out."""
        return f"{os.path.basename(self.filename)}:{self.line}"

    def __str__(self) -> str:
        text = self.text
        return f"{self.place}: {text}" if text else self.place


def is_ours(code: CodeType) -> bool:
    """Tell whether `code` belongs to this library and not to its user."""
    known = _is_ours.get(code)
    if known is None:
        name = code.co_filename
        known = (name.startswith(_OURS) and not name.startswith(_WORKLOADS)) or name.startswith(
            ("<staticgraph", "<frozen importlib")
        )
        _is_ours[code] = known
    return known


Place = tuple[CodeType, int]
"""A line of some code, cheap to take down on a path that seldom shows it; see `source_of`."""


def user_place() -> Place | None:
    """Take down the user's line that is running now."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        ours = _is_ours.get(code)
        if ours is None:
            ours = is_ours(code)
        if not ours:
            return code, frame.f_lineno
        frame = frame.f_back
    return None


def source_of(place: Place | None) -> Source | None:
    """Return the place as something to show."""
    if place is None:
        return None
    code, line = place
    return Source(code.co_filename, line, code.co_name)


def user_frame(depth: int = 1) -> FrameType | None:
    """Return the innermost frame outside this library, or None."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and is_ours(frame.f_code):
        frame = frame.f_back
    return frame


def user_source() -> Source | None:
    """Return the user's line that is running now, or None where there is none."""
    return source_of(user_place())
