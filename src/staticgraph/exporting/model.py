"""A whole program as an ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper

from oplibrary.messages.errors import BackendError
from oplibrary.values.types import TensorType
from staticgraph.declare.lower import lowered_op
from staticgraph.exporting import loop_gradients, ordering  # noqa: F401  they fill tables
from staticgraph.exporting.elementwise import Unknown, elementwise
from staticgraph.exporting.flow import write_flow
from staticgraph.exporting.lengths import OpenLength, places_of, require_numbers
from staticgraph.exporting.structural import TRANSLATIONS, Call, contraction, reduction
from staticgraph.exporting.views import view
from staticgraph.exporting.writer import Name, Names, Writer, declared
from staticgraph.program.program import Instruction, Program, Value

OPSET = 18
"""The first version in which every op used here has its present form."""

FORMAT = 9
"""The version of the file format; runtimes of 2023 and later read it."""


def onnx_model(program: Program, name: str = "program") -> ModelProto:
    """Return a program as an ONNX model with the same inputs and results.

    Elementwise ops are written from the scalar expression of their record, reductions from how
    they combine, branches and loops from what their record says of their regions, the others by a
    table; an op that is in none of them and has a lowering is written as what it lowers to.

    Parameters
    ----------
    program : Program
        Best as it was declared, since ONNX Runtime optimises by itself. Variables become arrays of
        the model, with the values that they have now.
    name : str
        What the graph is called.

    Returns
    -------
    onnx.ModelProto
        Its inputs and arrays are called as those of the program, its results ``y0``, ``y1``, ...

    Raises
    ------
    BackendError
        If an op has no form in ONNX, or if the program assigns to variables.
    """
    if program.updates:
        raise BackendError(
            "a program that assigns to variables has no form in ONNX",
            cause="an ONNX graph keeps no state between runs",
            fix="pass the state in and return it, or use one of staticgraph's backends",
        )
    names: dict[Value, Names] = {}
    taken: set[Name] = {f"y{position}" for position in range(len(program.outputs))}
    for value in (*program.inputs, *program.variables):
        names[value] = called = _unused(value.name or "x", taken)
        taken.add(called)
    writer = Writer(taken)
    writer.lengths.places = places_of(program, names)
    state = [
        numpy_helper.from_array(np.array(variable.stored, order="C"), str(names[value]))
        for value, variable in program.variables.items()
    ]
    write_program(writer, program, names)
    outputs = []
    for position, value in enumerate(program.outputs):
        # a result may repeat, or be an input: each gets a node of its own
        node = helper.make_node("Identity", [names[value]], [f"y{position}"])
        writer.nodes.append(node)
        outputs.append(_declared(f"y{position}", value.type))
    inputs = [_declared(str(names[value]), value.type) for value in program.inputs]
    # constants are nodes, so that the arrays of the model are the program's variables
    constants = [
        helper.make_node("Constant", [], [each.name], value=each) for each in writer.constants
    ]
    graph = helper.make_graph(
        [*constants, *writer.lengths.nodes, *writer.nodes], name, inputs, outputs, state
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = FORMAT
    return model


def _unused(name: str, taken: set[Name]) -> Name:
    while name in taken:
        name += "_"
    return name


def _declared(name: Name, type: TensorType) -> ValueInfoProto:
    return declared(name, type.dtype, type.shape)


def write_program(writer: Writer, program: Program, names: dict[Value, Names]) -> None:
    """Write the instructions of a program whose inputs have names already."""
    for value, array in program.constants.items():
        names[value] = writer.array(array)
    for instruction in program.instructions:
        operands = [names[value] for value in instruction.inputs]
        names[instruction.output] = _instruction(writer, instruction, operands)


def _instruction(writer: Writer, instruction: Instruction, operands: Sequence[Names]) -> Names:
    op, types = instruction.op, [value.type for value in instruction.inputs]
    if op.projection:
        return operands[0][instruction.attrs["index"]]
    single = [str(name) for name in operands]
    if op.control is not None:
        several = write_flow(writer, instruction, single, write_program)
        if several is not None:
            return several
    call = Call(writer, op, single, types, instruction.output.type, instruction.attrs)
    try:
        found = None if op.control is not None else _written(call)
    except OpenLength:
        raise BackendError(
            f"{op.name} has no form in ONNX for lengths that each run chooses",
            source=instruction.sources[0] if instruction.sources else None,
            cause="a length stands where ONNX has numbers only",
            fix="declare the input with the length that the model is to have",
        ) from None
    if found is None:
        raise BackendError(
            f"{op.name} has no form in ONNX",
            source=instruction.sources[0] if instruction.sources else None,
            cause="ONNX's own ops do not include it, and it is not made of others",
            fix="leave it out, or save the program with sg.save_program",
        )
    return found


def _written(call: Call) -> Name | None:
    op = call.op
    found: Name | None = None
    if op.expression is not None:
        require_numbers(tuple(call.attrs.values()))
        typed = [(name, type.dtype) for name, type in zip(call.names, call.types, strict=True)]
        try:
            found = elementwise(call.writer, op.expression, typed, call.attrs, call.type.dtype)
        except Unknown:
            found = None
    elif op.name in TRANSLATIONS:
        found = TRANSLATIONS[op.name](call)
    elif op.view:
        found = view(call)
    elif op.combine:
        found = reduction(call)
    elif op.contraction is not None:
        found = contraction(call)
    if found is None and op.lowering is not None:
        found = _lowered(call)
    return found


def _lowered(call: Call) -> Name | None:
    """Write an op as the simpler ones that it is made of, if it is so for these types."""
    program = lowered_op(call.op, call.types, call.attrs)
    if program is None:
        return None
    names: dict[Value, Any] = dict(zip(program.inputs, call.names, strict=True))
    write_program(call.writer, program, names)
    return str(names[program.outputs[0]])
