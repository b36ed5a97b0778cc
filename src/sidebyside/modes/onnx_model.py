"""A workload as a model in the ONNX format, for the libraries that run such models.

ONNX has no gradients of its own; the model holds the backward graph that `staticgraph.gradients`
declared. It is written before staticgraph's passes run, since those libraries have their own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oplibrary.values.tree import flatten
from oplibrary.values.types import Array
from sidebyside.measuring.clock import time_once
from sidebyside.modes.static import trace
from sidebyside.workloads.workload import Workload
from staticgraph.declare.lower import lower
from staticgraph.exporting.model import onnx_model


class Exported(NamedTuple):
    """A workload that was written as a model.

    Attributes
    ----------
    model : onnx.ModelProto
    feeds : dict of str to ndarray
        What the workload is called with, by the names of the model's inputs.
    build : dict of str to float
        Seconds of each phase.
    """

    model: Any
    feeds: dict[str, Array]
    build: dict[str, float]


def export(workload: Workload, inputs: tuple[Any, ...]) -> Exported:
    """Trace a call of the workload, gradients included, and write it as a model."""
    tracing, graph = time_once(lambda: trace(workload, inputs))
    exporting, model = time_once(lambda: onnx_model(lower(graph, graph.outputs, graph.inputs)))
    leaves = map(np.asarray, flatten(list(inputs))[0])
    feeds = dict(zip([each.name for each in model.graph.input], leaves, strict=True))
    return Exported(model, feeds, {"trace": tracing, "export": exporting})
