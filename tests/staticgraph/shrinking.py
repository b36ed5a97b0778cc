"""Small programs that fail: what is left of a large one without what the failure does not need."""

from dataclasses import replace

import numpy as np
from tests.staticgraph.evaluation import evaluate
from tests.staticgraph.random_programs import Made

from staticgraph.show.printing import format_program


def pruned(program, arrays, optimized):
    """Return the program without instructions and inputs that no output needs."""
    needed = set(program.outputs)
    kept = []
    for each in reversed(program.instructions):
        if each.output in needed:
            kept.append(each)
            needed.update(each.inputs)
    fed = [(v, a) for v, a in zip(program.inputs, arrays, strict=True) if v in needed]
    smaller = replace(
        program,
        inputs=tuple(value for value, _ in fed),
        constants={v: a for v, a in program.constants.items() if v in needed},
        instructions=tuple(reversed(kept)),
    )
    return Made(smaller, [array for _, array in fed], optimized)


def shrink(made, fails):
    """Return the smallest program found for which ``fails(made)`` still holds."""
    changed = True
    while changed:
        changed = False
        for candidate in candidates(made):
            if fails(candidate):
                made, changed = candidate, True
                break
    return made


def candidates(made):
    """Yield programs that are a little smaller."""
    program, arrays, optimized = made.program, made.arrays, made.optimized
    if optimized:
        yield Made(program, arrays, False)
    if len(program.outputs) > 1:
        for output in dict.fromkeys(program.outputs):
            yield pruned(replace(program, outputs=(output,)), arrays, optimized)
        for number in range(len(program.outputs)):
            fewer = program.outputs[:number] + program.outputs[number + 1 :]
            yield pruned(replace(program, outputs=fewer), arrays, optimized)
    with np.errstate(all="ignore"):
        values = evaluate(program, arrays)
    for number, each in enumerate(program.instructions):
        if isinstance(values[each.output], (tuple, list)):  # what a loop gives is no array
            continue
        rest = program.instructions[:number] + program.instructions[number + 1 :]
        cut = replace(program, inputs=(*program.inputs, each.output), instructions=rest)
        array = np.array(values[each.output], order="C")
        yield pruned(cut, [*arrays, array], optimized)
    for each in reversed(program.instructions):
        several = isinstance(values[each.output], (tuple, list))
        if each.output not in program.outputs and not several:
            yield pruned(replace(program, outputs=(each.output,)), arrays, optimized)


def describe(made):
    """Return the text of a program and, where they are small, of its inputs."""
    lines = [format_program(made.program), f"passes: {made.optimized}"]
    for value, array in zip(made.program.inputs, made.arrays, strict=True):
        shown = np.array2string(array, separator=", ", threshold=40)
        lines.append(f"{value!r} = {shown}")
    return "\n".join(lines)
