"""Where the time of one call goes: a table of operations for each mode.

Every operation is timed by itself, as in ``sidebyside trace``, in several runs of the same call;
what is shown are medians. Looking at each operation takes time by itself, so a call that nobody
looks at is timed too, and both times are shown. In the static mode it is the program after the
passes that runs, instruction by instruction: what fusion saves is in the time of the whole call
alone. Its operations and bytes are those of `staticgraph.cost`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidebyside.results.result import Result


@dataclass(frozen=True, slots=True)
class OpProfile:
    """What all operations of one name took in a call, or those of one name on one line.

    Attributes
    ----------
    op : str
        The name of the op; of a step of the backward pass that of its node.
    line : str
        The user's line, if lines are asked for and it is known.
    calls : int
    seconds : float
        Of all of them, in one call of the program.
    flops : int or None
        Floating-point operations; None where they are not known, as in the dynamic mode.
    bytes : int or None
        Bytes read and written, likewise.
    """

    op: str
    line: str
    calls: int
    seconds: float
    flops: int | None = None
    bytes: int | None = None

    @property
    def mean(self) -> float:
        """Seconds of one of them."""
        return self.seconds / self.calls


@dataclass(frozen=True, slots=True)
class ModeProfile:
    """Where the time goes in one mode.

    Attributes
    ----------
    mode : str
    rows : tuple of OpProfile
        The dearest first.
    call_seconds : float
        A call that nobody looks at.
    refusal : str
        Why the mode does not run the program; empty where it does.
    memory : tuple of (float, int)
        Of each operation, in order, the second of the call at which it ends, and the bytes that are
        allocated then; the update of parameters is left out.
    """

    mode: str
    rows: tuple[OpProfile, ...] = ()
    call_seconds: float = 0.0
    refusal: str = ""
    memory: tuple[tuple[float, int], ...] = ()

    @property
    def seconds(self) -> float:
        """What all operations took."""
        return sum(row.seconds for row in self.rows)

    def share(self, row: OpProfile) -> float:
        """Return the part of the time of all operations that `row` took."""
        return row.seconds / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, repr=False)
class Profile(Result):
    """Where the time of a workload's call goes; printing it shows a table for each mode.

    Attributes
    ----------
    workload : str
    size : str
    runs : int
    lines : bool
        Whether operations are told apart by the user's lines.
    modes : tuple of ModeProfile
    """

    workload: str
    size: str
    runs: int
    lines: bool
    modes: tuple[ModeProfile, ...]
