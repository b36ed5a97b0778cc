"""Where a tensor left its graph: what ``backward()`` tells when nothing leads further back."""

from __future__ import annotations

from oplibrary.messages.source import Source, source_of, user_place


class Detachment:
    """How and where a tensor was detached from its graph.

    Attributes
    ----------
    reason : str
        What did it, such as ``"detach()"``.
    """

    __slots__ = ("place", "reason")

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.place = user_place()

    @property
    def source(self) -> Source | None:
        """The user's line."""
        return source_of(self.place)
