"""Modes for code that was not written for this library: it is called as it is."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from oplibrary.values.tree import flatten
from sidebyside.measuring.scrutiny import as_array
from sidebyside.modes.conversion import convert_arrays
from sidebyside.modes.importing import arrays_of, import_program
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.workloads.workload import Workload


def results_of(results: Any) -> list[Any]:
    """Return the results of a call in a list: tensors of all libraries as ndarrays."""
    if hasattr(results, "to_tuple"):  # the records of models on the hub
        results = results.to_tuple()
    if results is None:
        return []
    return list(map(as_array, flatten(results)[0]))


@dataclass(frozen=True)
class OwnCode:
    """Makes ready what a user wrote, for its `Mode`; it travels to other processes.

    Attributes
    ----------
    make : callable
        ``make(function, inputs) -> (call, arguments)``.
    """

    make: Callable[[Any, tuple[Any, ...]], tuple[Callable[..., Any], Sequence[Any]]]

    def __call__(self, workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
        """Make a copy of everything ready: no mode sees what another has changed."""
        function = workload.function
        with suppress(Exception):  # what cannot be copied is used as it is
            function = copy.deepcopy(function)
        call, arguments = self.make(function, copy.deepcopy(inputs))
        return Prepared(call, arrays=results_of, given=arguments)


def of_variants(variants: Mapping[str, Callable[[], Callable[[], Any]]]) -> dict[str, Mode]:
    """Return a mode for each function that makes fresh state and returns a step."""
    return {
        name: Mode(name, "", _OwnStep(make), load=partial(_load_of, make))
        for name, make in variants.items()
    }


@dataclass(frozen=True)
class _OwnStep:
    make: Callable[[], Callable[[], Any]]

    def __call__(self, workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
        step = self.make()
        if not callable(step):
            raise TypeError(
                f"make() returned a {type(step).__name__}; it builds fresh state and returns a "
                "step, a function without arguments"
            )
        waits = _waits_for_jax if "jax" in sys.modules else None
        return Prepared(partial(waits, step) if waits else step, arrays=results_of)


def _waits_for_jax(step: Callable[..., Any], *arguments: Any) -> Any:
    jax: Any = sys.modules["jax"]
    return jax.block_until_ready(step(*arguments))


def _load_of(make: Callable[[], Any]) -> None:
    """Let libraries do what they do once a process, where `make` reads them."""
    names = [
        value.__name__
        for value in getattr(make, "__globals__", {}).values()
        if type(value) is type(sys)
    ]
    if "torch" in {name.partition(".")[0] for name in names}:
        warm_up_torch()


# PyTorch ------------------------------------------------------------------------------------------


def torch_modes(is_module: bool = False) -> dict[str, Mode]:
    """Return how a function of tensors can be run, or a module, which is imported here, too."""

    def compiled(function: Any, inputs: Any) -> Any:
        torch: Any = import_module("torch")
        torch.compiler.reset()
        return torch.compile(function), inputs

    def imported(backend: str, module: Any, inputs: Any) -> Any:
        sg: Any = import_module("staticgraph")
        here = import_program("PyTorch", module, inputs)
        return _imported(sg, here, backend), (here.parameters, *arrays_of("PyTorch", inputs))

    def load() -> None:
        warm_up_torch()
        import_module("torch._inductor.compile_fx")

    found = {
        "eager": Mode("eager", "PyTorch, eager", OwnCode(_as_it_is), load=warm_up_torch),
        "torch.compile": Mode(
            "torch.compile",
            "PyTorch, compiled",
            OwnCode(compiled),
            load=load,
            warm_up=_warm_up_compiler,
        ),
    }
    return {**found, **_static_modes(imported, warm_up_torch)} if is_module else found


def _imported(sg: Any, program: Any, backend: str) -> Any:
    """Return an imported program as a function of its parameters and inputs.

    Raises
    ------
    UnsupportedOpError
        If it draws random numbers: what another mode draws would be compared with.
    """
    if program.keys:
        raise UnsupportedOpError(
            f"{program.source} draws random numbers",
            cause=f"each mode draws its own, and these operations do: {', '.join(program.keys)}",
            fix="compare it without them, in evaluation mode, or pass them as an input",
        )
    return sg.function(
        lambda parameters, *inputs: program.function(sg, parameters, *inputs), backend=backend
    )


def _static_modes(make: Callable[..., Any], load: Callable[[], None]) -> dict[str, Mode]:
    """Return the modes of a program that `make` imports for a backend."""
    return {
        name: Mode(name, f"static graph, {said}", OwnCode(partial(make, backend)), load=load)
        for name, said, backend in (
            ("static", "imported", "numpy"),
            ("static:native", "imported, machine code", "native"),
        )
    }


def _as_it_is(function: Any, inputs: Any) -> Any:
    return function, inputs


def warm_up_torch() -> None:
    """Let PyTorch start its threads."""
    torch: Any = import_module("torch")
    torch.tanh(torch.ones(600, 600) @ torch.ones(600, 600))


def _warm_up_compiler() -> None:
    torch: Any = import_module("torch")
    torch.compile(lambda x: x * 2)(torch.ones(2))


# JAX ----------------------------------------------------------------------------------------------


def jax_modes() -> dict[str, Mode]:
    """Return how a function of JAX's arrays can be run."""

    def eager(function: Any, inputs: Any) -> Any:
        return partial(_waits_for_jax, function), inputs

    def jitted(function: Any, inputs: Any) -> Any:
        jax: Any = import_module("jax")
        return partial(_waits_for_jax, jax.jit(function)), inputs

    def imported(backend: str, function: Any, inputs: Any) -> Any:
        sg: Any = import_module("staticgraph")
        here = import_program("JAX", function, inputs)
        return _imported(sg, here, backend), (here.parameters, *arrays_of("JAX", inputs))

    def load() -> None:
        jax: Any = import_module("jax")
        jax.block_until_ready(jax.jit(jax.numpy.tanh)(jax.numpy.ones((600, 600))))

    return {
        "jax": Mode("jax", "JAX, operation by operation", OwnCode(eager), load=load),
        "jax.jit": Mode("jax.jit", "JAX, compiled by XLA", OwnCode(jitted), load=load),
        **_static_modes(imported, load),
    }


# TensorFlow ---------------------------------------------------------------------------------------


def tensorflow_modes() -> dict[str, Mode]:
    """Return how a function or a model of TensorFlow can be run."""

    def graph(jit_compile: bool | None, function: Any, inputs: Any) -> Any:
        tf: Any = import_module("tensorflow")
        return tf.function(partial(function), jit_compile=jit_compile), inputs

    def load(jit_compile: bool | None) -> None:
        tf: Any = import_module("tensorflow")
        tf.function(lambda x: tf.tanh(x @ x), jit_compile=jit_compile)(tf.ones((600, 600)))

    return {
        "tensorflow": Mode(
            "tensorflow", "TensorFlow, eager", OwnCode(_as_it_is), load=partial(load, None)
        ),
        "tf.function": Mode(
            "tf.function",
            "TensorFlow, as a graph",
            OwnCode(partial(graph, None)),
            load=partial(load, None),
        ),
        "tf.function:xla": Mode(
            "tf.function:xla",
            "TensorFlow, compiled by XLA",
            OwnCode(partial(graph, True)),
            load=partial(load, True),
        ),
    }


# NumPy --------------------------------------------------------------------------------------------


def numpy_modes() -> dict[str, Mode]:
    """Return how a function of ndarrays can be run: NumPy's functions take our values, too."""

    def recorded(function: Any, inputs: Any) -> Any:
        dg: Any = import_module("dyngraph")
        return function, [convert_arrays(dg.tensor, tree) for tree in inputs]

    def traced(backend: str, function: Any, inputs: Any) -> Any:
        sg: Any = import_module("staticgraph")
        return sg.function(function, backend=backend), inputs

    def load(backend: str) -> None:
        sg: Any = import_module("staticgraph")
        sg.function(lambda x: x @ x + 1, backend=backend)(np.ones((600, 600)))

    return {
        "numpy": Mode("numpy", "NumPy", OwnCode(_as_it_is), counts_memory=True),
        "dynamic": Mode(
            "dynamic", "dynamic graph (dyngraph)", OwnCode(recorded), counts_memory=True
        ),
        "static": Mode(
            "static",
            "static graph, traced",
            OwnCode(partial(traced, "numpy")),
            counts_memory=True,
            load=partial(load, "numpy"),
        ),
        "static:native": Mode(
            "static:native",
            "static graph, machine code",
            OwnCode(partial(traced, "native")),
            counts_memory=True,
            load=partial(load, "native"),
        ),
    }
