"""The classical table of dynamic against static graphs, with a measurement in every cell."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from oplibrary.messages.errors import MissingPackageError
from sidebyside.results.comparison import Comparison, Row, TimedCell
from sidebyside.results.table import NATIVE, Table
from sidebyside.studies.comparison import compare
from sidebyside.studies.training import compare_training
from sidebyside.workloads.registry import load
from sidebyside.workloads.workload import Workload

TABLE = (
    "seed",
    "chain",
    "layernorm_softmax",
    "mlp_digits",
    "cnn_digits",
    "lstm_text",
    "attention",
    "control_flow",
)
"""The workloads of the table, in its order."""

BUDGET = 0.8
"""Seconds of steady-state samples for each workload and size."""

REPLICATES = 3
"""Repetitions in fresh processes: many rows, each with an interval that counts processes."""

EFFORTS = {"quick": (0.2, 0), "": (BUDGET, REPLICATES), "thorough": (4.0, 8)}
"""Seconds of samples, and replicates; none where all is measured in one process."""

DYNAMIC = "dynamic"

_LOOK = "a quick look does without"

Report = Callable[[str], None]


def native_is_installed() -> bool:
    """Tell whether the packages of the machine-code backend are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("llvmlite", "scipy"))


def measure_table(
    names: Sequence[str] = TABLE,
    *,
    budget: float = BUDGET,
    replicates: int = REPLICATES,
    look: bool = False,
    report: Report | None = None,
) -> Table:
    """Measure the workloads of the table in the modes dynamic and static, and as machine code.

    Parameters
    ----------
    names : sequence of str
        Builtin names; those that can be trained are trained as well.
    budget : float
        Seconds of steady-state samples for each workload and size.
    replicates : int
        How often everything is repeated in fresh processes; see `compare`.
    look : bool
        Leave out what takes long and decides no claim: peak memory, for which each mode is built
        once more, and all trainings but the first. The table says so.
    report : callable, optional
        Called with a line of text when something new begins.

    Raises
    ------
    KeyboardInterrupt
        With the comparison so far as its attribute ``partial``.
    """
    start = time.perf_counter()
    workloads, skipped = [], []
    for workload in map(load, names):
        try:
            workload.make_inputs(workload.sizes[0])
        except MissingPackageError as error:
            skipped.append((workload.name, str(error)))
        else:
            workloads.append(workload)
    modes = ("dynamic", "static", NATIVE) if native_is_installed() else ("dynamic", "static")
    comparison = compare(
        workloads, modes, budget=budget, replicates=replicates, memory=not look, report=report
    )
    trained = [workload for workload in workloads if workload.training is not None]
    if look:
        skipped.append(("peak memory", _LOOK))
        skipped += [(f"the training of {workload.name}", _LOOK) for workload in trained[1:]]
        trained = trained[:1]
    try:
        trainings = tuple(compare_training(workload, report=report) for workload in trained)
        self_check = checked_by_the_control(comparison)
        if self_check is None:
            self_check = check_against_itself(workloads[0], budget / 4, replicates)
    except KeyboardInterrupt as interrupt:
        about = {**comparison.environment, "interrupted": True}
        interrupt.partial = Comparison(comparison.rows, about)  # type: ignore[attr-defined]
        raise
    seconds = time.perf_counter() - start
    return Table(comparison, trainings, self_check, seconds, tuple(skipped))


def checked_by_the_control(comparison: Comparison) -> Row | None:
    """Return the dynamic mode against itself, as the first program's control has measured it.

    None where there was no control: all was measured in one process.
    """
    for row in comparison.rows:
        cell = row.cell(DYNAMIC)
        if row.reference == DYNAMIC and cell is not None and row.control is not None:
            again = TimedCell(f"{DYNAMIC} #2", ratio=row.control)
            return replace(row, cells=(cell, again), checks=(), notes=(), graphs=())
    return None


def check_against_itself(workload: Workload, budget: float, replicates: int) -> Row:
    """Return the comparison of the dynamic mode with itself, which must find no difference."""
    size: Any = workload.sizes[0]
    modes = ("dynamic", "dynamic")
    return compare([workload], modes, sizes=[size], budget=budget, replicates=replicates).rows[0]
