"""Progress on the error stream, for what takes longer than two seconds."""

from __future__ import annotations

import shutil
import time
from contextlib import AbstractContextManager
from typing import TextIO

from sidebyside.own_output import PROGRESS

DELAY = 2.0


class Progress(AbstractContextManager["Progress"]):
    """Show what is being done, once it has taken longer than `DELAY` seconds.

    On a terminal one line is rewritten; elsewhere a line is written for each workload.

    Parameters
    ----------
    stream : text file
    delay : float
        Seconds.
    """

    def __init__(self, stream: TextIO, delay: float = DELAY) -> None:
        self._stream = stream
        self._delay = delay
        self._started = time.monotonic()
        self._terminal = stream.isatty()
        self._shown = ""

    def __call__(self, text: str) -> None:
        """Say that `text` begins."""
        elapsed = time.monotonic() - self._started
        if elapsed < self._delay:
            return
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            line = f"{elapsed:3.0f} s  {text}"[:width]
            self._stream.write(f"\r{line:<{len(self._shown)}}")
            self._shown = line
        else:
            subject = text.partition(":")[0]
            if subject == self._shown:
                return
            self._stream.write(f"{elapsed:.0f} s: {subject}\n")
            self._shown = subject
        self._stream.flush()

    def close(self) -> None:
        """Take the line away again."""
        self.make_room()
        self._shown = ""

    def make_room(self) -> None:
        """Take the line of a terminal away, for somebody else to write."""
        if self._terminal and self._shown:
            self._stream.write("\r" + " " * len(self._shown) + "\r")
            self._stream.flush()
            self._shown = ""

    def __enter__(self) -> Progress:
        PROGRESS.append(self.make_room)
        return self

    def __exit__(self, *_: object) -> None:
        PROGRESS.remove(self.make_room)
        self.close()
