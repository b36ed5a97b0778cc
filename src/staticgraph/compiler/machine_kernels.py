"""Machine code for one op, or one gradient rule: a program of its own, by the native backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import BuiltinFunctionType
from typing import Any

from oplibrary.core.op import Kind
from oplibrary.executors.kernels import UNLIKE
from oplibrary.machine.pool import sharing_from
from oplibrary.messages.errors import BackendError
from oplibrary.values.types import TensorType
from staticgraph.backends.registry import default_backend
from staticgraph.compiler.compile import compile_nodes
from staticgraph.compiler.options import Options
from staticgraph.declare.build import placeholder
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node

SHARING_FROM = 250e3
"""Nanoseconds of one operation from which on threads share it."""


class MachineMaker:
    """Makes functions of arrays of given types; see `oplibrary.executors.kernels.Maker`."""

    def __call__(
        self, function: Callable[..., Any], types: Sequence[TensorType], elementwise: bool
    ) -> Callable[..., Any] | str:
        """Return what computes `function` of row-major arrays of these types, or why not."""
        token = sharing_from.set(SHARING_FROM)
        try:
            return _made(function, types, elementwise)
        except Exception as error:
            return f"{type(error).__name__}: {str(error).splitlines()[0]}"
        finally:
            sharing_from.reset(token)

    def require(self) -> None:
        """Raise a `BackendError` if nothing can be made here."""
        if default_backend() != "native":
            raise BackendError(
                "machine code cannot be made here",
                cause="it needs llvmlite and SciPy, and a processor with fused multiply-add",
                fix="install the extra native, or stay with NumPy's kernels",
            )


MAKER = MachineMaker()


def _made(
    function: Callable[..., Any], types: Sequence[TensorType], elementwise: bool
) -> Callable[..., Any] | str:
    with Graph(name="kernel"):
        nodes = [placeholder(f"x{i}", type_.shape, type_.dtype) for i, type_ in enumerate(types)]
        result = function(*nodes)
        if not isinstance(result, Node):
            return "several results"
        same = [position for position, node in enumerate(nodes) if node is result]
        if same:  # a gradient that is handed on; but the result of an op is its own
            return _handed_on(same[0]) if elementwise else "nothing is computed"
        executable = compile_nodes(result, nodes, Options(backend="native"))
    instructions = executable.program.instructions
    if elementwise and not all(each.op.kind is Kind.ELEMENTWISE for each in instructions):
        return UNLIKE
    if executable._runner.notes:
        # "left to NumPy: the op: why", in a report of what is left to NumPy
        return executable._runner.notes[0].split(": ", 2)[-1]
    if not isinstance(executable.call, BuiltinFunctionType):
        return "no function of machine code"
    return executable.call


def _handed_on(position: int) -> Callable[..., Any]:
    return lambda *arrays: arrays[position]
