"""Write a program as Python source: one straight line of kernel calls, no look-ups, no types.

The module defines ``make(arena)``, which makes arrays of the places in the arena, and views of
them, once, and returns ``run(*inputs)``. A kernel that takes the array to write gets such a place.
Groups of elementwise instructions over large arrays are written as a loop over blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from oplibrary.values.types import Array, Shape
from staticgraph.backends.blocking import is_cut
from staticgraph.backends.source import SourceWriter, comment, line_in
from staticgraph.program.failures import raise_explained
from staticgraph.program.layout import Strides
from staticgraph.program.lengths import current_lengths, instruction_is_symbolic
from staticgraph.program.memory import ArrayPlan, Blocks, PlannedStep
from staticgraph.program.program import Instruction, Program, Value, Variable

RELEASED_BYTES = 1 << 16
"""Values of at least that many bytes outside the arena are released after their last use."""

Bounds = tuple[tuple[int, int], ...]


def generate(program: Program, plan: ArrayPlan) -> tuple[SourceWriter, bool]:
    """Return the module of `program`, and whether a run changes anything that belongs to it.

    If it does, a function that ``make`` returned is for one thread at a time.
    """
    generator = _Generator(program, plan)
    return generator.write(), bool(plan.offsets)


class _Generator:
    def __init__(self, program: Program, plan: ArrayPlan) -> None:
        self.program = program
        self.plan = plan
        self.layouts = plan.layouts
        self.writer = SourceWriter("program")
        self.setup: list[str] = []
        self.body: list[tuple[int, str, Instruction | None]] = []
        # values that are one array in all runs of a function
        self.fixed: set[Value] = set(program.constants)
        # the names of each array that a run allocates, and of views of it
        self.held: dict[Value, list[str]] = {}
        self.place = ""

    def write(self) -> SourceWriter:
        writer, program = self.writer, self.program
        for name in ("make", "run", "arena", "error", "lengths", "zip", "Exception"):
            writer.new_name(name)
        for name, helper in _HELPERS.items():
            writer.bind(helper, name)
        fail = writer.bind(_fail_with(writer), "fail")
        for instruction in program.instructions:
            writer.bind(instruction.op.run, instruction.op.name)
        for value, array in program.constants.items():
            writer.namespace[writer.name_of(value)] = array
        parameters = ", ".join([writer.name_of(value) for value in program.inputs])
        for value, variable in program.variables.items():
            self.add(f"{writer.name_of(value)} = {self.variable(variable)}.stored")
        for number, step in enumerate(self.plan.steps):
            self.add_step(step)
            self.release(number, step)
        self.add_results()
        with writer.block("def make(arena):"):
            for text in self.setup:
                writer.line(text)
            with writer.block(f"def run({parameters}):"):
                with writer.block("try:"):
                    if writer.lengths:
                        writer.line("lengths = current_lengths()")
                    for name, length in writer.lengths.items():
                        writer.line(f"{length} = lengths[{name!r}]")
                    for depth, text, at in self.body:
                        writer.line("    " * depth + text, at)
                with writer.block("except Exception as error:"):
                    writer.line(f"{fail}(error)")
                    writer.line("raise")
            writer.line("return run")
        return writer

    def add(self, text: str, instruction: Instruction | None = None, depth: int = 0) -> None:
        self.body.append((depth, text, instruction))

    def variable(self, variable: Variable) -> str:
        return self.writer.bind(variable, f"variable_{variable.name}")

    def dtype(self, value: Value) -> str:
        return self.writer.dtype(value.type.dtype)

    def call(self, instruction: Instruction, arguments: list[str]) -> str:
        op = instruction.op
        named = [f"{name}={self.writer.literal(v)}" for name, v in instruction.attrs.items()]
        return f"{self.writer.bind(op.run, op.name)}({', '.join([*arguments, *named])})"

    # steps ----------------------------------------------------------------------------------------

    def add_step(self, step: PlannedStep) -> None:
        first = step.instructions[0]
        place = first.sources[0].place if first.sources else ""
        if place and place != self.place:
            self.add(comment(place))
            self.place = place
        if step.blocks is not None:
            _LoopWriter(self, step, step.blocks).write()
        else:
            self.add_instruction(first)

    def add_instruction(self, instruction: Instruction) -> None:
        output = instruction.output
        operands = [self.writer.name_of(value) for value in instruction.inputs]
        if output in self.plan.offsets:
            operands.append(self.add_buffer(output))
            self.add(self.call(instruction, operands), instruction)
            return
        name = self.writer.name_of(output)
        if output in self.plan.in_place:  # an input's own memory
            operands.append(self.writer.name_of(self.plan.in_place[output]))
        text = self.call(instruction, operands)
        layout = self.layouts[output]
        is_view = layout.base is not output and layout.strides is not None
        if (
            is_view
            and not instruction_is_symbolic(instruction)
            and all(value in self.fixed for value in instruction.inputs)
        ):
            self.fixed.add(output)
            self.setup.append(f"{name} = {text}")
            return
        if not output.type.shape:
            text = f"asarray({text})"  # without axes, NumPy returns a scalar
        self.add(f"{name} = {text}", instruction)
        if layout.base is output:
            self.held[output] = [name]
        elif layout.base in self.held:
            self.held[layout.base].append(name)

    def add_buffer(self, value: Value) -> str:
        """Make the place of `value` in the arena an array, and return its name."""
        name, layout = self.writer.name_of(value), self.layouts[value]
        arguments = f"{self.plan.offsets[value]}, {value.type.shape}, {self.dtype(value)}"
        if not layout.contiguous:
            arguments += f", {layout.strides}"
        self.setup.append(f"{name} = buffer(arena, {arguments})")
        self.fixed.add(value)
        return name

    # the end of values ----------------------------------------------------------------------------

    def release(self, number: int, step: PlannedStep) -> None:
        """Drop what nothing reads any more, so that its memory can be had again."""
        read = [self.layouts[v].base for each in step.instructions for v in each.inputs]
        names: list[str] = []
        for base in dict.fromkeys(read):
            large = base.type.nbytes >= RELEASED_BYTES or base.type.dtype.hasobject
            if large and self.plan.last_use[base] == number:
                names += self.held.pop(base, ())
        if names:
            self.add(f"del {', '.join(names)}")

    def add_results(self) -> None:
        """Make the updates and return the outputs, each an array of its own."""
        program, given = self.program, set[Value]()
        outputs = [self.own(value, given) for value in program.outputs]
        names = []
        for variable, value in program.updates:
            name = self.writer.new_name(f"new_{variable.name}")
            text = self.own(value, given)
            if not self.layouts[value].contiguous:
                text = f'asarray({text}, order="C")'  # as every run expects it of a variable
            self.add(f"{name} = {text}")
            names.append(name)
        for (variable, _), name in zip(program.updates, names, strict=True):
            self.add(f"{self.variable(variable)}.stored = {name}")
        self.add(f"return [{', '.join(outputs)}]")

    def own(self, value: Value, given: set[Value]) -> str:
        """Return an expression for `value` as an array that nothing else has.

        Only what was planned into the arena in spite of being a result is lent as it is.
        """
        name, layout = self.writer.name_of(value), self.layouts[value]
        if layout.base in self.plan.offsets:
            return name
        whole = layout.base is value or (
            layout.contiguous and value.type.nbytes == layout.base.type.nbytes
        )
        if whole and layout.base in self.held and layout.base not in given:
            given.add(layout.base)
            return name
        return f"{name}.copy()"


class _LoopWriter:
    """Write one step as a loop over blocks."""

    def __init__(self, generator: _Generator, step: PlannedStep, loop: Blocks) -> None:
        self.generator = generator
        self.writer = generator.writer
        self.step = step
        self.loop = loop
        self.inner = str(loop.inner)
        self.bounds = self.writer.bind(loop.bounds, "bounds")
        self.shape: Shape = step.instructions[0].output.type.shape
        self.axes = len(self.shape) - len(loop.inner)
        # what an instruction in the loop calls a value
        self.names: dict[Value, str] = {}
        # the variable of the loop for each list of blocks
        self.lists: dict[str, str] = {}
        # blocks that exist one at a time, by their place and dtype
        self.scratch: dict[tuple[int, str], str] = {}
        self.local: list[str] = []

    def write(self) -> None:
        generator = self.generator
        lines = [self.line(instruction) for instruction in self.step.instructions]
        targets = ", ".join(self.lists.values())
        if len(self.lists) == 1:
            targets += ","
        generator.add(f"for {targets} in zip({', '.join(self.lists)}):")
        for text, instruction in zip(lines, self.step.instructions, strict=True):
            generator.add(text, instruction, depth=1)
        generator.add(f"del {', '.join([*self.lists.values(), *self.local])}")

    def line(self, instruction: Instruction) -> str:
        """Return the line that runs `instruction` on one block."""
        generator, output = self.generator, instruction.output
        operands = [self.operand(value) for value in instruction.inputs]
        if output in self.step.inner:
            if output not in generator.plan.offsets:
                name = self.names[output] = self.block_name(output)
                self.local.append(name)
                return f"{name} = {generator.call(instruction, operands)}"
            self.add_scratch(output)
        else:
            self.add_output(output)
        name = self.names[output]
        if instruction.op.takes_out:
            return generator.call(instruction, [*operands, name])
        return f"{name}[...] = {generator.call(instruction, operands)}"

    def operand(self, value: Value) -> str:
        name = self.names.get(value)
        if name is None:
            if is_cut(value.type.shape, self.shape, self.axes):
                self.add_blocks(value)
            else:
                self.names[value] = self.whole(value)
            name = self.names[value]
        return name

    def whole(self, value: Value) -> str:
        """Return a name for an operand that every block reads whole."""
        name = self.writer.name_of(value)
        inner = len(self.loop.inner)
        shape = value.type.shape
        if len(shape) <= inner + 1:
            return name
        # without the leading axes, of length 1, that blocks do not have
        small = self.writer.new_name(f"{name}_whole")
        self.keep(value, f"{small} = {name}.reshape({shape[len(shape) - inner :]})", small)
        return small

    def add_blocks(self, value: Value) -> None:
        """Cut an array into blocks, once where it is always the same one."""
        name = self.writer.name_of(value)
        blocks = self.writer.new_name(f"{name}_blocks")
        inner = len(self.loop.inner)
        own = ((1,) * inner + value.type.shape)[-inner:] if inner else ()
        shape = (self.loop.rows, *own)
        self.keep(value, f"{blocks} = blocks({name}, {shape}, {self.bounds})", blocks)
        self.names[value] = self.lists[blocks] = self.block_name(value)

    def keep(self, value: Value, text: str, name: str) -> None:
        if value in self.generator.fixed:
            self.generator.setup.append(text)
        else:
            self.generator.add(text)
            self.local.append(name)

    def add_scratch(self, value: Value) -> None:
        """Make blocks of a value that exists one block at a time, all in one place."""
        generator = self.generator
        place = offset, dtype = generator.plan.offsets[value], generator.dtype(value)
        name = self.scratch.get(place)
        if name is None:
            blocks = self.writer.new_name("scratch_blocks")
            name = self.scratch[place] = self.lists[blocks] = self.writer.new_name("scratch")
            generator.setup.append(
                f"{blocks} = place_blocks(arena, {offset}, {dtype}, {self.inner}, {self.bounds})"
            )
        self.names[value] = name

    def add_output(self, value: Value) -> None:
        generator = self.generator
        if value in generator.plan.offsets:
            generator.add_buffer(value)
        else:
            name = self.writer.name_of(value)
            generator.add(f"{name} = empty({value.type.shape}, {generator.dtype(value)})")
            generator.held[value] = [name]
        self.add_blocks(value)

    def block_name(self, value: Value) -> str:
        return self.writer.new_name(f"{self.writer.name_of(value)}_block")


# what the generated module calls ------------------------------------------------------------------


def _buffer(
    arena: Array,
    offset: int,
    shape: Shape,
    dtype: np.dtype[np.generic],
    strides: Strides | None = None,
) -> Array:
    """Return the array at `offset` of the arena."""
    place = arena[offset : offset + prod(shape) * dtype.itemsize]
    if not place.size:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, place.data, 0, strides)


def _blocks(array: Array, shape: Shape, bounds: Bounds) -> list[Array]:
    """Return the blocks of `array`, seen in `shape`."""
    rows = array.reshape(shape)
    return [rows[start:stop] for start, stop in bounds]


def _place_blocks(
    arena: Array, offset: int, dtype: np.dtype[np.generic], inner: Shape, bounds: Bounds
) -> list[Array]:
    """Return for each block an array of its shape, all at `offset` of the arena."""
    most = max(stop - start for start, stop in bounds)
    whole = _buffer(arena, offset, (most, *inner), dtype)
    return [whole[: stop - start] for start, stop in bounds]


def _fail_with(writer: SourceWriter) -> Callable[[Exception], None]:
    """Return a function that explains an error by the line of the module that it came from."""
    filename, instructions = writer.filename, writer.instructions

    def fail(error: Exception) -> None:
        instruction = instructions.get(line_in(filename, error.__traceback__))
        if instruction is not None:
            raise_explained(instruction, error)

    return fail


_HELPERS = {
    "asarray": np.asarray,
    "blocks": _blocks,
    "buffer": _buffer,
    "current_lengths": current_lengths,
    "empty": np.empty,
    "place_blocks": _place_blocks,
}
