"""A whole program as an ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import ModelProto, ValueInfoProto, helper

import staticgraph
from oplibrary.core.types import TensorType
from oplibrary.messages.errors import BackendError
from sidebyside.onnx_model.elementwise import Unknown, elementwise
from sidebyside.onnx_model.structural import TRANSLATIONS, Call, contraction, reduction, view
from sidebyside.onnx_model.writer import Name, Writer, onnx_type
from staticgraph.declare.lower import lower
from staticgraph.program.program import Instruction, Program, Value

sg: Any = staticgraph

OPSET = 18
"""The first version in which every op used here has its present form."""

FORMAT = 9
"""The version of the file format; runtimes of 2023 and later read it."""


def onnx_model(program: Program) -> ModelProto:
    """Return a program as an ONNX model with the inputs ``x0``, ``x1``, ... and the same results.

    Elementwise ops are written from the scalar expression of their record, reductions from how
    they combine, the others by a table; an op that is in none of them and has a lowering is
    written as what it lowers to.

    Parameters
    ----------
    program : Program
        Without state; best as it was declared, since ONNX Runtime optimises by itself.

    Raises
    ------
    BackendError
        If an op has no form in ONNX, or if the program has variables.
    """
    if program.variables:
        raise BackendError(
            "a program with variables has no form in ONNX",
            cause="an ONNX graph keeps no state between runs",
            fix="pass the state in and return it, or use one of staticgraph's backends",
        )
    writer = Writer()
    names: dict[Value, Name] = {}
    inputs = []
    for position, value in enumerate(program.inputs):
        names[value] = f"x{position}"
        inputs.append(_declared(names[value], value.type))
    _write(writer, program, names)
    outputs = []
    for position, value in enumerate(program.outputs):
        # a result may repeat, or be an input: each gets a node of its own
        node = helper.make_node("Identity", [names[value]], [f"y{position}"])
        writer.nodes.append(node)
        outputs.append(_declared(f"y{position}", value.type))
    graph = helper.make_graph(writer.nodes, "program", inputs, outputs, writer.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = FORMAT
    return model


def _declared(name: Name, type: TensorType) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx_type(type.dtype), type.shape)


def _write(writer: Writer, program: Program, names: dict[Value, Name]) -> None:
    """Write the instructions of a program whose inputs have names already."""
    for value, array in program.constants.items():
        names[value] = writer.constant(array)
    for instruction in program.instructions:
        operands = [names[value] for value in instruction.inputs]
        names[instruction.output] = _instruction(writer, instruction, operands)


def _instruction(writer: Writer, instruction: Instruction, operands: Sequence[Name]) -> Name:
    op, types = instruction.op, [value.type for value in instruction.inputs]
    call = Call(writer, op, operands, types, instruction.output.type, instruction.attrs)
    found: Name | None = None
    if op.expression is not None:
        typed = [(name, type.dtype) for name, type in zip(operands, types, strict=True)]
        try:
            found = elementwise(writer, op.expression, typed, call.attrs, call.type.dtype)
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
    if found is None:
        raise BackendError(
            f"{op.name} has no form in ONNX",
            source=instruction.sources[0] if instruction.sources else None,
            cause="ONNX's own ops do not include it, and it is not made of others",
            fix="leave the mode onnxruntime out for this program",
        )
    return found


def _lowered(call: Call) -> Name | None:
    """Write an op as the simpler ones that it is made of, if it is so for these types."""
    assert call.op.lowering is not None
    graph = sg.Graph(name=call.op.name)
    with graph:
        inputs = [
            sg.placeholder(f"x{position}", type.shape, type.dtype)
            for position, type in enumerate(call.types)
        ]
        result = call.op.lowering(*inputs, **call.attrs)
    if result is None:
        return None
    program = lower(graph, [result], inputs)
    names = dict(zip(program.inputs, call.names, strict=True))
    _write(call.writer, program, names)
    return names[program.outputs[0]]
