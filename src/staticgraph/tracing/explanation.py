"""What a static function did: what it traced, guarded and fixed, how often, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from oplibrary.messages.source import Source


@dataclass
class Trace:
    """One trace of a static function.

    Attributes
    ----------
    signature : tuple of str
        Each argument with its type or value, such as ``"x: float32[4,3]"``.
    reason : str
        Why it was needed.
    nodes : int
        Declared in the graph.
    seconds : dict of str to float
        Of each phase: ``trace`` and ``compile``.
    guards : list of str
        The values read from outside that are checked at each call.
    baked : list of str
        The values read from outside that are fixed and cannot be checked.
    effects : list of str
        What the function does besides computing, which later calls do not do.
    calls : int
        Answered by what was compiled here.
    checking : float or None
        Seconds that checking the guards takes in each call, measured when the report was made; None
        of what is no longer kept.
    """

    signature: tuple[str, ...]
    reason: str
    nodes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    guards: list[str] = field(default_factory=list)
    baked: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    calls: int = 0
    checking: float | None = None

    @property
    def total_seconds(self) -> float:
        """Seconds that all phases took together."""
        return sum(self.seconds.values())


@dataclass
class Explanation:
    """The report of `StaticFunction.explain`; printing it shows it as text.

    Attributes
    ----------
    name : str
    source : Source or None
        Where the function is defined.
    traces : list of Trace
        In the order in which they were made.
    """

    name: str
    source: Source | None
    traces: list[Trace]

    @property
    def calls(self) -> int:
        """How often compiled code answered a call."""
        return sum(trace.calls for trace in self.traces)

    @property
    def retraces(self) -> int:
        """How often it was traced again after the first time."""
        return max(len(self.traces) - 1, 0)

    @property
    def lost_seconds(self) -> float:
        """Seconds that all traces but the first took: the cost of calls that were not alike."""
        return sum(trace.total_seconds for trace in self.traces[1:])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain containers, for JSON."""
        return {
            "name": self.name,
            "source": self.source.place if self.source is not None else None,
            "calls": self.calls,
            "retraces": self.retraces,
            "lost_seconds": self.lost_seconds,
            "traces": [
                {**vars(trace), "signature": list(trace.signature)} for trace in self.traces
            ],
        }

    def __str__(self) -> str:
        place = f" ({self.source.place})" if self.source is not None else ""
        spent = sum(trace.total_seconds for trace in self.traces)
        lines = [
            f"{self.name}{place}: traced {len(self.traces)}x in {spent * 1e3:.1f} ms, "
            f"executed {self.calls}x"
        ]
        if self.retraces:
            lost = f"{self.lost_seconds * 1e3:.1f} ms lost"
            lines.append(f"  retraced {self.retraces}x, {lost}: the reasons stand below")
        for number, trace in enumerate(self.traces, 1):
            phases = ", ".join(f"{k} {v * 1e3:.1f} ms" for k, v in trace.seconds.items())
            lines.append(f"  trace {number}: {trace.reason}")
            lines.append(f"    signature: {', '.join(trace.signature) or 'no arguments'}")
            lines.append(f"    {trace.nodes} nodes; {phases}; executed {trace.calls}x")
            if trace.checking is not None:
                price = f"{trace.checking * 1e9:.0f} ns a call"
                lines.append(f"    {len(trace.guards)} guards, checked in {price}")
            lines += [f"    guarded: {text}" for text in trace.guards]
            lines += [f"    {text}" for text in trace.baked]
            lines += [
                f"    side effect: {text}: traced 1x, executed {trace.calls}x"
                for text in trace.effects
            ]
        if any(trace.effects for trace in self.traces):
            lines.append("  for what is to happen in every call, use print_ and assert_")
        return "\n".join(lines)

    __repr__ = __str__
