"""ONNX Runtime: the graph that staticgraph declares, gradients included, in the ONNX format.

ONNX has no gradients of its own; the model holds the backward graph that `staticgraph.gradients`
declared. It is written before staticgraph's passes run, since the runtime has its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnxruntime

from oplibrary.core.tree import flatten
from sidebyside.measuring.clock import time_once
from sidebyside.measuring.environment import thread_count
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.static import trace
from sidebyside.workloads.workload import Workload
from staticgraph.declare.lower import lower
from staticgraph.exporting.model import onnx_model

ort: Any = onnxruntime


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready."""
    tracing, graph = time_once(lambda: trace(workload, inputs))
    exporting, model = time_once(lambda: onnx_model(lower(graph, graph.outputs, graph.inputs)))
    options = ort.SessionOptions()
    options.intra_op_num_threads = thread_count()
    options.log_severity_level = 3
    loading, session = time_once(
        lambda: ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    )
    leaves = map(np.asarray, flatten(list(inputs))[0])
    feeds = dict(zip([each.name for each in model.graph.input], leaves, strict=True))
    wanted = {each.name for each in session.get_inputs()}  # those that nothing reads are gone
    feeds = {name: leaf for name, leaf in feeds.items() if name in wanted}
    return Prepared(
        partial(session.run, None),
        given=(feeds,),
        build={"trace": tracing, "export": exporting, "load": loading},
    )


ONNX_RUNTIME = Mode("onnxruntime", "ONNX Runtime, the static graph", prepare)
