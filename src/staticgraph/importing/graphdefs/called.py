"""The functions that ops run, the variables that ops assign, and where tensors are handed to."""

from __future__ import annotations

from typing import Any

from staticgraph.importing.graphdefs.ops.table import TABLE, WRITES

SAME = ("Identity", "RefIdentity", "Snapshot", "EnsureShape", "Enter", "LoopCond")
"""Ops that hand on what they get; a variable stays one."""

CALLS = {"PartitionedCall": "f", "StatefulPartitionedCall": "f"}
FUNCTIONS = {
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
    "While": ("cond", "body"),
    "StatelessWhile": ("cond", "body"),
    "Case": ("branches",),
    "StatelessCase": ("branches",),
}
FIRST = {"If": 1, "StatelessIf": 1, "Case": 1, "StatelessCase": 1}
"""Where the operands of the functions begin."""

_WRITTEN_AT = {"TensorListSetItem": 2, "TensorArrayWriteV3": 2, "TensorArrayScatterV3": 2}
"""Where the operand is that an op puts into a list."""


class Called:
    """Knows the graphs of the functions that the ops of a program run."""

    def __init__(self) -> None:
        self._written: dict[int, set[str]] = {}
        self._functions: dict[tuple[int, str], Any] = {}

    def changed(self, op: Any) -> list[Any]:
        """Return the tensors of the variables that an op assigns, in its functions, too."""
        if op.type in WRITES:
            names = [arg.name for arg in op.op_def.input_arg]
            return [op.inputs[names.index(each)] for each in WRITES[op.type]]
        found = []
        for graph in self.functions(op):
            written = self._written_in(graph)
            first = FIRST.get(op.type, 0)
            found += [
                op.inputs[first + i]
                for i, x in enumerate(graph.inputs)
                if x.name in written and first + i < len(op.inputs)
            ]
        return found

    def _written_in(self, graph: Any) -> set[str]:
        found = self._written.get(id(graph))
        if found is None:
            found = self._written[id(graph)] = set()
            for op in graph.get_operations():
                found.update(root(x).name for x in self.changed(op))
        return found

    def functions(self, op: Any) -> list[Any]:
        """Return the graphs of the functions that an op runs."""
        names = (CALLS[op.type],) if op.type in CALLS else FUNCTIONS.get(op.type, ())
        found = []
        for name in names:
            value = op.get_attr(name)
            found += [
                self.function(op.graph, each.name)
                for each in (value if isinstance(value, list) else [value])
            ]
        if not names and self.is_function(op.graph, op.type):
            found.append(self.function(op.graph, op.type))
        return found

    def is_function(self, graph: Any, name: str) -> bool:
        """Tell whether the name of an op's type is that of a function of the program."""
        return name not in TABLE and bool(graph._is_function(name))

    def function(self, graph: Any, name: str) -> Any:
        """Return the graph of a function, by the name that a graph has for it."""
        key = (id(graph), name)
        if key not in self._functions:
            found = graph._get_function(name)
            inner = getattr(found, "graph", None)
            if inner is None:
                from tensorflow.python.framework import function_def_to_graph

                with graph.as_default():
                    inner = function_def_to_graph.function_def_to_graph(found.definition)
            self._functions[key] = inner
        return self._functions[key]

    def effects(self, graph: Any) -> list[Any]:
        """Return the ops of a function that assign: they run whether read or not."""
        return [op for op in graph.get_operations() if self.changed(op)]

    def element_shape(self, tensor: Any, seen: set[str]) -> Any:
        """Return the shape of what is put into a list, if TensorFlow knows it."""
        key = f"{id(tensor.graph)} {tensor.name}"  # graphs have names of their own
        if key in seen:
            return None
        seen.add(key)
        for op in tensor.consumers():
            if op.type in _WRITTEN_AT:
                shape = op.inputs[_WRITTEN_AT[op.type]].shape
                if shape.is_fully_defined():
                    return tuple(shape.as_list()[1 if "Scatter" in op.type else 0 :])
            for each in self._handed_to(tensor, op):
                found = self.element_shape(each, seen)
                if found is not None:
                    return found
        return None

    def _handed_to(self, tensor: Any, op: Any) -> list[Any]:
        """Return the tensors that have what an op is given by `tensor`."""
        first = FIRST.get(op.type, 0)
        places = [i for i, x in enumerate(op.inputs) if x.name == tensor.name and i >= first]
        found = [g.inputs[i - first] for g in self.functions(op) for i in places]
        if op.type in ("While", "StatelessWhile"):
            found += [op.outputs[i] for i in places]
        elif op.type in (*SAME, "Merge", "Switch", "NextIteration"):
            found += list(op.outputs)
        return found


def is_variable(tensor: Any) -> bool:
    """Tell whether a tensor is a variable, and not what one has."""
    return bool(tensor.dtype._is_ref_dtype) or tensor.dtype.name == "resource"


def root(tensor: Any) -> Any:
    """Return where a tensor comes from that is only handed on."""
    while tensor.op.type in SAME and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor
