"""The text that every error and warning of this library has: what, where, why, and the fix."""

from __future__ import annotations

import sys
import traceback
import warnings
from typing import ClassVar, Self

from oplibrary.messages.source import Source, user_frame, user_source
from oplibrary.messages.tracebacks import (
    causes,
    format_for_user,
    inner_frames,
    show_users_frames,
    shows_inside,
)


class Message(Exception):
    """What errors and warnings have in common: the text.

    Parameters
    ----------
    what : str
        What went wrong, in one line, naming the op, shapes, dtypes or names involved.
    cause : str
        One sentence that says why. Defaults to the class's `explanation`.
    fix : str
        What to write instead. Defaults to the class's `remedy`.
    source : Source, optional
        The user's line. Defaults to the innermost line outside this library.
    related : sequence of (str, Source or None)
        Further lines that matter, each with a label such as ``"declared"``.
    """

    id: ClassVar[str] = "SBS-000"
    title: ClassVar[str] = "error"
    explanation: ClassVar[str] = ""
    remedy: ClassVar[str] = ""

    def __init__(
        self,
        what: str,
        *,
        cause: str = "",
        fix: str = "",
        source: Source | None = None,
        related: tuple[tuple[str, Source | None], ...] = (),
    ) -> None:
        self.what = what
        self.cause = cause or self.explanation
        self.fix = fix or self.remedy
        self.source = source if source is not None else user_source()
        self.related = related
        self.inside = inner_frames(sys._getframe(1)) if shows_inside() else ()
        super().__init__(what)

    def with_context(self, prefix: str) -> Self:
        """Return this error with `prefix` (an op's name, say) in front of its first line.

        A name that begins with an underscore says nothing to who did not write it.
        """
        if not prefix.startswith("_") and not self.what.startswith(prefix):
            self.what = f"{prefix}: {self.what}"
        return self

    def __str__(self) -> str:
        lines = [f"[{self.id}] {self.what}"]
        if self.source is not None:
            lines += self.source.shown("  at ")
        for label, where in self.related:
            if where is not None:
                lines += where.shown(f"  {label} at ", always=False)
        if self.cause:
            lines.append(f"  why: {self.cause}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        if shows_inside():
            lines.append("  inside:")
            lines += [f"    {line}" for line in (*self.inside, *causes(self))]
        return "\n".join(lines)


class SideBySideError(Message):
    """Base of every error that this library raises on purpose; see `Message`."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows in place of its own traceback."""
        whole = traceback.format_exception(self) if shows_inside() else format_for_user(self)
        return "".join(whole).rstrip("\n").split("\n")


class SideBySideWarning(Message, UserWarning):
    """Base of every warning that this library gives on purpose; see `Message`."""


def warn(warning: SideBySideWarning) -> None:
    """Give `warning` at the user's line."""
    frame, source = user_frame(2), warning.source
    if frame is None or source is None:
        warnings.warn(warning, stacklevel=2)
        return
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(warning, None, source.filename, source.line, registry=registry)


show_users_frames(SideBySideError)
