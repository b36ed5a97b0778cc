"""The backends by name: those of this library, and those that other distributions enter."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec

from oplibrary.core.entry_points import load_entry_points
from oplibrary.messages.errors import BackendError
from staticgraph.backends.backend import Backend

GROUP = "staticgraph.backends"
"""The group of entry points under which other distributions enter backends."""

BUILTIN = {name: f"staticgraph.backends.{name}" for name in ("interpret", "numpy", "native")}
"""The module of each backend of this library; imported when it is first used."""

BACKENDS: dict[str, Backend] = {}
"""Those that are loaded."""


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


def backend_names() -> list[str]:
    """Return the name of every backend; those that other distributions enter are loaded."""
    _load_entered()
    return list(dict.fromkeys((*BUILTIN, *BACKENDS)))


def load_backend(name: str) -> Backend:
    """Return the backend called `name`.

    Raises
    ------
    BackendError
        If there is none of that name, or a package that it needs is not installed.

    Warns
    -----
    BrokenEntryPointWarning
        If a distribution enters something of that name which is no backend.
    """
    known = isinstance(name, str)
    if known and name not in BACKENDS:
        if name in BUILTIN:
            BACKENDS[name] = _load_builtin(name)
        else:
            _load_entered(name)
    if known and name in BACKENDS:
        return BACKENDS[name]
    names = backend_names()
    near = difflib.get_close_matches(str(name), names, 1)
    raise BackendError(
        f"there is no backend {name!r}",
        cause=f"the backends are {', '.join(names)}",
        fix=f"did you mean {near[0]!r}?" if near else 'use backend="numpy"',
    )


def _load_builtin(name: str) -> Backend:
    try:
        module = importlib.import_module(BUILTIN[name])
    except ImportError as error:
        raise BackendError(
            f"backend {name!r} needs the package {error.name}, which is not installed",
            cause="it is an optional part of this library",
        ) from error
    backend: Backend = module.BACKEND
    return backend


def _load_entered(name: str | None = None) -> None:
    for entered, backend in load_entry_points(GROUP, Backend, BUILTIN, name).items():
        BACKENDS.setdefault(entered, replace(backend, name=entered))
