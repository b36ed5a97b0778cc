"""What the classical table is filled in with."""

from __future__ import annotations

from dataclasses import dataclass

from sidebyside.results.comparison import Comparison, Row
from sidebyside.results.saved.file import SavedResult
from sidebyside.results.training import TrainingComparison

NATIVE = "static:native"
"""The mode that is measured besides, where its packages are installed."""


@dataclass(frozen=True, repr=False)
class Table(SavedResult):
    """What `measure_table` found.

    Attributes
    ----------
    comparison : Comparison
        Of the workloads of the table.
    trainings : tuple of TrainingComparison
        Of those that can be trained.
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

    def unsound(self) -> str:
        """Return what in it cannot be; empty where nothing is wrong."""
        cells = len(self.self_check.cells)
        return "" if cells == 2 else f"{cells} modes in place of one against itself"
