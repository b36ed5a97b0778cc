"""Plain NumPy: what the kernels cost without any graph, forward only."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import NotDifferentiableError
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import numbers
from sidebyside.workloads.workload import Workload


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
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
    return Prepared(
        run=lambda: function(np, *inputs),
        arrays=lambda results: [np.asarray(x) for x in numbers(results)],
    )


NUMPY = Mode("numpy", "NumPy, no graph", prepare, counts_memory=True, package="numpy")
