"""PyTorch, compiled at the first call: ``torch.compile``, forward and backward."""

from __future__ import annotations

import dataclasses
import warnings
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import torch

from sidebyside.modes import torch_eager
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.torch_eager import NAMESPACE
from sidebyside.workloads.workload import Workload


def prepare_calls(workload: Workload, static: tuple[int, ...] = ()) -> Prepared:
    """Make the workload ready, and forget what this process compiled before.

    It may leave what it compiled for Python in the middle, as it does by default.
    """
    torch.compiler.reset()
    counters: Any = import_module("torch._dynamo.utils").counters
    counters.clear()
    function = workload.function
    compiled: Any = torch.compile(lambda *arguments: function(NAMESPACE, *arguments))
    return torch_eager.prepare_calls(
        dataclasses.replace(workload, function=lambda _xp, *rest: compiled(*rest)),
        builds=lambda: counters["stats"]["unique_graphs"],
        breaks=lambda: dict(counters["graph_break"]),
    )


def without_caches() -> AbstractContextManager[None]:
    """Forget what was compiled before, on disk too; for good, since it compiles at a later call."""
    inductor: Any = import_module("torch._inductor.config")
    inductor.force_disable_caches = True
    warnings.filterwarnings("ignore", message="dynamo_pgo force disabled")
    return nullcontext()


def load() -> None:
    """Import the compiler: torch itself puts that off."""
    import_module("torch._inductor.compile_fx")


def warm_up() -> None:
    """Compile something small: headers and checks of the machine lie in the cache afterwards."""
    torch.compile(lambda x: x * 2)(torch.ones(2))


TORCH_COMPILE = Mode.of_calls(
    "torch.compile",
    "PyTorch, compiled",
    prepare_calls,
    namespace=NAMESPACE,
    without_caches=without_caches,
    load=load,
    warm_up=warm_up,
)
