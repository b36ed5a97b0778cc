"""Every workload by name: what this library enters, and what other distributions do."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from oplibrary.core.entry_points import load_entry_points
from oplibrary.messages.errors import WorkloadError
from oplibrary.messages.suggestion import did_you_mean
from sidebyside.workloads.workload import Workload

GROUP = "sidebyside.workloads"
"""The group under which other distributions enter a `Workload`."""

OWN = ("sidebyside.workloads.builtin", "sidebyside.workloads.foreign")
"""Packages that enter this library's: they are imported when one looks into the registry."""

_MODULES: dict[str, tuple[str, str]] = {}


def _own() -> dict[str, tuple[str, str]]:
    """Return where each of this library's workloads is."""
    for package in OWN:
        import_module(package)
    return _MODULES


def enter(name: str, module: str, attribute: str = "WORKLOAD") -> None:
    """Enter a workload, an attribute of a module, which is imported when it is asked for."""
    _MODULES[name] = module, attribute


def names() -> tuple[str, ...]:
    """Return the name of every workload, without loading any."""
    own = _own()
    return (*own, *sorted({point.name for point in entry_points(group=GROUP)} - set(own)))


def entered_workloads() -> dict[str, Workload]:
    """Return the workloads of other distributions by name; what is broken is warned of."""
    return load_entry_points(GROUP, Workload, _own())


def load(name: str) -> Workload:
    """Return the workload called `name`, of this library or of another distribution.

    Raises
    ------
    WorkloadError
        If there is none.

    Warns
    -----
    BrokenEntryPointWarning
        If it is another distribution's, and broken.
    """
    own = _own()
    if name in own:
        module, attribute = own[name]
        workload: Workload = getattr(import_module(module), attribute)
        return workload
    entered = load_entry_points(GROUP, Workload, own, name)
    if name in entered:
        return entered[name]
    known = names()
    raise WorkloadError(
        f"there is no builtin workload {name!r}{did_you_mean(name, known)}",
        cause=f"the builtin ones are {', '.join(known)}",
        fix="name one of them, or a Python file of your own that ends in .py",
    )
