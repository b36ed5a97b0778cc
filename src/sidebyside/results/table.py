"""What the classical table is filled in with."""

from __future__ import annotations

from dataclasses import dataclass

from sidebyside.results.comparison import Comparison, Row
from sidebyside.results.result import Result
from sidebyside.results.training import TrainingComparison

NATIVE = "static:native"
"""The mode that is measured besides, where its packages are installed."""


@dataclass(frozen=True, repr=False)
class Table(Result):
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
