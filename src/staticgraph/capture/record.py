"""What a trace has read, changed and could not watch, as it is taken down."""

from __future__ import annotations

from typing import Any

from oplibrary.messages.source import Source
from staticgraph.capture.outside import Outside
from staticgraph.capture.reads import MISSING, Read, Unwatched


class Record:
    """What one trace reads from outside, does to the outside, and cannot watch.

    Attributes
    ----------
    effects : dict of str to None
        What the code does besides computing, in order.
    unwatched : list of Unwatched
    outside : Outside
        What it met.
    """

    def __init__(self) -> None:
        self.effects: dict[str, None] = {}
        self.unwatched: list[Unwatched] = []
        self.outside = Outside()
        self._reads: dict[tuple[Any, ...], Read] = {}
        self._written: set[tuple[Any, ...]] = set()
        self._changed: dict[int, str] = {}  # containers, and what the program calls them
        self._looked_into: set[int] = set()

    @property
    def reads(self) -> list[Read]:
        """Everything that was read and not written, in order."""
        return [
            read
            for key, read in self._reads.items()
            if key not in self._written and id(read.value) not in self._changed
        ]

    @property
    def overwritten(self) -> list[Read]:
        """What was read and written too, so that what was read is fixed."""
        written = {key[1] for key in self._written if key[0] == "attribute"}
        changed = {key: path for key, path in self._changed.items() if key in self._looked_into}
        return [
            read
            for key, read in self._reads.items()
            if read.value is not MISSING
            and (
                key in self._written
                or (read.kind == "state" and id(read.value) in written)
                or id(read.value) in changed
                or any(path.startswith(f"{read.path}[...]") for path in changed.values())
            )
        ]

    def _found(self, key: tuple[Any, ...], read: Read) -> None:
        self._reads.setdefault(key, read)

    def _watch_whole(self, path: str, source: Source, value: Any) -> None:
        self._found(("state", id(value)), Read(path, "state", source, value, lambda: value))

    def _change(self, container: Any, is_read: bool) -> None:
        """Take down that a container is changed, and whether what it held was read, too."""
        self._changed[id(container)] = self.outside.path_of(container) or ""
        if is_read:
            self._looked_into.add(id(container))

    def _unwatched(self, path: str, source: Source, why: str) -> None:
        found = Unwatched(path, source, why)
        if found not in self.unwatched:
            self.unwatched.append(found)
