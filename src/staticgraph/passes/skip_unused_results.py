"""Tell ops of several results which of them nobody reads."""

from __future__ import annotations

from dataclasses import replace

from staticgraph.program.program import Program, Value


def skip_unused_results(program: Program) -> Program:
    """Switch off the results that are not read, of ops that can leave some of them out.

    Such an op has an attribute ``keep``, a flag for each of its last results: a scan, say, need not
    stack the carries of its steps unless a gradient reads them.
    """
    candidates = {i.output: i for i in program.instructions if "keep" in i.attrs}
    if not candidates:
        return program
    read: dict[Value, set[int]] = {value: set() for value in candidates}
    whole: set[Value] = set(program.results)
    for instruction in program.instructions:
        for value in instruction.inputs:
            if value in read:
                index = instruction.attrs.get("index")
                if isinstance(index, int):
                    read[value].add(index)
                else:
                    whole.add(value)
    changed = False
    instructions = []
    for instruction in program.instructions:
        used = read.get(instruction.output)
        if used is not None and instruction.output not in whole:
            keep = instruction.attrs["keep"]
            first = instruction.output.type.shape[0] - len(keep)
            now = tuple(kept and first + i in used for i, kept in enumerate(keep))
            if now != keep:
                instruction = replace(instruction, attrs={**instruction.attrs, "keep": now})
                changed = True
        instructions.append(instruction)
    return program.with_instructions(instructions) if changed else program
