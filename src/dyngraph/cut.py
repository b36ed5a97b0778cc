"""Where a graph was cut: what ``backward()`` tells when there is nothing to go back through."""

from __future__ import annotations

import sys

from common.source import Source, user_frame


class Cut:
    """A place where a value left the graph.

    Attributes
    ----------
    reason : str
        What cut it, such as ``"detach()"``.
    """

    __slots__ = ("filename", "function", "line", "reason")

    def __init__(self, reason: str) -> None:
        self.reason = reason
        frame = user_frame(2)
        frame = frame if frame is not None else sys._getframe()
        self.filename = frame.f_code.co_filename
        self.line = frame.f_lineno
        self.function = frame.f_code.co_name

    @property
    def source(self) -> Source:
        """The user's line."""
        return Source(self.filename, self.line, self.function)
