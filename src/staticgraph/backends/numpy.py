"""Generate Python source that calls the same kernels as the dynamic executor, on planned memory.

The source is one straight line of calls: no loop over instructions, no look-ups, no types. Where a
kernel takes the array to write, it gets a place in the arena; views of such places are made once.
Groups of elementwise instructions over large arrays run block by block. Each value has the layout
that it has in the dynamic executor, so the results are the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import CodeType
from typing import Any

import numpy as np

from common.types import Array, Shape
from staticgraph.backends.blocking import form_steps, is_cut
from staticgraph.backends.source import SourceWriter
from staticgraph.failures import explain_failure
from staticgraph.layout import Layout, Strides, find_layouts
from staticgraph.memory import ALIGNMENT, BufferPlan, Loop, Step, plan_buffers
from staticgraph.program import Instruction, Program, Value

BUFFERED_BYTES = 1024
"""Smaller results are left to NumPy, which keeps blocks of that size at hand: a place in the arena
saves 20 ns a call there, and a program without an arena needs no copy of it for each thread."""

RELEASED_BYTES = 1 << 16
"""Values of at least that many bytes outside the arena are released after their last use."""


def plan(program: Program, *, borrow: bool = False) -> BufferPlan:
    """Return where the values of `program` are kept, and which groups run block by block."""
    layouts = find_layouts(program)
    steps = form_steps(program, layouts)
    kept_out = {value for _, value in program.updates}
    if not borrow:
        kept_out.update(program.outputs)
    kept_out = {layouts[value].base for value in kept_out}
    buffered = set()
    for step in steps:
        for instruction in step.instructions:
            output = instruction.output
            if output in kept_out or layouts[output].base is not output:
                continue
            if step.loop is not None or _fits_a_place(instruction, layouts[output]):
                buffered.add(output)
    return plan_buffers(program, steps, layouts, buffered)


def _fits_a_place(instruction: Instruction, layout: Layout) -> bool:
    """Tell whether the result can be computed into the arena, in the layout that it has."""
    type_ = instruction.output.type
    if not instruction.op.takes_out or layout.strides is None:
        return False
    # without an output NumPy gives a scalar for no axes, and making an array of it costs 100 ns
    return (type_.nbytes >= BUFFERED_BYTES or not type_.shape) and _is_dense(type_.shape, layout)


def _is_dense(shape: Shape, layout: Layout) -> bool:
    if layout.contiguous:
        return True
    assert layout.strides is not None
    axes = sorted((s, n) for s, n in zip(layout.strides, shape, strict=True) if n != 1)
    return all(
        stride > 0 and stride * n == following
        for (stride, n), (following, _) in zip(axes, axes[1:], strict=False)
    )


def build(program: Program, plan: BufferPlan) -> Runner:
    """Return what runs `program`: the generated function, or one with an arena for each thread."""
    generator = _Generator(program, plan)
    writer = generator.write()
    make = writer.run()["make"]
    call = make(_arena(plan.arena_bytes)) if generator.setup else make(None)
    if generator.setup:
        call = _shared(call, lambda: make(_arena(plan.arena_bytes)))
    writer.show_lines(call)
    return Runner(call, writer.text)


def _shared(first: _Run, make: Callable[[], _Run]) -> _Run:
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


class _Generator:
    """Write the module of one program: ``make(arena)``, which returns ``run(*inputs)``."""

    def __init__(self, program: Program, plan: BufferPlan) -> None:
        self.program = program
        self.plan = plan
        self.layouts = plan.layouts
        self.writer = SourceWriter("program")
        self.setup: list[str] = []
        self.body: list[tuple[int, str, Instruction | None]] = []
        # values that are the same array in every run of one function
        self.fixed: set[Value] = set(program.constants)
        self.held: dict[Value, list[str]] = {}
        self.place = ""
        self.results = {plan.layouts[value].base for value in program.results}

    # the module -----------------------------------------------------------------------------------

    def write(self) -> SourceWriter:
        writer, program = self.writer, self.program
        for helper in (_fail_with(writer), _buffer, _blocks, _scratch, np.asarray, np.empty):
            writer.bind(helper, helper.__name__.strip("_"))
        for name in ("make", "run", "arena", "error", "zip", "Exception"):
            writer.new_name(name)
        for instruction in program.instructions:
            writer.bind(instruction.op.kernel, instruction.op.name)
        for value, array in program.constants.items():
            writer.namespace[writer.name_of(value)] = array
        parameters = ", ".join([writer.name_of(value) for value in program.inputs])
        for value, variable in program.variables.items():
            self.add(f"{writer.name_of(value)} = {self.variable(variable)}.value")
        for number, step in enumerate(self.plan.steps):
            self.add_step(step)
            self.release(number, step)
        self.add_results()
        with writer.block("def make(arena):"):
            for text in self.setup:
                writer.line(text)
            with writer.block(f"def run({parameters}):"):
                with writer.block("try:"):
                    for depth, text, at in self.body:
                        writer.line("    " * depth + text, at)
                with writer.block("except Exception as error:"):
                    writer.line("fail(error)")
                    writer.line("raise")
            writer.line("return run")
        return writer

    def add(self, text: str, instruction: Instruction | None = None, depth: int = 0) -> None:
        self.body.append((depth, text, instruction))

    def variable(self, variable: Variable) -> str:
        return self.writer.bind(variable, f"variable_{variable.name}")

    def note_place(self, instruction: Instruction) -> None:
        """Write the user's line as a comment where it changes."""
        place = instruction.sources[0].place if instruction.sources else ""
        if place and place != self.place:
            self.add(f"# {place}")
        self.place = place

    # instructions ---------------------------------------------------------------------------------

    def add_step(self, step: Step) -> None:
        self.note_place(step.instructions[0])
        if step.loop is not None:
            _LoopWriter(self, step, step.loop).write()
        else:
            self.add_instruction(step.instructions[0])

    def add_instruction(self, instruction: Instruction) -> None:
        output = instruction.output
        operands = [self.writer.name_of(value) for value in instruction.inputs]
        if output in self.plan.offsets:
            name = self.add_buffer(output)
            self.add(self.call(instruction, [*operands, name]), instruction)
            return
        name = self.writer.name_of(output)
        text = f"{name} = {self.call(instruction, operands)}"
        base = self.layouts[output].base
        if base is not output and all(v in self.fixed for v in instruction.inputs):
            if self.layouts[output].strides is not None:
                self.fixed.add(output)
                self.setup.append(text)
                return
        if not output.type.shape:
            text = f"{name} = asarray({self.call(instruction, operands)})"
        self.add(text, instruction)
        self.held.setdefault(base, []).append(name)

    def add_buffer(self, value: Value) -> str:
        """Make the place of `value` in the arena an array, once, and return its name."""
        name = self.writer.name_of(value)
        strides = self.layouts[value].strides
        assert strides is not None
        arguments = [str(self.plan.offsets[value]), str(value.type.shape), self.dtype(value)]
        if not self.layouts[value].contiguous:
            arguments.append(str(strides))
        self.setup.append(f"{name} = buffer(arena, {', '.join(arguments)})")
        self.fixed.add(value)
        return name

    def dtype(self, value: Value) -> str:
        return self.writer.dtype(value.type.dtype)

    def call(self, instruction: Instruction, arguments: list[str]) -> str:
        op = instruction.op
        named = [f"{k}={self.writer.literal(v)}" for k, v in instruction.attrs.items()]
        return f"{self.writer.bind(op.kernel, op.name)}({', '.join([*arguments, *named])})"

    # the end of values ----------------------------------------------------------------------------

    def release(self, number: int, step: Step) -> None:
        """Drop what nothing reads any more, so that NumPy can have its memory back."""
        bases = {self.layouts[v].base for each in step.instructions for v in each.inputs}
        names = [
            name
            for base in sorted(bases & self.held.keys(), key=lambda each: self.held[each][0])
            if self.plan.last_use.get(base) == number and base.type.nbytes >= RELEASED_BYTES
            for name in self.held.pop(base)
        ]
        if names:
            self.add(f"del {', '.join(names)}")

    def add_results(self) -> None:
        """Return the outputs and make the updates, each with an array of its own."""
        given: set[Value] = set()
        count = len(self.program.outputs)
        outputs = [self.own(value, given) for value in self.program.outputs]
        updates = []
        for value in self.program.results[count:]:
            text = self.own(value, given)
            if not self.layouts[value].contiguous and not text.endswith(".copy()"):
                text = f'asarray({text}, order="C")'
            updates.append(text)
        for (variable, _), text in zip(self.program.updates, updates, strict=True):
            self.add(f"new_{self.variable(variable)} = {text}")
        for variable, _ in self.program.updates:
            name = self.variable(variable)
            self.add(f"{name}.value = new_{name}")
        self.add(f"return [{', '.join(outputs)}]")
