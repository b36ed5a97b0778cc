"""Programs of other libraries, imported by staticgraph."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import staticgraph
from staticgraph.importing.shared.imported import Imported

sg: Any = staticgraph


def import_program(
    kind: str,
    program: Any,
    inputs: Sequence[Any],
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> Imported:
    """Return a program of another library, imported on its inputs.

    Parameters
    ----------
    kind : str
        ``"PyTorch"``, ``"JAX"`` or ``"TensorFlow"``.
    program : callable
    inputs : sequence of any
    dynamic : mapping, optional
        The lengths that stay open; see ``staticgraph.from_torch``.
    """
    if kind == "PyTorch":
        imported = sg.from_torch(_as_module(program), tuple(inputs), dynamic=dynamic)
    elif kind == "JAX":
        imported = sg.from_jax(program, *inputs, dynamic=dynamic)
    else:
        imported = sg.from_tensorflow(program, *inputs, dynamic=dynamic)
    found: Imported = imported
    return found


def _as_module(function: Any) -> Any:
    """Return a function of tensors as a module, which PyTorch exports with its arguments' names."""
    torch: Any = import_module("torch")
    if isinstance(function, torch.nn.Module):
        return function

    def forward(self: Any, *inputs: Any) -> Any:
        return function(*inputs)

    with suppress(TypeError, ValueError):  # some callables have no signature
        own = inspect.signature(forward).parameters["self"]
        named = list(inspect.signature(function).parameters.values())
        forward.__signature__ = inspect.Signature([own, *named])  # type: ignore[attr-defined]
    name = getattr(function, "__name__", type(function).__name__)
    return type(name, (torch.nn.Module,), {"forward": forward})()
