"""Running TensorFlow's program itself: what an imported one is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from staticgraph.importing.shared.checking import Results


class Session:
    """A copy of a graph, in which any tensor can be fed.

    Parameters
    ----------
    tf : module
    graph : graph of TensorFlow
        Of the user, or of a concrete function.
    variables : dict of str to array
        By the names that their handles have in `graph`.
    widened : bool
        Whether all float32 of the program is made float64.
    """

    def __init__(
        self, tf: Any, graph: Any, variables: Mapping[str, Any], *, widened: bool = False
    ) -> None:
        self.tf, self.widened = tf, widened
        self.graph = tf.Graph()
        definition = graph.as_graph_def()
        captured = {name for name in variables if _op_type(graph, name) == "Placeholder"}
        for node in definition.node:
            if node.name in captured:
                self._make_variable(node, variables[node.name])
        if widened:
            self._widen(definition)
        with self.graph.as_default():
            if captured or widened:
                tf.import_graph_def(definition, name="")
            else:  # the contexts of loops and branches are kept: gradients need them
                meta = tf.compat.v1.train.export_meta_graph(graph=graph, clear_devices=True)
                tf.compat.v1.train.import_meta_graph(meta)
            self.variables = {
                name: self.graph.get_tensor_by_name(f"{name}:0") for name in variables
            }
            self._initial = [self._assigned(name, x) for name, x in variables.items()]

    def run(
        self,
        feeds: Mapping[str, Any],
        results: Sequence[str],
        after: Sequence[str],
        updated: Sequence[str],
        cotangents: Sequence[Any] | None,
        wanted: Mapping[str, str],
    ) -> Results:
        """Return results, next values of variables and gradients.

        Parameters
        ----------
        feeds : mapping of str to array
            By the names of tensors.
        results : sequence of str
            Names of tensors.
        after : sequence of str
            Names of ops that are run, too.
        updated : sequence of str
            Variables whose next values are returned.
        cotangents : sequence of array or None
            One a result; None for no gradients.
        wanted : mapping of str to str
            The tensor that each gradient is by.
        """
        tf = self.tf
        with self.graph.as_default():
            tensors = [self.graph.get_tensor_by_name(name) for name in results]
            slopes = self._slopes(tensors, cotangents, wanted) if cotangents is not None else {}
            fed = {
                self.graph.get_tensor_by_name(name): self._widened(x) for name, x in feeds.items()
            }
            ops = [self.graph.get_operation_by_name(name) for name in after]
            with tf.compat.v1.Session(graph=self.graph) as session:
                session.run(self._initial)
                found, gradients, _ = session.run([tensors, slopes, ops], fed)
                state = {name: session.run(self._value(name)) for name in updated}
        return Results([np.asarray(x) for x in found], state, gradients)

    def _slopes(
        self, tensors: Sequence[Any], cotangents: Sequence[Any], wanted: Mapping[str, str]
    ) -> dict[str, Any]:
        tf = self.tf
        pairs = [(y, c) for y, c in zip(tensors, cotangents, strict=True) if c is not None]
        if not pairs or not wanted:
            return {}
        by = [self.graph.get_tensor_by_name(name) for name in wanted.values()]
        found = tf.compat.v1.gradients(
            [y for y, _ in pairs],
            by,
            grad_ys=[tf.constant(self._widened(c)) for _, c in pairs],
            unconnected_gradients="zero",
        )
        return {name: tf.convert_to_tensor(g) for name, g in zip(wanted, found, strict=True)}

    def _widened(self, value: Any) -> Any:
        value = np.asarray(value)
        return value.astype("float64") if self.widened and value.dtype == np.float32 else value

    # variables ------------------------------------------------------------------------------------

    def _make_variable(self, node: Any, value: Any) -> None:
        node.op = "VarHandleOp"
        for name in list(node.attr):
            del node.attr[name]
        kind = self.tf.as_dtype(np.asarray(value).dtype)
        node.attr["dtype"].type = kind.as_datatype_enum
        node.attr["shape"].shape.CopyFrom(self.tf.TensorShape(np.shape(value)).as_proto())
        node.attr["shared_name"].s = node.name.encode()

    def _assigned(self, name: str, value: Any) -> Any:
        tensor, value = self.variables[name], self._widened(value)
        if tensor.dtype == self.tf.resource:
            return self.tf.raw_ops.AssignVariableOp(resource=tensor, value=value)
        return self.tf.raw_ops.Assign(ref=tensor, value=value).op

    def _value(self, name: str) -> Any:
        tensor = self.variables[name]
        if tensor.dtype != self.tf.resource:
            return tensor
        kind = tensor.op.get_attr("dtype")
        return self.tf.raw_ops.ReadVariableOp(resource=tensor, dtype=kind)

    # float64 --------------------------------------------------------------------------------------

    def _widen(self, definition: Any) -> None:
        nodes = [*definition.node]
        for function in definition.library.function:
            nodes += function.node_def
            for arg in (*function.signature.input_arg, *function.signature.output_arg):
                arg.type = self._wider(arg.type)
        for node in nodes:
            for value in node.attr.values():
                if value.HasField("type"):
                    value.type = self._wider(value.type)
                for i, kind in enumerate(value.list.type):
                    value.list.type[i] = self._wider(kind)
                if value.HasField("tensor"):
                    array = self.tf.make_ndarray(value.tensor)
                    if array.dtype == np.float32:
                        wide = self.tf.make_tensor_proto(array.astype("float64"))
                        value.tensor.CopyFrom(wide)

    def _wider(self, kind: int) -> int:
        narrow, wide = self.tf.float32, self.tf.float64
        moved = {
            narrow.as_datatype_enum: wide.as_datatype_enum,
            narrow._as_ref.as_datatype_enum: wide._as_ref.as_datatype_enum,
        }
        return int(moved.get(kind, kind))


def _op_type(graph: Any, name: str) -> str:
    return str(graph.get_operation_by_name(name).type)
