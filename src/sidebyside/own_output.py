"""The standard output is for reports: what programs print goes to the error stream meanwhile."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

MOST_LINES = 20
"""Lines of a program that are shown: it may print one a call."""

PROGRESS: list[Callable[[], None]] = []
"""Take a line of progress away before something is written below it."""

_reports: list[TextIO] = []
"""The stream of reports, while programs print elsewhere."""


def report_stream() -> TextIO:
    """Return the stream that reports are written to."""
    return _reports[-1] if _reports else sys.stdout


class ProgramOutput(io.TextIOBase):
    """What a program prints, on the error stream, as far as anybody wants to read it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._left = MOST_LINES

    def write(self, text: str) -> int:
        """Write the first lines, and say once that there are more."""
        if self._left > 0:
            for make_room in PROGRESS:
                make_room()
            shown = text.splitlines(keepends=True)[: self._left]
            self._stream.write("".join(shown))
            self._left -= sum(line.endswith("\n") for line in shown)
            if self._left <= 0:
                self._stream.write("(the program prints more, which is not shown)\n")
            self._stream.flush()
        return len(text)

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def isatty(self) -> bool:
        """Tell what the error stream says of itself."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the error stream."""
        return self._stream.fileno()


@contextmanager
def output_somewhere() -> Iterator[None]:
    """Let the standard output lead to nowhere inside the block where the shell has closed it."""
    if sys.stdout is not None:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def programs_apart() -> Iterator[None]:
    """Keep the standard output for reports inside the block, and let programs print beside it.

    What writes to the descriptor itself, as libraries in C do, goes there, too.
    """
    out = sys.stdout
    out.flush()
    with redirect_stdout(ProgramOutput(sys.stderr)):
        if not _is_descriptor(out, 1) or not _is_descriptor(sys.stderr, 2):
            _reports.append(out)
            try:
                yield
            finally:
                _reports.pop()
            return
        kept = os.dup(1)
        reports = os.fdopen(kept, "w", encoding=out.encoding, errors=out.errors, closefd=False)
        os.dup2(2, 1)
        _reports.append(reports)
        try:
            yield
        finally:
            _reports.pop()
            with suppress(
                OSError
            ):  # its reader has gone, or there is no room, which was said before
                reports.close()
            os.dup2(kept, 1)
            os.close(kept)


def _is_descriptor(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError, AttributeError):
        return False
