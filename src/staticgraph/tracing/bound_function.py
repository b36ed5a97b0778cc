"""Bound functions: a traced function bound to arrays, for as long as what it read is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oplibrary.messages.errors import BindingError
from staticgraph.capture.guards import Guards
from staticgraph.compiler.bound import Bound


def watched(bound: Bound, guards: Guards, name: str) -> Bound:
    """Return `bound` with a look at what the function called `name` read from outside.

    Its own code is none of that: a call runs what was bound. Without anything to look at, `bound`
    is returned as it is.
    """
    read = Guards([guard for guard in guards.guards if guard.kind != "code"])
    if not read.guards:
        return bound
    run: Callable[[], Any] = bound.func

    def call() -> Any:
        changed = read.failed()
        if changed is None:
            return run()
        raise BindingError(
            f"{name} was bound before a value changed that it reads from outside: "
            f"{changed.describe_change()}",
            cause="the value is fixed in what was bound, and a bound program is not traced again",
            fix=f"call {name}.bind again, or pass the value as an argument",
        )

    return Bound(call, bound.inputs, bound.outputs)
