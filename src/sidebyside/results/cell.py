"""What one mode made of one program: whether it ran, and why not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidebyside.measuring.statistics import Estimate

RAN = "ran"
REWRITTEN = "rewritten"
WRONG = "wrong"
REFUSED = "refused"
FAILED = "failed"
CRASHED = "crashed"
TIMED_OUT = "timed out"
NOT_TRIED = "not tried"
OUTCOMES = (RAN, REWRITTEN, WRONG, REFUSED, FAILED, CRASHED, TIMED_OUT, NOT_TRIED)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a mode has no timing: it cannot run the program, or it computed something else.

    Attributes
    ----------
    kind : str
        The class of the error.
    text : str
        The whole message.
    place : str
        The user's line that it came from, such as ``kepler.py:49: if ...``, where that is known.
    call : int
        In which call it was raised, counted from 1; 0 before the first.
    """

    kind: str
    text: str
    place: str = ""
    call: int = 0

    @property
    def id(self) -> str:
        """The id of an error of this library, such as ``SBS-301``; of others empty."""
        return self.text[1:].partition("]")[0] if self.text.startswith("[SBS-") else ""

    @property
    def disagrees(self) -> bool:
        """Whether the mode ran, and computed something else than the reference."""
        return self.kind == "DisagreementError"

    @property
    def first_line(self) -> str:
        """The first line of the message, behind its id or its class."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        if self.id:
            return lines[0]
        if lines and lines[0] == "in user code:":  # TensorFlow puts the stack before the message
            own = [line for line in lines if re.match(r"\w+(Error|Exception): ", line)]
            return own[0] if own else self.kind
        return f"{self.kind}: {lines[0]}" if lines else self.kind


@dataclass(frozen=True)
class Cell:
    """One program in one mode.

    Attributes
    ----------
    mode : str
        Its name, numbered where a mode was named twice.
    failure : Failure or None
        With it, there is no timing.
    outcome : str
        ``"ran"``: the results are the reference's. ``"rewritten"``: so are those of the rewrite.
        ``"wrong"``: it ran and computed something else. ``"refused"``: it ended with an error.
        ``"failed"``: the reference itself did. ``"crashed"``, ``"timed out"``: its process was
        lost. ``"not tried"``: there is no rewrite, or nothing to compare with. Left out, what
        `failure` says.
    steady : Estimate or None
        Seconds of a call in the steady state, once everything is built.
    ratio : Estimate or None
        Of a steady call to the reference's, paired, where both were timed in turns.
    """

    mode: str
    failure: Failure | None = None
    outcome: str = ""
    steady: Estimate | None = None
    ratio: Estimate | None = None

    def __post_init__(self) -> None:
        if not self.outcome:
            failure = self.failure
            outcome = RAN if failure is None else WRONG if failure.disagrees else REFUSED
            object.__setattr__(self, "outcome", outcome)

    def unsound(self) -> str:
        """Return what in it cannot be; empty where nothing is wrong."""
        return "" if self.outcome in OUTCOMES else f"an outcome {self.outcome!r}"

    @property
    def good(self) -> bool:
        """Whether it computed what the reference did."""
        return self.outcome in (RAN, REWRITTEN)
