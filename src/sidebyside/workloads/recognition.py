"""Whose arrays a program takes: told by its inputs, and else by what it is and reads."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import Any

from oplibrary.messages.errors import ArgumentError
from oplibrary.values.tree import flatten
from sidebyside.workloads.workload import NAMESPACE, takes_namespace


def library_of(program: Any, inputs: tuple[Any, ...]) -> str:
    """Return whose arrays a program takes: by its inputs, and else by what it reads."""
    kinds = {type(leaf).__module__.partition(".")[0] for leaf in flatten(list(inputs))[0]}
    for library, name in (
        ("torch", "PyTorch"),
        ("jax", "JAX"),
        ("jaxlib", "JAX"),
        ("tensorflow", "TensorFlow"),
    ):
        if library in kinds:
            return name
    if is_module(program):
        return "PyTorch"
    if _is_of(program, "tensorflow") or _is_keras_on_tensorflow(program):
        return "TensorFlow"
    read = _modules_read(program)
    if "jax" in read:
        return "JAX"
    if "torch" in read:
        return "PyTorch"
    return "TensorFlow" if "tensorflow" in read else "NumPy"


def require_program(program: Any) -> None:
    """Refuse what cannot be called.

    Raises
    ------
    ArgumentError
    """
    if not callable(program):
        raise ArgumentError(
            f"a {type(program).__name__} is no program",
            cause="it is called with the inputs, and cannot be",
            fix="pass a function, a module, or a sidebyside.Workload",
        )


def require_inputs(program: Any, inputs: tuple[Any, ...], first: tuple[Any, ...] = ()) -> None:
    """Refuse inputs that a program cannot be called with.

    Parameters
    ----------
    program : callable
    inputs : tuple
    first : tuple
        What it is given before them.

    Raises
    ------
    ArgumentError
    """
    try:
        signature = inspect.signature(program.forward if is_module(program) else program)
    except (TypeError, ValueError):  # some callables have none
        return
    try:
        signature.bind(*first, *inputs)
    except TypeError as error:
        name = getattr(program, "__name__", type(program).__name__)
        given = f"{len(inputs)} input{'' if len(inputs) == 1 else 's'}" if inputs else "no inputs"
        raise ArgumentError(
            f"{name}{signature} was given {given}: {error}",
            cause="a program is called with its inputs, in their order",
            fix="pass them behind it; on the command line --inputs FILE.py:NAME names a tuple of "
            "them, or a function that returns one",
        ) from None


def is_module(program: Any) -> bool:
    """Tell whether a program is a module of PyTorch."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(program, torch.nn.Module)


def uncompiled(program: Any) -> Any:
    """Return what a user has compiled already as it was before."""
    if "jax" in sys.modules and type(program).__module__.partition(".")[0] in ("jaxlib", "jax"):
        return getattr(program, "__wrapped__", program)
    if _is_of(program, "tensorflow") and hasattr(program, "python_function"):
        return program.python_function
    return getattr(program, "_orig_mod", getattr(program, "_torchdynamo_orig_callable", program))


def _is_of(program: Any, library: str) -> bool:
    """Tell whether the class of a program, or one that it derives from, is a library's."""
    return any(each.__module__.partition(".")[0] == library for each in type(program).__mro__)


def _is_keras_on_tensorflow(program: Any) -> bool:
    keras: Any = sys.modules.get("keras")
    return _is_of(program, "keras") and keras.backend.backend() == "tensorflow"


def _modules_read(program: Any, seen: set[int] | None = None) -> set[str]:
    """Return the libraries that a function reads, and the functions that it calls."""
    seen = set() if seen is None else seen
    function: Any = inspect.unwrap(program) if callable(program) else program
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        function = vars(type(function)).get("__call__")
    if not isinstance(function, FunctionType) or id(function) in seen or len(seen) > 1000:
        return set()
    seen.add(id(function))
    found: set[str] = set()
    values = [
        function.__globals__[name]
        for name in function.__code__.co_names
        if name in function.__globals__
    ]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    for value in values:
        if isinstance(value, ModuleType):
            found.add(value.__name__.partition(".")[0])
        elif isinstance(value, Callable):  # type: ignore[arg-type]
            found.add((getattr(value, "__module__", None) or "").partition(".")[0])
            found |= _modules_read(value, seen)
    return found


def with_namespace(program: Callable[..., Any]) -> Callable[..., Any]:
    """Return `program` as a function of a namespace and the inputs."""
    if takes_namespace(program):
        return program

    def function(xp: Any, *inputs: Any) -> Any:
        return program(*inputs)

    first = inspect.Parameter(NAMESPACE, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    with suppress(TypeError, ValueError):  # some callables have no signature
        names = [each.replace(kind=first.kind) for each in _positional(program)]
        function.__signature__ = inspect.Signature([first, *names])  # type: ignore[attr-defined]
    return function


def _positional(program: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of `program`, whose names the drawing shows.

    Raises
    ------
    ValueError
        If some are not passed by position.
    """
    parameters = list(inspect.signature(program).parameters.values())
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(each.kind not in kinds for each in parameters):
        raise ValueError("not all parameters are passed by position")
    return parameters
