"""Every op and every public function, by name."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any

from oplibrary.core.op import Kind, Op
from oplibrary.late import contents
from oplibrary.late.table import Late, by_name

REGISTRY: Late[str, Op] = Late(by_name(contents.OPS))
"""Every op by name."""

ALIASES: Late[str, Op] = Late(by_name(contents.SPELLINGS))
"""Every op by its other spellings."""

CREATION: Late[str, Callable[..., Any]] = Late(by_name(contents.CREATION))
"""Functions that make an ndarray of no operand, by name; each executor wraps them."""

NAMESPACES: dict[str, Late[str, Callable[..., Any]]] = {
    below: Late(by_name(contents.FUNCTIONS.get(below, {})))
    for below in ("", "linalg", "special", "fft")
}
"""Of each namespace, the functions that are compositions of ops, or an op's friendlier signature.

The main one is called ``""``; an executor has a module for each of the others, such as
``dyngraph.linalg``.
"""

FUNCTIONS = NAMESPACES[""]
"""Those of the main namespace."""


def _registered(name: str) -> Op:
    return REGISTRY[name]


def _by_name(op: Op) -> tuple[Callable[[str], Op], tuple[str]]:
    return _registered, (op.name,)


copyreg.pickle(Op, _by_name)  # copies, too, are the op itself


def register(op: Op) -> Op:
    """Enter `op` into the registry and return it."""
    assert op.kind is not Kind.ELEMENTWISE or op.expression, f"{op.name} needs a scalar expression"
    op = REGISTRY.enter(op.name, op)
    for name in op.alias:
        ALIASES[name] = op
    return op


def lookup(name: str) -> Callable[..., Any] | None:
    """Return the public function or op called `name`, in any spelling, or None.

    One of a namespace below the main one is called by both names: ``"linalg.solve"``.
    """
    below, _, plain = name.rpartition(".")
    function = NAMESPACES[below].get(plain) if below in NAMESPACES else None
    if function is not None:
        return function
    op = REGISTRY.get(plain) or ALIASES.get(plain)
    return op if op is not None and op.public and below in op.namespaces else None


def names(below: str = "") -> list[str]:
    """Return every name that `lookup` knows in a namespace, in order, and load nothing."""
    return sorted({*contents.OFFERED.get(below, "").split(), *NAMESPACES[below].modules})


def named_as(op: Op, function: Any) -> Any:
    """Return `function`, which runs or declares `op`, with its name, text and signature."""
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = op.doc
    function.__wrapped__ = op  # `inspect` asks it for the signature, once somebody asks
    return function


def public(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enter `function` into every executor's main namespace under its own name."""
    FUNCTIONS[function.__name__] = function
    return function


def public_in(*namespaces: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what enters a function into those of every executor's `namespaces`."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for each in namespaces:
            NAMESPACES[each][function.__name__] = function
        return function

    return enter


def namespace(below: str = "") -> dict[str, Callable[..., Any]]:
    """Return every public name of the op library with what it calls; all of it is loaded.

    Parameters
    ----------
    below : str
        The namespace below the main one, such as ``"linalg"``.
    """
    found: dict[str, Callable[..., Any]] = {}
    for op in REGISTRY.values():
        if op.public and below in op.namespaces:
            found[op.name] = op
            found.update(dict.fromkeys(op.alias, op))
    return {**found, **NAMESPACES[below]}
