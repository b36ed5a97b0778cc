"""The columns of the matrix: the ways in which a program is prepared once and called often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError
from sidebyside.studies.flexibility.program import Program

DYNAMIC, STATIC, REWRITE = "dyngraph", "static", "rewrite"
OWN = (DYNAMIC, STATIC, REWRITE)
"""The columns of this library; they share a process, so that their times can be compared."""

PEERS = {
    "torch": "torch",
    "torch.compile": "torch",
    "jax.jit": "jax",
    "tf.function": "tensorflow",
}
"""The columns of other libraries, each with the package it needs."""


@dataclass(frozen=True)
class Prepared:
    """A program made ready in one column.

    Attributes
    ----------
    convert : callable
        Turns the arguments of a call into the column's own format.
    call : callable
        Makes one call with converted arguments and waits for its results.
    results : callable
        Turns what a call gave into a list of ndarrays and other plain values.
    builds : callable
        How often the program was traced or compiled so far; None where nothing is.
    notes : callable
        What is known about the traces, for those who ask: fixed values, effects that happen once.
    breaks : callable
        Why a compiled program was left for Python in the middle, and how often for each reason.
    """

    convert: Callable[[tuple[Any, ...]], Any]
    call: Callable[[Any], Any]
    results: Callable[[Any], list[Any]]
    builds: Callable[[], int | None] = lambda: None
    notes: Callable[[], list[str]] = list
    breaks: Callable[[], dict[str, int]] = dict


def prepare(column: str, program: Program) -> Prepared:
    """Make `program` ready in a column; raises what the library says where it cannot."""
    return load_column(column).prepare(column, program)  # type: ignore[no-any-return]


def load_column(column: str) -> ModuleType:
    """Import the module of a column, and with it the library that the column needs."""
    module = import_module(f"sidebyside.studies.flexibility.in_{_MODULES[column]}")
    getattr(module, "load", _nothing)(column)
    return module


def warm_up(column: str) -> None:
    """Let a library put in its cache what it builds once for a machine and not for a program."""
    getattr(load_column(column), "warm_up", _nothing)(column)


def _nothing(column: str) -> None:
    """Do nothing: most libraries are ready once they are imported."""


_MODULES = {
    DYNAMIC: "dyngraph",
    STATIC: "staticgraph",
    REWRITE: "staticgraph",
    "torch": "torch",
    "torch.compile": "torch",
    "jax.jit": "jax",
    "tf.function": "tensorflow",
}


def choose_peers(wanted: str | None = None) -> tuple[str, ...]:
    """Return the peers named in a list such as ``"torch,jax.jit"``.

    Parameters
    ----------
    wanted : str, optional
        ``"none"`` for no peer; left out, all whose package is installed.

    Raises
    ------
    ArgumentError
        If one is unknown or not installed.
    """
    if wanted is None:
        return tuple(name for name, package in PEERS.items() if find_spec(package) is not None)
    names = tuple(name.strip() for name in wanted.split(",") if name.strip())
    if names == ("none",):
        return ()
    for name in names:
        if name not in PEERS:
            raise ArgumentError(
                f"there is no peer {name!r}",
                cause=f"the peers are {', '.join(PEERS)}",
                fix="choose some of them, separated by commas, or none",
            )
        if find_spec(PEERS[name]) is None:
            raise ArgumentError(
                f"peer {name!r} needs {PEERS[name]}",
                cause=f"{PEERS[name]} is not installed",
                fix=f"pip install {PEERS[name]}, or leave the peer out",
            )
    return tuple(dict.fromkeys(names))


def plain(leaf: Any) -> Any:
    """Return a result as an ndarray if it is a number, and in words if not."""
    if isinstance(leaf, (bool, int, float, complex, np.generic)):
        return np.asarray(leaf)
    return leaf if isinstance(leaf, (np.ndarray, str)) else repr(leaf)
