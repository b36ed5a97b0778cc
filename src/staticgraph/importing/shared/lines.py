"""The user's lines in what other libraries say of theirs."""

from __future__ import annotations

import os
import re

from oplibrary.messages.source import Source, is_users_file

_PLACE = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')


def line_in(stack: str, library: str) -> Source | None:
    """Return the innermost place in a stack, given as text, that is the user's.

    Parameters
    ----------
    stack : str
    library : str
        The folder of the library whose own lines do not count.
    """
    users = [each for each in places_in(stack) if _is_users(each.filename, library)]
    return users[-1] if users else None


def places_in(stack: str) -> list[Source]:
    """Return the places that a stack names, which is given as text, the innermost one last."""
    return [Source(f, int(n), function) for f, n, function in _PLACE.findall(stack)]


def line_of_traceback(error: BaseException, library: str) -> Source | None:
    """Return the innermost of the user's lines that an exception went through."""
    found, trace = None, error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if _is_users(code.co_filename, library):
            found = Source(code.co_filename, trace.tb_lineno, code.co_name)
        trace = trace.tb_next
    return found


def _is_users(filename: str, library: str) -> bool:
    parts = filename.split(os.sep)
    return is_users_file(filename) and "<" not in filename and library not in parts
