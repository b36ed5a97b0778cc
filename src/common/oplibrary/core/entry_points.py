"""What other distributions enter here: found by the names in their metadata, loaded when asked."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, TypeVar

from oplibrary.messages.errors import BrokenEntryPointWarning, warn

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


def load_entry_points(
    group: str, kind: type[T], builtin: Collection[str] = (), name: str | None = None
) -> dict[str, T]:
    """Return what installed distributions enter under `group`, by name.

    An entry point's value is a `kind`, or a function of no arguments that returns one. One that is
    broken is skipped with a warning: its module cannot be imported, it is something else than a
    `kind`, or its name is that of a builtin or of another distribution's, of which the first in
    the alphabet keeps it.

    Parameters
    ----------
    group : str
        Such as ``"staticgraph.backends"``.
    kind : type
    builtin : collection of str
        The names that are taken.
    name : str, optional
        Load what has this name, and nothing else.

    Warns
    -----
    BrokenEntryPointWarning
        Once for each that is skipped, with the name of its distribution.
    """
    from importlib.metadata import entry_points  # 10 ms, which most programs need not spend

    found: dict[str, T] = {}
    owners = dict.fromkeys(builtin, "the library itself")
    points = entry_points(group=group) if name is None else entry_points(group=group, name=name)
    for point in sorted(points, key=_distribution):
        if point.name in owners:
            _skip(point, f"{owners[point.name]} has that name", "choose another name")
            continue
        try:
            loaded = point.load()
            if not isinstance(loaded, kind) and callable(loaded):
                loaded = loaded()
        except Exception as error:
            _skip(point, f"loading it ends with {type(error).__name__}: {error}")
            continue
        if not isinstance(loaded, kind):
            _skip(
                point,
                f"its value is of type {type(loaded).__name__}, and {kind.__name__} is expected",
            )
            continue
        owners[point.name] = f"distribution {_distribution(point)}"
        found[point.name] = loaded
    return found


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown"


def _skip(point: EntryPoint, cause: str, fix: str = "correct it, or uninstall it") -> None:
    distribution = _distribution(point)
    warn(
        BrokenEntryPointWarning(
            f"{point.group}: {point.name!r} of distribution {distribution} is skipped",
            cause=f"{cause} ({point.name} = {point.value})",
            fix=f"{fix}: pip show {distribution.partition(' ')[0]} says who maintains it",
        )
    )
