"""What passes that replace values share."""

from __future__ import annotations

from collections.abc import Mapping

from oplibrary.messages.source import Source
from staticgraph.program.program import Instruction, Value


def with_inputs(instruction: Instruction, swap: Mapping[Value, Value]) -> Instruction:
    """Return `instruction` reading the values that `swap` puts in place of its operands."""
    for value in instruction.inputs:
        if value in swap:
            inputs = tuple([swap.get(each, each) for each in instruction.inputs])
            return Instruction(
                instruction.op,
                inputs,
                instruction.output,
                instruction.attrs,
                instruction.sources,
                instruction.group,
            )
    return instruction


def with_sources(instruction: Instruction, more: tuple[Source, ...]) -> Instruction:
    """Return `instruction` as one that also comes from the user's lines `more`."""
    sources = tuple(dict.fromkeys(instruction.sources + more))
    if len(sources) == len(instruction.sources):
        return instruction
    return Instruction(
        instruction.op,
        instruction.inputs,
        instruction.output,
        instruction.attrs,
        sources,
        instruction.group,
    )
