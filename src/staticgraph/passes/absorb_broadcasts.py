"""Read the small array where an elementwise op reads it broadcast."""

from __future__ import annotations

from oplibrary.core.op import Kind
from oplibrary.messages.errors import SideBySideError
from oplibrary.values.types import Array, Shape, TensorType
from staticgraph.passes.rewriting import with_inputs
from staticgraph.program.layout import Layout, Strides, find_layouts, in_order, layout_of_array
from staticgraph.program.program import Instruction, Program, Value


def absorb_broadcasts(program: Program) -> Program:
    """Let elementwise instructions broadcast their operands by themselves.

    The gradient of a sum is its cotangent broadcast to the operand's shape: mostly a view that the
    next op reads at once. A view is a broadcast if it has the strides of one, whatever made it.
    """
    constants = dict(program.constants)
    small = {value: _shrunk(value, array) for value, array in constants.items() if _repeats(array)}
    if not small and not any(instruction.op.view for instruction in program.instructions):
        return program
    layouts = find_layouts(program)
    for value, shrunk in small.items():
        constants[shrunk] = _one_of_each(program.constants[value])
        layouts[shrunk] = layout_of_array(shrunk, constants[shrunk])
    kept = []
    changed = False
    for instruction in program.instructions:
        if instruction.op.view:
            source = instruction.inputs[0]
            if _is_broadcast(source, instruction.output, layouts):
                small[instruction.output] = small.get(source, source)
        elif instruction.op.kind is Kind.ELEMENTWISE:
            absorbed = _absorb(instruction, small, layouts)
            changed = changed or absorbed is not instruction
            instruction = absorbed
        kept.append(instruction)
    return program.with_instructions(kept, constants=constants) if changed else program


# constants that repeat themselves -----------------------------------------------------------------


def _repeats(array: Array) -> bool:
    return 0 in array.strides and array.size > 1 and _one_of_each(array).size < array.size


def _one_of_each(array: Array) -> Array:
    return array[tuple([slice(None) if stride else slice(1) for stride in array.strides])]


def _shrunk(value: Value, array: Array) -> Value:
    return Value(TensorType(_one_of_each(array).shape, array.dtype), value.name)


# views that repeat another value ------------------------------------------------------------------


def _is_broadcast(source: Value, output: Value, layouts: dict[Value, Layout]) -> bool:
    before, after = layouts[source], layouts[output]
    if before.strides is None or before.base is not after.base or before.offset != after.offset:
        return False
    expected = _broadcast_strides(source.type.shape, before.strides, output.type.shape)
    return expected is not None and expected == after.strides


def _broadcast_strides(old: Shape, strides: Strides, new: Shape) -> Strides | None:
    extra = len(new) - len(old)
    if extra < 0 or any(n not in (1, m) for n, m in zip(old, new[extra:], strict=True)):
        return None
    return (0,) * extra + strides


# replacing ----------------------------------------------------------------------------------------


def _absorb(
    instruction: Instruction, small: dict[Value, Value], layouts: dict[Value, Layout]
) -> Instruction:
    if not layouts[instruction.output].contiguous:
        return instruction
    for value in dict.fromkeys(instruction.inputs):
        if value in small:
            # one at a time: another operand may have to keep the result's shape
            candidate = with_inputs(instruction, {value: small[value]})
            if _gives_same(candidate, layouts):
                instruction = candidate
    return instruction


def _gives_same(instruction: Instruction, layouts: dict[Value, Layout]) -> bool:
    if not all(in_order(layouts[value]) for value in instruction.inputs):
        return False
    types = [value.type for value in instruction.inputs]
    try:
        return instruction.op.infer(*types, **instruction.attrs) == instruction.output.type
    except SideBySideError:
        return False
