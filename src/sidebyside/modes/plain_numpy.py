"""Plain NumPy: what the kernels cost without any graph, forward only."""

from __future__ import annotations

import numpy as np

from oplibrary.messages.errors import NotDifferentiableError
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.workloads.workload import Workload


def prepare_calls(workload: Workload, static: tuple[int, ...] = ()) -> Prepared:
    """Make the workload ready: there is nothing to do.

    Raises
    ------
    NotDifferentiableError
        If the workload asks for gradients.
    """
    if workload.wrt:
        raise NotDifferentiableError(
            f"workload {workload.name!r} needs gradients, and NumPy has none",
            cause="NumPy computes and records nothing",
            fix="leave the mode out for this workload",
        )
    function = workload.function
    return Prepared(lambda *arguments: function(np, *arguments))


NUMPY = Mode.of_calls(
    "numpy", "NumPy, no graph", prepare_calls, namespace=np, counts_memory=True, eager=True
)
