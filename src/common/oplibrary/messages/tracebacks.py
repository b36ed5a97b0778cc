"""What is shown of this library's own frames: nothing, unless ``SIDEBYSIDE_ERRORS=full`` asks."""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType

from oplibrary.messages.source import is_users_file, short_name

_MOST_FRAMES = 30


def shows_inside() -> bool:
    """Tell whether ``SIDEBYSIDE_ERRORS=full`` is set."""
    return os.environ.get("SIDEBYSIDE_ERRORS", "").strip().lower() == "full"


# full ---------------------------------------------------------------------------------------------


def inner_frames(frame: FrameType | None) -> tuple[str, ...]:
    """Return the library's frames from the user's line to `frame`, outermost first, as text."""
    found: list[str] = []
    while frame is not None and not is_users_file(frame.f_code.co_filename):
        if frame.f_code.co_filename != __file__:
            found.append(_frame(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return tuple(reversed(found[:_MOST_FRAMES]))


def causes(error: BaseException) -> Iterator[str]:
    """Yield what led to `error`: each exception behind it, and the frames it came through."""
    seen = {error}
    while True:
        cause = error.__cause__ or error.__context__
        if cause is None or cause in seen:
            return
        seen.add(cause)
        yield from (
            f"caused by {line}" if number == 0 else f"  {line}"
            for number, line in enumerate(_headline(cause).split("\n"))
        )
        frames = list(traceback.walk_tb(cause.__traceback__))
        for frame, line in frames[-_MOST_FRAMES:]:
            yield f"  {_frame(frame.f_code.co_filename, line, frame.f_code.co_name)}"
        error = cause


def _headline(error: BaseException) -> str:
    text = getattr(error, "what", None) or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _frame(filename: str, line: int, function: str) -> str:
    text = linecache.getline(filename, line).strip()
    return f"{short_name(filename)}:{line}, in {function}" + (f": {text}" if text else "")


# the default --------------------------------------------------------------------------------------


def format_for_user(error: BaseException) -> list[str]:
    """Return the lines of `error` and of those it was raised beside, with the user's frames only.

    Exceptions that were raised inside the library are left out: `error` says what they mean.
    """
    shown = traceback.TracebackException.from_exception(error, compact=True)
    _keep_users(shown, error)
    return list(shown.format())


def _keep_users(shown: traceback.TracebackException, error: BaseException) -> None:
    users = [frame for frame in shown.stack if is_users_file(frame.filename)]
    if users:
        shown.stack[:] = users
    shown.__cause__ = shown.__context__ = None
    context = _users_context(error)
    if context is not None:
        shown.__context__ = traceback.TracebackException.from_exception(context, compact=True)
        shown.__suppress_context__ = False
        _keep_users(shown.__context__, context)


def _users_context(error: BaseException) -> BaseException | None:
    """Return the exception that the user's program was handling when `error` was raised."""
    seen = {error}
    context = error.__context__
    while context is not None and context not in seen:
        seen.add(context)
        frames = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(context.__traceback__)]
        if not frames or is_users_file(frames[-1]) or hasattr(context, "what"):
            return context
        context = context.__context__
    return None


def show_users_frames(of: type[BaseException]) -> None:
    """Let Python show errors of class `of` that end a program with the user's frames only.

    Where something else has taken over ``sys.excepthook`` already, it is left alone.
    """
    if sys.excepthook is not sys.__excepthook__:
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, of) and not shows_inside() and sys.stderr is not None:
            sys.stderr.write("".join(format_for_user(error)))
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = hook
