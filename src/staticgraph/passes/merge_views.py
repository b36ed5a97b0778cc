"""Read through views that show what another value shows already."""

from __future__ import annotations

from staticgraph.passes.rewriting import with_inputs
from staticgraph.program.layout import find_layouts
from staticgraph.program.program import Program, Value


def merge_views(program: Program) -> Program:
    """Replace a view by the first value that has the same elements in the same place.

    That covers a reshape or broadcast to the shape there is, a permutation that moves nothing or
    undoes another one, a squeeze of what was expanded, and views taken twice.
    """
    if not any(instruction.op.view for instruction in program.instructions):
        return program
    layouts = find_layouts(program)
    first: dict[object, Value] = {}
    swap: dict[Value, Value] = {}
    kept = []
    for value in (*program.inputs, *program.variables, *program.constants):
        first[value, 0, layouts[value].strides, value.type] = value
    for instruction in program.instructions:
        output = instruction.output
        layout = layouts[output]
        if layout.strides is not None:
            place = (layout.base, layout.offset, layout.strides, output.type)
            same = first.setdefault(place, output)
            if same is not output:
                swap[output] = same
                continue
        kept.append(with_inputs(instruction, swap))
    return program.with_instructions(kept, swap) if swap else program
