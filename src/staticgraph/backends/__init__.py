"""The backends: what runs a program. They share the program and the plan; each is a module.

A backend module has two functions:

``plan(program, borrow=False) -> BufferPlan``
    Where its values are kept. With `borrow`, results may be kept in the arena too, where the next
    run overwrites them.
``build(program, plan) -> Runner``
    What runs it.

It may have a third:

``restore(program) -> Restored or None``
    What an earlier build of the same program left on disk, so that no plan has to be made.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

from oplibrary.core.tree import Structure
from oplibrary.core.types import Array
from oplibrary.messages.errors import BackendError
from staticgraph.program.memory import BufferPlan
from staticgraph.program.program import Program


@dataclass(frozen=True, slots=True)
class Runner:
    """A program that can be called.

    Attributes
    ----------
    call : callable
        ``call(*inputs)`` takes row-major arrays of exactly the declared types, in order, makes the
        updates and returns the outputs as a list: arrays of their own, unless borrowed. It may be
        called from many threads.
    write_source : callable
        Returns what was generated, if that is text.
    notes : tuple of str
        What a report says about it.
    quicken : callable, optional
        ``quicken(call, structure)`` returns a function that does what `call` does, which checks
        what it is passed and arranges the outputs, but quicker where nothing is to be converted.
    """

    call: Callable[..., list[Array]]
    write_source: Callable[[], str] = str
    notes: tuple[str, ...] = ()
    quicken: Callable[[Callable[..., Any], Structure], Callable[..., Any]] | None = None


class Restored(NamedTuple):
    """A program that was built before.

    Attributes
    ----------
    runner : Runner
    make_plan : callable
        Makes the plan when somebody asks for it.
    """

    runner: Runner
    make_plan: Callable[[], BufferPlan]


class Backend(Protocol):
    """What a backend's module offers."""

    def plan(self, program: Program, *, borrow: bool = False) -> BufferPlan:
        """Return where the values are kept."""
        ...

    def build(self, program: Program, plan: BufferPlan) -> Runner:
        """Return what runs the program."""
        ...


BACKENDS: dict[str, str] = {
    "interpret": "staticgraph.backends.interpret",
    "numpy": "staticgraph.backends.numpy",
    "native": "staticgraph.backends.native",
}
"""The module of each backend; imported when it is first used."""


@lru_cache(maxsize=1)
def default_backend() -> str:
    """Return the backend that is used where none is named: machine code where it can be made."""
    if any(find_spec(package) is None for package in ("llvmlite", "scipy")):
        return "numpy"
    from oplibrary.machine.target import host_target

    try:
        host_target()
    except BackendError:
        return "numpy"
    return "native"


def load_backend(name: str) -> Backend:
    """Return the backend called `name`.

    Raises
    ------
    BackendError
        If there is none of that name, or a package that it needs is not installed.
    """
    module = BACKENDS.get(name) if isinstance(name, str) else None
    if module is None:
        near = difflib.get_close_matches(str(name), BACKENDS, 1)
        raise BackendError(
            f"there is no backend {name!r}",
            cause=f"the backends are {', '.join(BACKENDS)}",
            fix=f"did you mean {near[0]!r}?" if near else 'use backend="numpy"',
        )
    try:
        loaded: Any = importlib.import_module(module)
    except ImportError as error:
        raise BackendError(
            f"backend {name!r} needs the package {error.name}, which is not installed",
            cause="it is an optional part of this library",
        ) from error
    backend: Backend = loaded
    return backend
