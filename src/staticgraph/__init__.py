"""The static executor: declare a graph, compile it, then run it.

Examples
--------
>>> import numpy as np
>>> import staticgraph as sg
>>> with sg.Graph() as graph:
...     x = sg.placeholder("x", (3,))
...     w = sg.variable([1.0, 2.0, 3.0], name="w")
...     y = sg.sum(x * w)
...     (dw,) = sg.gradients(y, [w])
>>> run = sg.compile([y, dw], inputs=[x])
>>> run(np.ones(3, "float32"))
[array(6., dtype=float32), array([1., 1., 1.], dtype=float32)]

Every function of the op library is here too, and declares nodes of the graph that is open.
"""

from typing import Any as _Any

import staticgraph.declare.in_place
from oplibrary.executors.kernels import kernels_report, set_kernels
from oplibrary.executors.namespace import LateNames as _LateNames
from oplibrary.executors.namespace import common_names as _common_names
from oplibrary.executors.namespace import public_names as _public_names
from oplibrary.executors.warm_memory import keep_memory_warm as _keep_memory_warm
from oplibrary.messages.errors import BakedValueWarning, RetraceWarning
from oplibrary.messages.source import enter_package as _enter_package
from oplibrary.values.types import TensorType
from staticgraph.archive import open_program, save_program
from staticgraph.backends.backend import Backend
from staticgraph.compiler.bound import Bound
from staticgraph.compiler.compile import compile
from staticgraph.compiler.executable import Executable
from staticgraph.compiler.session import Session
from staticgraph.control import checkpoint, cond, fori_loop, map, scan, switch, while_loop
from staticgraph.cost.cost import Cost
from staticgraph.debugging import DebugExecutable, Frame, PassCheck, check_passes
from staticgraph.declare.autodiff import gradients
from staticgraph.declare.build import assign, constant, group, placeholder, stop_gradient, variable
from staticgraph.declare.lower import lower
from staticgraph.declare.namespace import asarray, from_dlpack
from staticgraph.declare.namespace import lookup as _lookup
from staticgraph.declare.namespace import names as _names
from staticgraph.declare.networkx_import import import_networkx as _import_networkx
from staticgraph.exporting import to_onnx
from staticgraph.graph.dimension import Dim, dim
from staticgraph.graph.graph import Graph, current_graph
from staticgraph.graph.node import Node
from staticgraph.importing import from_jax, from_onnx, from_tensorflow, from_torch
from staticgraph.passes.pipeline import DEFAULT_PASSES, without
from staticgraph.program.program import Instruction, Program, Value, Variable
from staticgraph.show.drawing import to_dot, to_graphml, to_json, to_mermaid, to_svg
from staticgraph.show.printing import format_program, graph_text
from staticgraph.tracing.explanation import Explanation
from staticgraph.tracing.function import StaticFunction, function
from staticgraph.tracing.trace import trace
from staticgraph.transforms import (
    grad,
    hessian,
    jacobian,
    jvp,
    linearize,
    value_and_grad,
    vjp,
    vmap,
)

_enter_package(__file__)
_keep_memory_warm()

_LATE = _LateNames(
    "staticgraph",
    {
        "oplibrary": "optimizers",
        "oplibrary.transforms.custom_jvp": "custom_jvp",
        "oplibrary.transforms.custom_vjp": "custom_vjp",
        "staticgraph": "errors fft linalg special",
    },
    _lookup,
)
"""What is loaded when it is first asked for, by the modules that it stands in."""

globals().update(_common_names(data_dependent_shapes=False))
__all__ = sorted({*_public_names(globals()), *_LATE.places, *_names()})


def __getattr__(name: str) -> _Any:
    return globals().setdefault(name, _LATE.load(name, __all__))


def __dir__() -> list[str]:
    return list(__all__)
