"""The builtin workloads: one program a file, each of which defines ``WORKLOAD``."""

from __future__ import annotations

import difflib
from importlib import import_module

from oplibrary.messages.errors import WorkloadError
from sidebyside.workloads.workload import Workload

BUILTIN = (
    "seed",
    "chain",
    "layernorm_softmax",
    "mlp_digits",
    "cnn_digits",
    "lstm_text",
    "attention",
    "mlp",
    "control_flow",
)
"""Every name that `load` knows, in the order in which they are shown."""


def load(name: str) -> Workload:
    """Return the builtin workload called `name`.

    Raises
    ------
    WorkloadError
        If there is none.
    """
    if name not in BUILTIN:
        close = difflib.get_close_matches(name, BUILTIN, n=1)
        raise WorkloadError(
            f"there is no builtin workload {name!r}"
            + (f"; did you mean {close[0]!r}?" if close else ""),
            cause=f"the builtin ones are {', '.join(BUILTIN)}",
            fix="name one of them, or a Python file of your own that ends in .py",
        )
    workload: Workload = import_module(f"sidebyside.workloads.builtin.{name}").WORKLOAD
    return workload
