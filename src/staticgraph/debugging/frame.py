"""Frame: what a breakpoint shows of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oplibrary.core.op import Kind
from oplibrary.messages.source import Source
from oplibrary.values.types import Array
from staticgraph.debugging.summary import summarize
from staticgraph.program.program import Instruction, Value
from staticgraph.show.printing import format_call


def locked(result: Any) -> Any:
    """Return an array, or a tuple of arrays, that can be read and not written."""
    if type(result) is tuple:
        return tuple(map(locked, result))
    if result is None:  # a result that nobody reads
        return None
    view = result.view()
    view.flags.writeable = False
    return view


def call_text(instruction: Instruction, names: Mapping[Value, str]) -> str:
    """Return an instruction as text; of control flow without its branches and bodies."""
    if instruction.op.kind is Kind.CONTROL and "index" not in instruction.attrs:
        return f"{instruction.op.name}({', '.join([names[x] for x in instruction.inputs])})"
    return format_call(instruction, names)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A run, stopped right after an instruction.

    Attributes
    ----------
    instruction : Instruction
    name : str
        Of the value that it computed.
    text : str
        The call, such as ``"log(x)"``.
    source : Source or None
        The user's line that declared it.
    operands : tuple of numpy.ndarray
        Read-only, as all arrays here.
    result : numpy.ndarray
        For an op of several results a tuple of them.
    values : mapping of str to numpy.ndarray
        Everything that was computed so far, by name; in a branch or a loop's body its own values
        come before those around it.
    scope : str
        The branch or loop body, such as ``"scan.body"``; empty in the program itself.
    step : int
        How often that branch or body has run in this run, this time included.
    """

    instruction: Instruction
    name: str
    text: str
    source: Source | None
    operands: tuple[Any, ...]
    result: Any
    values: Mapping[str, Array]
    scope: str
    step: int

    def __str__(self) -> str:
        lines = [] if self.source is None else self.source.shown("at ", always=False)
        if self.scope:
            lines.append(f"in {self.scope}, step {self.step}")
        lines.append(f"{self.name} = {self.text}")
        for position, operand in enumerate(self.operands):
            if type(operand) is not tuple:
                lines.append(f"  operand {position}: {_described(operand)}")
        if type(self.result) is not tuple:
            lines.append(f"  result:    {_described(self.result)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        place = "" if self.source is None else f" at {self.source.place}"
        return f"<Frame {self.name} = {self.text}{place}>"


def _described(array: Array) -> str:
    shape = ",".join(map(str, array.shape))
    return f"{array.dtype}[{shape}]  {summarize(array)}"
