"""PyTorch, eager."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from oplibrary.core.tree import flatten, map_tree
from sidebyside.measuring.clock import thread_count
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import numbers, taped_call
from sidebyside.workloads.workload import Workload


class TorchNamespace:
    """PyTorch's functions under the names of the array API standard, where they differ."""

    permute_dims = staticmethod(torch.permute)
    matrix_transpose = staticmethod(torch.adjoint)
    astype = staticmethod(torch.Tensor.to)

    def __getattr__(self, name: str) -> Any:
        found = getattr(torch, name, None)
        if name in ("conv2d", "max_pool2d", "avg_pool2d") or found is None:
            found = getattr(torch.nn.functional, name)
        setattr(self, name, found)
        return found


NAMESPACE = TorchNamespace()


def arguments_of(workload: Workload, inputs: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """Return the inputs as tensors, and the leaves among them that need gradients."""
    torch.set_num_threads(thread_count())
    # torch.tensor copies: several inputs may be views of read-only data
    arguments = [map_tree(lambda array: torch.tensor(np.asarray(array)), x) for x in inputs]
    leaves = []
    for position in workload.wrt:
        arguments[position] = map_tree(lambda x: x.requires_grad_(), arguments[position])
        leaves += flatten(arguments[position])[0]
    return arguments, leaves


def to_arrays(results: Any) -> list[Any]:
    """Return the results of a call as ndarrays."""
    return [x.detach().numpy() for x in numbers(results)]


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready: create the leaves."""
    arguments, leaves = arguments_of(workload, inputs)
    once = taped_call(workload, NAMESPACE)
    return Prepared(run=lambda: once(arguments, leaves), arrays=to_arrays)


TORCH = Mode("torch", "PyTorch, eager", prepare, package="torch")
