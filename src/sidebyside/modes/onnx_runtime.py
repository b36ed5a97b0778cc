"""ONNX Runtime: the graph that staticgraph declares, gradients included, in the ONNX format."""

from __future__ import annotations

from functools import partial
from typing import Any

import onnxruntime

from sidebyside.measuring.clock import time_once
from sidebyside.measuring.environment import thread_count
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.onnx_model import export
from sidebyside.workloads.workload import Workload

ort: Any = onnxruntime


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready."""
    model, feeds, build = export(workload, inputs)
    options = ort.SessionOptions()
    options.intra_op_num_threads = thread_count()
    options.log_severity_level = 3
    loading, session = time_once(
        lambda: ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    )
    wanted = {each.name for each in session.get_inputs()}  # those that nothing reads are gone
    feeds = {name: leaf for name, leaf in feeds.items() if name in wanted}
    return Prepared(partial(session.run, None), given=(feeds,), build={**build, "load": loading})


ONNX_RUNTIME = Mode("onnxruntime", "ONNX Runtime, the static graph", prepare)
