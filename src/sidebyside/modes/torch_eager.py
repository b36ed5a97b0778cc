"""PyTorch, eager."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from oplibrary.values.dtypes import is_bfloat16
from oplibrary.values.types import Array
from sidebyside.measuring.environment import thread_count
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import prepare_taped
from sidebyside.workloads.workload import Workload


def _value_and_grad(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any) -> tuple[Any, Any]:
        gradient, value = torch.func.grad_and_value(function)(x)
        return value, gradient

    return call


_FUNCTIONS: Any = torch.nn.functional
_FUNCTIONAL = ("conv2d", "max_pool2d", "avg_pool2d")
"""Functions that exist twice, of which the one in ``nn.functional`` is for users."""

NAMESPACE = SimpleNamespace(
    **{
        **{name: value for name, value in vars(_FUNCTIONS).items() if name[0] != "_"},
        **{name: value for name, value in vars(torch).items() if name[0] != "_"},
        **{name: getattr(_FUNCTIONS, name) for name in _FUNCTIONAL},
        "permute_dims": torch.permute,
        "matrix_transpose": torch.adjoint,
        "astype": torch.Tensor.to,
        "value_and_grad": _value_and_grad,
        "hessian": lambda function, x: torch.func.hessian(function)(x),
        "jacobian": lambda function, x: torch.func.jacrev(function)(x),
    }
)
"""PyTorch's functions under the names of the array API standard, where they differ."""


def prepare_calls(workload: Workload, static: tuple[int, ...] = (), **counters: Any) -> Prepared:
    """Make the workload ready: create the leaves; with further attributes of `Prepared`."""
    torch.set_num_threads(thread_count())
    return prepare_taped(workload, NAMESPACE, torch.Tensor, _tensor, **counters)


def _tensor(array: Array) -> torch.Tensor:
    """Return a copy of an array as a tensor: several inputs may be views of read-only data."""
    if is_bfloat16(array.dtype):  # whose bits are the same, which PyTorch does not know
        return torch.tensor(array.view(np.int16)).view(torch.bfloat16)
    return torch.tensor(array)


TORCH = Mode.of_calls("torch", "PyTorch, eager", prepare_calls, namespace=NAMESPACE, eager=True)
