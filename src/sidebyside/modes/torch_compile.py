"""PyTorch, compiled at the first call: ``torch.compile``, forward and backward."""

from __future__ import annotations

import dataclasses
import warnings
from importlib import import_module
from typing import Any

import torch

from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import taped_call
from sidebyside.modes.torch_eager import NAMESPACE, arguments_of, to_arrays
from sidebyside.workloads.workload import Workload


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready, and forget what was compiled before, on disk too."""
    torch.compiler.reset()
    inductor: Any = import_module("torch._inductor.config")
    inductor.force_disable_caches = True
    warnings.filterwarnings("ignore", message="dynamo_pgo force disabled")
    function = workload.function
    compiled: Any = torch.compile(lambda *arguments: function(NAMESPACE, *arguments))
    arguments, leaves = arguments_of(workload, inputs)
    taped = dataclasses.replace(workload, function=lambda _xp, *rest: compiled(*rest))
    once = taped_call(taped, NAMESPACE)
    return Prepared(run=lambda: once(arguments, leaves), arrays=to_arrays)


TORCH_COMPILE = Mode("torch.compile", "PyTorch, compiled", prepare, package="torch")
