"""Programs of other libraries, imported by staticgraph."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

import staticgraph
from oplibrary.messages.errors import ArgumentError
from oplibrary.values.tree import map_tree
from sidebyside.measuring.scrutiny import as_array
from sidebyside.workloads.recognition import (
    library_of,
    require_inputs,
    require_program,
    uncompiled,
    with_namespace,
)
from sidebyside.workloads.workload import NAMESPACE, Workload, takes_namespace
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


def as_workload(program: Any, inputs: tuple[Any, ...] = (), size: Any = None) -> Workload:
    """Return a program with its inputs as a workload, which both executors run.

    Parameters
    ----------
    program : callable or Workload
        One of another library is imported.
    inputs : tuple
        Of a workload, in place of its own, if there are any.
    size : any
        Of a workload that makes its own inputs.

    Raises
    ------
    ArgumentError
        If it is no program, if it cannot be called with these inputs, or if they have a size.
    SideBySideError
        If it cannot be imported.
    """
    if size is not None and (inputs or not isinstance(program, Workload)):
        raise ArgumentError(
            "a size was given beside inputs",
            cause="a workload makes inputs of its sizes, and here they are made already",
            fix="leave the size out, and give inputs of that size",
        )
    if isinstance(program, Workload):
        return _on(program, inputs) if inputs else program
    require_program(program)
    program = uncompiled(program)
    name = getattr(program, "__name__", type(program).__name__)
    namespaced = takes_namespace(program)
    require_inputs(program, inputs, (NAMESPACE,) if namespaced else ())
    kind = "" if namespaced else library_of(program, inputs)
    if kind in ("", "NumPy"):
        return _on(Workload(with_namespace(program), _no_inputs, name=name), inputs)
    imported = import_program(kind, program, inputs)
    keys = [sg.random_key(0)] if imported.keys else []

    def function(xp: Any, parameters: Any, *rest: Any) -> Any:
        key, given = (rest[0], rest[1:]) if keys else (None, rest)
        return imported.function(xp, parameters, *given, key=key)

    given = arrays_of(kind, inputs)
    return _on(Workload(function, _no_inputs, name=name), (imported.parameters, *keys, *given))


def _on(workload: Workload, inputs: tuple[Any, ...]) -> Workload:
    """Return a workload of one size, whose inputs are given."""
    given = tuple(map_tree(np.asarray, each) for each in inputs)
    return replace(workload, inputs=lambda rng, size: given, sizes=(None,))


def _no_inputs(rng: np.random.Generator, size: Any) -> tuple[Any, ...]:
    return ()


def arrays_of(kind: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs of a program of another library with ndarrays in place of its own."""
    found: tuple[Any, ...]
    if kind == "PyTorch":
        torch: Any = import_module("torch")
        found = torch.utils._pytree.tree_map(as_array, inputs)
    elif kind == "JAX":
        jax: Any = import_module("jax")
        found = jax.tree_util.tree_map(np.asarray, inputs)
    else:
        found = map_tree(as_array, inputs)
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
