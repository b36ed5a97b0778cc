"""The classical table of dynamic against static graphs, with a measurement in every cell."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from oplibrary.messages.errors import MissingPackageError
from sidebyside.results.comparison import Comparison, Row, Text
from sidebyside.studies.compare import compare
from sidebyside.studies.training import TrainingComparison, compare_training
from sidebyside.workloads.builtin import load
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

BUDGET = 1.6
"""Seconds of steady-state samples for each workload and size."""

NATIVE = "static:native"
"""The mode that is measured besides, where its packages are installed."""

Report = Callable[[str], None]


def native_is_installed() -> bool:
    """Tell whether the packages of the machine-code backend are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("llvmlite", "scipy"))


@dataclass(frozen=True, repr=False)
class Table:
    """What `measure_table` found.

    Attributes
    ----------
    comparison : Comparison
    trainings : tuple of TrainingComparison
    self_check : Row
        A workload in the dynamic mode against itself.
    seconds : float
        That everything took.
    skipped : tuple of (str, str)
        Workloads whose data are not installed, with what is missing.
    """

    comparison: Comparison
    trainings: tuple[TrainingComparison, ...]
    self_check: Row
    seconds: float
    skipped: tuple[tuple[str, str], ...] = ()

    def text(self, width: int = 100) -> Text:
        """Return the table as text for a terminal of `width` columns."""
        from sidebyside.report.classical import table_text

        return Text(table_text(self, width))

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything that was measured as JSON.

        Raises
        ------
        OutputError
            If `path` cannot be written; nothing is left half-written.
        """
        from sidebyside.report.data import table_data, to_text
        from sidebyside.report.writing import write_whole

        write_whole(path, to_text(table_data(self)))

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the table as one HTML file that needs no other.

        Raises
        ------
        OutputError
            If `path` cannot be written; nothing is left half-written.
        """
        from sidebyside.report.html import table_html
        from sidebyside.report.writing import write_whole

        write_whole(path, table_html(self))

    def _repr_html_(self) -> str:
        from sidebyside.report.html import table_body

        return table_body(self)

    def __repr__(self) -> str:
        return str(self.text())


def measure_table(
    names: Sequence[str] = TABLE, *, budget: float = BUDGET, report: Report | None = None
) -> Table:
    """Measure the workloads of the table in the modes dynamic and static, and as machine code.

    Parameters
    ----------
    names : sequence of str
        Builtin names; those that can be trained are trained as well.
    budget : float
        Seconds of steady-state samples for each workload and size.
    report : callable, optional
        Called with a line of text when something new begins.
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
    comparison = compare(workloads, modes, budget=budget, report=report)
    trainings = tuple(
        compare_training(workload, report=report)
        for workload in workloads
        if workload.training is not None
    )
    self_check = check_against_itself(workloads[0], budget)
    seconds = time.perf_counter() - start
    return Table(comparison, trainings, self_check, seconds, tuple(skipped))


def check_against_itself(workload: Workload, budget: float) -> Row:
    """Return the comparison of the dynamic mode with itself, which must find no difference."""
    size: Any = workload.sizes[0]
    return compare([workload], ("dynamic", "dynamic"), sizes=[size], budget=budget).rows[0]
