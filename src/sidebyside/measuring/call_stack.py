"""Whose code called this library: a message should not name the line that merely started it."""

from __future__ import annotations

import sys
from types import FrameType

from oplibrary.messages.errors import SideBySideError

Frames = frozenset[tuple[str, str]]
"""File and function of each frame of a stack."""


def frames_below(depth: int = 1) -> Frames:
    """Return the frames below the one `depth` frames out, that one left out."""
    frame: FrameType | None = sys._getframe(depth + 1)
    found = set()
    while frame is not None:
        found.add((frame.f_code.co_filename, frame.f_code.co_name))
        frame = frame.f_back
    return frozenset(found)


def forget_frames(error: SideBySideError, known: Frames) -> SideBySideError:
    """Take the line of a caller out of a message; the line of a workload's program stays."""
    source = error.source
    if source is not None and (source.filename, source.function) in known:
        error.source = None
    return error
