"""Looking into a run: breakpoints, every value, the first NaN, and a check of every pass."""

from staticgraph.debugging.borrowed import poisoning
from staticgraph.debugging.checking import CheckedStage, PassCheck, check_passes
from staticgraph.debugging.debugger import Breakpoint, Debugger
from staticgraph.debugging.executable import DebugExecutable
from staticgraph.debugging.frame import Frame

__all__ = [
    "Breakpoint",
    "CheckedStage",
    "DebugExecutable",
    "Debugger",
    "Frame",
    "PassCheck",
    "check_passes",
    "poisoning",
]
