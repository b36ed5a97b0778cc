"""The columns of PyTorch: eager, and compiled with the graph breaks that it allows itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from oplibrary.core.tree import flatten, map_tree
from sidebyside.measuring.clock import thread_count
from sidebyside.modes.tape import numbers, taped_call
from sidebyside.studies.flexibility.columns import Prepared, plain
from sidebyside.studies.flexibility.program import Program, convert_arrays


def _value_and_grad(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any) -> tuple[Any, Any]:
        gradient, value = torch.func.grad_and_value(function)(x)
        return value, gradient

    return call


def _hessian(function: Callable[..., Any], x: Any) -> Any:
    return torch.func.hessian(function)(x)


NAMESPACE = SimpleNamespace(
    **{
        **{name: value for name, value in vars(torch.nn.functional).items() if name[0] != "_"},
        **{name: value for name, value in vars(torch).items() if name[0] != "_"},
        "permute_dims": torch.permute,
        "matrix_transpose": torch.adjoint,
        "astype": torch.Tensor.to,
        "value_and_grad": _value_and_grad,
        "hessian": _hessian,
    }
)
"""PyTorch's functions under the names of the array API standard, where they differ."""


def load(column: str) -> None:
    """Import the compiler for the column that needs it: torch itself puts that off."""
    if column == "torch.compile":
        import_module("torch._inductor.compile_fx")


def warm_up(column: str) -> None:
    """Compile something small: headers and checks of the machine lie in the cache afterwards."""
    if column == "torch.compile":
        torch.compile(lambda x: x * 2)(torch.ones(2))


def prepare(column: str, program: Program) -> Prepared:
    """Make `program` ready, and forget what was compiled before."""
    torch.set_num_threads(thread_count())
    workload = program.as_workload(program.function)
    builds: Callable[[], int | None] = lambda: None  # noqa: E731
    breaks: Callable[[], dict[str, int]] = dict
    if column == "torch.compile":
        torch.compiler.reset()
        counters: Any = torch._dynamo.utils.counters
        counters.clear()
        function = program.function
        compiled: Any = torch.compile(lambda *inputs: function(NAMESPACE, *inputs))
        workload = dataclasses.replace(workload, function=lambda _xp, *inputs: compiled(*inputs))
        builds = lambda: counters["stats"]["unique_graphs"]  # noqa: E731
        breaks = lambda: dict(counters["graph_break"])  # noqa: E731
    once = taped_call(workload, NAMESPACE)

    def convert(arguments: tuple[Any, ...]) -> Any:
        # torch.tensor copies: arguments may be read-only
        tensors = list(convert_arrays(lambda x: torch.tensor(np.asarray(x)), arguments))
        leaves = []
        for position in program.wrt:
            tensors[position] = map_tree(lambda x: x.requires_grad_(), tensors[position])
            leaves += flatten(tensors[position])[0]
        return tensors, leaves

    return Prepared(convert, lambda both: once(*both), _results, builds, breaks=breaks)


def _results(found: Any) -> list[Any]:
    return [x.detach().numpy() if isinstance(x, torch.Tensor) else plain(x) for x in numbers(found)]
