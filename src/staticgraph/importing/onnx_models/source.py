"""What the source says a model gives: run by ``onnx`` itself, or by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import ForeignProgramError
from staticgraph.importing.shared.imported import Input

_LENGTHS = (3, 5, 2, 7, 4)


def made_examples(inputs: Sequence[Input]) -> list[Any]:
    """Return arrays for the inputs of a model: normal numbers, zeros and ones.

    Lengths that each run chooses are small, and other ones for each name.
    """
    rng = np.random.default_rng(0)
    lengths: dict[str, int] = {}
    found = []
    for each in inputs:
        shape = [
            lengths.setdefault(n, _LENGTHS[len(lengths) % len(_LENGTHS)])
            if isinstance(n, str)
            else n
            for n in each.shape
        ]
        if np.dtype(each.dtype).kind in "fcV":
            found.append(np.asarray(rng.standard_normal(shape)).astype(each.dtype))
        else:
            found.append(np.asarray(rng.integers(0, 2, shape)).astype(each.dtype))
    return found


def source_outputs(onnx: Any, model: Any, feeds: Mapping[str, Any], name: str) -> list[Any]:
    """Return what a model gives, by the reference of ``onnx``, or by ONNX Runtime.

    Raises
    ------
    ForeignProgramError
        If neither runs it.
    """
    from onnx.reference import ReferenceEvaluator

    try:
        with np.errstate(all="ignore"):
            evaluator = ReferenceEvaluator(_with_conditions(onnx, model), new_ops=_corrected(model))
            found = list(evaluator.run(None, dict(feeds)))
        _require_ranks(model, found)
        return found
    except Exception as error:
        said = error
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return list(session.run(None, dict(feeds)))
    except Exception:
        lines = [line.strip() for line in str(said).splitlines() if line.strip()] or [repr(said)]
        raise ForeignProgramError(
            f"{name} does not run on the example inputs: {lines[0][:300]}",
            cause="what a model gives is compared with its source before it is handed over",
            fix="pass inputs that it takes: sg.from_onnx(path, inputs=[...])",
        ) from said


def _with_conditions(onnx: Any, model: Any) -> Any:
    """Return a model whose loops all have a condition: the reference runs none without it."""

    def lacks(graph: Any) -> bool:
        return any(
            (node.op_type == "Loop" and not node.domain and not node.input[1])
            or any(x.HasField("g") and lacks(x.g) for x in node.attribute)
            for node in graph.node
        )

    if not any(lacks(graph) for graph in (model.graph, *model.functions)):
        return model
    complete = type(model)()
    complete.CopyFrom(model)

    def visit(graph: Any) -> None:
        nodes = []
        for i, node in enumerate(graph.node):
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    visit(attribute.g)
            if node.op_type == "Loop" and not node.domain and not node.input[1]:
                name = f"condition of {i} {node.output[0]}"
                value = onnx.numpy_helper.from_array(np.array(True))
                nodes.append(onnx.helper.make_node("Constant", [], [name], value=value))
                node.input[1] = name
            nodes.append(node)
        if len(nodes) > len(graph.node):
            nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
            del graph.node[:]
            graph.node.extend(nodes)

    for graph in (complete.graph, *complete.functions):
        visit(graph)
    return complete


def _corrected(model: Any) -> list[Any]:
    """Return operators of old versions as ONNX defines them, where the reference has others."""
    from onnx.reference.op_run import OpRun

    version = next((x.version for x in model.opset_import if x.domain in ("", "ai.onnx")), 1)

    def attribute(node: Any, name: str, default: Any, field: str) -> Any:
        return next((getattr(x, field) for x in node.attribute if x.name == name), default)

    class Flattened(OpRun):
        """Makes two axes of all before it computes: those before ``axis``, and the others."""

        op_domain = ""
        of_rows: Callable[[Any], Any]

        def _run(self, x: Any, axis: Any = None) -> tuple[Any]:
            axis = attribute(self.onnx_node, "axis", 1, "i")
            rows = x.reshape(int(np.prod(x.shape[:axis])), -1)
            return (self.of_rows(rows).reshape(x.shape).astype(x.dtype),)

    class Softmax(Flattened):
        @staticmethod
        def of_rows(x: Any) -> Any:
            weights = np.exp(x - x.max(1, keepdims=True))
            return weights / weights.sum(1, keepdims=True)

    class LogSoftmax(Flattened):
        @staticmethod
        def of_rows(x: Any) -> Any:
            apart = x - x.max(1, keepdims=True)
            return apart - np.log(np.exp(apart).sum(1, keepdims=True))

    class Hardmax(Flattened):
        @staticmethod
        def of_rows(x: Any) -> Any:
            return np.arange(x.shape[1]) == x.argmax(1)[:, None]

    class BatchNormalization(OpRun):
        """Normalizes by the statistics that are passed: it has one result."""

        op_domain = ""

        def _run(
            self,
            x: Any,
            scale: Any,
            bias: Any,
            mean: Any,
            var: Any,
            **attributes: Any,
        ) -> tuple[Any]:
            if len([name for name in self.onnx_node.output if name]) > 1:
                raise NotImplementedError("BatchNormalization of this version in training")
            if attribute(self.onnx_node, "spatial", 1, "i") != 1:
                raise NotImplementedError("BatchNormalization with spatial=0")
            epsilon = attribute(self.onnx_node, "epsilon", 1e-5, "f")
            scale, bias, mean, var = (
                each.reshape(-1, *[1] * (x.ndim - 2)) for each in (scale, bias, mean, var)
            )
            found = scale * (x - mean) / np.sqrt(var + np.asarray(epsilon, x.dtype)) + bias
            return (found.astype(x.dtype),)

    operators: list[Any] = [Softmax, LogSoftmax, Hardmax] if version < 13 else []
    return [*operators, *([BatchNormalization] if 7 <= version < 14 else [])]


def _require_ranks(model: Any, found: Sequence[Any]) -> None:
    """Refuse results of another number of axes than the model says: the reference has some."""
    for each, value in zip(model.graph.output, found, strict=True):
        kind = each.type.tensor_type
        if kind.HasField("shape") and len(kind.shape.dim) != np.ndim(value):
            raise ValueError(
                f"the reference gives {each.name} {np.ndim(value)} axes, and the model "
                f"{len(kind.shape.dim)}"
            )


def in_double(onnx: Any, model: Any, feeds: Mapping[str, Any], name: str) -> list[Any] | None:
    """Return what a model gives if its numbers are float64, or None where it cannot be so."""
    wide = type(model)()
    wide.CopyFrom(model)
    kinds = onnx.TensorProto
    narrow = {kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16}

    def widen(tensor: Any) -> None:
        if tensor.data_type in narrow:
            value = onnx.numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))

    def visit(graph: Any) -> None:
        for tensor in getattr(graph, "initializer", ()):
            widen(tensor)
        for info in [*getattr(graph, "value_info", ())]:
            info.Clear()
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "dtype") and attribute.i in narrow:
                    attribute.i = kinds.DOUBLE
                if attribute.HasField("t"):
                    widen(attribute.t)
                if attribute.HasField("g"):
                    visit(attribute.g)
                if attribute.name in ("value_float", "value_floats"):
                    held = onnx.helper.get_attribute_value(attribute)
                    tensor = onnx.numpy_helper.from_array(np.array(held, np.float64), "")
                    attribute.CopyFrom(onnx.helper.make_attribute("value", tensor))

    try:
        visit(wide.graph)
        for function in wide.functions:
            visit(function)
        for info in (*wide.graph.input, *wide.graph.output):
            if info.type.tensor_type.elem_type in narrow:
                info.type.tensor_type.elem_type = kinds.DOUBLE
        fed = {
            key: np.asarray(x).astype(np.float64) if np.asarray(x).dtype.kind in "fV" else x
            for key, x in feeds.items()
        }
        return source_outputs(onnx, wide, fed, name)
    except Exception:  # whatever a model does that has dtypes of its own
        return None
