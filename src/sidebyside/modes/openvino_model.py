"""OpenVINO: the graph that staticgraph declares, gradients included, in the ONNX format."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino

from oplibrary.messages.errors import BackendError
from oplibrary.values.types import Array
from sidebyside.measuring.clock import time_once
from sidebyside.measuring.environment import thread_count
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.onnx_model import export
from sidebyside.workloads.workload import Workload

ov: Any = openvino


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready; its inputs are read, and its results returned, in place."""
    model, feeds, build = export(workload, inputs)
    if any(leaf.dtype == np.float64 for leaf in feeds.values()):
        raise BackendError(
            "OpenVINO has no float64 on processors",
            cause="its plugin for them would compute in float32",
            fix="give the program float32, or leave the mode out",
        )
    settings = {
        "INFERENCE_NUM_THREADS": thread_count(),
        "INFERENCE_PRECISION_HINT": "f32",  # its own choice is a half where the processor has them
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = ov.Core()
    loading, read = time_once(lambda: core.read_model(model.SerializeToString()))
    compiling, compiled = time_once(lambda: core.compile_model(read, "CPU", settings))
    request = compiled.create_infer_request()
    wanted = {name for port in compiled.inputs for name in port.names}
    # own arrays, which nobody else writes to or forbids to; a request does not keep them
    kept = {name: np.array(leaf, order="C") for name, leaf in feeds.items() if name in wanted}
    for name, array in kept.items():
        request.set_tensor(name, ov.Tensor(array, shared_memory=True))
    results = [request.get_output_tensor(i) for i in range(len(compiled.outputs))]

    def call() -> list[Any]:
        assert kept is not None
        request.infer(share_inputs=True, share_outputs=True)
        return results

    def arrays(tensors: list[Any]) -> list[Array]:
        return [np.array(tensor.data) for tensor in tensors]

    build |= {"load": loading, "compile": compiling}
    return Prepared(call, arrays=arrays, build=build)


OPENVINO = Mode("openvino", "OpenVINO, the static graph", prepare)
