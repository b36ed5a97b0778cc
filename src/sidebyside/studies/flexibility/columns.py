"""The columns of the matrix: modes, and this library's static mode once more with rewrites."""

from __future__ import annotations

from oplibrary.messages.errors import ArgumentError
from sidebyside.modes import PEERS, Mode, Prepared, find_mode
from sidebyside.modes.registry import entered_names, missing_packages
from sidebyside.studies.flexibility.example import Example

DYNAMIC, STATIC, REWRITE = "dyngraph", "static", "rewrite"
OWN = (DYNAMIC, STATIC, REWRITE)
"""The columns of this library; they share a process, so that their times can be compared."""

_MODES = {DYNAMIC: "dynamic", REWRITE: "static"}
"""The modes of the columns that are not called like theirs."""


def mode_of(column: str) -> Mode:
    """Return the mode of a column; its library is imported."""
    return find_mode(_MODES.get(column, column))


def prepare(column: str, example: Example) -> Prepared:
    """Make `example` ready in a column; raises what the library says where it cannot."""
    mode = mode_of(column)
    if mode.prepare_calls is None:
        raise ArgumentError(
            f"mode {mode.name!r} runs no examples",
            cause="it needs the shapes of all inputs before the first call",
            fix="leave it out, or give the mode prepare_calls",
        )
    function = example.rewrite if column == REWRITE else example.function
    assert function is not None
    return mode.prepare_calls(example.as_workload(function), example.static)


def choose_peers(wanted: str | None = None) -> tuple[str, ...]:
    """Return the peers named in a list such as ``"torch,jax.jit"``.

    Parameters
    ----------
    wanted : str, optional
        ``"none"`` for no peer; left out, all of this library whose package is installed. Modes of
        other distributions run where they are named.

    Raises
    ------
    ArgumentError
        If one is unknown or not installed.
    """
    if wanted is None:
        return tuple(name for name in PEERS if not missing_packages(name))
    names = tuple(name.strip() for name in wanted.split(",") if name.strip())
    if names == ("none",):
        return ()
    known = (*PEERS, *entered_names())
    for name in names:
        if name not in known:
            raise ArgumentError(
                f"there is no peer {name!r}",
                cause=f"the peers are {', '.join(known)}",
                fix="choose some of them, separated by commas, or none",
            )
        for package in missing_packages(name):
            raise ArgumentError(
                f"peer {name!r} needs {package}",
                cause=f"{package} is not installed",
                fix=f"pip install {package}, or leave the peer out",
            )
    return tuple(dict.fromkeys(names))
