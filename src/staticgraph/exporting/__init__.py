"""Programs in the formats of other libraries."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from oplibrary.messages.errors import ArgumentError, MissingPackageError, OutputError
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
    program : Graph, Node, a tree of nodes, Executable or Program
        A graph with outputs, such as that of `trace` or of an imported program; nodes as `compile`
        takes them; or what it made, of which the program before any pass is written.
    path : str or os.PathLike, optional
        Where to write it.
    inputs : iterable of Node or str, optional
        As in `compile`.

    Returns
    -------
    onnx.ModelProto
        Its inputs have the names of the placeholders; variables are arrays of the model, with the
        values that they have now, under their names; results are called ``y0``, ``y1``, ... The
        checker of ``onnx`` has found it sound.

    Raises
    ------
    MissingPackageError
        If ``onnx`` is not installed.
    BackendError
        If an op has no form in ONNX, the program assigns to variables, or a length is symbolic; the
        user's line is named.
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

    model = onnx_model(_lowered(program, inputs))
    onnx.checker.check_model(model)
    if path is not None:
        try:
            with open(path, "wb") as file:
                file.write(model.SerializeToString())
        except OSError as error:
            raise OutputError(
                f"to_onnx: {os.fspath(path)} cannot be written: {error.strerror}",
                cause="the system refuses it",
                fix="pass a path in a folder that exists and may be written to",
            ) from error
    return model


def _lowered(program: Any, inputs: Iterable[Node | str] | None) -> Program:
    if isinstance(program, (Program, Executable)):
        if inputs is not None:
            raise ArgumentError(
                "to_onnx: inputs were passed beside a program that has its own",
                cause="it was lowered, or compiled, with its inputs",
                fix="leave them out, or pass the nodes in place of the program",
            )
        return program if isinstance(program, Program) else program.lowered
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
