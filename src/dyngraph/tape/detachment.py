"""Where a graph was cut: what ``backward()`` tells when there is nothing to go back through."""

from __future__ import annotations

from oplibrary.messages.source import Source, source_of, user_place


class Cut:
    """A place where a value left the graph.

    Attributes
    ----------
    reason : str
        What cut it, such as ``"detach()"``.
    """

    __slots__ = ("place", "reason")

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.place = user_place()

    @property
    def source(self) -> Source | None:
        """The user's line."""
        return source_of(self.place)
