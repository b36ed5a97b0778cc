"""dyngraph: every operation runs at once and records itself."""

from __future__ import annotations

from typing import Any

import dyngraph
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import prepare_taped
from sidebyside.workloads.workload import Workload

dg: Any = dyngraph


def prepare_calls(workload: Workload, static: tuple[int, ...] = ()) -> Prepared:
    """Make the workload ready: there is nothing to build."""
    return prepare_taped(workload, dg, dg.Tensor, dg.from_numpy)


DYNAMIC = Mode.of_calls(
    "dynamic",
    "dynamic graph (dyngraph)",
    prepare_calls,
    namespace=dg,
    exact=True,
    eager=True,
    counts_memory=True,
)
