"""What a misspelled name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message on an unknown name: the known one that is like it, if one is.

    Examples
    --------
    >>> did_you_mean("statc", ("dynamic", "static")), did_you_mean("x", ("dynamic", "static"))
    ("; did you mean 'static'?", '')
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
