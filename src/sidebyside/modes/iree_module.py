"""IREE: the graph that staticgraph declares, gradients included, in the ONNX format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from iree import compiler, runtime
from iree.compiler import ir
from iree.compiler.extras import onnx_importer

from oplibrary.values.types import Array
from sidebyside.measuring.clock import time_once
from sidebyside.measuring.environment import thread_count
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.onnx_model import export
from sidebyside.workloads.workload import Workload

tools: Any = compiler
importer: Any = onnx_importer
rt: Any = runtime

_OPTIONS = [
    "--iree-llvmcpu-target-cpu=host",
    "--iree-opt-level=O3",
    "--iree-input-demote-f64-to-f32=false",
]


def _import(model: Any) -> tuple[str, str]:
    """Return a model in IREE's language, and the name of its function."""
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    info = importer.ModelInfo(model)
    module = info.create_module(context=ir.Context()).operation
    importer.NodeImporter.define_function(info.main_graph, module).import_all()
    return module.get_asm(), model.graph.name


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready: machine code, which IREE's compiler makes in a process of its own.

    Its arrays stay on IREE's device, which is the processor.
    """
    model, feeds, build = export(workload, inputs)
    importing, (text, name) = time_once(lambda: _import(model))
    compiling, code = time_once(
        lambda: tools.compile_str(
            text, target_backends=["llvm-cpu"], input_type="onnx", extra_args=_OPTIONS
        )
    )
    rt.flags.parse_flags(f"--task_topology_max_group_count={thread_count()}")
    config = rt.Config("local-task")
    module = rt.load_vm_module(rt.VmModule.copy_buffer(config.vm_instance, code), config)
    function = module[name]
    given = [rt.asdevicearray(config.device, leaf) for leaf in feeds.values()]

    def call(*arrays: Any) -> Sequence[Any]:
        found = function(*arrays)
        return found if isinstance(found, (tuple, list)) else (found,)

    def arrays(results: Sequence[Any]) -> list[Array]:
        return [np.array(result.to_host()) for result in results]

    build |= {"import": importing, "compile": compiling}
    return Prepared(call, arrays=arrays, given=given, build=build)


IREE = Mode("iree", "IREE, the static graph", prepare)
