"""Programs in the formats of other libraries."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oplibrary.messages.errors import ArgumentError, BackendError, MissingPackageError
from staticgraph.archive.container import checked_path, replacing
from staticgraph.compiler.declared import declared_program
from staticgraph.compiler.executable import Executable
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.program.program import Program

if TYPE_CHECKING:
    from onnx import ModelProto


def to_onnx(
    program: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    inputs: Iterable[Node | str] | None = None,
) -> ModelProto:
    """Return a program as a model in the ONNX format, and write it to a file.

    Parameters
    ----------
    program : Graph, Imported, Node, a tree of nodes, Executable or Program
        A graph with outputs, such as that of `trace`; an imported program, of which the results are
        written, and not what it leaves in its state; nodes as `compile` takes them; or what it
        made, of which the program before any pass is written.
    path : str or os.PathLike, optional
        Where to write it. What is there is replaced, once the new file is whole.
    inputs : iterable of Node or str, optional
        As in `compile`.

    Returns
    -------
    onnx.ModelProto
        Its inputs have the names of the placeholders; variables are arrays of the model, with the
        values that they have now, under their names; results are called ``y0``, ``y1``, ... An axis
        of symbolic length has its name, and stays open. The checker of ``onnx`` has found it sound.

    Raises
    ------
    MissingPackageError
        If ``onnx`` is not installed.
    BackendError
        If an op has no form in ONNX, or none for symbolic lengths, or the program assigns to
        variables; the user's line is named. If its arrays are more than the 2 GB of a file.
    OutputError
        If the file cannot be written.

    Notes
    -----
    Gradients are part of a program like any other: a training step can be exported. Branches and
    loops become ``If``, ``Loop`` and ``Scan``. It is used as follows::

        graph = sg.trace(predict, sg.TensorType((8, 3), "float32"))
        sg.to_onnx(graph, "model.onnx")
    """
    try:
        import onnx
    except ImportError:
        raise MissingPackageError(
            "to_onnx needs onnx", fix="pip install onnx", cause="it writes the format"
        ) from None
    from staticgraph.exporting.model import onnx_model

    target = None if path is None else checked_path("to_onnx", path, "model.onnx")
    lowered = _lowered(program, inputs)
    _require_room(lowered)
    model = onnx_model(lowered)
    onnx.checker.check_model(model)
    if target is not None:
        write_model(model, target)
    return model


def write_model(model: ModelProto, path: Path) -> None:
    """Write a model to a file; a failure leaves what was there before.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with replacing(path, "to_onnx") as name, open(name, "wb") as file:
        file.write(model.SerializeToString())


_MOST_BYTES = (1 << 31) - (1 << 20)
"""What a file of the format may hold, less what is not numbers."""


def _require_room(program: Program) -> None:
    arrays = [*program.constants.values(), *[each.stored for each in program.variables.values()]]
    size = sum(array.nbytes for array in arrays)
    if size > _MOST_BYTES:
        raise BackendError(
            f"to_onnx: the arrays of the program have {size:,} bytes",
            cause=f"a model in the ONNX format is one message of at most {_MOST_BYTES:,}",
            fix="pass large arrays as inputs, or save the program with sg.save_program",
        )


def _lowered(program: Any, inputs: Iterable[Node | str] | None) -> Program:
    if isinstance(program, (Program, Executable)):
        if inputs is not None:
            raise ArgumentError(
                "to_onnx: inputs were passed beside a program that has its own",
                cause="it was lowered, or compiled, with its inputs",
                fix="leave them out, or pass the nodes in place of the program",
            )
        return program if isinstance(program, Program) else program.lowered
    if not isinstance(program, (Graph, Node)):
        from staticgraph.importing.shared.imported import Imported

        if isinstance(program, Imported):
            program = program.graph
    if isinstance(program, Graph):
        return declared_program(
            program.outputs, program.inputs if inputs is None else inputs
        ).lowered
    if callable(program) and not isinstance(program, Node):
        raise ArgumentError(
            "to_onnx: a function was passed in place of what it returns",
            cause="a function has a program for each kind of arguments",
            fix='trace it, graph = sg.trace(f, sg.TensorType((3,), "float32")), and pass graph',
        )
    return declared_program(program, inputs).lowered


__all__ = ["to_onnx"]
