"""Options: what `compile` may be told besides what to compile."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from oplibrary.messages.errors import ArgumentError
from staticgraph.passes.pipeline import Observer, Pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a program is compiled; `compile` says what each option means."""

    backend: str | None = None
    passes: Sequence[Pass] | None = None
    verify: bool = False
    observer: Observer | None = None
    debug: bool = False
    borrow: bool = False


def options_from(what: str, given: Mapping[str, Any]) -> Options:
    """Return the options that were passed to `what` by name.

    Raises
    ------
    ArgumentError
        If there is no such option.
    """
    known = [field.name for field in fields(Options)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ArgumentError(
                f"{what}: there is no option {name!r}",
                cause=f"the options of compile are {', '.join(known)}",
                fix=f"did you mean {near[0]}?" if near else "leave it out",
            )
    return Options(**given)
