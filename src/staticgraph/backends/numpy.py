"""Run generated Python that calls the same kernels as the dynamic executor, on planned memory.

Each value has the layout that it has in the dynamic executor, so the results are the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

from oplibrary.executors.kernels import choice
from oplibrary.values.memory import aligned_bytes
from oplibrary.values.types import Array, Shape
from staticgraph.backends.backend import Backend, Runner
from staticgraph.backends.blocking import form_steps
from staticgraph.backends.generate import generate
from staticgraph.program.layout import Layout, find_layouts
from staticgraph.program.lengths import program_is_symbolic
from staticgraph.program.memory import ArrayPlan, BufferPlan, PlannedStep, plan_buffers
from staticgraph.program.program import Instruction, Program

BUFFERED_BYTES = 1024
"""Smaller results are left to NumPy, which keeps blocks of that size at hand: a place in the arena
saves 20 ns a call there, and a program without an arena needs no copy of it for each thread."""


def plan(program: Program, borrow: bool = False) -> ArrayPlan:
    """Return where the values of `program` are kept, and which groups run block by block."""
    layouts = find_layouts(program)
    if program_is_symbolic(program) or choice.maker is not None:
        # the memory of a run is not known, or functions of machine code allocate their results
        single = [PlannedStep((instruction,)) for instruction in program.instructions]
        return plan_buffers(program, single, layouts, ())
    steps = form_steps(program, layouts)
    own = [value for _, value in program.updates]
    if not borrow:
        own += program.outputs
    allocated = {layouts[value].base for value in own}
    buffered = set()
    for step in steps:
        for instruction in step.instructions:
            output = instruction.output
            if output in allocated or layouts[output].base is not output:
                continue
            if step.blocks is not None or _fits_a_place(instruction, layouts[output]):
                buffered.add(output)
    return plan_buffers(program, steps, layouts, buffered, program.owned)


def _fits_a_place(instruction: Instruction, layout: Layout) -> bool:
    """Tell whether the result can be computed into the arena, in the layout that it has."""
    type_ = instruction.output.type
    if not instruction.op.takes_out or layout.strides is None:
        return False
    # without an output NumPy gives a scalar for no axes, and making an array of it costs 100 ns
    return (type_.nbytes >= BUFFERED_BYTES or not type_.shape) and _is_dense(type_.shape, layout)


def _is_dense(shape: Shape, layout: Layout) -> bool:
    """Tell whether the elements fill their memory, in whatever order of the axes."""
    if layout.contiguous:
        return True
    assert layout.strides is not None
    axes = sorted((s, n) for s, n in zip(layout.strides, shape, strict=True) if n != 1)
    steps = [stride for stride, _ in axes]
    filled = [stride * n for stride, n in axes[:-1]]
    return steps[0] > 0 and steps[1:] == filled


def build(program: Program, plan: BufferPlan) -> Runner:
    """Return the runner of `program`: what is generated, or one with an arena for each thread."""
    assert isinstance(plan, ArrayPlan)
    writer, has_state = generate(program, plan)
    make = writer.define("make")
    call = make(aligned_bytes(plan.arena_bytes))
    if has_state:
        call = _shared(call, lambda: make(aligned_bytes(plan.arena_bytes)))
    writer.show_lines(call)
    text = writer.text
    return Runner(call, lambda: text)


def _shared(
    first: Callable[..., list[Array]], make: Callable[[], Callable[..., list[Array]]]
) -> Callable[..., list[Array]]:
    """Return a function that many threads may call, each with a function of its own behind it."""
    # taking from and adding to a list is atomic, so no two threads get the same one
    idle = [first]

    def call(*inputs: Array) -> list[Array]:
        try:
            run = idle.pop()
        except IndexError:
            run = make()
        try:
            return run(*inputs)
        finally:
            idle.append(run)

    return call


BACKEND = Backend(name="numpy", plan=plan, build=build, takes_lengths=True, keeps_layouts=True)
